"""Textured MNIST: digits that only their texture sets off from the background."""

import dataclasses
import functools
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tfbind.data import _builder, _mnist, _scenes

_SIZE = 28
_NUM_TEXTURES, _TEXTURE_SIZE = 20, 38
_SHIFTS = {1: (0,), 2: (2, -2)}  # down and to the right, in the order drawn
_SCORED = 0.9  # a pixel is of a group that has more than this share of it


@dataclasses.dataclass(eq=False, kw_only=True)
class _Config(tfds.core.BuilderConfig):
    num_digits: int


class TfbindTexturedMnist(_mnist.MnistBuilder):
    """Grey 28x28 images of MNIST digits of one texture on a background of another.

    Grouping before recognition: texture and background are alike in brightness, so a classifier
    has to find out what belongs together. Needs MNIST, which TFDS downloads where it is missing.
    Load it with `tfbind.data.load("textured_mnist_2", split, keys=("image", "label"))` (or
    "textured_mnist_1") or `tfds.load("tfbind_textured_mnist/2_digits")` (or `1_digit`).

    There are 20 textures, each a plane wave of 38x38 pixels of its own direction and frequency,
    scaled to [0, 1]. The background and each digit take different ones, each a 28x28 piece of it
    from a random place. A digit with grey levels m in [0, 1] is drawn as m * texture +
    (1 - m) * what was there. With two digits, one is drawn 2 pixels down and to the right, and
    then the other over it 2 pixels up and to the left. At each pixel, background and digits have
    shares that sum to 1. Group 1 is the background (which is scored here), 2 and 3 the digits in
    the order drawn; a pixel of which none has more than 0.9 is group 0.

    Textures, offsets and permutations of the digits are those of the authors' generator, number by
    number; but TFDS has the digits of MNIST in an order of its own, so the images are not. Every
    digit of MNIST occurs once as each of the digits drawn; with two, a digit may occur in both
    `train` and `validation`.

    Splits: `train` 50 000, `validation` 10 000 (both of MNIST's training digits), `test` 10 000.
    Features: `image` uint8 `[28, 28, 1]`, 8-bit grey levels in 0..255 as in all image data sets of
    TFDS; `groups` uint8 `[28, 28]` in 0..2 or 0..3; `label` int64 `[1]` or `[2]` in 0..9, the
    digits of groups 2 and 3.

    Raises:
        ValueError: on `download_and_prepare`, if MNIST is missing and cannot be downloaded.

    Example:

    >>> import tensorflow_datasets as tfds
    >>> import tfbind.data
    >>> tfds.builder("tfbind_textured_mnist/2_digits").info.features["label"].shape
    (2,)

    References:
        Greff, Rasmus, Berglund, Hao, Schmidhuber, Valpola, "Tagger: Deep Unsupervised Perceptual
        Grouping", NIPS 2016, https://arxiv.org/abs/1606.06724, where it is Freq20-1MNIST and
        Freq20-2MNIST; seeds from https://github.com/CuriousAI/tagger.
    """

    BUILDER_CONFIGS: ClassVar = [
        _Config(name="1_digit", description="One digit, in its place.", num_digits=1),
        _Config(name="2_digits", description="Two digits that overlap.", num_digits=2),
    ]
    HOMEPAGE = "https://arxiv.org/abs/1606.06724"
    NUM_EXAMPLES: ClassVar = {"train": 50_000, "validation": 10_000, "test": 10_000}

    def _features(self):
        digit = tfds.features.ClassLabel(num_classes=10)
        return {
            "image": tfds.features.Image(shape=(_SIZE, _SIZE, 1)),
            "groups": _builder.groups_feature((_SIZE, _SIZE)),
            "label": tfds.features.Sequence(digit, length=self.builder_config.num_digits),
        }

    def _blocks(self, split):
        num_digits = self.builder_config.num_digits
        digits, labels = self._digits(split)
        order, kinds, offsets = _draw(len(digits), num_digits, split)
        start = self.NUM_EXAMPLES["train"] if split == "validation" else 0
        stop = start + self.NUM_EXAMPLES[split]
        for first in range(start, stop, _scenes.BLOCK):
            block = slice(first, min(first + _scenes.BLOCK, stop))
            alphas = [
                _shift(digits[indices] / np.float32(255), shift)
                for indices, shift in zip(order[block].T, _SHIFTS[num_digits], strict=True)
            ]
            images, groups = _compose(_crop(textures()[kinds[block]], offsets[block]), alphas)
            yield {
                "image": np.rint(255 * images).astype(np.uint8)[..., None],
                "groups": groups,
                "label": labels[order[block]],
            }


@functools.cache
def textures() -> np.ndarray:
    """Returns the textures, float32 `[20, 38, 38]` in [0, 1]."""
    rows = np.repeat([4, 10, 21, 32, 37], 4)
    columns = (np.arange(5)[:, None] + [0, 4, 8, 12]).ravel()
    spectra = np.zeros((_NUM_TEXTURES, _TEXTURE_SIZE, _TEXTURE_SIZE), complex)
    phases = np.random.RandomState(546298).rand(_NUM_TEXTURES)
    spectra[np.arange(_NUM_TEXTURES), rows, columns] = np.exp(2j * np.pi * phases)
    waves = np.fft.ifft2(spectra).real
    waves -= waves.min(axis=(1, 2), keepdims=True)
    return (waves / waves.max(axis=(1, 2), keepdims=True)).astype(np.float32)


def _draw(num_images, num_digits, split):
    """Draws what is on each image, from the authors' generators.

    Returns:
        order: int `[n, G]`, indices of the digits, in the order drawn.
        kinds: int `[n, 1 + G]`, the textures of background and digits.
        offsets: int `[n, 1 + G, 2]`, top and left of the pieces taken from them.
    """
    random = np.random.RandomState(2938 if split == "test" else 52698)
    if num_digits == 1:
        order = np.arange(num_images)[:, None]
    else:
        upper, lower = random.permutation(num_images), random.permutation(num_images)
        order = np.stack([lower, upper], axis=1)
        random.binomial(1, 0.5, num_images)  # the authors toss for the upper, but undo it later
    kinds = [random.choice(_NUM_TEXTURES, 1 + num_digits, replace=False) for _ in order]
    most = _TEXTURE_SIZE - _SIZE
    offsets = np.random.RandomState(598).randint(most + 1, size=(num_images, 1 + num_digits, 2))
    return order, np.array(kinds), offsets


def _shift(images, by):
    """Moves `images` down and to the right, filling with zeros."""
    most = max(_SHIFTS[2])
    padded = np.pad(images, ((0, 0), (most, most), (most, most)))
    window = slice(most - by, most - by + _SIZE)
    return padded[:, window, window]


def _crop(pictures, offsets):
    """Cuts a piece out of each of the pictures `[n, L, 38, 38]`, at `offsets` `[n, L, 2]`."""
    steps = np.arange(_SIZE)
    rows, columns = offsets[..., 0, None] + steps, offsets[..., 1, None] + steps  # [n, L, 28]
    pictures = np.take_along_axis(pictures, rows[..., :, None], axis=2)
    return np.take_along_axis(pictures, columns[..., None, :], axis=3)


def _compose(layers, alphas):
    """Draws each of `layers[:, 1:]` over what is below it, with its transparency.

    Args:
        layers: float32 `[n, 1 + G, 28, 28]`, background first.
        alphas: G arrays, float32 `[n, 28, 28]` in [0, 1].

    Returns:
        images: float32 `[n, 28, 28]`.
        groups: uint8 `[n, 28, 28]`, from 1, the layer that has nearly all of a pixel, else 0.
    """
    images, shares = layers[:, 0], [np.ones_like(layers[:, 0])]
    for g, alpha in enumerate(alphas, start=1):
        images = alpha * layers[:, g] + (1 - alpha) * images
        shares = [(1 - alpha) * share for share in shares] + [alpha]
    share = np.stack(shares)  # [1 + G, n, 28, 28]
    groups = np.where(share.max(axis=0) > _SCORED, 1 + share.argmax(axis=0), 0)
    return images, groups.astype(np.uint8)
