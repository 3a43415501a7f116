"""The losses of Kingdra's ensemble in float64 NumPy, member by member, as in the authors' code.

Gupta, Ramjee, Kwatra, Sivathanu. Unsupervised Clustering using Pseudo-semi-supervised Learning.
ICLR, 2020. A member is a ladder with a bare top: no gain, no standardisation, logits down.
"""

import numpy as np
from scipy.special import log_softmax

from . import numpy_ladder


def weights_of(ladder, member):
    """Reads one member's weights, each a dict of layer to array."""
    kinds = (ladder.encoder_kernels, ladder.biases, ladder.decoder_kernels, ladder.combinators)
    return [
        {layer: weight.numpy()[member].astype("float64") for layer, weight in kind.items()}
        for kind in kinds
    ]


def _standardize(a):
    return (a - a.mean(axis=0)) / np.sqrt(a.var(axis=0) + 1e-10)


def encode(x, kernels, biases, noise):
    """Returns z of every layer, and the logits; `noise` is what is added to each layer."""
    top = len(kernels)
    z = [x + noise[0]]
    h = z[0]
    for layer in range(1, top + 1):
        a = h @ kernels[layer]
        z.append((a if layer == top else _standardize(a)) + noise[layer])
        logits = z[-1] + biases[layer]
        h = np.maximum(logits, 0)
    return z, logits


def terms(x, weights, noise, lambdas, mu, targets):
    """Returns the terms of one member's loss, each its mean over the batch.

    `targets` `[B, K]` are weights of the pseudo-classes.
    """
    kernels, biases, decoder, combinators = weights
    clean, clean_logits = encode(x, kernels, biases, [0.0] * len(lambdas))
    noisy, noisy_logits = encode(x, kernels, biases, noise)
    denoising = 0.0
    u = noisy_logits
    for layer in range(len(lambdas) - 1, -1, -1):
        restored = numpy_ladder.combine(
            noisy[layer], _standardize(u), combinators[layer], stable=False
        )
        squares = ((restored - clean[layer]) ** 2).sum(axis=1) / restored.shape[1]
        denoising += lambdas[layer] * squares.mean()
        u = restored @ decoder[layer - 1] if layer > 0 else None
    log_p, log_q = log_softmax(clean_logits, axis=1), log_softmax(noisy_logits, axis=1)
    return {
        "denoising_cost": denoising,
        "information_cost": _information(log_p, mu) + _information(log_q, mu),
        "noise_divergence": (np.exp(log_p) * (log_p - log_q)).sum(axis=1).mean(),
        "pseudo_cost": -(targets * log_q).sum(axis=1).mean(),
    }


def _information(log_p, mu):
    marginal = np.exp(log_p).mean(axis=0)
    return -(np.exp(log_p) * log_p).sum(axis=1).mean() + mu * (marginal * np.log(marginal)).sum()
