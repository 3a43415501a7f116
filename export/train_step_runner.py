import dataclasses
import json
import os
import pathlib
from typing import Any

import jax
import jax.export
import numpy as np
from numpy.typing import ArrayLike

from tfbind import _files
from tfbind._validation import check_choice


class TrainStepRunner:
    """Trains with an exported step on any device that JAX knows; needs no TensorFlow.

    Args:
        folder: The folder that `export_train_step` made.
        device: Platform and, if not the first one, number of the device, such as "cpu", "cuda" or
            "tpu:1"; or None for JAX' own choice.

    Attributes:
        device: The `jax.Device`.
        variables: List of the variables' values, in the order of `train_step.json`.

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

    variables: list[jax.typing.ArrayLike]

    def __init__(self, folder: str | os.PathLike, device: str | None = None) -> None:
        folder = pathlib.Path(folder)
        if not (folder / "train_step.json").is_file():
            raise ValueError(
                "`folder` must be made by `tfbind.export.export_train_step`. "
                f"Received: folder={str(folder)!r}, which has no train_step.json."
            )
        described = json.loads((folder / "train_step.json").read_text())
        self._described = described
        self.device = _find_device(device)
        with np.load(folder / "variables.npz") as initial:
            self._initial = _values(initial, described)
        self._put(self._initial)
        step = (folder / "train_step.mlirbc").read_bytes()
        with jax.enable_x64(True):  # Keras' step counter is int64
            call = _callable(step, described)
        self._epoch = jax.jit(_epoch(call, described), donate_argnums=0)

    def train(
        self, data: dict[str, np.ndarray | jax.Array], order: dict[str, np.ndarray | jax.Array]
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
        names = {spec["name"] for spec in self._described["inputs"]}
        if set(data) != names or set(order) != names:
            raise ValueError(
                f"`data` and `order` must have the keys {sorted(names)}. "
                f"Received: {sorted(data)} and {sorted(order)}."
            )
        variables = [
            initial if spec["is_metric"] else variable
            for spec, initial, variable in zip(
                self._described["variables"], self._initial, self.variables, strict=True
            )
        ]
        with jax.enable_x64(True):
            variables, data, order = jax.device_put((variables, data, order), self.device)
            self.variables, logs = self._epoch(variables, data, order)
        return {log["name"]: np.asarray(logs[log["output"]]) for log in self._described["logs"]}

    def set_learning_rate(self, value: float) -> None:
        """Sets the variable that holds the learning rate, of every optimiser."""
        places = self._described["learning_rates"]
        if None in places:
            raise ValueError(
                "The learning rate must be a variable. Received: a step with a schedule of its own."
            )
        for place in places:
            self.variables[place] = np.float32(value)

    def save(self, path: str | os.PathLike, **notes: ArrayLike) -> None:
        """Writes the variables to a .npz file, which appears whole, beside `notes`, arrays."""
        with _files.replacing(path) as partial:
            arrays = map(np.asarray, self.variables)
            np.savez(partial, *arrays, **notes)  # type: ignore[arg-type]  # its own `allow_pickle`

    def restore(self, path: str | os.PathLike) -> None:
        """Goes back to the variables in a file that `save` made."""
        with np.load(path) as saved:
            self._put(_values(saved, self._described))

    def _put(self, values):
        with jax.enable_x64(True):
            self.variables = jax.device_put(values, self.device)


def _find_device(device):
    if device is None:
        return jax.devices()[0]
    platform, _, number = device.partition(":")
    try:
        found = {str(i): each for i, each in enumerate(jax.devices(platform))}
    except RuntimeError as error:
        raise ValueError(
            f"`device` must be a device of this machine. Received: device={device!r}; {error}."
        ) from error
    return found[check_choice("device", number or "0", tuple(found))]


def _values(saved, described):
    return [saved[f"arr_{number}"] for number in range(len(described["variables"]))]


def _epoch(call, described):
    """Returns a function of variables, data and order that runs one step for each row of order."""
    inputs = [spec["name"] for spec in described["inputs"]]
    places = [(spec["argument"], spec["output"]) for spec in described["variables"]]
    num_logs = len(described["logs"])

    def step(data, variables, rows):
        arguments = dict(enumerate(data[name][rows[name]] for name in inputs))
        for (argument, _), variable in zip(places, variables, strict=True):
            if argument is not None:
                arguments[argument] = variable
        outputs = call(*(arguments[number] for number in range(len(arguments))))
        variables = [
            variable if output is None else outputs[output]
            for (_, output), variable in zip(places, variables, strict=True)
        ]
        return variables, outputs[:num_logs]

    def epoch(variables, data, order):
        return jax.lax.scan(lambda carry, rows: step(data, carry, rows), variables, order)

    return epoch


def _callable(step, described):
    """Returns a function that JAX can trace, of the program's arguments to its outputs.

    It is an empty function, exported with the same arguments and outputs, in which the program
    takes the place of the empty one.
    """
    arguments: dict[int | None, Any] = dict(enumerate(map(_shape, described["inputs"])))
    outputs: dict[int | None, Any] = {
        log["output"]: jax.ShapeDtypeStruct((), "float32") for log in described["logs"]
    }
    for spec in described["variables"]:
        arguments[spec["argument"]] = outputs[spec["output"]] = _shape(spec)
    for places in (arguments, outputs):
        places.pop(None, None)

    def empty(*_):
        return tuple(
            jax.numpy.zeros(outputs[number].shape, outputs[number].dtype)
            for number in range(len(outputs))
        )

    exported = jax.export.export(
        jax.jit(empty, keep_unused=True),
        disabled_checks=[jax.export.DisabledSafetyCheck.platform()],
    )(*(arguments[number] for number in range(len(arguments))))
    return dataclasses.replace(exported, mlir_module_serialized=step).call


def _shape(spec):
    return jax.ShapeDtypeStruct(tuple(spec["shape"]), spec["dtype"])
