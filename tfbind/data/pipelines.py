"""Endless training pipelines whose order depends on the seed and the epoch alone.

That is what lets a killed run resume: epoch 7 sees the same batches in the same order whether
or not epochs 1 to 6 ran in the same process.
"""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tfbind import seeds
from tfbind._rows import readers, taker, taker_of_all
from tfbind._validation import check_array, check_integer


def to_bytes(images: np.ndarray) -> np.ndarray:
    """Returns grey levels as bytes, a quarter of the memory, which the pipelines take too.

    Args:
        images: float array `[n, ...]` in [0, 1], n >= 1.

    Returns:
        uint8 `[n, ...]`, the nearest of 0..255 to 255 times each value: k for k / 255.

    Raises:
        ValueError: If there are no images, or values outside [0, 1].

    Example:

    >>> tfbind.data.pipelines.to_bytes(np.array([[0.0, 0.2, 1.0]])).tolist()
    [[0, 51, 255]]
    """
    images = check_array("images", images, np.shape(images)[1:], 0.0, 1.0)
    return (images * 255.0).round().astype("uint8")


def split_validation(images: np.ndarray, fraction: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
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


def with_moved_copies(images: np.ndarray, copies: int, seed: int) -> np.ndarray:
    """Returns images and copies of each, turned or mirrored, and moved to anywhere in the image.

    Turns are by right angles, and by half a circle alone where images are not square. What an
    image shows, that is, all that is not zero, stays whole.

    Args:
        images: Array `[n, H, W, C]`.
        copies: Integer >= 0, of each.
        seed: Integer.

    Returns:
        Array `[(1 + copies) * n, H, W, C]`, the images first, then a copy of each, and so on.

    Example:

    >>> image = np.eye(3, 5)[None, :, :, None]
    >>> tfbind.data.pipelines.with_moved_copies(image, copies=2, seed=0).sum(axis=(1, 2, 3))
    array([3., 3., 3.])
    """
    random = np.random.default_rng(seed)
    copied = [_moved(_turned(image, random), random) for _ in range(copies) for image in images]
    return np.concatenate([images, np.reshape(copied, (-1, *images.shape[1:]))], dtype=images.dtype)


def _turned(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    step = 1 if image.shape[0] == image.shape[1] else 2
    image = np.rot90(image, step * int(random.integers(4 // step)))
    return image[:, ::-1] if random.integers(2) else image


def _moved(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Returns an image in which what is not zero has been moved, no part of it out of sight."""
    shown = np.nonzero(image)[:2]
    for axis, (places, length) in enumerate(zip(shown, image.shape[:2], strict=True)):
        if places.size:
            step = random.integers(-places.min(), length - places.max())
            image = np.roll(image, int(step), axis=axis)
    return image


def epochs(
    images: np.ndarray, batch_size: int, seed: int, initial_epoch: int = 0
) -> tuple[tf.data.Dataset, int]:
    """Batches of fixed composition in an order that is new every epoch, without end.

    The composition stays, as in Reconstruction Clustering's reference code. All batches have
    one static shape: the largest size up to `batch_size` that cuts `images` evenly, but for fewer
    left over than there are batches.

    Args:
        images: Array `[n, ...]`. Bytes (uint8) are grey levels and are given out divided by 255;
            other dtypes are given out as they are, in float32.
        batch_size: Integer, the largest batch wanted.
        seed: Integer in [0, 2**31).
        initial_epoch: Integer, the epoch to start from.

    Returns:
        A pair: an endless `tf.data.Dataset` of float32 `[batch_size, ...]`, and the number of
        steps in an epoch.
    """
    steps = -(-len(images) // batch_size)
    batch_size = len(images) // steps
    take = taker(images[: steps * batch_size])

    def order(epoch):
        return tf.data.Dataset.from_tensor_slices(
            tf.random.experimental.stateless_shuffle(
                tf.range(steps, dtype=tf.int64), seed=tf.stack([tf.constant(seed, tf.int64), epoch])
            )
        )

    def batch(index):
        rows = index * batch_size + tf.range(batch_size, dtype=tf.int64)
        return _given_out("image", take(rows))

    dataset = tf.data.Dataset.range(initial_epoch, np.iinfo(np.int64).max).flat_map(order)
    return dataset.map(batch, readers(images)).prefetch(4), steps


def shuffled_epochs(
    images: np.ndarray,
    batch_size: int,
    seed: int,
    initial_epoch: int = 0,
    *,
    with_index: bool = False,
) -> tuple[tf.data.Dataset, int]:
    """Batches of examples in an order that is new every epoch, without end.

    Each image comes once an epoch, but for those left over after the last full batch.

    Args:
        images: Array `[n, ...]`. Bytes (uint8) are grey levels and are given out divided by 255;
            other dtypes are given out as they are, in float32. Or a sparse matrix `[n, D]`, whose
            rows are given out dense.
        batch_size: Integer >= 1; n if there are no more.
        seed: Integer in [0, 2**31).
        initial_epoch: Integer, the epoch to start from.
        with_index: Whether to tell which images are in a batch, for a training step that looks
            something up for each, such as labels that change between epochs.

    Returns:
        A pair: an endless `tf.data.Dataset` of float32 `[batch_size, ...]`, and the number of
        steps in an epoch. With `with_index` of dicts: these as `image`, and as `index`, int32
        `[batch_size]`, their rows in `images`.

    Example:

    >>> dataset, steps = tfbind.data.pipelines.shuffled_epochs(np.eye(8), batch_size=4, seed=0)
    >>> steps, float(tf.reduce_sum(next(iter(dataset))))
    (2, 4.0)
    """
    size = images.shape[0]  # which sparse ones have, but no length
    batch_size = min(check_integer("batch_size", batch_size, 1), size)
    steps = size // batch_size
    take = taker(images)

    def batch(rows):
        index = rows[:, 0]  # [B]
        image = _given_out("image", take(index))
        return {"image": image, "index": index} if with_index else image

    rows = _shuffled_rows([size], batch_size, steps, seed, initial_epoch)
    return rows.map(batch, readers(images)).prefetch(4), steps


def array_epochs(
    arrays: Mapping[str, np.ndarray], batch_size: int, seed: int, initial_epoch: int = 0
) -> tuple[tf.data.Dataset, int]:
    """Batches of the rows of several arrays, as `shuffled_epochs`, but given out as they are.

    Args:
        arrays: Dict of arrays `[n, ...]`, all of n rows, sparse or not.
        batch_size: Integer >= 1; n if there are no more.
        seed: Integer in [0, 2**31).
        initial_epoch: Integer, the epoch to start from.

    Returns:
        A pair: an endless `tf.data.Dataset` of dicts, and the number of steps in an epoch.

    Example:

    >>> arrays = {"image": np.eye(8), "label": np.arange(8)}
    >>> dataset, steps = tfbind.data.pipelines.array_epochs(arrays, batch_size=4, seed=0)
    >>> steps, next(iter(dataset))["label"].shape
    (2, TensorShape([4]))
    """
    size = next(iter(arrays.values())).shape[0]
    batch_size = min(check_integer("batch_size", batch_size, 1), size)
    steps = size // batch_size
    take = taker_of_all(arrays)
    rows = _shuffled_rows([size], batch_size, steps, seed, initial_epoch)
    batches = rows.map(lambda some: take(some[:, 0]), readers(*arrays.values()))
    return batches.prefetch(4), steps


def semi_supervised_epochs(
    images: np.ndarray,
    labels: np.ndarray,
    unlabeled_images: np.ndarray,
    batch_size: int,
    seed: int,
    initial_epoch: int = 0,
    *,
    unfeatured_labels: np.ndarray | None = None,
) -> tuple[tf.data.Dataset, int]:
    """Batches of labelled examples beside batches of unlabelled ones, without end.

    The unlabelled images set the length of an epoch, in which each comes once, in an order of the
    epoch's own, but for those left over after the last full batch. Labelled examples, and labels
    without images, go round and round meanwhile, in a new order each time; within an epoch none
    comes more than once more often than another.

    Args:
        images: Array `[n, ...]`, the labelled images. Bytes (uint8) are grey levels and are given
            out divided by 255; other dtypes are given out as they are, in float32. Or a sparse
            matrix `[n, D]`, whose rows are given out dense.
        labels: Integer array `[n, ...]`.
        unlabeled_images: Array `[m, ...]`, as `images`.
        batch_size: Integer >= 1, examples of each kind a step; m if there are no more.
        seed: Integer in [0, 2**31).
        initial_epoch: Integer, the epoch to start from.
        unfeatured_labels: Integer array `[k, ...]` of labels that come without images, or None.

    Returns:
        A pair: an endless `tf.data.Dataset` of dicts of `image`, float32 `[B, ...]`, `label`, int32
        `[B, ...]`, `unlabeled_image`, float32 `[B, ...]`, and `unfeatured_label`, int32 `[B, ...]`,
        if there are any; and the number of steps in an epoch.

    Example:

    >>> images, labels = np.eye(4), np.array([0, 1, 2, 3])
    >>> dataset, steps = tfbind.data.pipelines.semi_supervised_epochs(
    ...     images, labels, unlabeled_images=np.ones((10, 4)), batch_size=5, seed=0
    ... )
    >>> steps, next(iter(dataset))["label"].shape
    (2, TensorShape([5]))
    """
    batch_size = min(check_integer("batch_size", batch_size, 1), unlabeled_images.shape[0])
    steps = unlabeled_images.shape[0] // batch_size
    streams = [{"image": images, "label": labels}, {"unlabeled_image": unlabeled_images}]
    if unfeatured_labels is not None:
        streams.append({"unfeatured_label": unfeatured_labels})
    sizes = [next(iter(stream.values())).shape[0] for stream in streams]
    takers = [{name: taker(array) for name, array in stream.items()} for stream in streams]

    def batch(rows):
        return {
            name: _given_out(name, take(rows[:, i]))
            for i, stream in enumerate(takers)
            for name, take in stream.items()
        }

    rows = _shuffled_rows(sizes, batch_size, steps, seed, initial_epoch)
    return rows.map(batch, readers(images, unlabeled_images)).prefetch(4), steps


def _shuffled_rows(sizes, batch_size, steps, seed, initial_epoch):
    """Returns an endless dataset of int32 `[batch_size, len(sizes)]`, `steps` of them an epoch.

    Each column holds row numbers of a stream of that many examples, which go round and round in an
    order of their own.
    """

    def order(epoch):
        rows = [
            _round_and_round(size, steps * batch_size, seeds.fold(seed, stream, epoch))
            for stream, size in enumerate(sizes)
        ]
        rows = tf.reshape(tf.stack(rows, axis=1), [steps, batch_size, len(sizes)])
        return tf.data.Dataset.from_tensor_slices(rows)

    return tf.data.Dataset.range(initial_epoch, np.iinfo(np.int64).max).flat_map(order)


def _round_and_round(num_examples, num_taken, seed):
    """Returns int32 `[num_taken]`: all examples in one order, then in another, and so on."""
    num_rounds = -(-num_taken // num_examples)
    orders = tf.argsort(seeds.uniform([num_rounds, num_examples], seed), axis=1)
    return tf.reshape(orders, [-1])[:num_taken]


def _given_out(name, rows):
    if name.endswith("label"):
        return tf.cast(rows, tf.int32)
    return tf.cast(rows, tf.float32) / (255.0 if rows.dtype == tf.uint8 else 1.0)


def balanced_subset(labels: np.ndarray, num_labels: int, seed: int) -> np.ndarray:
    """Picks examples to keep the labels of, equally many of each class.

    Args:
        labels: Integer array `[n]`.
        num_labels: Integer, how many to pick; a multiple of the number of classes.
        seed: Integer seed of the draw.

    Returns:
        Their indices, int64 `[num_labels]`, in ascending order.

    Raises:
        ValueError: If `num_labels` is no such multiple, or a class has too few examples.

    Example:

    >>> labels = np.array([0, 1, 1, 0, 0, 1])
    >>> labels[tfbind.data.pipelines.balanced_subset(labels, 4, seed=0)].mean()
    np.float64(0.5)
    """
    classes, counts = np.unique(labels, return_counts=True)
    per_class, rest = divmod(check_integer("num_labels", num_labels, 1), len(classes))
    if rest or per_class > counts.min():
        raise ValueError(
            f"`num_labels` must be a multiple of the number of classes, {len(classes)}, up to "
            f"{len(classes) * counts.min()}. Received: num_labels={num_labels}."
        )
    random = np.random.default_rng(seeds.base_seed(seed))
    chosen = [
        random.choice(np.flatnonzero(labels == label), per_class, replace=False)
        for label in classes
    ]
    return np.sort(np.concatenate(chosen))
