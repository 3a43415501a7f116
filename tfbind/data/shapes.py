"""Shapes: squares and triangles that overlap."""

from typing import ClassVar

from tfbind.data import _builder, _scenes

_SQUARE = _scenes.parse_art(
    """
    #######
    #######
    ##...##
    ##...##
    ##...##
    #######
    #######
    """
)
_TRIANGLE = _scenes.parse_art(
    """
    .....##.....
    ....####....
    ...######...
    ..###..###..
    .###....###.
    ############
    ############
    """
)
BITMAPS = (_SQUARE, _TRIANGLE, _TRIANGLE[::-1])


class TfbindShapes(_builder.GroupedImagesBuilder):
    """Binary 28x28 images of three shapes: squares, triangles, upside-down triangles.

    The first data set to try: objects overlap in about 8 % of their pixels, and each is easy to
    learn. Load it with `tfbind.data.load("shapes", split)` or `tfds.load("tfbind_shapes")`.

    Three shapes are drawn one after the other, type uniform with replacement, position uniform
    with the shape fully inside. The image is their union. Group g (1 to 3) is the g-th shape
    drawn; background, and any pixel that two or more shapes cover, is group 0.

    Splits: `train_multi` 60 000, `test` 10 000, `train_single` 10 000 (one shape, group 1).
    Features: `image` uint8 `[28, 28, 1]` in {0, 1}; `groups` uint8 `[28, 28]` in 0..3.

    Example:

    >>> import tensorflow_datasets as tfds
    >>> import tfbind.data
    >>> tfds.builder("tfbind_shapes").info.features["image"].shape
    (28, 28, 1)

    References:
        Greff, Srivastava, Schmidhuber, "Binding via Reconstruction Clustering", ICLR workshop
        2016, https://arxiv.org/abs/1511.06418, section 4. First used in Reichert, Serre,
        "Neuronal Synchrony in Complex-Valued Deep Networks", ICLR 2014,
        https://arxiv.org/abs/1312.6115.
    """

    CANVAS = (28, 28)
    SEED = 265076
    NUM_EXAMPLES: ClassVar = {"train_multi": 60_000, "train_single": 10_000, "test": 10_000}

    def _objects(self, split, rng):
        num_objects = 1 if split == "train_single" else 3
        kinds = rng.integers(len(BITMAPS), size=(self.NUM_EXAMPLES[split], num_objects))
        return _scenes.pad_bitmaps(BITMAPS), kinds
