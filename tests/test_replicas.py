"""One replica alone computes what TensorFlow does; several do in conformance/test_distribution."""

import numpy as np
import tensorflow as tf

from tfbind import _replicas


def test_one_replica_is_alone():
    rows = tf.constant(np.random.default_rng(0).normal(size=(4, 3)), tf.float32)
    assert (_replicas.number(), _replicas.place()) == (1, 0)
    assert _replicas.gathered(rows) is rows
    assert _replicas.own(rows) is rows
    assert _replicas.total(rows) == (rows,)


def test_means_and_moments_are_those_of_the_batch():
    rows = np.random.default_rng(0).normal(size=(5, 4, 3)).astype("float32")
    np.testing.assert_allclose(_replicas.mean(rows, axis=-2), rows.mean(axis=1), rtol=1e-5)
    mean, variance = _replicas.moments(tf.constant(rows), [0, 1])
    np.testing.assert_allclose(mean, rows.mean(axis=(0, 1), keepdims=True), rtol=1e-4)
    np.testing.assert_allclose(variance, rows.var(axis=(0, 1), keepdims=True), rtol=1e-4)
