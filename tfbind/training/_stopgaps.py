"""What the models will say of themselves, until they do."""

from collections.abc import Callable
from typing import Any

import keras

from tfbind.models import LadderNetwork, Tagger


def needs_calibration(model: keras.Model) -> bool:
    # until every model has `needs_calibration`
    if isinstance(model, Tagger):
        return model.normalization == "batch"
    return isinstance(model, LadderNetwork)


def iterations_argument(model: keras.Model) -> str:
    # until every grouping model has `ITERATIONS`
    return "inference_iterations" if isinstance(model, Tagger) else "num_iterations"


def optimizers(model: keras.Model) -> list[keras.optimizers.Optimizer]:
    # until the models have one optimiser
    return [getattr(model, name) for name in getattr(model, "OPTIMIZERS", ("optimizer",))]


class LearningRates(keras.callbacks.LearningRateScheduler):
    # until the models have one optimiser, which `LearningRateScheduler` sets
    def __init__(self, schedule: Callable[[int], float]):
        super().__init__(schedule)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_begin(epoch, logs)
        for optimizer in optimizers(self.model):
            optimizer.learning_rate = self.schedule(epoch)
