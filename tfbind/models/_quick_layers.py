"""Layers of the adversarial mixture that XLA on CPU would take several times as long for."""

from typing import Any

import keras
import tensorflow as tf

from tfbind._validation import check_number
from tfbind.layers._corruption import Corruption

_LEVELS = 2**16  # of the random numbers that dropout compares with its rate


@keras.saving.register_keras_serializable("tfbind")
class PixelConv2DTranspose(keras.layers.Conv2DTranspose):
    """A transposed convolution of images of one pixel, as the matrix product that it is.

    XLA on CPU takes several times as long for the convolution.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.einsum("bi,hwoi->bhwo", inputs[:, 0, 0], self.kernel) + self.bias


@keras.saving.register_keras_serializable("tfbind")
class EveryClass(keras.layers.Layer):
    """The one-hot labels of all K classes, `[K, K]`, whatever labels `[B, K]` go in."""

    def call(self, labels: tf.Tensor) -> tf.Tensor:
        return tf.eye(labels.shape[-1], dtype=labels.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[-1], input_shape[-1])


@keras.saving.register_keras_serializable("tfbind")
class Mixture(keras.layers.Layer):
    """Mixes what there is of every class, `[K, ...]`, by labels `[B, K]`.

    An affine map of labels that sum to 1 is the mixture of what it makes of one-hot ones.
    """

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        labels, of_classes = inputs
        return tf.tensordot(labels, of_classes, 1)

    def compute_output_shape(self, input_shape: list[tuple]) -> tuple[int | None, ...]:
        labels, of_classes = input_shape
        return (labels[0], *of_classes[1:])


@keras.saving.register_keras_serializable("tfbind")
class Dropout(Corruption):
    """Sets elements to zero at random and scales up the others, from half the random bits.

    Like `keras.layers.Dropout`, but several times as fast under XLA on CPU: its numbers come two
    to a draw of Philox, so that the rate is rounded to a multiple of 1 / 65536.

    Args:
        rate: Float in [0, 0.9], the probability of zero.
        seed: Integer base seed, or None to draw one.
    """

    def __init__(self, rate: float, *, seed: int | None = None, **kwargs: Any) -> None:
        rate = check_number("rate", rate, 0, 0.9)
        super().__init__(seed=seed, **kwargs)
        self.rate = rate

    def corrupt(self, inputs: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        size = tf.size(inputs)
        pairs = tf.random.stateless_uniform(
            [(size + 1) // 2], seed, minval=None, maxval=None, dtype=tf.uint32, alg="philox"
        )
        numbers = tf.reshape(tf.bitcast(pairs, tf.uint16), [-1])[:size]
        dropped = round(self.rate * _LEVELS)
        kept = tf.reshape(tf.cast(numbers, tf.int32) >= dropped, tf.shape(inputs))
        scaled = inputs * (_LEVELS / (_LEVELS - dropped))
        return tf.where(kept, scaled, tf.zeros_like(scaled))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate}
