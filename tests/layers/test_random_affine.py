"""Distorted images against SciPy's interpolation at the same places."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from tfbind import layers, seeds


@pytest.fixture
def images():
    return np.random.default_rng(0).random((4, 9, 7, 2)).astype("float32")


def test_it_reads_between_pixels_as_scipy_does(images):
    distort = layers.RandomAffine(rotation=30, scale=0.2, shear=0.3, shift=2.5, seed=0)
    seed = seeds.fold(3)
    found = distort.corrupt(images, seed).numpy()
    rows, columns = (np.asarray(part) for part in distort._sources(9, 7, 4, seed))
    for image, y, x, one in zip(images, rows, columns, found, strict=True):
        for channel in range(2):
            expected = map_coordinates(image[..., channel], [y, x], order=1, mode="grid-constant")
            np.testing.assert_allclose(one[..., channel], expected, atol=1e-5)


def test_images_are_distorted_each_in_its_own_way(images):
    distort = layers.RandomAffine(shift=2.0, seed=0)
    same = np.repeat(images[:1], 50, axis=0)
    found = distort.corrupt(same, seeds.fold(1)).numpy()
    assert len(np.unique(found.reshape(50, -1), axis=0)) == 50


def test_the_places_stay_within_the_limits():
    rows, columns = layers.RandomAffine(shift=1.5)._sources(5, 5, 2000, seeds.fold(0))
    moved = np.stack([rows[:, 2, 2], columns[:, 2, 2]]) - 2  # of the centre
    assert np.abs(moved).max() <= 1.5
    np.testing.assert_allclose(moved.std(), 3 / np.sqrt(12), rtol=0.05)


def test_without_limits_nothing_moves(images):
    found = layers.RandomAffine().corrupt(images, seeds.fold(0))
    np.testing.assert_allclose(found, images, atol=1e-6)
    np.testing.assert_array_equal(layers.RandomAffine(shift=3.0)(images), images)  # not training


@pytest.mark.parametrize("name", ["rotation", "scale", "shear", "shift"])
def test_bad_arguments(name):
    with pytest.raises(ValueError, match=f"`{name}` must be a number in"):
        layers.RandomAffine(**{name: -0.1})
