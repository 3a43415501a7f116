"""Corners: a square made of four corners, among loose corners."""

from typing import ClassVar

import numpy as np

from tfbind.data import _builder, _scenes

_CORNER = _scenes.parse_art(
    """
    #####
    #####
    ##...
    ##...
    ##...
    """
)
_ORIENTATIONS = (_CORNER, _CORNER[::-1], _CORNER[:, ::-1], _CORNER[::-1, ::-1])
_NUM_LOOSE = 4


def _square():
    """Returns the 20x20 square: a corner at each end, arms inward along the edges."""
    half = np.zeros((10, 20), np.uint8)
    half[:5, :5], half[:5, -5:] = _CORNER, _CORNER[:, ::-1]
    return np.concatenate([half, half[::-1]])


BITMAPS = (_square(), *_ORIENTATIONS)


class TfbindCorners(_builder.GroupedImagesBuilder):
    """Binary 28x28 images of eight corners, four of which make a square.

    Grouping by arrangement: alone, a corner of the square looks like any other. Load it with
    `tfbind.data.load("corners", split)` or `tfds.load("tfbind_corners")`.

    A corner is 5x5 with arms two pixels thick (16 pixels), in one of 4 mirror orientations. The
    square is 20x20 with a corner at each end, arms pointing inward along the edges. One square is
    drawn (group 1), then four loose corners (groups 2 to 5), orientation uniform, position
    uniform and fully inside. Background, and any pixel that two or more of these five objects
    cover, is group 0.

    Splits: `train_multi` 60 000, `test` 10 000, `train_single` 5000 (2500 squares and 2500
    corners, shuffled; group 1).
    Features: `image` uint8 `[28, 28, 1]` in {0, 1}; `groups` uint8 `[28, 28]` in 0..5.

    Example:

    >>> import tensorflow_datasets as tfds
    >>> import tfbind.data
    >>> tfds.builder("tfbind_corners").info.features["groups"].shape
    (28, 28)

    References:
        Greff, Srivastava, Schmidhuber, "Binding via Reconstruction Clustering", ICLR workshop
        2016, https://arxiv.org/abs/1511.06418, section 4. First used in Reichert, Serre,
        "Neuronal Synchrony in Complex-Valued Deep Networks", ICLR 2014,
        https://arxiv.org/abs/1312.6115.
    """

    CANVAS = (28, 28)
    SEED = 746519283
    NUM_EXAMPLES: ClassVar = {"train_multi": 60_000, "train_single": 5_000, "test": 10_000}

    def _objects(self, split, rng):
        num_examples = self.NUM_EXAMPLES[split]
        bitmaps = _scenes.pad_bitmaps(BITMAPS)
        kinds = rng.integers(1, len(BITMAPS), size=(num_examples, 1 + _NUM_LOOSE))
        if split == "train_single":
            kinds[: num_examples // 2] = 0
            return bitmaps, rng.permutation(kinds[:, :1])
        kinds[:, 0] = 0
        return bitmaps, kinds
