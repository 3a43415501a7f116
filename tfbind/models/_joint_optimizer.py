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
        ValueError: If the optimisers scale losses by different factors, or are to change
            variables that they have not been built for.
    """

    members: tuple[keras.optimizers.Optimizer, ...] = ()

    def __init__(
        self,
        optimizers: Sequence[keras.optimizers.Optimizer],
        ratios: Sequence[float | None] | None = None,
        name: str = "joint",
    ) -> None:
        if any(isinstance(each, keras.optimizers.LossScaleOptimizer) for each in optimizers):
            raise ValueError(
                "`optimizers` must not be LossScaleOptimizers, for all share one loss scale. "
                "Received: one; the dtype policy mixed_float16 brings the scale by itself."
            )
        factors = {optimizer.loss_scale_factor for optimizer in optimizers}
        if len(factors) > 1:
            raise ValueError(
                "All optimizers of a model must have the same `loss_scale_factor`. "
                f"Received: {sorted(map(str, factors))}."
            )
        accumulated = optimizers[0].gradient_accumulation_steps  # which `iterations` goes by
        super().__init__(learning_rate=0.0, gradient_accumulation_steps=accumulated, name=name)
        self.members = tuple(optimizers)
        self.ratios = _ratios(self.members) if ratios is None else tuple(ratios)
        self._groups: list[list[keras.Variable]] = []

    def divide(self, groups: Sequence[Sequence[keras.Variable]]) -> None:
        """Gives each optimiser its variables, unless it is built and has them already."""
        if not self.built:
            self._groups = [list(group) for group in groups]

    def build(self, variables: Sequence[keras.Variable]) -> None:
        for optimizer, group in zip(self.members, self._groups, strict=True):
            if not optimizer.built:
                optimizer.build(group)
        self.built = True

    def apply(self, grads: Sequence[tf.Tensor], trainable_variables: Any = None) -> None:
        """Lets every optimiser change its own variables by their gradients."""
        found = {id(v): grad for v, grad in zip(trainable_variables, grads, strict=True)}
        for optimizer, group in zip(self.members, self._groups, strict=True):
            own = [variable for variable in group if id(variable) in found]
            optimizer.apply([found.pop(id(variable)) for variable in own], own)
        if found:
            raise ValueError(
                "`trainable_variables` must be those that the optimizers were built for. Received: "
                f"{len(found)} others; compile the model with new optimizers."
            )
        self._iterations.assign_add(1)  # those of a player whose variables are frozen stand still

    @property
    def variables(self) -> list[keras.Variable]:
        inside = [variable for optimizer in self.members for variable in optimizer.variables]
        return [self._iterations, *inside]

    @property
    def loss_scale_factor(self) -> float | None:
        return next((each.loss_scale_factor for each in self.members), None)

    @loss_scale_factor.setter
    def loss_scale_factor(self, factor: float | None) -> None:
        for optimizer in self.members:
            optimizer.loss_scale_factor = factor

    @property
    def learning_rate(self) -> Any:
        return self.members[0].learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.members[0].learning_rate = value
        for optimizer, ratio in zip(self.members[1:], self.ratios, strict=True):
            if ratio is not None:
                optimizer.learning_rate = ratio * value

    def finalize_variable_values(self, var_list: Any) -> None:
        """Puts averaged weights in place, each optimiser for its own variables."""
        for optimizer, group in zip(self.members, self._groups, strict=True):
            optimizer.finalize_variable_values(group)

    # Keras saves the optimisers inside on their own.

    def save_own_variables(self, store: Any) -> None:
        store["iteration"] = self._iterations.numpy()

    def load_own_variables(self, store: Any) -> None:
        self._iterations.assign(store["iteration"])

    def get_config(self) -> dict:
        return {
            "name": self.name,
            "optimizers": [keras.optimizers.serialize(each) for each in self.members],
            "ratios": self.ratios,
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects: Any = None) -> "JointOptimizer":
        optimizers = [
            keras.optimizers.deserialize(each, custom_objects) for each in config["optimizers"]
        ]
        return cls(optimizers, config["ratios"], config["name"])


def _ratios(optimizers: Sequence[keras.optimizers.Optimizer]) -> tuple[float | None, ...]:
    first, *others = (each.get_config()["learning_rate"] for each in optimizers)
    fixed = isinstance(first, float) and first > 0.0
    return tuple(rate / first if fixed and isinstance(rate, float) else None for rate in others)
