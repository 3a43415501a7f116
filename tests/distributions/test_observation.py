"""Observation models against SciPy."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from tfbind import distributions

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(0, 3, (4, 5)).astype("float32")
BINARY = RANDOM.integers(0, 2, (4, 5)).astype("float32")
REAL = RANDOM.normal(0, 2, (4, 5)).astype("float32")


def as_pixels(*parts):
    """Every element of `[n, P]` a pixel of one channel and one group: `[n, 1, P, 1]`."""
    return (np.atleast_2d(part)[:, None, :, None] for part in parts)


def test_bernoulli():
    observation = distributions.BernoulliObservation()
    y = observation.mean(LOGITS)
    np.testing.assert_allclose(y, scipy.special.expit(LOGITS), rtol=1e-5)
    expected = scipy.stats.bernoulli.logpmf(BINARY, scipy.special.expit(LOGITS.astype("float64")))
    for found in (
        observation.distribution(LOGITS).log_prob(BINARY),
        np.log(observation.evidence(*as_pixels(BINARY, y)))[:, 0],
        observation.log_likelihood(BINARY, y),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    assert (observation.low, observation.high) == (0, 1)


def test_bernoulli_of_grey_values():
    """There the E-step's sum is not the likelihood."""
    observation, x, y = distributions.BernoulliObservation(), np.float32(0.25), np.float32(0.9)
    evidence = observation.evidence(*as_pixels(x, y))
    np.testing.assert_allclose(evidence, [[[0.3]]], rtol=1e-5)
    expected = 0.25 * np.log(0.9) + 0.75 * np.log(0.1)
    assert float(observation.log_likelihood(x, y)) == pytest.approx(expected, rel=1e-5)


def test_bernoulli_clips_as_the_paper_does():
    observation = distributions.BernoulliObservation()
    for x, y in ((1.0, 0.0), (0.0, 1.0)):
        found = float(observation.log_likelihood(tf.constant(x), tf.constant(y)))
        assert found == pytest.approx(np.log(1e-6), rel=0.01)  # 1 - 1e-6 is rough in float32
        assert np.all(observation.evidence(*as_pixels(x, y)) > 0)


def test_bernoulli_evidence_of_a_pixel_is_the_product_over_its_channels():
    x, y = np.float32([1, 0, 1]), np.float32([0.9, 0.2, 0.5])
    evidence = distributions.BernoulliObservation().evidence(
        x[None, None, None], y[None, None, None]
    )
    np.testing.assert_allclose(evidence, [[[0.9 * 0.8 * 0.5]]], rtol=1e-6)


@pytest.mark.parametrize("scale", [0.05, 1.0, 7.0])
def test_gaussian(scale):
    variable = tf.Variable(np.log(np.expm1(scale)), dtype=tf.float32)
    observation = distributions.GaussianObservation(variable)
    expected = scipy.stats.norm.logpdf(REAL, LOGITS, scale)
    for found in (
        observation.distribution(LOGITS).log_prob(REAL),
        observation.log_likelihood(REAL, observation.mean(LOGITS)),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-3)
    # Three pixels of two channels, four groups: relative to the best of them.
    x, y = REAL[:3, None, None, :2].swapaxes(0, 2), RANDOM.normal(0, 1, (1, 4, 3, 2))
    log_p = scipy.stats.norm.logpdf(x, y, scale).sum(axis=-1)
    expected = np.maximum(np.exp(log_p - log_p.max(axis=1, keepdims=True)), 1e-30)
    found = observation.evidence(x, y.astype("float32"))
    np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-12)
    assert (observation.low, observation.high) == (None, None)


def test_the_gaussian_scale_learns_and_is_never_stale():
    """A distribution made beforehand would neither have a gradient nor see later values."""
    variable = tf.Variable(0.0)
    observation = distributions.GaussianObservation(variable)
    with tf.GradientTape() as tape:
        loss = -tf.reduce_sum(observation.distribution(LOGITS).log_prob(REAL))
    assert tape.gradient(loss, variable) is not None
    variable.assign(3.0)
    found = observation.distribution(LOGITS).stddev()
    np.testing.assert_allclose(found, np.log1p(np.exp(3.0)) * np.ones_like(LOGITS), rtol=1e-6)
