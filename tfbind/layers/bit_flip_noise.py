import keras
import tensorflow as tf

from tfbind import seeds
from tfbind.layers._corruption import ElementwiseCorruption


@keras.saving.register_keras_serializable("tfbind")
class BitFlipNoise(ElementwiseCorruption):
    """Flips a random part of the elements of a binary input: `x + n * (1 - 2 * x)`.

    Args:
        probability: Float in [0, 1], the chance of each element to be flipped.
        seed: Integer base seed, or None to draw one.

    Call arguments:
        inputs: float32 tensor of any shape, in [0, 1].
        training: Whether to corrupt; otherwise the inputs pass unchanged.

    Returns:
        float32 tensor of the shape of `inputs`, in [0, 1].

    Raises:
        ValueError: If `probability` is not in [0, 1].

    Example:

    >>> flipped = tfbind.layers.BitFlipNoise(1.0)(np.array([[0.0, 1.0]]), training=True)
    >>> np.asarray(flipped).tolist()
    [[1.0, 0.0]]

    References:
        Greff, Rasmus, Berglund, Hao, Schmidhuber, Valpola. Tagger: Deep Unsupervised Perceptual
        Grouping. NIPS, 2016. https://arxiv.org/abs/1606.06724, supplementary material A.1.
    """

    def corrupt(self, inputs: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        flip = tf.cast(seeds.uniform(tf.shape(inputs), seed) < self.probability, inputs.dtype)
        return inputs + flip * (1.0 - 2.0 * inputs)
