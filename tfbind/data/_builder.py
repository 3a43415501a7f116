"""What the data sets of grouped binary images share: features, splits, seeds."""

import abc
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tfbind.data import _scenes

SPLITS = ("train_multi", "train_single", "test")


class GroupedImagesBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Base class: a subclass says what may be drawn, and what each image is made of."""

    VERSION = tfds.core.Version("1.0.0")
    CANVAS: ClassVar[tuple[int, int]]
    SEED: ClassVar[int]
    NUM_EXAMPLES: ClassVar[dict[str, int]]

    @abc.abstractmethod
    def _objects(self, split, rng):
        """Returns the bitmaps, and int `[n, G]`: which of them are on each image of `split`."""

    def _info(self):
        height, width = self.CANVAS
        # zlib: ten times smaller than raw bytes, and as fast to read.
        image = tfds.features.Tensor(shape=(height, width, 1), dtype=np.uint8, encoding="zlib")
        groups = tfds.features.Tensor(shape=(height, width), dtype=np.uint8, encoding="zlib")
        return tfds.core.DatasetInfo(
            builder=self,
            description=type(self).__doc__,
            features=tfds.features.FeaturesDict({"image": image, "groups": groups}),
            homepage="https://arxiv.org/abs/1511.06418",
            disable_shuffling=True,  # drawn at random already; keeps the order of MNIST
        )

    def _split_generators(self, dl_manager):
        del dl_manager  # nothing to download
        return {split: self._generate_examples(split) for split in self.NUM_EXAMPLES}

    def _generate_examples(self, split):
        rng = np.random.default_rng([self.SEED, SPLITS.index(split)])
        bitmaps, kinds = self._objects(split, rng)
        key = 0
        for images, groups in _scenes.draw_scenes(rng, self.CANVAS, bitmaps, kinds):
            for image, group in zip(images[..., None], groups, strict=True):
                yield key, {"image": image, "groups": group}
                key += 1
