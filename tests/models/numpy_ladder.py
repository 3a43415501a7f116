"""The ladder network in float64 NumPy, layer by layer, written from the paper.

Rasmus, Valpola, Honkala, Berglund, Raiko. Semi-Supervised Learning with Ladder Networks.
arXiv:1507.02672, Algorithm 1; the Gaussian combinator is equations 6 to 8. Arrays are [rows,
units]; the input is layer 0 and the top is layer L.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import expit, log_softmax, softmax

EPSILON = 1e-10


class Weights(NamedTuple):
    """Each a dict of layer to array, but for the gain."""

    encoder: dict  # W^l [N_(l-1), N_l], 1 to L
    biases: dict  # [N_l], 1 to L
    gain: np.ndarray  # [N_L]
    decoder: dict  # V^(l+1) [N_(l+1), N_l], which gives u^l
    combinators: dict  # a1 to a10 [10, N_l]


def weights_of(ladder):
    """Reads the weights of the library's ladder."""

    def arrays(variables):
        return {layer: variable.numpy().astype("float64") for layer, variable in variables.items()}

    return Weights(
        arrays(ladder.encoder_kernels),
        arrays(ladder.biases),
        ladder.gain.numpy().astype("float64"),
        arrays(ladder.decoder_kernels),
        arrays(ladder.combinators),
    )


class Standardize:
    """Batch or layer normalisation without scale and shift, which notes what it saw."""

    def __init__(self, kind, population=None):
        self.kind, self.population = kind, population
        self.seen = {}  # name -> mean, variance, number of values averaged

    def __call__(self, name, a):
        axis = {"batch": 0, "layer": 1}[self.kind]
        mean, variance = a.mean(axis, keepdims=True), a.var(axis, keepdims=True)
        self.seen[name] = mean, variance, a.shape[axis]
        if self.population is not None:
            mean, variance = self.population[name]
        return (a - mean) / np.sqrt(variance + EPSILON)


class Path(NamedTuple):
    """What one way up the encoder leaves behind, lists from layer 0 to L."""

    z: list
    h: list
    logits: np.ndarray


def encode(x, weights, standardize, noise=None):
    """Goes up; `noise` is what is added to each layer, a list of arrays."""
    num_layers = len(weights.encoder) + 1
    noise = [0.0] * num_layers if noise is None else noise
    z = [x + noise[0]]
    h = [z[0]]
    for layer in range(1, num_layers):
        z.append(standardize(("encoder", layer), h[-1] @ weights.encoder[layer]) + noise[layer])
        a = z[-1] + weights.biases[layer]
        if layer == num_layers - 1:
            a = a * weights.gain
            h.append(softmax(a, axis=1))
        else:
            h.append(np.maximum(a, 0))
    return Path(z, h, a)


def decode(noisy, weights, standardize, stable=False):
    """Comes down; returns a dict of layer to reconstruction."""
    reconstructions = {}
    top = len(noisy.z) - 1
    for layer in sorted(weights.combinators, reverse=True):
        if layer == top:
            u = noisy.h[top]
        else:
            u = reconstructions[layer + 1] @ weights.decoder[layer]
        u = standardize(("decoder", layer), u)
        reconstructions[layer] = combine(noisy.z[layer], u, weights.combinators[layer], stable)
    return reconstructions


def combine(z, u, a, stable):
    """g(z, u), one unit of one row after the other."""
    found = np.empty_like(z)
    for row, unit in np.ndindex(z.shape):
        a1, a2, a3, a4, a5, a6, a7, a8, a9, a10 = a[:, unit]
        x = u[row, unit]
        mu = a1 * expit(a2 * x + a3) + a4 * x + a5
        v = a6 * expit(a7 * x + a8) + a9 * x + a10
        if stable:
            v = expit(v)
        found[row, unit] = (z[row, unit] - mu) * v + mu
    return found


def denoising_costs(x, weights, lambdas, noise, stable=False, renormalize=True):
    """C_l of every layer that has a weight."""
    of_clean = Standardize("batch")
    clean = encode(x, weights, of_clean)
    of_noisy = Standardize("batch")
    noisy = encode(x, weights, of_noisy, noise)
    reconstructions = decode(noisy, weights, of_noisy, stable)
    costs = []
    for layer, weight in enumerate(lambdas):
        if weight == 0:
            continue
        z = reconstructions[layer]
        if layer > 0 and renormalize:
            mean, variance, _ = of_clean.seen["encoder", layer]
            z = (z - mean) / np.sqrt(variance + EPSILON)
        of_rows = ((z - clean.z[layer]) ** 2).sum(axis=1) / z.shape[1]
        costs.append(weight * of_rows.mean())
    return costs


def cross_entropy(x, labels, weights, noise):
    """Of the noisy path."""
    noisy = encode(x, weights, Standardize("batch"), noise)
    log_p = log_softmax(noisy.logits, axis=1)
    return -np.mean([log_p[row, label] for row, label in enumerate(labels)])
