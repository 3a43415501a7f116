"""What the replicas of a `tf.distribute` strategy, which share a batch, compute together.

A strategy adds the gradients that its replicas find, so that a loss counts by one part in their
number. What is of a batch as a whole must be of all replicas' parts of it, in the values and in the
gradients; everything here is as usual where there is one replica alone.
"""

from collections.abc import Sequence

import tensorflow as tf


def number() -> int:
    """Returns how many replicas share the batch of the step that runs here: 1 outside of steps."""
    replica = tf.distribute.get_replica_context()
    return 1 if replica is None else replica.num_replicas_in_sync


def place() -> int | tf.Tensor:
    """Returns which of the replicas this is, from 0 on."""
    if number() == 1:
        return 0
    return tf.distribute.get_replica_context().replica_id_in_sync_group


def total(*parts: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Returns the sum of each tensor over the replicas, which all have it in one shape."""
    if number() == 1:
        return parts
    replica = tf.distribute.get_replica_context()
    return tuple(replica.all_reduce(tf.distribute.ReduceOp.SUM, list(parts)))


def gathered(rows: tf.Tensor, axis: int = 0) -> tf.Tensor:
    """Returns the rows of all replicas, one replica's after the other's, along an axis."""
    if number() == 1:
        return rows
    return tf.distribute.get_replica_context().all_gather(rows, axis=axis % rows.shape.rank)


def rows_before(rows: tf.Tensor, axis: int = 0) -> int | tf.Tensor:
    """Returns how many of the rows that are `gathered` come before this replica's."""
    if number() == 1:
        return 0
    sizes = gathered(tf.shape(rows)[axis][None])  # [R]
    return tf.reduce_sum(sizes[: place()])


def own(rows: tf.Tensor) -> tf.Tensor:
    """Returns this replica's rows of those that were `gathered`."""
    if number() == 1:
        return rows
    size = tf.shape(rows)[0] // number()  # of parts that are equal
    return rows[place() * size :][:size]


def mean(x: tf.Tensor, axis: int | Sequence[int], keepdims: bool = False) -> tf.Tensor:
    """Returns the mean over axes of which one is that of the batch, whose parts may differ."""
    if number() == 1:
        return tf.reduce_mean(x, axis, keepdims)
    sums = tf.reduce_sum(x, axis, keepdims)
    count = tf.size(x) // tf.maximum(tf.size(sums), 1)
    sums, count = total(sums, tf.cast(count, x.dtype))
    return sums / count


def moments(x: tf.Tensor, axes: Sequence[int]) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns mean and variance over axes, which stay, of which one is that of the batch."""
    if number() == 1:
        return tf.nn.moments(x, axes, keepdims=True)
    center = mean(x, axes, keepdims=True)
    return center, mean(tf.math.squared_difference(x, center), axes, keepdims=True)
