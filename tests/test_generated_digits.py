"""Readings of generated images, of a mixture whose components are known."""

import importlib

import numpy as np
import pytest

from tfbind.training.tasks import Examples

LABELS = np.arange(60) % 3
NUMBERS = np.array([5, 7, 9])  # of the classes


class Known:
    """Clusters 2, 0 and 3 are the three classes, and 1 is empty; component 3 generates class 7."""

    num_clusters, latent_dim = 4, 2
    drawn = (7, 5, 5, 7)

    def cluster(self, images, batch_size):
        return np.array([2, 0, 3])[images[:, 0].astype(int)]

    def generate(self, labels, noise):
        assert noise.shape == (len(labels), self.latent_dim)
        return np.array(self.drawn)[labels]


class Reader:
    def predict(self, images, batch_size, verbose):
        return np.eye(10)[images]


@pytest.fixture
def module():
    return importlib.import_module("benchmarks.generated_digits")


def test_components_are_named_and_read(module):
    scored = Examples(LABELS[:, None].astype("float32"), NUMBERS[LABELS])
    names = module.classes_of(Known(), scored)
    assert names.tolist() == [7, -1, 5, 9]
    shares = module.shares_read(Known(), Reader(), names, 3, seed=0)
    assert shares.tolist() == [1.0, 0.0, 1.0, 0.0]
