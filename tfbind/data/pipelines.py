"""Endless training pipelines whose order depends on the seed and the epoch alone.

That is what lets a killed run resume: epoch 7 sees the same batches in the same order whether
or not epochs 1 to 6 ran in the same process.
"""

import numpy as np
import tensorflow as tf


def split_validation(images, fraction=0.1):
    """Splits off the last `fraction` of `images`, at least one example on either side.

    Args:
        images: Array `[n, ...]`, n >= 2.
        fraction: Float in (0, 1).

    Returns:
        A pair of arrays: training images and validation images.

    Raises:
        ValueError: If there are fewer than two images.

    Example:

    >>> train, validation = tfbind.data.pipelines.split_validation(np.arange(16))
    >>> len(train), len(validation)
    (14, 2)
    """
    if len(images) < 2:
        raise ValueError(f"A validation split needs at least 2 examples. Received: {len(images)}.")
    num_validation = min(max(1, round(fraction * len(images))), len(images) - 1)
    return images[:-num_validation], images[-num_validation:]


def epochs(images, batch_size, seed, initial_epoch=0):
    """Batches of fixed composition in an order that is new every epoch, without end.

    The composition stays, as in Reconstruction Clustering's reference code. All batches have
    one static shape: the largest size up to `batch_size` that cuts `images` evenly, but for fewer
    left over than there are batches.

    Args:
        images: Array `[n, ...]`; kept in its dtype and given out as float32.
        batch_size: Integer, the largest batch wanted.
        seed: Integer in [0, 2**31).
        initial_epoch: Integer, the epoch to start from.

    Returns:
        A pair: an endless `tf.data.Dataset` of float32 `[batch_size, ...]`, and the number of
        steps in an epoch.
    """
    steps = -(-len(images) // batch_size)
    batch_size = len(images) // steps
    batches = images[: steps * batch_size].reshape(steps, batch_size, *images.shape[1:])

    def order(epoch):
        return tf.data.Dataset.from_tensor_slices(
            tf.random.experimental.stateless_shuffle(
                tf.range(steps, dtype=tf.int64), seed=tf.stack([tf.constant(seed, tf.int64), epoch])
            )
        )

    held = tf.constant(np.ascontiguousarray(batches))
    dataset = tf.data.Dataset.range(initial_epoch, np.iinfo(np.int64).max).flat_map(order)
    dataset = dataset.map(lambda index: tf.cast(held[index], tf.float32))
    return dataset.prefetch(4), steps
