"""Loss maths against SciPy and by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from tfbind import losses, seeds


@pytest.mark.parametrize("event_shape", [(7,), (2, 3), (4, 3, 2)])
def test_negative_log_likelihood_sums_over_the_event(event_shape):
    random = np.random.default_rng(0)
    x, mean = random.normal(size=(2, 5, *event_shape)).astype("float32")
    found = losses.negative_log_likelihood(tfp.distributions.Normal(mean, 0.5), x)
    expected = -scipy.stats.norm.logpdf(x, mean, 0.5).reshape(5, -1).sum(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_sum_over_event_leaves_the_batch():
    found = losses.sum_over_event(tf.reshape(tf.range(12.0), [2, 3, 2]))
    np.testing.assert_array_equal(found, [15, 51])


def test_batch_mean():
    per_example = tf.constant([1.0, 2.0, 6.0])
    assert float(losses.batch_mean(per_example)) == 3
    # As Keras does: the sum of the weighted losses over the number of examples.
    assert float(losses.batch_mean(per_example, np.array([0, 3, 1]))) == 4


def test_adversarial_loss():
    """Binary cross-entropies of being told apart."""
    inferred, generated = np.random.default_rng(0).normal(size=(2, 9)).astype("float32")
    found = losses.adversarial_loss(inferred, generated)
    p, q = scipy.special.expit(inferred), scipy.special.expit(generated)
    np.testing.assert_allclose(found, -np.mean(np.log(p)) - np.mean(np.log(1 - q)), rtol=1e-5)


@pytest.mark.parametrize("renormalize", [True, False])
@pytest.mark.parametrize("members", [(), (2,)])
def test_denoising_costs(members, renormalize, test_seed):
    """Layer 0 and 3 have no statistics, layer 2 has no weight, and a reconstruction of its own."""
    random = np.random.default_rng(test_seed)
    widths, weights = (6, 5, 4, 3), (100.0, 2.0, 0.0, 0.5)
    clean = [random.normal(size=(*members, 7, width)) for width in widths]
    restored = [random.normal(size=z.shape) for z in clean]
    mean, variance = random.random((2, *members, 1, 5))
    found = losses.denoising_costs(
        [restored[0], restored[1], None, restored[3]],
        SimpleNamespace(
            laterals=clean, means=[None, mean, None, None], variances=[None, variance, None, None]
        ),
        weights,
        renormalize=renormalize,
        epsilon=0.01,
    )
    if renormalize:
        restored[1] = (restored[1] - mean) / np.sqrt(variance + 0.01)
    assert list(found) == [0, 1, 3]
    for layer, cost in found.items():
        expected = weights[layer] * ((restored[layer] - clean[layer]) ** 2).mean(axis=-1)
        np.testing.assert_allclose(cost, expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(7, 4), (3, 7, 4)])
@pytest.mark.parametrize("marginal_weight", [0.0, 1.0, 4.0])
def test_negative_mutual_information(marginal_weight, shape, test_seed):
    p = np.random.default_rng(test_seed).dirichlet(np.ones(4), shape[:-1]).astype("float32")
    conditional = scipy.stats.entropy(p, axis=-1).mean(axis=-1)
    marginal = scipy.stats.entropy(p.mean(axis=-2), axis=-1)
    found = losses.negative_mutual_information(tf.constant(p), marginal_weight)
    np.testing.assert_allclose(found, conditional - marginal_weight * marginal, atol=1e-5)


def test_negative_mutual_information_is_that_of_the_joint_distribution(test_seed):
    """Of example and cluster, the example being uniform."""
    p = np.random.default_rng(test_seed).dirichlet(np.ones(4), 7)
    joint = p / 7
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    expected = -np.sum(scipy.special.rel_entr(joint, independent))
    np.testing.assert_allclose(losses.negative_mutual_information(p), expected, rtol=1e-5)


def test_negative_mutual_information_is_least_for_balanced_certainty():
    p = tf.one_hot([0, 1, 2, 0, 1, 2], 3)
    with tf.GradientTape() as tape:
        tape.watch(p)
        found = losses.negative_mutual_information(p, 4.0)
    np.testing.assert_allclose(found, -4 * np.log(3), rtol=1e-6)
    assert np.isfinite(tape.gradient(found, p)).all()
    np.testing.assert_allclose(
        losses.negative_mutual_information(tf.fill([6, 3], 1 / 3)), 0, atol=1e-6
    )


def test_divergence(test_seed):
    target, logits = np.random.default_rng(test_seed).normal(size=(2, 3, 7, 4)).astype("float32")
    p, q = scipy.special.softmax(target, axis=-1), scipy.special.softmax(logits, axis=-1)
    found = losses.divergence(target, logits)
    np.testing.assert_allclose(found, scipy.stats.entropy(p, q, axis=-1), rtol=1e-4, atol=1e-6)


def test_only_one_path_is_drawn_to_the_other():
    paths = [tf.constant([[1.0, 0.0, -1.0]]), tf.zeros((1, 3))]
    with tf.GradientTape() as tape:
        tape.watch(paths)
        found = losses.divergence(*paths)
    still, drawn = tape.gradient(found, paths)
    assert still is None
    np.testing.assert_allclose(drawn, tf.nn.softmax(paths[1]) - tf.nn.softmax(paths[0]), rtol=1e-5)


@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_virtual_adversarial_noise_points_across_the_border(scale, test_seed):
    """Of two classes told apart by a plane, that is along its normal."""
    random = np.random.default_rng(test_seed)
    kernel = scale * random.normal(size=(6, 2)).astype("float32")
    x = random.normal(size=(2, 9, 6)).astype("float32")
    seed = seeds.fold(test_seed)
    found = losses.virtual_adversarial_noise(lambda x: x @ kernel, x, x @ kernel, seed, 0.7)
    normal = kernel[:, 0] - kernel[:, 1]
    normal *= 0.7 / np.linalg.norm(normal)
    np.testing.assert_allclose(np.abs(found), np.broadcast_to(np.abs(normal), x.shape), atol=5e-3)


def test_virtual_adversarial_noise_without_any_slope_is_none():
    x = tf.ones((2, 3))
    found = losses.virtual_adversarial_noise(lambda x: 0.0 * x, x, tf.zeros((2, 3)), seeds.fold(0))
    np.testing.assert_array_equal(found, 0.0)
