from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfbind")
class JointOptimizer(keras.optimizers.Optimizer):
    """Several optimisers, each of variables of its own, as one that Keras can handle.

    An adversarial model has one, so that whatever acts on `model.optimizer` (learning rate
    schedules, averaged weights, loss scaling, checkpoints) acts on all players. `learning_rate` is
    that of the first optimiser; setting it scales the others', so that the rates keep the ratios
    that they had at first. A rate that is a Keras schedule of its own is left to it.

    Args:
        optimizers: Two Keras optimisers or more, of equal `loss_scale_factor`.
        ratios: For each optimiser but the first, its rate relative to the first's, or None where
            it keeps its own; None to take them from the rates.

    Raises:
        ValueError: If the optimisers scale losses by different factors.
    """

    def __init__(
        self,
        optimizers: Sequence[keras.optimizers.Optimizer],
        ratios: Sequence[float | None] | None = None,
        name: str = "joint",
    ):
        factors = {optimizer.loss_scale_factor for optimizer in optimizers}
        if len(factors) > 1:
            raise ValueError(
                "All optimizers of a model must have the same `loss_scale_factor`. "
                f"Received: {sorted(map(str, factors))}."
            )
        super().__init__(learning_rate=0.0, name=name)
        self.optimizers = tuple(optimizers)
        self.ratios = _ratios(self.optimizers) if ratios is None else tuple(ratios)
        self._groups: list[list[keras.Variable]] = []

    def divide(self, groups: Sequence[Sequence[keras.Variable]]) -> None:
        """Gives each optimiser its variables; call it before `build`."""
        self._groups = [list(group) for group in groups]

    def build(self, variables: Sequence[keras.Variable]) -> None:
        for optimizer, group in zip(self.optimizers, self._groups, strict=True):
            if not optimizer.built:
                optimizer.build(group)
        self.built = True

    def apply(self, grads: Sequence[tf.Tensor], trainable_variables: Any = None) -> None:
        """Lets every optimiser change its own variables by their gradients."""
        found = {id(v): grad for v, grad in zip(trainable_variables, grads, strict=True)}
        for optimizer, group in zip(self.optimizers, self._groups, strict=True):
            own = [variable for variable in group if id(variable) in found]
            optimizer.apply([found[id(variable)] for variable in own], own)

    @property
    def variables(self) -> list[keras.Variable]:
        return [variable for optimizer in self.optimizers for variable in optimizer.variables]

    @property
    def iterations(self) -> keras.Variable:
        return self.optimizers[0].iterations

    @property
    def learning_rate(self) -> Any:
        return self.optimizers[0].learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.optimizers[0].learning_rate = value
        for optimizer, ratio in zip(self.optimizers[1:], self.ratios, strict=True):
            if ratio is not None:
                optimizer.learning_rate = ratio * value

    def scale_loss(self, loss: tf.Tensor) -> tf.Tensor:
        return self.optimizers[0].scale_loss(loss)

    def finalize_variable_values(self, var_list: Any) -> None:
        """Puts averaged weights in place, each optimiser for its own variables."""
        for optimizer, group in zip(self.optimizers, self._groups, strict=True):
            optimizer.finalize_variable_values(group)

    # Keras saves the optimisers inside on their own.

    def save_own_variables(self, store: Any) -> None:
        pass

    def load_own_variables(self, store: Any) -> None:
        pass

    def get_config(self) -> dict:
        return {
            "name": self.name,
            "optimizers": [keras.optimizers.serialize(each) for each in self.optimizers],
            "ratios": self.ratios,
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects: Any = None) -> "JointOptimizer":
        optimizers = [keras.optimizers.deserialize(each) for each in config["optimizers"]]
        return cls(optimizers, config["ratios"], config["name"])


def _ratios(optimizers: Sequence[keras.optimizers.Optimizer]) -> tuple[float | None, ...]:
    first, *others = (each.get_config()["learning_rate"] for each in optimizers)
    fixed = isinstance(first, float) and first > 0.0
    return tuple(rate / first if fixed and isinstance(rate, float) else None for rate in others)
