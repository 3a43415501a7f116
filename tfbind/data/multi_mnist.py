"""Multi-MNIST: three digits that overlap."""

from typing import ClassVar

import numpy as np

from tfbind.data import _builder, _mnist, _scenes

_THRESHOLD = 128  # byte >= 128 is set


class TfbindMultiMnist(_mnist.MnistBuilder, _builder.GroupedImagesBuilder):
    """Binary 48x48 images of three MNIST digits.

    The hardest of the sets: every object is different. Needs MNIST, which TFDS downloads where it
    is missing. Load it with `tfbind.data.load("multi_mnist", split)` or
    `tfds.load("tfbind_multi_mnist")`.

    Every all-zero row and column of a digit is removed, also inside it; then a pixel is set where
    the byte is >= 128. Three digits are drawn one after the other, uniform with replacement,
    position uniform and fully inside. Group g (1 to 3) is the g-th digit drawn; background, and
    any pixel that two or more digits cover, is group 0.

    Splits: `train_multi` 60 000 (training digits), `test` 10 000 (test digits), `train_single`
    60 000 (the i-th image has the i-th training digit, at a uniform position; group 1).
    Features: `image` uint8 `[48, 48, 1]` in {0, 1}; `groups` uint8 `[48, 48]` in 0..3.

    Raises:
        ValueError: on `download_and_prepare`, if MNIST is missing and cannot be downloaded.

    Example:

    >>> import tensorflow_datasets as tfds
    >>> import tfbind.data
    >>> tfds.builder("tfbind_multi_mnist").info.features["image"].shape
    (48, 48, 1)

    References:
        Greff, Srivastava, Schmidhuber, "Binding via Reconstruction Clustering", ICLR workshop
        2016, https://arxiv.org/abs/1511.06418, section 4.
    """

    CANVAS = (48, 48)
    SEED = 36520
    NUM_EXAMPLES: ClassVar = {"train_multi": 60_000, "train_single": 60_000, "test": 10_000}

    def _objects(self, split, rng):
        num_examples = self.NUM_EXAMPLES[split]
        digits, _ = self._digits(split)
        if split == "train_single":
            kinds = np.arange(num_examples)[:, None]
        else:
            kinds = rng.integers(len(digits), size=(num_examples, 3))
        return _scenes.pad_bitmaps([_crop(digit) >= _THRESHOLD for digit in digits]), kinds


def _crop(grey):
    """Removes all rows and columns that are zero throughout."""
    return grey[np.ix_(grey.any(axis=1), grey.any(axis=0))]
