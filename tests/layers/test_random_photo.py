"""Photographs taken anew, against Pillow's enhancements and the laws of each factor."""

import numpy as np
import PIL.Image
import PIL.ImageEnhance
import pytest

from tfbind import layers, seeds


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(0.3, 0.6, (40, 9, 7, 3)).astype("float32")


def anew(images, **limits):
    """Returns what the layer makes of `images`, those mirrored turned back."""
    found = layers.RandomPhoto(**limits).corrupt(images, seeds.fold(3)).numpy()
    back = np.array(
        [
            one if np.corrcoef(one.ravel(), image.ravel())[0, 1] > 0.5 else one[:, ::-1]
            for one, image in zip(found, images, strict=True)
        ]
    )
    mirrored = np.any(back != found, axis=(1, 2, 3))
    return back, mirrored


def test_half_of_them_are_mirrored_and_nothing_else_without_limits(images):
    back, mirrored = anew(images)
    np.testing.assert_allclose(back, images, atol=1e-6)
    assert 10 < mirrored.sum() < 30


def test_brightness_is_a_factor_per_image(images):
    back, _ = anew(images, brightness=0.5)
    factors = back / images
    np.testing.assert_allclose(factors, factors[:, :1, :1, :1] * np.ones_like(images), rtol=1e-5)
    assert 0.5 <= factors.min() < 0.6 and 1.4 < factors.max() <= 1.5


def test_contrast_keeps_the_mean_and_saturation_the_greys(images):
    back, _ = anew(images, contrast=0.5)
    np.testing.assert_allclose(back.mean((1, 2, 3)), images.mean((1, 2, 3)), atol=1e-6)
    assert np.ptp(back.std((1, 2, 3)) / images.std((1, 2, 3))) > 0.7
    back, _ = anew(images, saturation=0.5)
    np.testing.assert_allclose(back.mean(-1), images.mean(-1), atol=1e-6)
    assert np.ptp(np.ptp(back, -1).mean((1, 2)) / np.ptp(images, -1).mean((1, 2))) > 0.7


def test_brightness_is_that_of_pillow(images):
    pixels = np.uint8(255 * images[0])
    back, _ = anew(pixels[None] / np.float32(255), brightness=0.4)
    factor = float(np.median(back[0] / (pixels / 255)))
    enhanced = PIL.ImageEnhance.Brightness(PIL.Image.fromarray(pixels)).enhance(factor)
    np.testing.assert_allclose(255 * back[0], np.asarray(enhanced), atol=1.01)


def test_it_moves_them_as_the_affine_layer_does(images):
    place = seeds.split(seeds.fold(3), 3)[0]
    expected = layers.RandomAffine(rotation=20, shift=2).corrupt(images, place).numpy()
    found = layers.RandomPhoto(rotation=20, shift=2).corrupt(images, seeds.fold(3)).numpy()
    same = np.all(np.isclose(found, expected, atol=1e-6), axis=(1, 2, 3))
    turned = np.all(np.isclose(found, expected[:, :, ::-1], atol=1e-6), axis=(1, 2, 3))
    assert np.all(same | turned) and 10 < same.sum() < 30


def test_values_stay_in_their_range(images):
    found = layers.RandomPhoto(brightness=1, contrast=1, saturation=1)(images, training=True)
    assert 0 <= found.numpy().min() and found.numpy().max() <= 1


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "shift"])
def test_bad_arguments(name):
    with pytest.raises(ValueError, match=f"`{name}` must be a number in"):
        layers.RandomPhoto(**{name: -0.1})
