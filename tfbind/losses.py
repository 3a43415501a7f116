"""Loss maths as pure functions: sums over the event, no reduction over the batch."""

import tensorflow as tf


def negative_log_likelihood(distribution, x):
    """Sums -log p(x) over everything but the batch axis.

    Args:
        distribution: A TFP distribution whose batch shape is the shape of `x`.
        x: float32 `[B, ...]`.

    Returns:
        float32 `[B]`, in nats.

    Example:

    >>> fair = tfp.distributions.Bernoulli(logits=tf.zeros([2, 3]))
    >>> nats = tfbind.losses.negative_log_likelihood(fair, tf.ones([2, 3]))
    >>> np.round(nats, 3).tolist()
    [2.079, 2.079]
    """
    return -sum_over_event(distribution.log_prob(x))


def sum_over_event(x):
    """Sums `x` of shape `[B, ...]` over all axes but the first; returns `[B]`."""
    return tf.reduce_sum(x, axis=list(range(1, x.shape.rank)))


def batch_mean(losses, sample_weight=None):
    """Returns the mean over the batch of per-example `losses` `[B]`, weighted if asked."""
    if sample_weight is not None:
        losses = losses * tf.cast(sample_weight, losses.dtype)
    return tf.reduce_mean(losses)
