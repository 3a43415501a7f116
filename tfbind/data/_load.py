"""From the name of a data set to arrays, generating it on first use."""

import contextlib
import sys

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from tfbind import _validation

NAMES = ("simple_superposition", "shapes", "bars", "corners", "mnist_shape", "multi_mnist")


def load(name, split, data_dir=None):
    """Loads a data set of grouped binary images as arrays, generating it on first use.

    Generating takes up to a minute, shows a progress bar on standard error, and leaves the data
    set where `tfds.load(f"tfbind_{name}")` finds it too. Examples come in a fixed order.

    Args:
        name: one of `tfbind.data.NAMES`.
        split: "train_multi" (several objects an image; not for "simple_superposition"),
            "train_single" (one object an image) or "test", with or without a slice such as
            "test[:1000]" or "train_multi[90%:]", joined by "+" where there are several.
        data_dir: folder of TFDS data sets; default `$TFDS_DATA_DIR`, else
            `~/tensorflow_datasets`.

    Returns:
        images: float32 `[n, H, W, 1]` in {0, 1}.
        groups: int32 `[n, H, W]`: 1, 2, ... the object a pixel belongs to, in draw order; 0 for
            background and for pixels that two or more objects cover.

    Raises:
        ValueError: if `name` or `split` is unknown, if the slice is malformed or empty, or if
            MNIST is needed and cannot be had.
        TypeError: if `split` is not a string.

    Example:

    >>> import tfbind.data
    >>> images, groups = tfbind.data.load("simple_superposition", "test")
    >>> images.shape, groups.shape
    ((120, 8, 8, 1), (120, 8, 8))
    """
    _validation.check_choice("name", name, NAMES)
    with _quiet():
        builder = tfds.builder(f"tfbind_{name}", data_dir=data_dir)
        _check_split_names(split, builder.NUM_EXAMPLES)
        _prepare(builder)
        _check_slice(split, builder.info.splits)
        examples = builder.as_dataset(split=split, batch_size=-1)
    images, groups = (examples[key].numpy() for key in ("image", "groups"))
    return images.astype(np.float32), groups.astype(np.int32)


def _prepare(builder):
    """Generates the data set unless it is there; atomic, also if two processes do it at once."""
    try:
        builder.download_and_prepare()
    except OSError:  # the last step, a rename, fails if the other process was quicker
        if not builder.is_prepared():
            raise
        builder.info.read_from_directory(builder.data_dir)


def _check_split_names(split, known):
    """Raises unless `split` is made of `known` splits, whatever their slices."""
    if not isinstance(split, str):
        raise TypeError(f"`split` must be a string. Received: split={split!r}.")
    for part in split.split("+"):
        _validation.check_choice("split", part.split("[")[0].strip(), tuple(known))


def _check_slice(split, splits):
    """Raises unless `split` selects examples."""
    try:
        num_examples = splits[split].num_examples
    except (ValueError, AssertionError) as error:
        sizes = ", ".join(f"{name} ({info.num_examples})" for name, info in splits.items())
        raise ValueError(
            "`split` must be a split with an optional slice inside it, such as 'test[:10]'. "
            f"Received: split={split!r}, of the splits {sizes}."
        ) from error
    if num_examples <= 0:  # TFDS counts backwards from [5:2]
        raise ValueError(f"`split` must select at least one example. Received: split={split!r}.")


@contextlib.contextmanager
def _quiet():
    """Keeps standard output for results, and the notes that TFDS writes for itself out of sight."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        logging.set_verbosity(verbosity)
