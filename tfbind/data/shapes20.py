"""Shapes on 20x20 pixels: the set that Tagger is trained and tested on."""

import functools
from typing import ClassVar

import numpy as np

from tfbind.data import _builder, _scenes
from tfbind.data.shapes import BITMAPS

_SIZE = 20
_NUM_SHAPES = {
    "train": 3,
    "validation": 3,
    "test": 3,
    "single": 1,
    "test_1": 1,
    "test_2": 2,
    "test_4": 4,
    "test_5": 5,
}


class TfbindShapes20(_builder.Builder):
    """Binary 20x20 images of squares, triangles and upside-down triangles: Tagger's Shapes.

    Less room than in `TfbindShapes`, so objects hide more of each other: 18 % of the foreground
    is overlap. Load it with `tfbind.data.load("shapes20", split)` or
    `tfds.load("tfbind_shapes20")`.

    Three shapes are drawn one after the other, type uniform with replacement, position uniform
    with the shape fully inside. The image is their union. Group g is the g-th shape drawn;
    background, and any pixel that two or more shapes cover, is group 0. The images are those of
    the authors' generator, number by number.

    Splits: `train` 50 000, `validation` 10 000, `test` 10 000, `single` 10 000 (one shape, group
    1). Our own, for models that must cope with more or fewer objects than they were trained with:
    `test_1`, `test_2`, `test_4`, `test_5`, 1000 images each of so many shapes.
    Features: `image` uint8 `[20, 20, 1]` in {0, 1}; `groups` uint8 `[20, 20]` in 0..3 (0..5 in
    `test_5`).

    Example:

    >>> import tensorflow_datasets as tfds
    >>> import tfbind.data
    >>> tfds.builder("tfbind_shapes20").info.features["image"].shape
    (20, 20, 1)

    References:
        Greff, Rasmus, Berglund, Hao, Schmidhuber, Valpola, "Tagger: Deep Unsupervised Perceptual
        Grouping", NIPS 2016, https://arxiv.org/abs/1606.06724. Splits and seed are
        those of https://github.com/CuriousAI/tagger.
    """

    CANVAS = (_SIZE, _SIZE)
    SEED = 265076
    HOMEPAGE = "https://arxiv.org/abs/1606.06724"
    NUM_EXAMPLES: ClassVar = {  # in the order drawn
        "train": 50_000,
        "validation": 10_000,
        "test": 10_000,
        "single": 10_000,
        "test_1": 1000,
        "test_2": 1000,
        "test_4": 1000,
        "test_5": 1000,
    }

    def _features(self):
        return _builder.binary_features(self.CANVAS)

    @functools.cached_property
    def _placements(self):
        """Kind, top and left of the shapes of every split, int `[n, G, 3]`."""
        random = np.random.RandomState(self.SEED)  # the authors' generator
        return {
            split: _place(random, num_examples, _NUM_SHAPES[split])
            for split, num_examples in self.NUM_EXAMPLES.items()
        }

    def _blocks(self, split):
        bitmaps = _scenes.pad_bitmaps(BITMAPS)
        kinds, tops, lefts = self._placements[split].transpose(2, 0, 1)
        for start in range(0, len(kinds), _scenes.BLOCK):
            block = slice(start, start + _scenes.BLOCK)
            images, groups = _scenes.compose(
                self.CANVAS, bitmaps, kinds[block], tops[block], lefts[block]
            )
            yield {"image": images[..., None], "groups": groups}


def _place(random, num_scenes, num_shapes):
    """Draws shapes, int `[num_scenes, num_shapes, 3]`: kind, top and left of each.

    One number at a time: how much of the stream a number takes depends on the one before.
    """
    placements = np.empty((num_scenes, num_shapes, 3), int)
    for placement in placements.reshape(-1, 3):
        kind = random.randint(len(BITMAPS))
        height, width = BITMAPS[kind].shape
        left = random.randint(_SIZE - width + 1)
        top = random.randint(_SIZE - height + 1)
        placement[:] = kind, top, left
    return placements
