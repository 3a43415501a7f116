import keras
import tensorflow as tf

from tfbind import seeds
from tfbind.layers._corruption import ElementwiseCorruption


@keras.saving.register_keras_serializable("tfbind")
class MaskingNoise(ElementwiseCorruption):
    """Sets a random part of the elements to 0.

    Use it on what stays of its kind when parts are missing, such as the word weights of texts. The
    others keep their size, unlike in `keras.layers.Dropout`.

    Args:
        probability: Float in [0, 1], the chance of each element to be hit.
        seed: Integer base seed, or None to draw one.

    Call arguments:
        inputs: float32 tensor of any shape.
        training: Whether to corrupt; otherwise the inputs pass unchanged.

    Returns:
        float32 tensor of the shape of `inputs`.

    Raises:
        ValueError: If `probability` is not in [0, 1].

    Example:

    >>> noise = tfbind.layers.MaskingNoise(0.4, seed=0)
    >>> noisy = noise(np.full((1, 10_000), 2.0, "float32"), training=True)
    >>> abs(float(np.mean(noisy == 0.0)) - 0.4) < 0.02
    True

    References:
        Vincent, Larochelle, Lajoie, Bengio, Manzagol. Stacked Denoising Autoencoders. Journal of
        Machine Learning Research, 2010, section 3.3.
    """

    def corrupt(self, inputs: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return tf.where(seeds.uniform(tf.shape(inputs), seed) < self.probability, 0.0, inputs)
