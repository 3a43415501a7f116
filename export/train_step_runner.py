import os
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from tfbind.export.program_runner import ProgramRunner


class TrainStepRunner(ProgramRunner):
    """Trains with an exported step on any device that JAX knows; needs no TensorFlow.

    Args:
        folder: The folder that `export_train_step` made.
        device: As for `ProgramRunner`.
        values: As for `ProgramRunner`.

    Attributes:
        device: The `jax.Device`.
        variables: List of the variables' values, in the order of `programs.json`.

    Raises:
        ValueError: If there is no such folder or device.

    Example:

    >>> model = tfbind.DenoisingAutoencoder((4,), hidden_units=2)
    >>> model.compile(keras.optimizers.Adam())
    >>> folder = os.path.join(tempfile.mkdtemp(), "train_step")
    >>> _ = tfbind.export.export_train_step(model, np.zeros((8, 4), "float32"), folder)
    >>> runner = tfbind.export.TrainStepRunner(folder, "cpu")
    >>> order = np.arange(24).reshape(3, 8)
    >>> runner.train({"image": np.eye(24, 4, dtype="float32")}, {"image": order})["loss"].shape
    (3,)
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        device: str | None = None,
        values: Sequence[np.ndarray] | None = None,
    ) -> None:
        super().__init__(folder, device, values)
        self._fresh = {
            place: np.asarray(self.variables[place])
            for place, spec in enumerate(self._described["variables"])
            if spec["is_metric"]
        }

    def train(
        self,
        data: Mapping[str, np.ndarray | jax.Array],
        order: Mapping[str, np.ndarray | jax.Array],
    ) -> dict[str, np.ndarray]:
        """Runs steps on the device, with metrics that start from zero as in an epoch of `fit`.

        Args:
            data: Dict of the name of an input to its examples, an array `[n, ...]`; "image" where a
                step takes an array. What is a `jax.Array` on the device already is not moved.
            order: Dict of the name of an input to int `[steps, batch_size]`, the examples of
                each step.

        Returns:
            A dict of a log's name to its values after each step, float32 `[steps]`. As in `fit`
            the loss is the mean over the steps so far.
        """
        for place, value in self._fresh.items():
            self.variables[place] = value
        logs = self.run("train_step", data, order)
        return {name: np.asarray(values) for name, values in logs.items()}

    def set_learning_rate(self, value: float) -> None:
        """Sets the variable that holds the learning rate, of every optimiser."""
        places = self._described["learning_rates"]
        if None in places:
            raise ValueError(
                "The learning rate must be a variable. Received: a step with a schedule of its own."
            )
        for place in places:
            self.variables[place] = np.float32(value)
