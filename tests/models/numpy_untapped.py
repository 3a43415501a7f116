"""The bounds of the untapped VAE in NumPy, from the paper's equations, with integrals as sums.

A model of three binary pixels, two classes, a latent of one dimension and linear networks: what
the paper integrates over is then a sum over images, classes and a fine grid.
"""

import itertools
import math

import numpy as np
import scipy.special
import scipy.stats

LOW, HIGH = -1.5, 1.5
IMAGES = np.array(list(itertools.product([0.0, 1.0], repeat=3)))  # all there are, [8, 3]
# Points of the box that are dense at its walls, where a density may peak, and their shares of it.
_WALLS = LOW + (HIGH - LOW) * scipy.special.expit(np.linspace(-25, 25, 2001))
GRID, CELLS = (_WALLS[1:] + _WALLS[:-1]) / 2, np.diff(_WALLS)


class LinearModel:
    """Weights of the three networks, and their densities."""

    def __init__(self, seed=0):
        random = np.random.default_rng(seed)
        self.classifier = random.normal(0, 1, (3, 2)), random.normal(0, 1, 2)
        # Wide around the middle of the box, for weights that importance sampling can bear
        self.encoder = random.normal(0, 0.2, (5, 2)), np.array([0.1, 2.5])
        self.decoder = random.normal(0, 1, (3, 3)), random.normal(0, 1, 3)

    def log_q_label(self, x):
        """log q(y|x) of both classes, [2]."""
        weights, bias = self.classifier
        logits = x @ weights + bias
        return logits - scipy.special.logsumexp(logits)

    def q_latent(self, x, y):
        """Mean and standard deviation before the flow."""
        weights, bias = self.encoder
        loc, untransformed = np.concatenate([x, y]) @ weights + bias
        return loc, np.log1p(np.exp(untransformed))

    def log_q_latent(self, z, x, y):
        """log q(z|x, y) on an array of z, with the determinant that the paper should have."""
        share = (z - LOW) / (HIGH - LOW)
        before = np.log(share) - np.log1p(-share)
        log_det = np.log(HIGH - LOW) + np.log(share) + np.log1p(-share)
        return scipy.stats.norm.logpdf(before, *self.q_latent(x, y)) - log_det

    def pixel_means(self, y, z):
        weights, bias = self.decoder
        z = np.atleast_1d(z)
        inputs = np.concatenate([np.broadcast_to(y, (len(z), 2)), z[:, None]], axis=1)
        return scipy.special.expit(inputs @ weights + bias)  # [cells, 3]

    def log_p_image(self, x, y, z):
        """log p(x|y, z) on an array of z."""
        return scipy.stats.bernoulli.logpmf(x, self.pixel_means(y, z)).sum(axis=-1)


def latent_term(model, x, y):
    """E_q(z|x,y)[log p(x|y,z) - log q(z|x,y) + log p(z)], a sum over the grid."""
    log_q = model.log_q_latent(GRID, x, y)
    inside = model.log_p_image(x, y, GRID) - log_q - np.log(HIGH - LOW)
    return np.sum(np.exp(log_q) * inside * CELLS)


def labeled_bound(model, x, label):
    """Equation 3."""
    return latent_term(model, x, np.eye(2)[label]) - np.log(2)


def unlabeled_bound(model, x):
    """Equation 4 with the classes summed."""
    log_q = model.log_q_label(x)
    return sum(np.exp(log_q[y]) * (labeled_bound(model, x, y) - log_q[y]) for y in (0, 1))


def log_concrete(p, y, temperature):
    """The density of facts C.2 for two classes, on arrays of y `[..., 2]`."""
    return (
        math.lgamma(2)
        + np.log(temperature)
        - 2 * np.log(np.sum(p * y**-temperature, axis=-1))
        + np.sum(np.log(p * y ** (-temperature - 1)), axis=-1)
    )


def relaxed_unlabeled_bound(model, x, temperature, cells=300):
    """Equation 4 with a relaxed label, whose prior is uniform on the simplex.

    The sum is over quantiles of the difference of the two classes' Gumbel noises, a logistic: at
    low temperatures the density itself has no bound at the corners.
    """
    log_p = model.log_q_label(x)
    noise = scipy.stats.logistic.ppf((np.arange(cells) + 0.5) / cells)
    share = scipy.special.expit((log_p[0] - log_p[1] + noise) / temperature)
    labels = np.stack([share, 1 - share], axis=1)
    inner = np.array([latent_term(model, x, y) for y in labels])
    return np.mean(inner - log_concrete(np.exp(log_p), labels, temperature))


def reverse_bound(model, label, z, log_q_label):
    """Equation 17 without log q(x): a sum over all images."""
    total = 0.0
    for x in IMAGES:
        log_p = model.log_p_image(x, label, z)[0]
        inside = log_q_label(x) + model.log_q_latent(z, x, label) - log_p
        total += np.exp(log_p) * inside
    return total


def log_prob(model, x):
    """log p(x, y) of both classes, integrated, `[2]`."""
    return np.array(
        [
            np.log(np.sum(np.exp(model.log_p_image(x, y, GRID)) * CELLS) / (HIGH - LOW) / 2)
            for y in np.eye(2)
        ]
    )
