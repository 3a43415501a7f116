"""MNIST+Shape: a digit and a shape."""

from typing import ClassVar

import numpy as np

from tfbind.data import _builder, _mnist, _scenes
from tfbind.data.shapes import BITMAPS as SHAPES

_THRESHOLD = 128  # byte > 128 is set: the paper's source stores byte / 256, and takes > 0.5


class TfbindMnistShape(_mnist.MnistBuilder, _builder.GroupedImagesBuilder):
    """Binary 28x28 images of one MNIST digit and one shape.

    Two objects of different nature: the digits vary, the shapes do not. Needs MNIST, which TFDS
    downloads where it is missing. Load it with `tfbind.data.load("mnist_shape", split)` or
    `tfds.load("tfbind_mnist_shape")`.

    The digit (group 1; set where the byte is > 128) stays where MNIST has it. Over it comes one
    of the three shapes of `TfbindShapes` (group 2), type and position uniform, fully inside. The
    image is their union; background and overlap are group 0.

    Splits: `train_multi` 60 000 and `test` 10 000 (the i-th image has the i-th digit of that split
    of MNIST), `train_single` 10 000 (5000 random training digits and 5000 shapes, shuffled;
    group 1).
    Features: `image` uint8 `[28, 28, 1]` in {0, 1}; `groups` uint8 `[28, 28]` in 0..2.

    Raises:
        ValueError: on `download_and_prepare`, if MNIST is missing and cannot be downloaded.

    Example:

    >>> import tensorflow_datasets as tfds
    >>> import tfbind.data
    >>> tfds.builder("tfbind_mnist_shape").info.features["image"].shape
    (28, 28, 1)

    References:
        Greff, Srivastava, Schmidhuber, "Binding via Reconstruction Clustering", ICLR workshop
        2016, https://arxiv.org/abs/1511.06418, section 4. First used in Reichert, Serre,
        "Neuronal Synchrony in Complex-Valued Deep Networks", ICLR 2014,
        https://arxiv.org/abs/1312.6115.
    """

    CANVAS = (28, 28)
    SEED = 985619
    NUM_EXAMPLES: ClassVar = {"train_multi": 60_000, "train_single": 10_000, "test": 10_000}

    def _objects(self, split, rng):
        num_examples = self.NUM_EXAMPLES[split]
        digits, _ = self._digits(split)
        shapes = len(digits) + rng.integers(len(SHAPES), size=num_examples)  # after the digits
        if split == "train_single":
            kinds = shapes
            kinds[: num_examples // 2] = rng.integers(len(digits), size=num_examples // 2)
            kinds = rng.permutation(kinds)[:, None]
        else:
            kinds = np.stack([np.arange(num_examples), shapes], axis=1)
        return _scenes.pad_bitmaps([*(digits > _THRESHOLD), *SHAPES]), kinds
