import keras
import tensorflow as tf

from tfbind import seeds
from tfbind.layers._corruption import ElementwiseCorruption


@keras.saving.register_keras_serializable("tfbind")
class SaltAndPepperNoise(ElementwiseCorruption):
    """Sets a random part of the elements to 1 or 0, half of them each.

    The noise under which Reconstruction Clustering trains its autoencoder.

    Args:
        probability: Float in [0, 1], the chance of each element to be hit.
        seed: Integer base seed, or None to draw one.

    Call arguments:
        inputs: float32 tensor of any shape, in [0, 1].
        training: Whether to corrupt; otherwise the inputs pass unchanged.

    Returns:
        float32 tensor of the shape of `inputs`, in [0, 1].

    Raises:
        ValueError: If `probability` is not in [0, 1].

    Example:

    >>> noise = tfbind.layers.SaltAndPepperNoise(0.4, seed=0)
    >>> noisy = noise(np.full((1, 10_000), 0.5, "float32"), training=True)
    >>> abs(float(np.mean(noisy == 1.0)) - 0.2) < 0.02
    True

    References:
        Greff, Srivastava, Schmidhuber. Binding via Reconstruction Clustering. ICLR workshop,
        2016. https://arxiv.org/abs/1511.06418, section 3.1.
    """

    def corrupt(self, inputs: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        draw = seeds.uniform(tf.shape(inputs), seed)
        salted = tf.where(draw < self.probability / 2, 1.0, inputs)
        return tf.where((draw >= self.probability / 2) & (draw < self.probability), 0.0, salted)
