from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbind import seeds
from tfbind._validation import check_number, check_shape
from tfbind.layers._corruption import Corruption


@keras.saving.register_keras_serializable("tfbind")
class RandomAffine(Corruption):
    """Rotates, scales, shears and shifts each image a little, as nobody writes twice alike.

    What a classifier should not depend on, it can be taught without labels: show it a distorted
    image and ask for the same answer. Values between pixels are interpolated, and what comes
    in from outside the image is 0.

    Args:
        rotation: Float >= 0, the largest angle either way, in degrees.
        scale: Float in [0, 1), the largest relative change of each side.
        shear: Float >= 0, the largest horizontal shift per pixel of height.
        shift: Float >= 0, the largest shift along either axis, in pixels.
        seed: Integer base seed, or None to draw one.

    Call arguments:
        inputs: float32 `[B, H, W, C]`.
        training: Whether to distort; otherwise the inputs pass unchanged.

    Returns:
        float32 `[B, H, W, C]`, in the range of `inputs` and 0.

    Raises:
        ValueError: If an argument is out of its range or the inputs are not images.

    Example:

    >>> distort = tfbind.layers.RandomAffine(rotation=10, shift=2, seed=0)
    >>> distort(np.ones((3, 28, 28, 1), "float32"), training=True).shape
    TensorShape([3, 28, 28, 1])
    """

    def __init__(
        self,
        rotation: float = 0.0,
        scale: float = 0.0,
        shear: float = 0.0,
        shift: float = 0.0,
        *,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        rotation = check_number("rotation", rotation, 0)
        scale = check_number("scale", scale, 0, 0.99)
        shear = check_number("shear", shear, 0)
        shift = check_number("shift", shift, 0)
        super().__init__(seed=seed, **kwargs)
        self.rotation = rotation
        self.scale = scale
        self.shear = shear
        self.shift = shift

    def corrupt(self, inputs: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        check_shape("inputs", tuple(inputs.shape), (None, None, None, None))
        rows, columns = self._sources(inputs.shape[1], inputs.shape[2], tf.shape(inputs)[0], seed)
        return _interpolate(inputs, rows, columns)

    def _sources(self, height, width, batch, seed):
        """Returns where each pixel comes from, two float32 `[B, H, W]`."""
        draws = seeds.uniform([6, batch, 1, 1], seed, -1.0, 1.0)
        angle = draws[0] * np.deg2rad(self.rotation)
        tall, wide = 1.0 + self.scale * draws[1], 1.0 + self.scale * draws[2]
        # Around the centre of the image, from the pixel that is written to the one that is read.
        y = tf.range(height, dtype=tf.float32)[:, None] - (height - 1) / 2  # [H, 1]
        x = tf.range(width, dtype=tf.float32)[None, :] - (width - 1) / 2  # [1, W]
        x = x + self.shear * draws[3] * y
        rows = tall * (tf.cos(angle) * y - tf.sin(angle) * x) + self.shift * draws[4]
        columns = wide * (tf.sin(angle) * y + tf.cos(angle) * x) + self.shift * draws[5]
        return rows + (height - 1) / 2, columns + (width - 1) / 2

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rotation": self.rotation,
            "scale": self.scale,
            "shear": self.shear,
            "shift": self.shift,
        }


def _interpolate(images, rows, columns):
    """Reads `images` `[B, H, W, C]` at fractional places `[B, H, W]`, bilinearly."""
    height, width = images.shape[1], images.shape[2]
    flat = tf.reshape(images, [-1, height * width, images.shape[3]])
    top, left = tf.floor(rows), tf.floor(columns)
    total = 0.0
    for down in (0.0, 1.0):
        for right in (0.0, 1.0):
            row, column = top + down, left + right
            weight = (1.0 - tf.abs(rows - row)) * (1.0 - tf.abs(columns - column))
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            index = tf.clip_by_value(row, 0, height - 1) * width
            index = tf.cast(index + tf.clip_by_value(column, 0, width - 1), tf.int32)
            index = tf.reshape(index, [-1, height * width])
            values = tf.reshape(tf.gather(flat, index, batch_dims=1), tf.shape(images))
            total += tf.where(inside, weight, 0.0)[..., None] * values
    return total
