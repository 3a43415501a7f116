import keras
import tensorflow as tf

from tfbind._validation import check_choice, check_integer, check_number


@keras.saving.register_keras_serializable("tfbind")
class Standardization(keras.layers.Layer):
    """Subtracts the mean and divides by the standard deviation; learns no scale and no shift.

    Batch normalisation without its affine part, or layer normalisation without its own. It may
    run several times in one forward pass, as in `Tagger`, whose iterations share their weights
    but not their statistics: every pass then has population statistics of its own. Those are
    zero mean and unit variance until `update=True` has seen a batch.

    Args:
        kind: "batch" (every unit over the rows) or "layer" (every row over its units).
        num_passes: Integer, sets of population statistics; unused by "layer".
        epsilon: Float, added to the variance.
        momentum: Float in [0, 1), the most weight that the past has in the population statistics.
            They are the plain average of all batches until 1 / (1 - momentum) have been seen.

    Call arguments:
        inputs: float32 `[..., N]`.
        index: Integer, which pass this is.
        population: Whether to use the population statistics instead of the batch's own.
        update: Whether to move the population statistics towards the batch's own, the variance
            with Bessel's correction; or "average", to keep them the plain average of all batches,
            however many.

    Returns:
        float32, the shape of `inputs`.

    Example:

    >>> standardize = tfbind.layers.Standardization("layer")
    >>> np.round(standardize(np.array([[1.0, 3.0]], "float32")), 3).tolist()
    [[-1.0, 1.0]]

    References:
        Ioffe, Szegedy. Batch Normalization. ICML, 2015. https://arxiv.org/abs/1502.03167
        Ba, Kiros, Hinton. Layer Normalization. 2016. https://arxiv.org/abs/1607.06450
    """

    def __init__(self, kind="batch", *, num_passes=1, epsilon=1e-10, momentum=0.99, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.kind = check_choice("kind", kind, ("batch", "layer"))
        self.num_passes = check_integer("num_passes", num_passes, 1)
        self.epsilon = check_number("epsilon", epsilon, 0, open_low=True)
        self.momentum = check_number("momentum", momentum, 0, 1)

    def build(self, input_shape):
        if self.kind == "batch":
            shape = (self.num_passes, input_shape[-1])
            self.mean = self.add_weight(
                autocast=False, shape=shape, initializer="zeros", trainable=False
            )
            self.variance = self.add_weight(
                autocast=False, shape=shape, initializer="ones", trainable=False
            )
            self.count = self.add_weight(
                autocast=False, shape=(self.num_passes,), initializer="zeros", trainable=False
            )

    def reset(self):
        """Forgets the population statistics: the next update starts a new average."""
        if self.kind == "batch":
            self.count.assign(tf.zeros_like(self.count))

    def moments(self, inputs):
        """Returns mean and variance of `inputs`, of a shape that broadcasts against it."""
        axes = [-1] if self.kind == "layer" else list(range(len(inputs.shape) - 1))
        return tf.nn.moments(inputs, axes, keepdims=True)

    def call(self, inputs, index=0, population=False, update=False):
        return self.standardize(inputs, index, population, update)[0]

    def standardize(self, inputs, index=0, population=False, update=False):
        """Returns what `call` does, and the mean and the variance it used."""
        if population and self.kind == "batch":
            mean, variance = self.mean[index], self.variance[index]
        else:
            mean, variance = self.moments(inputs)
            if update and self.kind == "batch":
                self._update(index, inputs, mean, variance, update == "average")
        return (inputs - mean) * tf.math.rsqrt(variance + self.epsilon), mean, variance

    def _update(self, index, inputs, mean, variance, plain):
        rows = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
        unbiased = variance * rows / tf.maximum(rows - 1.0, 1.0)
        least = 0.0 if plain else 1.0 - self.momentum
        rate = tf.maximum(1.0 / (self.count[index] + 1.0), least)
        this = tf.one_hot(index, self.num_passes)[:, None]
        self.count.assign_add(this[:, 0])
        rate *= this
        for population, batch in ((self.mean, mean), (self.variance, unbiased)):
            # Not `+= rate * (batch - population)`, which rounds a tiny variance to the size of 1
            population.assign((1.0 - rate) * population + rate * tf.reshape(batch, [1, -1]))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "kind": self.kind,
            "num_passes": self.num_passes,
            "epsilon": self.epsilon,
            "momentum": self.momentum,
        }
