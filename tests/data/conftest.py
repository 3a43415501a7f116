"""A made-up MNIST, in the form in which TFDS keeps the real one, and data sets made small."""

import os

import numpy as np
import pytest
import sklearn.datasets
import tensorflow_datasets as tfds

from tfbind import data

NUM_DIGITS = {"train": 60, "test": 30}
GROUPED = {"train_multi": 60, "train_single": 40, "test": 30}
# The others are small anyway.
NUM_EXAMPLES = {
    data.TfbindShapes: GROUPED,
    data.TfbindBars: GROUPED,
    data.TfbindCorners: GROUPED,
    data.TfbindMnistShape: GROUPED,
    data.TfbindMultiMnist: GROUPED,
    data.TfbindShapes20: {
        "train": 60,
        "validation": 20,
        "test": 30,
        "single": 40,
        "test_1": 10,
        "test_2": 10,
        "test_4": 10,
        "test_5": 10,
    },
    data.TfbindNewsgroups: {"train": 50},
    data.TfbindTexturedMnist: {"train": 50, "validation": 10, "test": 30},
}


def fake_digits(split):
    """Returns uint8 `[n, 28, 28]`: bytes around the threshold, an empty row and column inside.

    Two corners are set, for a shift to push out.
    """
    rng = np.random.default_rng([1, len(split)])
    grey = np.zeros((NUM_DIGITS[split], 28, 28), np.uint8)
    grey[:, 6:20, 9:17] = rng.choice([0, 1, 127, 128, 129, 255], size=(len(grey), 14, 8))
    grey[:, 0, 0] = grey[:, 27, 27] = 255
    grey[:, 12] = grey[:, :, 13] = 0
    return grey


def fake_posts(**options):
    """Stands in for scikit-learn's loader: 50 posts in 2100 words, of which 100 come once only."""
    rng = np.random.default_rng(3)
    words = np.array([f"word{rank:04d}" for rank in range(2100)])
    posts = [" ".join(["the", *rng.permutation(words[:2000])[:60]]) for _ in range(48)]
    posts += ["The " + " ".join(words[:2000]), " ".join(words)]
    return sklearn.utils.Bunch(data=posts, target=np.arange(50) % 20)


class Mnist(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Stands in for the builder of TFDS: the same name, version and features."""

    VERSION = tfds.core.Version("3.0.1")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(28, 28, 1)),
            "label": tfds.features.ClassLabel(num_classes=10),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in NUM_DIGITS}

    def _generate_examples(self, split):
        for key, image in enumerate(fake_digits(split)):
            yield key, {"image": image[..., None], "label": key % 10}


@pytest.fixture(scope="session")
def mnist_dir(tmp_path_factory):
    """Data folder that holds the made-up MNIST and nothing else."""
    folder = tmp_path_factory.mktemp("mnist")
    Mnist(data_dir=folder).download_and_prepare()
    return folder


@pytest.fixture(scope="session")
def digits():
    """The digits of the made-up MNIST by split, uint8 `[n, 28, 28]`."""
    return {split: fake_digits(split) for split in NUM_DIGITS}


@pytest.fixture
def small(monkeypatch):
    """Makes the data sets that a test generates small."""
    for builder, num_examples in NUM_EXAMPLES.items():
        monkeypatch.setattr(builder, "NUM_EXAMPLES", num_examples)
    monkeypatch.setattr("sklearn.datasets.fetch_20newsgroups", fake_posts)


@pytest.fixture
def small_dir(small, mnist_dir, tmp_path_factory):
    """Data folder, one for all tests, in which every data set comes out small."""
    folder = tmp_path_factory.getbasetemp() / "small"
    if not folder.exists():
        folder.mkdir()
        os.symlink(mnist_dir / "mnist", folder / "mnist")
    return folder
