"""Loss maths against SciPy and by hand."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from tfbind import losses


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
