"""The concrete distribution against TFP's and against its formula."""

import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfbind import distributions, seeds

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(0, 1.5, (6, 4)).astype("float32")


def density_of_the_paper(p, y, t):
    k = len(p)
    return (
        math.lgamma(k)
        + (k - 1) * np.log(t)
        - k * np.log(np.sum(p * y**-t))
        + np.sum(np.log(p * y ** (-t - 1)))
    )


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_density_is_tfps_and_the_papers(temperature):
    y = RANDOM.dirichlet(np.ones(4), 6)
    found = distributions.relaxed_one_hot_log_prob(LOGITS, temperature, np.log(y).astype("float32"))
    theirs = tfp.distributions.RelaxedOneHotCategorical(temperature, logits=LOGITS)
    np.testing.assert_allclose(found, theirs.log_prob(y.astype("float32")), rtol=1e-4, atol=1e-4)
    p = np.exp(LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True)))
    expected = [density_of_the_paper(*row, temperature) for row in zip(p, y, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_two_equal_classes_are_uniform_on_the_simplex():
    share = np.linspace(0.01, 0.99, 99)
    log_y = np.log(np.stack([share, 1 - share], axis=1)).astype("float32")
    found = distributions.relaxed_one_hot_log_prob(tf.zeros([99, 2]), 1.0, log_y)
    np.testing.assert_allclose(found, np.zeros(99), atol=1e-5)


def test_the_density_integrates_to_one():
    share = (np.arange(20000) + 0.5) / 20000
    log_y = np.log(np.stack([share, 1 - share], axis=1)).astype("float32")
    found = distributions.relaxed_one_hot_log_prob(np.float32([[0.7, -0.2]]), 0.8, log_y)
    assert np.exp(found).mean() == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("temperature", [0.1, 0.3, 1.0])
def test_it_is_finite_where_tfps_is_not(temperature):
    logits = tf.constant(np.tile(LOGITS, (2000, 1)))
    noise = distributions.gumbel(logits.shape, seeds.fold(3))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        log_y = distributions.relaxed_one_hot_log_sample(logits, temperature, noise)
        density = distributions.relaxed_one_hot_log_prob(logits, temperature, log_y)
        entropy = tf.exp(log_y) * log_y
        loss = tf.reduce_sum(density) + tf.reduce_sum(entropy)
    assert np.all(np.isfinite(log_y)) and np.all(np.isfinite(density))
    assert np.all(np.isfinite(tape.gradient(loss, logits)))
    if temperature == 0.1:
        assert np.any(np.exp(log_y) == 0)  # so that the test is about something


def test_samples_are_tfps():
    """Distribution function of the largest share, 20 000 draws of each."""
    logits, n = np.float32([0.5, -1.0, 0.2]), 20000
    noise = distributions.gumbel([n, 3], seeds.fold(5))
    ours = np.exp(distributions.relaxed_one_hot_log_sample(logits, 0.7, noise))
    theirs = tfp.distributions.RelaxedOneHotCategorical(0.7, logits=logits).sample(n, seed=1)
    np.testing.assert_allclose(ours.sum(axis=1), np.ones(n), atol=1e-5)
    for column in range(3):
        levels = np.quantile(theirs[:, column], [0.1, 0.5, 0.9])
        found = [(ours[:, column] <= level).mean() for level in levels]
        np.testing.assert_allclose(found, [0.1, 0.5, 0.9], atol=0.015)
    # The class of the largest share is categorical.
    shares = np.bincount(ours.argmax(axis=1), minlength=3) / n
    np.testing.assert_allclose(shares, np.exp(logits) / np.exp(logits).sum(), atol=0.015)


def test_gumbel_noise_is_finite_and_has_its_mean():
    noise = distributions.gumbel([100000], seeds.fold(1)).numpy()
    assert np.all(np.isfinite(noise))
    assert noise.mean() == pytest.approx(np.euler_gamma, abs=0.02)
