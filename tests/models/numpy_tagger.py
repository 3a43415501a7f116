"""Tagger in float64 NumPy, written from the paper and, where they differ, the authors' code.

Greff, Rasmus, Berglund, Hao, Schmidhuber, Valpola. Tagger: Deep Unsupervised Perceptual Grouping.
arXiv:1606.06724, Algorithms 2 and 3. x is [B, P, C]: images, pixels, channels; z is [B, K, P, C]
and m [B, K, P], one for each of K groups.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import expit, logsumexp, softmax
from scipy.stats import norm

from . import numpy_ladder

CLIP = 1e-4  # keeps a probability away from 0 and 1
GUARD = 1e-5  # added to m inside the logarithm


class State(NamedTuple):
    """What an iteration leaves to the next."""

    z: np.ndarray
    fed: np.ndarray  # z before its sigmoid, if there was one
    m: np.ndarray
    top: np.ndarray  # logits [B, K, units]


class Tagger:
    """Reads weights and settings of the library's Tagger, and computes for itself."""

    def __init__(self, model):
        def array(variable):
            return np.array(variable.numpy(), "float64")

        step = model.step
        self.binary = step.likelihood == "bernoulli"
        self.noise, self.initial_mean = step.noise, model.initial_mean
        self.equations, self.normalization = step.equations, step.normalization
        self.stable = step.ladder.combinator == "gauss_stable_v"
        self.ladder = numpy_ladder.weights_of(step.ladder)
        self.weights = {
            name: array(getattr(step, name))
            for name in (
                "hidden_kernel",
                "hidden_bias",
                "mean_kernel",
                "mean_gain",
                "mean_bias",
                "assignment_kernel",
                "assignment_gain",
            )
        }
        if not self.binary:
            self.weights["untransformed_variance"] = array(step.untransformed_variance)

    @property
    def v(self):
        """The learned variance: always positive, and of a bounded derivative."""
        theta = self.weights["untransformed_variance"]
        if theta > 0:
            return theta + np.sqrt(theta**2 + 1)
        return 1 / (np.sqrt(theta**2 + 1) - theta)

    @property
    def s(self):
        """The variance of a noisy element in one group."""
        return self.noise**2 + (self.v if self.equations == "paper" else self.v**2)

    def xi(self, z):
        """The probability that a noisy element is 1."""
        return z * (1 - 2 * self.noise) + self.noise

    def modelling_error(self, x, z, m):
        delta = np.empty_like(z)
        for b, k, p, c in np.ndindex(z.shape):
            if self.binary:
                on = sum(self.xi(z[b, h, p, c]) * m[b, h, p] for h in range(m.shape[1]))
                sign, chance = (1, on) if x[b, p, c] == 1 else (-1, 1 - on)
                delta[b, k, p, c] = sign * (1 - 2 * self.noise) * m[b, k, p] / chance
            else:
                delta[b, k, p, c] = m[b, k, p] * (x[b, p, c] - z[b, k, p, c])
                if self.equations == "paper":
                    scale = np.sqrt(self.s)
                    delta[b, k, p, c] *= norm.pdf(x[b, p, c], z[b, k, p, c], scale)
        return delta

    def likelihood_ratio(self, x, z):
        ratio = np.empty(z.shape[:3])
        for b, p in np.ndindex(x.shape[:2]):
            if self.binary:
                on = self.xi(z[b, :, p]) * (1 - 2 * CLIP) + CLIP  # [K, C]
                likelihood = np.where(x[b, p] == 1, on, 1 - on)
            else:
                likelihood = norm.pdf(x[b, p], z[b, :, p], np.sqrt(self.s))
            likelihood = likelihood.prod(axis=1)
            ratio[b, :, p] = likelihood / likelihood.sum()
        return ratio

    def start(self, x, m):
        batch, num_groups, _ = m.shape
        z = np.full((batch, num_groups, *x.shape[1:]), self.initial_mean)
        return State(z, z, m, np.zeros((batch, num_groups, len(self.ladder.gain))))

    def step(self, x, state, standardize):
        """Algorithm 2, lines 4 to 10."""
        delta, ratio = self.modelling_error(x, state.z, state.m), self.likelihood_ratio(x, state.z)
        batch, num_groups, _ = state.m.shape
        rows = np.array(
            [
                np.concatenate(
                    [state.fed[b, k].ravel(), delta[b, k].ravel(), state.m[b, k], ratio[b, k]]
                )
                for b in range(batch)
                for k in range(num_groups)
            ]
        )
        w = self.weights

        def standardize_output(name, values):
            # Layer normalisation would be over the pixels of a mask
            return values if self.normalization == "layer" else standardize(name, values)

        hidden = standardize("hidden", rows @ w["hidden_kernel"]) + w["hidden_bias"]
        path = numpy_ladder.encode(np.maximum(hidden, 0), self.ladder, standardize)
        estimate = numpy_ladder.decode(path, self.ladder, standardize, self.stable)[0]
        z = standardize_output("means", estimate @ w["mean_kernel"])
        z = (w["mean_gain"] * z + w["mean_bias"]).reshape(state.z.shape)
        m = standardize_output("assignments", estimate @ w["assignment_kernel"])
        m = w["assignment_gain"] * m
        return State(
            expit(z) if self.binary else z,
            z,
            softmax(m.reshape(state.m.shape), axis=1),
            path.logits.reshape(state.top.shape),
        )

    def iterate(self, x, m, num_iterations, populations=None):
        """Returns all states, the start first, and what each iteration's normalisations saw."""
        states, seen = [self.start(x, m)], []
        for i in range(num_iterations):
            standardize = numpy_ladder.Standardize(
                self.normalization, populations and populations[i]
            )
            states.append(self.step(x, states[-1], standardize))
            seen.append(standardize.seen)
        return states, seen

    def log_mixture(self, clean, state):
        """log p(x) of every image without the Gaussian's constant; Algorithm 3, line 11."""
        found = np.zeros(len(clean))
        for b, p in np.ndindex(clean.shape[:2]):
            m, z = state.m[b, :, p], state.z[b, :, p]  # [K], [K, C]
            if self.binary:
                on = (m @ z) * (1 - 2 * CLIP) + CLIP
                found[b] += np.log(np.where(clean[b, p] == 1, on, 1 - on)).sum()
            else:
                log_p = -0.5 * (np.log(self.v) + (clean[b, p] - z) ** 2 / self.v)
                found[b] += logsumexp(log_p.sum(axis=1) + np.log(m + GUARD))
        return found

    def cost(self, clean, state):
        """The mean over elements and images."""
        return -self.log_mixture(clean, state).sum() / clean.size

    def loss(self, clean, noisy, m, num_iterations):
        states, _ = self.iterate(noisy, m, num_iterations)
        return np.mean([self.cost(clean, state) for state in states[1:]])

    def class_probabilities(self, state):
        shares = softmax(state.top, axis=2)[:, :, :-1]  # the last is 'none'
        return np.array([share.sum(axis=0) / share.sum() for share in shares])

    def class_cost(self, labels, state):
        """Cross-entropy with the share of each class among the labels."""
        log_p = np.log(self.class_probabilities(state))
        return -np.mean(
            [
                np.mean([of_image[label] for label in these])
                for these, of_image in zip(labels, log_p, strict=True)
            ]
        )
