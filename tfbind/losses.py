"""Loss maths as pure functions."""

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


def adversarial_loss(inferred, generated):
    """Loss of who takes the logits of a discriminator for those of inferred and generated triples.

    The discriminator's loss is that of the two as they are; the other side's that of the two
    swapped, which is the non-saturating form.

    Args:
        inferred: float `[B]`, logits of triples that should have high ones.
        generated: float `[B]`, of those that should have low ones.

    Returns:
        A float scalar, >= 0, in nats: log 4 where all logits are 0.

    Example:

    >>> float(tfbind.losses.adversarial_loss(tf.zeros(3), tf.zeros(3)))
    1.38629...

    References:
        Jesson et al. Adversarially Learned Mixture Model. 2018. https://arxiv.org/abs/1807.05344,
        Algorithm 1.
    """
    found = tf.reduce_mean(tf.math.softplus(-inferred))
    return found + tf.reduce_mean(tf.math.softplus(generated))
