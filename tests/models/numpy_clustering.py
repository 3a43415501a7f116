"""Reconstruction Clustering as a plain NumPy loop over images, written from the paper.

Greff, Srivastava, Schmidhuber. Binding via Reconstruction Clustering. arXiv:1511.06418,
Algorithm 1. Arrays are [K, N]: clusters by pixels.
"""

from typing import NamedTuple

import numpy as np

CLIP = 1e-6  # the authors', in the log-likelihood they report
ACTIVATIONS = {
    "relu": lambda a: np.maximum(a, 0),
    "tanh": np.tanh,
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
}


class Run(NamedTuple):
    """What the loop leaves behind for one image."""

    assignments: np.ndarray  # [K, N]
    weights: np.ndarray  # [K]
    log_likelihoods: np.ndarray  # [2 T + 1]
    margins: np.ndarray  # [N], the least lead of the best cluster over the next, in any step


class Bernoulli:
    """The paper's likelihood of binary pixels."""

    @staticmethod
    def density(x, y):
        return x * y + (1 - x) * (1 - y)

    @staticmethod
    def log_density(x, y):
        y = np.clip(y, CLIP, 1 - CLIP)
        return x * np.log(y) + (1 - x) * np.log(1 - y)


def autoencoder(weights, activation):
    """Returns x [K, N] -> Y [K, N] from `W1 [N, H], b1, W2 [H, N], b2`."""
    w1, b1, w2, b2 = weights

    def reconstruct(x):
        return ACTIVATIONS["sigmoid"](ACTIVATIONS[activation](x @ w1 + b1) @ w2 + b2)

    return reconstruct


def cluster(x, start, reconstruct, num_iterations, *, likelihood=Bernoulli, hard, estimate=False):
    """Runs the loop on one image `x` [N] from the assignments `start` [K, N]."""
    gamma, pi = start, np.full(len(start), 1 / len(start), "float32")
    history = [np.sum(gamma * likelihood.log_density(x, 0.5))]
    margins = np.full(x.shape, np.inf)
    for _ in range(num_iterations):
        y = reconstruct(gamma * x)  # R-step
        history.append(np.sum(gamma * likelihood.log_density(x, y)))
        p = pi[:, None] * likelihood.density(x, y)  # E-step
        best = p.max(axis=0)
        second = np.where(p < best, p, -np.inf).max(axis=0)  # empty clusters are alike, and tie
        margins = np.minimum(margins, 1 - second / best)
        gamma = (p == best).astype(p.dtype) if hard else p / p.sum(axis=0)
        if estimate:
            pi = gamma.mean(axis=1)
        history.append(np.sum(gamma * likelihood.log_density(x, y)))
    return Run(gamma, pi, np.array(history), margins)
