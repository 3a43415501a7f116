"""The flow into a box against automatic Jacobians and sums over a grid."""

import numpy as np
import pytest
import scipy.special
import tensorflow as tf
import tensorflow_probability as tfp

from tfbind import distributions

BOXES = [(-1.5, 1.5), (0.0, 1.0), (-3.0, 0.5)]
REAL = np.linspace(-6, 6, 49).astype("float64")


def flow_of(low, high):
    return distributions.LogisticFlow(tf.constant(low, tf.float64), tf.constant(high, tf.float64))


@pytest.mark.parametrize(("low", "high"), BOXES)
def test_forward_and_inverse(low, high):
    flow = flow_of(low, high)
    z = flow.forward(REAL)
    expected = low + (high - low) * scipy.special.expit(REAL)
    np.testing.assert_allclose(z, expected, atol=1e-12)
    np.testing.assert_allclose(flow.inverse(tf.identity(z)), REAL, atol=1e-6)


def test_forward_of_inverse_in_float32():
    flow = distributions.LogisticFlow(-1.5, 1.5)
    z = np.linspace(-1.499, 1.499, 999).astype("float32")
    np.testing.assert_allclose(flow.forward(tf.identity(flow.inverse(z))), z, atol=1e-6)


@pytest.mark.parametrize(("low", "high"), BOXES)
def test_the_log_determinant_is_the_jacobians(low, high):
    flow, x = flow_of(low, high), tf.constant(REAL)
    with tf.GradientTape() as tape:
        tape.watch(x)
        z = flow.forward(x)
    slope = tape.gradient(z, x)  # element by element, as the Jacobian is diagonal
    np.testing.assert_allclose(flow.forward_log_det_jacobian(x), np.log(slope), atol=1e-9)
    # In the terms of the box, where the paper applies the sigmoid once too often.
    share = (z - low) / (high - low)
    expected = np.log(high - low) + np.log(share) + np.log1p(-share)
    found = -flow.inverse_log_det_jacobian(tf.identity(z))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_walls_are_finite():
    flow = distributions.LogisticFlow(-1.5, 1.5)
    inverse = flow.inverse(np.float32([-1.5, 1.5])).numpy()
    assert inverse[0] == pytest.approx(-np.log(1e6), rel=0.02)
    assert inverse[1] == pytest.approx(np.log(1e6), rel=0.02)
    q = distributions.logit_normal(tf.zeros([1, 2]), tf.ones([1, 2]), -1.5, 1.5)
    assert np.isfinite(q.log_prob(np.float32([[-1.5, 1.5]])))
    z = np.float32([-40, 40])  # the sigmoid rounds to the wall itself
    assert np.all(np.isfinite(flow.inverse(tf.identity(flow.forward(z)))))


@pytest.mark.parametrize(("low", "high"), BOXES)
def test_the_density_integrates_to_one_over_the_box(low, high):
    loc = tf.constant([0.3, -0.8], tf.float64)
    scale = tf.constant([0.7, 1.2], tf.float64)
    q = distributions.logit_normal(
        loc, scale, tf.constant(low, tf.float64), tf.constant(high, tf.float64)
    )
    width = (high - low) / 400
    axis = low + width * (np.arange(400) + 0.5)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1)  # [400, 400, 2]
    assert np.exp(q.log_prob(grid)).sum() * width**2 == pytest.approx(1, abs=1e-6)


def test_the_density_is_tfps_in_the_unit_box():
    loc, scale = np.float32([0.3, -0.8]), np.float32([0.7, 1.2])
    z = np.random.default_rng(0).uniform(0.01, 0.99, (50, 2)).astype("float32")
    expected = tfp.distributions.LogitNormal(loc, scale).log_prob(z)
    found = distributions.logit_normal(loc, scale, 0.0, 1.0).log_prob(z)
    np.testing.assert_allclose(found, tf.reduce_sum(expected, axis=-1), rtol=1e-4, atol=1e-4)
