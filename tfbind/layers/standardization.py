from typing import Any, Literal

import keras
import tensorflow as tf

from tfbind import _replicas
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
        num_members: Integer M if the first axis of the inputs is that of the M members of an
            ensemble, each with batch and population statistics of its own; None if it is one of
            rows like the others. The weights are those of M single layers, stacked.
        epsilon: Float, added to the variance.
        momentum: Float in [0, 1), the most weight that the past has in the population statistics.
            They are the plain average of all batches until 1 / (1 - momentum) have been seen.

    Call arguments:
        inputs: float32 `[..., N]`; with members `[M, ..., N]`.
        index: Integer, which pass this is.
        member: Integer, the one member that the inputs, then `[..., N]`, are of; None for all.
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

    def __init__(
        self,
        kind: Literal["batch", "layer"] = "batch",
        *,
        num_passes: int = 1,
        num_members: int | None = None,
        epsilon: float = 1e-10,
        momentum: float = 0.99,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        self.kind = check_choice("kind", kind, ("batch", "layer"))
        self.num_passes = check_integer("num_passes", num_passes, 1)
        self.num_members = None
        if num_members is not None:
            self.num_members = check_integer("num_members", num_members, 1)
        self.epsilon = check_number("epsilon", epsilon, 0, open_low=True)
        self.momentum = check_number("momentum", momentum, 0, 1)
        self._members = () if self.num_members is None else (self.num_members,)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if self.kind == "batch":
            passes = (*self._members, self.num_passes)
            self.mean = self._statistic((*passes, input_shape[-1]), "zeros")
            self.variance = self._statistic((*passes, input_shape[-1]), "ones")
            self.count = self._statistic(passes, "zeros")

    def _statistic(self, shape, initializer):
        return self.add_weight(
            autocast=False, shape=shape, initializer=initializer, trainable=False
        )

    def reset(self) -> None:
        """Forgets the population statistics: the next update starts a new average."""
        if self.kind == "batch":
            self.count.assign(tf.zeros_like(self.count))

    def call(
        self,
        inputs: tf.Tensor,
        index: int = 0,
        population: bool = False,
        update: bool | Literal["average"] = False,
        member: int | None = None,
    ) -> tf.Tensor:
        return self.standardize(inputs, index, population, update, member)[0]

    def standardize(
        self,
        inputs: tf.Tensor,
        index: int = 0,
        population: bool = False,
        update: bool | Literal["average"] = False,
        member: int | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns what `call` does, and the mean and the variance it used."""
        members = self._members if member is None else ()
        rows = range(len(members), len(inputs.shape) - 1)
        if population and self.kind == "batch":
            shape = (*members, *[1 for _ in rows], inputs.shape[-1])
            of = ... if member is None else member
            mean = tf.reshape(self.mean[of, index, :], shape)
            variance = tf.reshape(self.variance[of, index, :], shape)
        else:
            if self.kind == "batch":
                mean, variance = _replicas.moments(inputs, list(rows))
            else:
                mean, variance = tf.nn.moments(inputs, [-1], keepdims=True)
            if update and self.kind == "batch":
                count = _replicas.number() * tf.size(inputs) // tf.size(mean)
                self._update(self._chosen(index, member), count, mean, variance, update)
        return (inputs - mean) * tf.math.rsqrt(variance + self.epsilon), mean, variance

    def _chosen(self, index, member):
        """Returns 1 for the statistics of this pass, and of this member if one is given, else 0."""
        chosen = tf.broadcast_to(tf.one_hot(index, self.num_passes), self.count.shape)
        return chosen if member is None else chosen * tf.one_hot(member, self.num_members)[:, None]

    def _update(self, chosen, rows, mean, variance, update):
        rows = tf.cast(rows, tf.float32)
        unbiased = variance * rows / tf.maximum(rows - 1.0, 1.0)
        least = 0.0 if update == "average" else 1.0 - self.momentum
        rate = (chosen * tf.maximum(1.0 / (self.count + 1.0), least))[..., None]
        self.count.assign_add(chosen)
        shape = (*[-1 for _ in self._members], 1, mean.shape[-1])
        for population, batch in ((self.mean, mean), (self.variance, unbiased)):
            # Not `+= rate * (batch - population)`, which rounds a tiny variance to the size of 1
            population.assign((1.0 - rate) * population + rate * tf.reshape(batch, shape))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kind": self.kind,
            "num_passes": self.num_passes,
            "num_members": self.num_members,
            "epsilon": self.epsilon,
            "momentum": self.momentum,
        }
