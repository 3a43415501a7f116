"""What the data sets share: features, splits, seeds."""

import abc
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tfbind.data import _scenes

SPLITS = ("train_multi", "train_single", "test")


class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Base class: a subclass says what an example is made of, and gives examples in blocks."""

    VERSION = tfds.core.Version("1.0.0")
    HOMEPAGE: ClassVar[str]
    NUM_EXAMPLES: ClassVar[dict[str, int]]

    @abc.abstractmethod
    def _features(self):
        """Returns a dict of TFDS features."""

    @abc.abstractmethod
    def _blocks(self, split):
        """Yields dicts of arrays, feature by feature, of consecutive examples of `split`."""

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description=type(self).__doc__,
            features=tfds.features.FeaturesDict(self._features()),
            homepage=self.HOMEPAGE,
            disable_shuffling=True,  # drawn at random already; keeps the order of MNIST
        )

    def _split_generators(self, dl_manager):
        del dl_manager  # nothing to download
        return {split: self._generate_examples(split) for split in self.NUM_EXAMPLES}

    def _generate_examples(self, split):
        key = 0
        for block in self._blocks(split):
            for values in zip(*block.values(), strict=True):
                yield key, dict(zip(block, values, strict=True))
                key += 1


class GroupedImagesBuilder(Builder, skip_registration=True):  # type: ignore[call-arg]
    """Base class of binary images: a subclass says what may be drawn, and what is on each image."""

    HOMEPAGE = "https://arxiv.org/abs/1511.06418"
    CANVAS: ClassVar[tuple[int, int]]
    SEED: ClassVar[int]

    @abc.abstractmethod
    def _objects(self, split, rng):
        """Returns the bitmaps, and int `[n, G]`: which of them are on each image of `split`."""

    def _features(self):
        return binary_features(self.CANVAS)

    def _blocks(self, split):
        rng = np.random.default_rng([self.SEED, SPLITS.index(split)])
        bitmaps, kinds = self._objects(split, rng)
        for images, groups in _scenes.draw_scenes(rng, self.CANVAS, bitmaps, kinds):
            yield {"image": images[..., None], "groups": groups}


def binary_features(canvas: tuple[int, int]) -> dict[str, tfds.features.FeatureConnector]:
    """Returns the features of binary images of `(H, W)` pixels and their groups."""
    # zlib: ten times smaller than raw bytes, and as fast to read.
    image = tfds.features.Tensor(shape=(*canvas, 1), dtype=np.uint8, encoding="zlib")
    return {"image": image, "groups": groups_feature(canvas)}


def groups_feature(canvas: tuple[int, int]) -> tfds.features.Tensor:
    """Returns the feature of the groups of `(H, W)` pixels."""
    return tfds.features.Tensor(shape=canvas, dtype=np.uint8, encoding="zlib")
