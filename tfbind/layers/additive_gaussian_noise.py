from typing import Any

import keras
import tensorflow as tf

from tfbind import seeds
from tfbind._validation import check_number
from tfbind.layers._corruption import Corruption


@keras.saving.register_keras_serializable("tfbind")
class AdditiveGaussianNoise(Corruption):
    """Adds Normal(0, stddev) noise to real-valued data.

    It differs from `keras.layers.GaussianNoise` in that `corrupt` takes the seed, so that a
    resumed run draws the same noise.

    Args:
        stddev: Float >= 0, in the unit of the data.
        seed: Integer base seed, or None to draw one.

    Call arguments:
        inputs: float32 tensor of any shape.
        training: Whether to corrupt; otherwise the inputs pass unchanged.

    Returns:
        float32 tensor of the shape of `inputs`.

    Raises:
        ValueError: If `stddev` is negative.

    Example:

    >>> noise = tfbind.layers.AdditiveGaussianNoise(0.2, seed=0)
    >>> noisy = noise(np.zeros((1, 10_000), "float32"), training=True)
    >>> abs(float(np.std(noisy)) - 0.2) < 0.01
    True

    References:
        Greff, Rasmus, Berglund, Hao, Schmidhuber, Valpola. Tagger: Deep Unsupervised Perceptual
        Grouping. NIPS, 2016. https://arxiv.org/abs/1606.06724, supplementary material A.1.
    """

    def __init__(self, stddev: float, *, seed: int | None = None, **kwargs: Any) -> None:
        stddev = check_number("stddev", stddev, 0)
        super().__init__(seed=seed, **kwargs)
        self.stddev = stddev

    def corrupt(self, inputs: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return inputs + self.stddev * seeds.normal(tf.shape(inputs), seed)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stddev": self.stddev}
