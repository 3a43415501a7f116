"""From the name of a data set to arrays, generating it on first use."""

import contextlib
import os
import sys
from collections.abc import Sequence

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from tfbind import _validation
from tfbind.data import _download

_BUILDERS = {
    "simple_superposition": "tfbind_simple_superposition",
    "shapes": "tfbind_shapes",
    "bars": "tfbind_bars",
    "corners": "tfbind_corners",
    "mnist_shape": "tfbind_mnist_shape",
    "multi_mnist": "tfbind_multi_mnist",
    "shapes20": "tfbind_shapes20",
    "textured_mnist_1": "tfbind_textured_mnist/1_digit",
    "textured_mnist_2": "tfbind_textured_mnist/2_digits",
    "digits": "tfbind_digits",
    "newsgroups": "tfbind_newsgroups",
    "mnist": "mnist",
    "svhn": "svhn_cropped",
}
NAMES = tuple(_BUILDERS)


def load(
    name: str,
    split: str,
    data_dir: str | os.PathLike | None = None,
    keys: Sequence[str] = ("image", "groups"),
    *,
    dtype: str = "float32",
) -> tuple[np.ndarray, ...]:
    """Loads a data set as arrays, generating it on first use.

    Generating takes up to a minute, shows a progress bar on standard error, and leaves the data
    set where `tfds.load` finds it too: as `tfbind_shapes` for "shapes" and so on, as
    `tfbind_textured_mnist/1_digit` and `2_digits` for "textured_mnist_1" and "textured_mnist_2",
    and as `mnist` and `svhn_cropped` for "mnist" and "svhn", which are TFDS' own. Examples come in
    a fixed order.

    Args:
        name: one of `tfbind.data.NAMES`.
        split: a split of the set, such as "train_multi", "train" or "test"; each set's class says
            which it has. With or without a slice such as "test[:1000]" or "train[90%:]", joined
            by "+" where there are several.
        data_dir: folder of TFDS data sets; default `$TFDS_DATA_DIR`, else
            `~/tensorflow_datasets`.
        keys: which features of the set to return, such as ("image", "label"). "digits",
            "newsgroups", "mnist" and "svhn" have no "groups"; only they and the textured MNIST
            have a "label".
        dtype: "float32", or "uint8" for the bytes of the images, in a quarter of the memory;
            "newsgroups" has none and stays as it is.

    Returns:
        A tuple of arrays, one for each of `keys`:

        - "image": float32 `[n, H, W, 1]`, or `[n, H, W, 3]` of "svhn", in {0, 1}, or in [0, 1]
          where there are grey levels; 255 times that as uint8. Of "newsgroups" float32 `[n, 2000]`.
        - "groups": int32 `[n, H, W]`: 1, 2, ... the object a pixel belongs to, in draw order; 0 for
          pixels that are not scored: background, and what two or more objects cover. In the
          textured MNIST the background is group 1.
        - "label": int32 `[n]`, or `[n, G]` for G digits on an image.

    Raises:
        ValueError: if `name`, `split`, `dtype` or one of `keys` is unknown, if the slice is
            malformed or empty, or if MNIST, SVHN or the newsgroups are needed and cannot be had.
        TypeError: if `split` is not a string.

    Example:

    >>> import tfbind.data
    >>> images, groups = tfbind.data.load("simple_superposition", "test")
    >>> images.shape, groups.shape
    ((120, 8, 8, 1), (120, 8, 8))
    >>> images, labels = tfbind.data.load("digits", "test", keys=("image", "label"))
    >>> images.shape, labels.shape
    ((360, 8, 8, 1), (360,))
    """
    _validation.check_choice("name", name, NAMES)
    _validation.check_choice("dtype", dtype, ("float32", "uint8"))
    with _quiet():
        builder = tfds.builder(_BUILDERS[name], data_dir=data_dir)
        features = builder.info.features
        _check_keys(keys, name, features)
        if builder.name in _download.NAMES:
            _download.prepare(builder)
        _check_split_names(split, builder.info.splits or builder.NUM_EXAMPLES)
        _prepare(builder)
        _check_slice(split, builder.info.splits)
        examples = builder.as_dataset(split=split, batch_size=-1)
    return tuple(_convert(key, examples[key].numpy(), features[key], dtype) for key in keys)


def image_shape(name: str) -> tuple[int, ...]:
    """Returns the shape of the images of a data set, without generating it.

    Example:

    >>> tfbind.data.image_shape("shapes")
    (28, 28, 1)
    """
    _validation.check_choice("name", name, NAMES)
    with _quiet():
        return tuple(tfds.builder(_BUILDERS[name]).info.features["image"].shape)


def _prepare(builder):
    """Generates the data set unless it is there; atomic, also if two processes do it at once."""
    try:
        builder.download_and_prepare()
    except OSError:  # the last step, a rename, fails if the other process was quicker
        if not builder.is_prepared():
            raise
        builder.info.read_from_directory(builder.data_dir)


def _convert(key, values, feature, dtype):
    """Returns `values` in the type and range that models take, or as bytes."""
    if key != "image":
        return values.astype(np.int32)
    if values.dtype == np.float32:
        return values
    has_levels = isinstance(feature, tfds.features.Image)  # the others are zeros and ones
    if dtype == "uint8":
        return values if has_levels else 255 * values
    images = values.astype(np.float32)
    return images / 255 if has_levels else images


def _check_keys(keys, name, features):
    """Raises unless `keys` are some of the `features` of the set."""
    if isinstance(keys, str) or not set(keys) <= set(features):
        known = ", ".join(repr(key) for key in features)
        raise ValueError(
            f"`keys` must be a tuple of features of {name!r}, which has {known}. "
            f"Received: keys={keys!r}."
        )


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
