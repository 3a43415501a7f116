"""Exact and relaxed labels: averages over q(y|x), densities and corners against sums and TFP."""

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from tfbind import distributions, seeds

LOGITS = np.random.default_rng(0).normal(0, 1.5, (6, 4)).astype("float32")
LOG_Q = scipy.special.log_softmax(LOGITS.astype("float64"), axis=1)
KINDS = [distributions.ExactLabels(4), distributions.RelaxedLabels(4, 0.8)]


def kl_divergence(kind, logits, seed):
    """An estimate of KL(q(y|x) || p(y)) for each row, from its candidates."""
    y = kind.candidates(tf.constant(logits), seed)
    return tf.reduce_sum(y.weights * (y.log_prob - kind.log_prior), axis=-1)


def test_exact_candidates_are_all_classes_with_their_probabilities():
    y = KINDS[0].candidates(LOGITS, seeds.fold(0))
    np.testing.assert_array_equal(y.labels, np.tile(np.eye(4), (6, 1, 1)))
    np.testing.assert_allclose(y.weights, np.exp(LOG_Q), rtol=1e-5)
    np.testing.assert_allclose(y.log_prob, LOG_Q, rtol=1e-5)


def test_the_exact_divergence_from_the_prior_has_no_noise():
    expected = math.log(4) - scipy.stats.entropy(np.exp(LOG_Q), axis=1)
    np.testing.assert_allclose(kl_divergence(KINDS[0], LOGITS, seeds.fold(0)), expected, rtol=1e-4)


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_the_relaxed_divergence_from_the_prior_is_an_integral(temperature):
    """Of two classes: over quantiles of the logistic that leads to the label."""
    kind, logits = distributions.RelaxedLabels(2, temperature), np.float32([0.7, -0.4])
    noise = scipy.stats.logistic.ppf((np.arange(20000) + 0.5) / 20000)
    before = (logits[0] - logits[1] + noise) / temperature
    y = scipy.special.expit(np.stack([before, -before], axis=1)).astype("float32")
    concrete = tfp.distributions.RelaxedOneHotCategorical(temperature, logits=logits)
    expected = np.mean(concrete.log_prob(np.clip(y, 1e-7, 1)))  # the prior's density is 1
    draws = kl_divergence(kind, np.tile(logits, (100000, 1)), seeds.fold(1)).numpy()
    error = draws.std() / np.sqrt(len(draws))
    assert abs(draws.mean() - expected) < 4.5 * error + 1e-3


def test_the_relaxed_prior_is_a_density_on_the_simplex():
    uniform = scipy.stats.dirichlet.logpdf(np.full(4, 0.25), np.ones(4))
    assert KINDS[1].log_prior == pytest.approx(uniform)
    assert KINDS[0].log_prior == pytest.approx(-math.log(4))


def test_a_relaxed_candidate_is_one_draw_inside_the_simplex():
    y = KINDS[1].candidates(LOGITS, seeds.fold(2))
    assert (y.labels.shape, y.weights.shape, y.log_prob.shape) == ((6, 1, 4), (6, 1), (6, 1))
    np.testing.assert_allclose(tf.reduce_sum(y.labels, axis=-1), np.ones((6, 1)), rtol=1e-5)
    np.testing.assert_array_equal(y.weights, np.ones((6, 1)))
    found = KINDS[1].log_prob(LOGITS, y.labels[:, 0])
    np.testing.assert_allclose(found, y.log_prob[:, 0], rtol=1e-3, atol=1e-3)


def test_exact_densities_are_the_cross_entropy():
    labels = np.eye(4, dtype="float32")[[0, 1, 2, 3, 0, 1]]
    expected = LOG_Q[np.arange(6), labels.argmax(axis=1)]
    np.testing.assert_allclose(KINDS[0].log_prob(LOGITS, labels), expected, rtol=1e-5)


def test_relaxed_densities_are_tfps():
    labels = np.random.default_rng(1).dirichlet(np.ones(4), 6).astype("float32")
    expected = tfp.distributions.RelaxedOneHotCategorical(0.8, logits=LOGITS).log_prob(labels)
    np.testing.assert_allclose(KINDS[1].log_prob(LOGITS, labels), expected, rtol=1e-4, atol=1e-4)


def test_corners():
    one_hot = tf.eye(4)
    np.testing.assert_array_equal(KINDS[0].corner(one_hot), one_hot)
    close = np.where(np.eye(4) == 1, 0.95, 0.05 / 3)
    np.testing.assert_allclose(KINDS[1].corner(one_hot), close, rtol=1e-6)
    assert np.isfinite(KINDS[1].log_prob(LOGITS[:4], KINDS[1].corner(one_hot))).all()


@pytest.mark.parametrize("kind", KINDS, ids=["exact", "relaxed"])
def test_candidates_have_a_gradient_in_the_logits(kind):
    logits = tf.constant(LOGITS)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        y = kind.candidates(logits, seeds.fold(0))
        loss = tf.reduce_sum(y.weights[..., None] * y.labels * tf.range(4.0))
    slope = tape.gradient(loss, logits)
    assert np.isfinite(slope).all() and np.any(slope != 0, axis=1).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: distributions.ExactLabels(1), "`num_classes` must be an integer >= 2"),
        (lambda: distributions.RelaxedLabels(1, 1.0), "`num_classes` must be an integer >= 2"),
        (lambda: distributions.RelaxedLabels(2, 0.0), "`temperature` must be a number in"),
    ],
)
def test_refused_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()
