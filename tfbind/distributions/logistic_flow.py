"""Distributions over a box, by way of a scaled sigmoid."""

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions

# A point on the wall has no finite inverse, so it is moved in by this share of the box's width.
_MARGIN = 1e-6


class LogisticFlow(tfp.bijectors.Sigmoid):
    """Takes the real line to the interval (low, high): z = low + (high - low) sigmoid(x).

    log|dz/dx| = log(high - low) - softplus(x) - softplus(-x). The inverse of a point on the wall
    is that of a point just inside, and so finite.

    Args:
        low: float, or tensor that broadcasts with the events.
        high: the same, above `low`.

    Example:

    >>> flow = tfbind.distributions.LogisticFlow(-1.5, 1.5)
    >>> float(flow.forward(0.0))
    0.0
    """

    def _inverse(self, y):
        # Moved as a share: beside a wall far from zero the margin itself would be rounded away
        share = (y - self.low) / (self.high - self.low)
        share = tf.clip_by_value(share, _MARGIN, 1 - _MARGIN)
        return tf.math.log(share) - tf.math.log1p(-share)


def logit_normal(
    loc: tf.Tensor, scale: tf.Tensor, low: float, high: float
) -> tfp.distributions.TransformedDistribution:
    """Returns the distribution of `LogisticFlow(low, high)` of Normal(loc, scale).

    Args:
        loc: float32 `[..., L]`.
        scale: float32 `[..., L]`, positive.
        low: float, the lower wall of the box.
        high: float, the upper wall.

    Returns:
        A `tfd.TransformedDistribution` with events `[L]`, independent within.

    Example:

    >>> q = tfbind.distributions.logit_normal(tf.zeros([5, 2]), tf.ones([5, 2]), -1.5, 1.5)
    >>> q.log_prob(tf.zeros([5, 2])).shape
    TensorShape([5])
    """
    return tfd.TransformedDistribution(
        tfd.Independent(tfd.Normal(loc, scale), reinterpreted_batch_ndims=1),
        LogisticFlow(low, high),
    )
