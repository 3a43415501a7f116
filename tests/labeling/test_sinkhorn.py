"""Balanced labels against a plain Sinkhorn-Knopp in float64, and against POT."""

import numpy as np
import ot
import pytest
import tensorflow as tf

from tfbind.labeling import balanced_labels
from tfbind.labeling.sinkhorn import free_shares, solve_batch

RANDOM = np.random.default_rng(0)
SHARES = np.array([0.4, 0.3, 0.2, 0.1])


def some_logits(num_rows=60, num_clusters=4, spread=1.0):
    return (spread * RANDOM.standard_normal((num_rows, num_clusters))).astype("float32")


def plan(logits, found, strength):
    """Returns the plan `[N, K]` in float64, as `Assignment` says."""
    x = strength * logits.astype("float64") + found.log_scales.numpy()
    x = np.exp(x - x.max(axis=1, keepdims=True))
    return x / x.sum(axis=1, keepdims=True) / len(x)


def sinkhorn_knopp(logits, strength, marginal, steps=2000):
    """Returns the plan `[N, K]`, as the authors' code finds it: no logarithms."""
    p = np.exp(logits.astype("float64"))
    a = (p / p.sum(axis=1, keepdims=True)) ** strength  # [N, K]
    c = np.full(len(a), 1.0 / len(a))
    for _ in range(steps):
        r = marginal / (c @ a)
        c = 1.0 / len(a) / (a @ r)
    return c[:, None] * a * r


@pytest.mark.parametrize("marginal", [None, SHARES], ids=["equal", "unequal"])
@pytest.mark.parametrize("strength", [1.0, 10.0, 25.0])
def test_the_plan_of_sinkhorn_knopp_and_of_pot(strength, marginal):
    logits = some_logits()
    shares = np.full(4, 0.25) if marginal is None else marginal
    found = balanced_labels(logits, strength, marginal, tolerance=1e-5, max_iterations=5000)
    mine, plain = plan(logits, found, strength), sinkhorn_knopp(logits, strength, shares)
    np.testing.assert_allclose(60 * mine, 60 * plain, atol=1e-3)
    example = np.full(60, 1 / 60)
    pot = ot.sinkhorn(
        example, shares, -logits, 1 / strength, "sinkhorn_log", stopThr=1e-10, numItermax=20_000
    )
    np.testing.assert_allclose(60 * mine, 60 * pot, atol=1e-3)
    np.testing.assert_array_equal(found.labels, mine.argmax(axis=1))


@pytest.mark.parametrize("marginal", [None, SHARES], ids=["equal", "unequal"])
def test_both_marginals(marginal):
    logits = some_logits(500, spread=3.0)
    found = balanced_labels(logits, 10.0, marginal)
    mine = plan(logits, found, 10.0)
    shares = np.full(4, 0.25) if marginal is None else marginal
    assert np.abs(mine.sum(axis=0) - shares).sum() < 1.1e-3
    assert found.cluster_error < 1e-3
    assert found.example_error < 1e-5
    np.testing.assert_allclose(np.bincount(found.labels) / 500, shares, atol=0.03)


def test_equal_probabilities_give_the_uniform_plan():
    found = balanced_labels(np.zeros((12, 3)))
    assert found.num_iterations == 1
    np.testing.assert_allclose(plan(np.zeros((12, 3)), found, 25.0), 1 / 36, rtol=1e-6)


@pytest.mark.parametrize("chunk_size", [1, 7, 60, 1000])
def test_chunks_change_nothing(chunk_size):
    logits = np.sin(np.arange(240.0)).reshape(60, 4)
    whole, found = balanced_labels(logits), balanced_labels(logits, chunk_size=chunk_size)
    np.testing.assert_array_equal(found.labels, whole.labels)
    np.testing.assert_allclose(found.log_scales, whole.log_scales, atol=1e-3)
    np.testing.assert_allclose(found.cluster_error, whole.cluster_error, atol=1e-5)


def test_tiny_probabilities_stay_finite():
    sure = np.full((40, 4), -80.0)  # p ** 25 is e-2000: nothing, in float64 too
    sure[np.arange(40), np.repeat([0, 0, 0, 1], 10)] = 0.0
    found = balanced_labels(sure + 0.01 * some_logits(40), 25.0, max_iterations=3000)
    assert np.isfinite(found.log_scales).all()
    assert found.cluster_error < 1e-3
    np.testing.assert_allclose(np.bincount(found.labels), 10, atol=4)


def test_free_shares_are_those_of_the_classifier():
    logits = some_logits(500)
    p = np.exp(10.0 * logits.astype("float64"))
    expected = (p / p.sum(axis=1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(free_shares(logits, 10.0, chunk_size=70), expected, rtol=1e-4)


def test_a_batch_gets_the_labels_of_each_head():
    logits = np.stack([some_logits(), some_logits()], axis=1)  # [N, H, K]
    shares = np.stack([np.full(4, 0.25), SHARES]).astype("float32")
    found = solve_batch(tf.constant(logits), tf.constant(shares), 5.0).numpy()
    for head in range(2):
        expected = np.argmax(sinkhorn_knopp(logits[:, head], 5.0, shares[head]), axis=1)
        assert (found[:, head] == expected).mean() > 0.95


def test_a_cap_is_a_cap_and_the_error_tells():
    found = balanced_labels(some_logits(spread=5.0), max_iterations=3)
    assert found.num_iterations == 3
    assert found.cluster_error > 0.01


def test_what_is_constant_an_example_changes_nothing():
    logits = tf.constant(some_logits())
    x = tf.nn.log_softmax(logits)
    np.testing.assert_array_equal(balanced_labels(logits).labels, balanced_labels(x).labels)


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"marginal": [0.5, 0.5]}, "`marginal` must hold 4 positive numbers that sum to 1"),
        ({"marginal": [0.5, 0.5, 0.5, 0.5]}, "`marginal` must hold 4 positive numbers"),
        ({"marginal": [0.5, 0.5, 0.0, 0.0]}, "`marginal` must hold 4 positive numbers"),
        ({"strength": 0.0}, r"`strength` must be a number in \(0, inf\)"),
        ({"logits": np.zeros((3, 4))}, "`logits` must hold at least one example a cluster. Rec"),
        ({"logits": np.full((5, 4), np.nan)}, "`logits` must be finite"),
        ({"logits": np.zeros(4)}, r"`logits` must have shape \(n, n\)"),
    ],
)
def test_bad_input(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        balanced_labels(**{"logits": some_logits(), **arguments})
