import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.export
import numpy as np
from numpy.typing import ArrayLike

from tfbind import _files
from tfbind._validation import check_choice

_Arrays = Mapping[str, np.ndarray | jax.Array]


class ProgramRunner:
    """Runs exported programs on any device that JAX knows; needs no TensorFlow.

    Args:
        folder: The folder that `export_programs` made.
        device: Platform and, if not the first one, number of the device, such as "cpu", "cuda" or
            "tpu:1"; or None for JAX' own choice.
        values: The variables' values, in the order of `programs.json`; None for those that were
            exported.

    Attributes:
        device: The `jax.Device`.
        names: Tuple of the names of the programs.
        variables: List of the variables' values, in the order of `programs.json`.

    Raises:
        ValueError: If there is no such folder or device.

    Example:

    >>> model = tfbind.DenoisingAutoencoder((4,), hidden_units=2)
    >>> model.compile(keras.optimizers.Adam())
    >>> folder = os.path.join(tempfile.mkdtemp(), "programs")
    >>> predict = lambda batch: {"restored": model(batch["image"])}
    >>> functions = {"predict": (predict, np.zeros((8, 4), "float32"))}
    >>> _ = tfbind.export.export_programs(model, functions, folder)
    >>> runner = tfbind.export.ProgramRunner(folder, "cpu")
    >>> data, order = np.eye(24, 4, dtype="float32"), np.arange(24).reshape(3, 8)
    >>> runner.run("predict", {"image": data}, {"image": order})["restored"].shape
    (3, 8, 4)
    """

    variables: list[jax.typing.ArrayLike]

    def __init__(
        self,
        folder: str | os.PathLike,
        device: str | None = None,
        values: Sequence[np.ndarray] | None = None,
    ) -> None:
        self._folder = pathlib.Path(folder)
        if not (self._folder / "programs.json").is_file():
            raise ValueError(
                "`folder` must be made by `tfbind.export`, by `export_programs` or "
                f"`export_train_step`. Received: folder={str(folder)!r}, which has no "
                "programs.json."
            )
        self._described = json.loads((self._folder / "programs.json").read_text())
        self.device = _find_device(device)
        if values is None:
            with np.load(self._folder / "variables.npz") as initial:
                values = self._values(initial)
        self._put(values)
        self._compiled: dict[str, Any] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._described["programs"])

    def inputs(self, name: str) -> tuple[str, ...]:
        """Returns the names of a program's inputs."""
        return tuple(spec["name"] for spec in self._described["programs"][name]["inputs"])

    def written(self, name: str) -> list[int]:
        """Returns the places of the variables that a program changes."""
        results = self._described["programs"][name]["results"]
        return [place for place, result in enumerate(results) if result is not None]

    def run(self, name: str, data: _Arrays, order: _Arrays) -> dict[str, jax.Array]:
        """Runs a program on the device again and again, once for each row of `order`.

        Args:
            name: One of `names`.
            data: Dict of the name of an input to its examples, an array `[n, ...]`. What is a
                `jax.Array` on the device already is not moved.
            order: Dict of the name of an input to int `[steps, batch_size]`, the examples of
                each step.

        Returns:
            A dict of the name of an output to its values, `[steps, ...]`, on the device.
        """
        described = self._described["programs"][check_choice("name", name, self.names)]
        names = set(self.inputs(name))
        if set(data) != names or set(order) != names:
            raise ValueError(
                f"`data` and `order` must have the keys {sorted(names)}. "
                f"Received: {sorted(data)} and {sorted(order)}."
            )
        with jax.enable_x64(True):  # Keras' step counter is int64
            if name not in self._compiled:
                step = (self._folder / f"{name}.mlirbc").read_bytes()
                call = _callable(step, described, self._described["variables"])
                self._compiled[name] = jax.jit(_scan(call, described), donate_argnums=0)
            taken = jax.device_put((self.variables, dict(data), dict(order)), self.device)
            self.variables, outputs = self._compiled[name](*taken)
        return {spec["name"]: outputs[spec["output"]] for spec in described["outputs"]}

    def save(self, path: str | os.PathLike, **notes: ArrayLike) -> None:
        """Writes the variables to a .npz file, which appears whole, beside `notes`, arrays."""
        with _files.replacing(path) as partial:
            arrays = map(np.asarray, self.variables)
            np.savez(partial, *arrays, **notes)  # type: ignore[arg-type]  # its own `allow_pickle`

    def restore(self, path: str | os.PathLike) -> None:
        """Goes back to the variables in a file that `save` made."""
        with np.load(path) as saved:
            self._put(self._values(saved))

    def _values(self, saved):
        return [saved[f"arr_{number}"] for number in range(len(self._described["variables"]))]

    def _put(self, values):
        with jax.enable_x64(True):
            self.variables = jax.device_put(list(values), self.device)


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


def _scan(call, described):
    """Returns a function of variables, data and order that runs a program for each row of order."""
    inputs = [spec["name"] for spec in described["inputs"]]
    places = list(zip(described["arguments"], described["results"], strict=True))
    num_outputs = len(described["outputs"])

    def step(data, variables, rows):
        arguments = dict(enumerate(data[name][rows[name]] for name in inputs))
        for (argument, _), variable in zip(places, variables, strict=True):
            if argument is not None:
                arguments[argument] = variable
        outputs = call(*(arguments[number] for number in range(len(arguments))))
        variables = [
            variable if result is None else outputs[result]
            for (_, result), variable in zip(places, variables, strict=True)
        ]
        return variables, outputs[:num_outputs]

    def scan(variables, data, order):
        return jax.lax.scan(lambda carry, rows: step(data, carry, rows), variables, order)

    return scan


def _callable(step, described, variables):
    """Returns a function that JAX can trace, of the program's arguments to its outputs.

    It is an empty function, exported with the same arguments and outputs, in which the program
    takes the place of the empty one.
    """
    arguments: dict[int | None, Any] = dict(enumerate(map(_shape, described["inputs"])))
    outputs: dict[int | None, Any] = {spec["output"]: _shape(spec) for spec in described["outputs"]}
    numbers = (described["arguments"], described["results"])
    for spec, argument, result in zip(variables, *numbers, strict=True):
        arguments[argument] = outputs[result] = _shape(spec)
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
