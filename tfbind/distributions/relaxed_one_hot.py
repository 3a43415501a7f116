"""The concrete distribution in log space, where low temperatures do not underflow.

Below a temperature of about 0.1 samples hold exact zeros, whose density and gradients are not
finite; their logarithms are ordinary numbers.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfbind import seeds

tfd = tfp.distributions

_SMALLEST = np.finfo(np.float32).tiny


def gumbel(shape: Sequence[int] | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws float32 `shape` from Gumbel(0, 1) with the stateless `seed`."""
    uniform = tf.maximum(seeds.uniform(shape, seed), _SMALLEST)
    return -tf.math.log(-tf.math.log(uniform))


def relaxed_one_hot_log_sample(
    logits: tf.Tensor, temperature: float | tf.Tensor, noise: tf.Tensor
) -> tf.Tensor:
    """Returns log y of y = softmax((logits + noise) / temperature).

    Args:
        logits: float32 `[..., k]`, the classes' log-probabilities up to a constant.
        temperature: float > 0.
        noise: float32 `[..., k]` of Gumbel(0, 1), as `gumbel` draws it.

    Returns:
        float32 `[..., k]`; its exponential sums to 1.
    """
    return tf.nn.log_softmax((logits + noise) / temperature)


def relaxed_one_hot_log_prob(
    logits: tf.Tensor, temperature: float | tf.Tensor, log_y: tf.Tensor
) -> tf.Tensor:
    """Returns the density of `tfd.RelaxedOneHotCategorical` at exp(log_y), nats `[...]`.

    Args:
        logits: float32 `[..., k]`.
        temperature: float > 0.
        log_y: float32 `[..., k]`, finite.

    Example:

    With two equally likely classes at temperature 1 it is uniform on the simplex.

    >>> log_y = np.log([0.3, 0.7]).astype("float32")
    >>> density = tfbind.distributions.relaxed_one_hot_log_prob(tf.zeros(2), 1.0, log_y)
    >>> abs(float(density)) < 1e-6
    True
    """
    log_space = tfd.ExpRelaxedOneHotCategorical(temperature, logits=logits)
    return log_space.log_prob(log_y) - tf.reduce_sum(log_y, axis=-1)
