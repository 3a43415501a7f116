import itertools
import json
import os
import pathlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.compiler.mlir.stablehlo import stablehlo

from tfbind._validation import check_integer
from tfbind.export import _layout
from tfbind.export._endpoints import trace_endpoints
from tfbind.models._batch import as_dict

_COPY = re.compile(r"mhlo\.copy (%\S+) : (tensor<\S+>)")
_ALIAS = re.compile(r"parameter_number = (\d+) : i64\}, output_index = array<i64: (\d+)>")
_COUNTER = re.compile(r"_\d+(?=/|_|$)")


def export_train_step(
    model: keras.Model, batch: np.ndarray | dict[str, np.ndarray], folder: str | os.PathLike
) -> str:
    """Writes the training step that `fit` runs, optimiser included, as one StableHLO program.

    `TrainStepRunner` trains with it on any accelerator whose runtime speaks PJRT, without
    TensorFlow; `restore_variables` brings the weights back. The folder is as `export_programs`
    makes it, of a program `train_step` whose outputs are the logs, as `fit` logs them, and which
    may hold further programs over the same variables.

    Args:
        model: A compiled and built model.
        batch: What a step takes, an array or a dict of arrays; only shapes and dtypes count.
        folder: Path of the folder to make.

    Returns:
        The path of the folder, as a string.

    Raises:
        ValueError: As `export_programs` does.

    Example:

    >>> model = tfbind.DenoisingAutoencoder((4,), hidden_units=2)
    >>> model.compile(keras.optimizers.Adam())
    >>> folder = os.path.join(tempfile.mkdtemp(), "train_step")
    >>> _ = tfbind.export.export_train_step(model, np.zeros((8, 4), "float32"), folder)
    >>> sorted(os.listdir(folder))
    ['programs.json', 'train_step.mlirbc', 'variables.npz']
    """
    return export_programs(model, {"train_step": (model.train_step, batch)}, folder)


def export_programs(
    model: keras.Model,
    functions: Mapping[str, tuple[Callable, Any]],
    folder: str | os.PathLike,
    *,
    with_values: bool = True,
) -> str:
    """Writes functions that read and change a model's variables as StableHLO programs.

    `ProgramRunner` runs them without TensorFlow, over variables that they share. The folder appears
    whole, and holds

    - `NAME.mlirbc`, each program as a portable StableHLO artifact. Its arguments are the inputs and
      then variables, its outputs what the function returns and then new values of variables.
    - `programs.json`: `variables`, all of the model, its optimisers and its metrics in the model's
      own order, with `path`, `shape`, `dtype` and `is_metric`; `learning_rates`, the place among
      them of each optimiser's learning rate, null if it is no variable; and `programs`, of each by
      name `inputs`, with `name`, `shape` and `dtype`, `outputs`, with `output`, its number,
      besides, and for all variables in their order `arguments` and `results`, the number of the
      argument or output that each is, null where the program does not read or write it.
    - `variables.npz`, the value of every variable: `arr_0`, `arr_1`, ... Metrics are as they are at
      the start of an epoch, from zero.

    Args:
        model: A compiled and built model.
        functions: Dict of name to a function of TensorFlow, of a dict of tensors to a dict of
            tensors, and what it takes, an array or a dict of arrays of which only shapes and dtypes
            count.
        folder: Path of the folder to make.
        with_values: Whether to write `variables.npz`; if not, a runner is given the values.

    Returns:
        The path of the folder, as a string.

    Raises:
        ValueError: If the folder exists, the model is not compiled, or a function reads a tensor
            that is none of the variables.

    Example:

    >>> model = tfbind.DenoisingAutoencoder((4,), hidden_units=2)
    >>> model.compile(keras.optimizers.Adam())
    >>> folder = os.path.join(tempfile.mkdtemp(), "programs")
    >>> predict = lambda batch: model(batch["image"])
    >>> functions = {"predict": (predict, np.zeros((8, 4), "float32"))}
    >>> _ = tfbind.export.export_programs(model, functions, folder)
    >>> tfbind.export.ProgramRunner(folder, "cpu").names
    ('predict',)
    """
    variables = _variables(model)
    model.reset_metrics()
    described = _describe_model(model, variables, model.optimizers)
    return _write(described, variables, functions, pathlib.Path(folder), with_values)


def export_stablehlo(model: keras.Model, folder: str | os.PathLike, batch_size: int = 1) -> str:
    """Writes a model's endpoints as StableHLO programs, one each.

    Use it for accelerators whose runtime speaks PJRT. `StableHLORunner` runs them under JAX,
    without TensorFlow. The folder is as `export_programs` makes it.

    Args:
        model: A built model with `serving_endpoints()`.
        folder: Path of the folder to make.
        batch_size: Integer >= 1, the rows of every call.

    Returns:
        The path of the folder, as a string.

    Raises:
        ValueError: If the folder exists, or an endpoint cannot be exported.

    Example:

    >>> model = tfbind.DenoisingAutoencoder((4,), hidden_units=2)
    >>> folder = tfbind.export.export_stablehlo(model, tempfile.mkdtemp() + "/programs")
    >>> sorted(os.listdir(folder))
    ['programs.json', 'serving_default.mlirbc', 'variables.npz']
    """
    traced = trace_endpoints(model, check_integer("batch_size", batch_size, 1))
    functions = {name: _of_dict(entry) for name, entry in traced.items()}
    described = _describe_model(model, model.variables, ())
    return _write(described, model.variables, functions, pathlib.Path(folder), True)


def _of_dict(entry):
    """Returns an endpoint as a function of a dict of tensors, and such a dict."""

    def function(batch):
        return entry.function(*(batch[name] for name in entry.inputs))

    zeros = {name: np.zeros(x.shape, x.dtype.as_numpy_dtype) for name, x in entry.inputs.items()}
    return function, zeros


def _write(described, variables, functions, folder, with_values):
    """Writes the folder that `export_programs` speaks of."""
    if folder.exists():
        raise ValueError(f"`folder` must be a new one. Received: folder={str(folder)!r}.")
    with _layout.written_at_once(folder.parent) as temporary:
        made = temporary / "programs"
        made.mkdir()
        for name, (function, batch) in functions.items():
            program, described["programs"][name] = _lowered(function, batch, variables)
            (made / f"{name}.mlirbc").write_bytes(_portable(program))
        if with_values:
            np.savez(made / "variables.npz", *(variable.numpy() for variable in variables))
        (made / "programs.json").write_text(json.dumps(described, indent=1))
        os.rename(made, folder)
    return str(folder)


def restore_variables(
    model: keras.Model, folder: str | os.PathLike, path: str | os.PathLike
) -> None:
    """Brings what a `ProgramRunner` saved back into Keras: weights, optimisers and metrics.

    Args:
        model: A compiled and built model, made as the one that was exported.
        folder: The folder that `export_train_step` or `export_programs` made.
        path: The file that `ProgramRunner.save` made.

    Raises:
        ValueError: If the model's variables are others than those exported.
    """
    described = json.loads((pathlib.Path(folder) / "programs.json").read_text())["variables"]
    variables = _variables(model)
    mine = [(_plain(v.path), list(v.shape), v.dtype) for v in variables]
    theirs = [(_plain(v["path"]), v["shape"], v["dtype"]) for v in described]
    if mine != theirs:
        pairs = itertools.zip_longest(mine, theirs)
        found, wanted = next(pair for pair in pairs if pair[0] != pair[1])
        raise ValueError(
            f"`model` must have the {len(theirs)} variables that were exported. Received: "
            f"{len(mine)} variables, with {found} in the place of {wanted}."
        )
    with np.load(path) as saved:
        for number, variable in enumerate(variables):
            variable.assign(saved[f"arr_{number}"])


def _variables(model):
    """Returns all that a step may change, in an order that the same model always has."""
    if not model.compiled:
        raise ValueError("`model` must be compiled. Received: a model without an optimizer.")
    return [*model.variables, *model.optimizer.variables, *model.metrics_variables]


def _describe_model(model, variables, optimizers):
    metrics = {id(variable) for variable in model.metrics_variables}
    places = {id(variable): place for place, variable in enumerate(variables)}
    return {
        "variables": [
            {
                "path": variable.path,
                "shape": list(variable.shape),
                "dtype": variable.dtype,
                "is_metric": id(variable) in metrics,
            }
            for variable in variables
        ],
        "learning_rates": [places.get(id(optimizer.learning_rate)) for optimizer in optimizers],
        "programs": {},
    }


def _lowered(function, batch, variables):
    """Returns the text of a program and what `programs.json` says of it."""
    batch = {key: tf.convert_to_tensor(value) for key, value in as_dict(batch).items()}
    compiled = tf.function(function, jit_compile=True, autograph=False)
    traced = compiled.get_concrete_function(batch)
    program = compiled.experimental_get_compiler_ir(batch)(stage="stablehlo")
    arguments = _arguments(traced, variables)
    results = {int(argument): int(output) for argument, output in _ALIAS.findall(program)}
    return program, {
        # `tf.nest` flattens dicts so
        "inputs": [{"name": name, **_spec(batch[name])} for name in sorted(batch)],
        "outputs": _describe_outputs(traced.structured_outputs),
        "arguments": arguments,
        "results": [None if each is None else results.get(each) for each in arguments],
    }


def _describe_outputs(outputs):
    numbers = {name: number for number, name in enumerate(sorted(outputs))}
    return [{"name": name, "output": numbers[name], **_spec(outputs[name])} for name in outputs]


def _spec(tensor):
    return {"shape": list(tensor.shape), "dtype": tensor.dtype.name}


def _arguments(traced, variables):
    """Returns the number of the argument that each variable is; None of one that is not read."""
    captured = {id(tensor): i for i, tensor in enumerate(traced.captured_inputs)}
    num_inputs = len(traced.inputs) - len(captured)
    arguments = [captured.pop(id(variable.value.handle), None) for variable in variables]
    if captured:
        raise ValueError(
            "A program of `model` must read no tensors but its input and its variables. "
            f"Received: {[traced.captured_inputs[i] for i in captured.values()]}."
        )
    return [None if number is None else num_inputs + number for number in arguments]


def _portable(program):
    """Returns a StableHLO program in the format that later runtimes promise to read."""
    # `mhlo.copy`, all that is not StableHLO in it, is the identity, as is a reshape to its shape.
    program = _COPY.sub(r"stablehlo.reshape \1 : (\2) -> \2", program)
    return stablehlo.serialize_portable_artifact_str(program, stablehlo.get_current_version())


def _plain(path):
    """Returns a path without the numbers by which Keras tells the models of a process apart."""
    return _COUNTER.sub("", path)
