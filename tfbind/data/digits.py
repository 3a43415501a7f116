"""Digits: small handwritten digits that come with scikit-learn."""

from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tfbind.data import _builder


class TfbindDigits(_builder.Builder):
    """Grey 8x8 images of handwritten digits, with labels: scikit-learn's, no download.

    For classifiers and clustering where MNIST is too large or not at hand. Load it with
    `tfbind.data.load("digits", split, keys=("image", "label"))` or `tfds.load("tfbind_digits")`.

    Splits: `train` 1437 and `test` 360, with equal shares of each class.
    Features: `image` uint8 `[8, 8, 1]`, 8-bit grey levels in 0..255 as in all image data sets of
    TFDS (scikit-learn's 0..16, times 255 / 16); `label` int64 in 0..9.

    Example:

    >>> import tensorflow_datasets as tfds
    >>> import tfbind.data
    >>> tfds.builder("tfbind_digits").info.features["image"].shape
    (8, 8, 1)

    References:
        Alpaydin, Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
        Repository, 1998, the test set; `sklearn.datasets.load_digits`.
    """

    HOMEPAGE = "https://archive.ics.uci.edu/dataset/80"
    NUM_EXAMPLES: ClassVar = {"train": 1437, "test": 360}
    SEED = 0

    def _features(self):
        return {
            "image": tfds.features.Image(shape=(8, 8, 1)),
            "label": tfds.features.ClassLabel(num_classes=10),
        }

    def _blocks(self, split):
        from sklearn import datasets, model_selection  # slow, and for this set alone

        digits = datasets.load_digits()
        indices = model_selection.train_test_split(
            np.arange(len(digits.target)),
            stratify=digits.target,
            test_size=self.NUM_EXAMPLES["test"],
            random_state=self.SEED,
        )
        chosen = indices[("train", "test").index(split)]
        yield {
            "image": np.rint(digits.images[chosen] * 255 / 16).astype(np.uint8)[..., None],
            "label": digits.target[chosen],
        }
