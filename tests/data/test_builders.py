"""TFDS's own checks of a builder, on every builder."""

import os
import shutil

import pytest
import tensorflow_datasets as tfds

from tfbind import data

from .conftest import GROUPED, NUM_EXAMPLES


class BuilderChecks:
    """Makes the data set small, and lets it find a made-up MNIST."""

    SPLITS = GROUPED
    EXAMPLE_DIR = os.path.dirname(__file__)  # nothing is downloaded: any folder will do

    @pytest.fixture(autouse=True)
    def _small(self, small, mnist_dir):
        self.mnist_dir = mnist_dir

    def _make_builder(self, config=None):
        # A copy: TFDS removes its folder afterwards, and would follow a link.
        shutil.copytree(
            self.mnist_dir / "mnist", os.path.join(self.tmp_dir, "mnist"), dirs_exist_ok=True
        )
        return super()._make_builder(config)


class TestSimpleSuperposition(BuilderChecks, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = data.TfbindSimpleSuperposition
    SPLITS = {"train_single": 16, "test": 120}


class TestShapes(BuilderChecks, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = data.TfbindShapes


class TestBars(BuilderChecks, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = data.TfbindBars


class TestCorners(BuilderChecks, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = data.TfbindCorners


class TestMnistShape(BuilderChecks, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = data.TfbindMnistShape


class TestMultiMnist(BuilderChecks, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = data.TfbindMultiMnist


class TestShapes20(BuilderChecks, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = data.TfbindShapes20
    SPLITS = NUM_EXAMPLES[data.TfbindShapes20]
    OVERLAPPING_SPLITS = ("single", "test_1")  # one shape has few places to be


class TestTexturedMnist(BuilderChecks, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = data.TfbindTexturedMnist
    SPLITS = NUM_EXAMPLES[data.TfbindTexturedMnist]


class TestDigits(BuilderChecks, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = data.TfbindDigits
    SPLITS = {"train": 1437, "test": 360}


class TestNewsgroups(BuilderChecks, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = data.TfbindNewsgroups
    SPLITS = NUM_EXAMPLES[data.TfbindNewsgroups]
