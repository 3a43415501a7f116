from typing import Any

import keras
import tensorflow as tf

from tfbind import seeds
from tfbind._validation import check_number
from tfbind.layers.random_affine import RandomAffine


@keras.saving.register_keras_serializable("tfbind")
class RandomPhoto(RandomAffine):
    """Takes each photograph anew: from elsewhere, in another light, half of them mirrored.

    What `RandomAffine` does, a mirror image with probability 1/2, then three factors an image, each
    uniform in `[1 - limit, 1 + limit]`: of all values (brightness), of their distances from the
    mean of the image (contrast), and of those of channels from the mean of a pixel (saturation).
    Without it, clusters of photographs are those of their light.

    Args:
        rotation: Float >= 0, the largest angle either way, in degrees.
        scale: Float in [0, 1), the largest relative change of each side.
        shear: Float >= 0, the largest horizontal shift per pixel of height.
        shift: Float >= 0, the largest shift along either axis, in pixels.
        brightness: Float in [0, 1], the limit of the first factor.
        contrast: Float in [0, 1], the limit of the second.
        saturation: Float in [0, 1], the limit of the third, which greys do not have.
        seed: Integer base seed, or None to draw one.

    Call arguments:
        inputs: float32 `[B, H, W, C]` in [0, 1].
        training: Whether to distort; otherwise the inputs pass unchanged.

    Returns:
        float32 `[B, H, W, C]` in [0, 1].

    Raises:
        ValueError: If an argument is out of its range or the inputs are not images.

    Example:

    >>> distort = tfbind.layers.RandomPhoto(shift=4, brightness=0.4, saturation=0.4, seed=0)
    >>> distort(np.ones((3, 48, 48, 3), "float32"), training=True).shape
    TensorShape([3, 48, 48, 3])

    References:
        Asano et al. Self-Labelling via Simultaneous Clustering and Representation Learning. ICLR,
        2020. https://arxiv.org/abs/1911.05371. Its script crops, mirrors and changes colours by .4.
    """

    def __init__(
        self,
        rotation: float = 0.0,
        scale: float = 0.0,
        shear: float = 0.0,
        shift: float = 0.0,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        *,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        brightness = check_number("brightness", brightness, 0, 1)
        contrast = check_number("contrast", contrast, 0, 1)
        saturation = check_number("saturation", saturation, 0, 1)
        super().__init__(rotation, scale, shear, shift, seed=seed, **kwargs)
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation

    def corrupt(self, inputs: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        place, side, light = seeds.split(seed, 3)
        images = super().corrupt(inputs, place)
        draws = seeds.uniform([3, tf.shape(images)[0], 1, 1, 1], light, -1.0, 1.0)
        mirrored = seeds.uniform([tf.shape(images)[0], 1, 1, 1], side) < 0.5
        images = tf.where(mirrored, images[:, :, ::-1], images)
        images *= 1.0 + self.brightness * draws[0]
        images = _spread(images, (1, 2, 3), 1.0 + self.contrast * draws[1])
        images = _spread(images, (3,), 1.0 + self.saturation * draws[2])
        return tf.clip_by_value(images, 0.0, 1.0)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "brightness": self.brightness,
            "contrast": self.contrast,
            "saturation": self.saturation,
        }


def _spread(images, axes, factor):
    """Multiplies the distances from the mean over `axes`."""
    mean = tf.reduce_mean(images, axes, keepdims=True)
    return mean + factor * (images - mean)
