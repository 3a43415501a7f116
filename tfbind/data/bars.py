"""Bars: horizontal and vertical bars that cross."""

from typing import ClassVar

import numpy as np

from tfbind.data import _builder, _scenes

_LENGTH = 20
_PER_KIND = 6


class TfbindBars(_builder.GroupedImagesBuilder):
    """Binary 20x20 images of 6 vertical and 6 horizontal bars.

    Many objects in one image, none of them compact: neighbouring pixels tell little. Load it
    with `tfbind.data.load("bars", split)` or `tfds.load("tfbind_bars")`.

    A bar is one pixel thick and as long as the image. The positions of each orientation are drawn
    without replacement. Groups 1 to 6 are the vertical bars, 7 to 12 the horizontal ones, in the
    order drawn; background, and each of the 36 crossings, is group 0.

    Splits: `train_multi` 60 000, `test` 10 000, `train_single` 200 (100 bars of each orientation,
    shuffled; group 1).
    Features: `image` uint8 `[20, 20, 1]` in {0, 1}; `groups` uint8 `[20, 20]` in 0..12.

    Example:

    >>> import tensorflow_datasets as tfds
    >>> import tfbind.data
    >>> tfds.builder("tfbind_bars").info.features["image"].shape
    (20, 20, 1)

    References:
        Greff, Srivastava, Schmidhuber, "Binding via Reconstruction Clustering", ICLR workshop
        2016, https://arxiv.org/abs/1511.06418, section 4. First used in Foldiak, "Forming sparse
        representations by local anti-Hebbian learning", Biological Cybernetics 64, 1990.
    """

    CANVAS = (_LENGTH, _LENGTH)
    SEED = 471958
    NUM_EXAMPLES: ClassVar = {"train_multi": 60_000, "train_single": 200, "test": 10_000}

    def _objects(self, split, rng):
        num_examples = self.NUM_EXAMPLES[split]
        rows = np.eye(_LENGTH, dtype=np.uint8)[:, :, None].repeat(_LENGTH, axis=2)
        bitmaps = _scenes.pad_bitmaps([*rows.transpose(0, 2, 1), *rows])  # vertical, horizontal
        if split == "train_single":
            first = _LENGTH * (np.arange(num_examples) % 2)  # of each orientation in turn
            kinds = first + rng.integers(_LENGTH, size=num_examples)
            return bitmaps, rng.permutation(kinds)[:, None]
        positions = np.tile(np.arange(_LENGTH), (2, num_examples, 1))  # [2, n, 20]
        vertical, horizontal = rng.permuted(positions, axis=2)[..., :_PER_KIND]
        return bitmaps, np.concatenate([vertical, _LENGTH + horizontal], axis=1)
