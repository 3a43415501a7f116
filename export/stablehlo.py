import itertools
import json
import os
import pathlib
import re

import keras
import numpy as np
import tensorflow as tf
from tensorflow.compiler.mlir.stablehlo import stablehlo

from tfbind.export import _layout
from tfbind.models._batch import as_dict

_COPY = re.compile(r"mhlo\.copy (%\S+) : (tensor<\S+>)")
_ALIAS = re.compile(r"parameter_number = (\d+) : i64\}, output_index = array<i64: (\d+)>")
_COUNTER = re.compile(r"_\d+(?=/|_|$)")


def export_train_step(
    model: keras.Model, batch: np.ndarray | dict[str, np.ndarray], folder: str | os.PathLike
) -> str:
    """Writes the training step that `fit` runs, optimiser included, as one StableHLO program.

    `TrainStepRunner` trains with it on any accelerator whose runtime speaks PJRT, without
    TensorFlow; `restore_variables` brings the weights back. The folder appears whole, and holds

    - `train_step.mlirbc`, the program as a portable StableHLO artifact. Its arguments are the
      inputs and then variables, its outputs the logs and then new values of variables.
    - `variables.npz`, the value of every variable of the model, its optimisers and its metrics,
      in the model's own order: `arr_0`, `arr_1`, ...
    - `train_step.json`: `inputs`, with `name`, `shape` and `dtype`; `logs`, with `name` and
      `output`, as `fit` logs them; `variables`, with `path`, `shape`, `dtype`, `is_metric` and
      the numbers `argument` and `output`, null where the step does not read or write it; and
      `learning_rates`, the place among them of each optimiser's learning rate, null if it is no
      variable.

    The metrics are written as they are at the start of an epoch, from zero.

    Args:
        model: A compiled and built model.
        batch: What a step takes, an array or a dict of arrays; only shapes and dtypes count.
        folder: Path of the folder to make.

    Returns:
        The path of the folder, as a string.

    Raises:
        ValueError: If the folder exists, the model is not compiled, or a step reads a tensor that
            is none of its variables.

    Example:

    >>> model = tfbind.DenoisingAutoencoder((4,), hidden_units=2)
    >>> model.compile(keras.optimizers.Adam())
    >>> folder = os.path.join(tempfile.mkdtemp(), "train_step")
    >>> _ = tfbind.export.export_train_step(model, np.zeros((8, 4), "float32"), folder)
    >>> sorted(os.listdir(folder))
    ['train_step.json', 'train_step.mlirbc', 'variables.npz']
    """
    folder = pathlib.Path(folder)
    if folder.exists():
        raise ValueError(f"`folder` must be a new one. Received: folder={str(folder)!r}.")
    variables = _variables(model)
    model.reset_metrics()
    batch = {key: tf.convert_to_tensor(value) for key, value in as_dict(batch).items()}
    step = tf.function(model.train_step, jit_compile=True, autograph=False)
    traced = step.get_concrete_function(batch)
    program = step.experimental_get_compiler_ir(batch)(stage="stablehlo")
    described = {
        "inputs": _describe_inputs(batch),
        "logs": _describe_logs(traced.structured_outputs),
        "variables": _describe_variables(model, variables, traced, program),
        "learning_rates": [
            _find(variables, optimizer.learning_rate) for optimizer in model.optimizers
        ],
    }
    with _layout.written_at_once(folder.parent) as temporary:
        made = temporary / "train_step"
        made.mkdir()
        (made / "train_step.mlirbc").write_bytes(_portable(program))
        np.savez(made / "variables.npz", *(variable.numpy() for variable in variables))
        (made / "train_step.json").write_text(json.dumps(described, indent=1))
        os.rename(made, folder)
    return str(folder)


def restore_variables(
    model: keras.Model, folder: str | os.PathLike, path: str | os.PathLike
) -> None:
    """Brings what a `TrainStepRunner` saved back into Keras: weights, optimisers and metrics.

    Args:
        model: A compiled and built model, made as the one that was exported.
        folder: The folder that `export_train_step` made.
        path: The file that `TrainStepRunner.save` made.

    Raises:
        ValueError: If the model's variables are others than those exported.
    """
    described = json.loads((pathlib.Path(folder) / "train_step.json").read_text())["variables"]
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


def _find(variables, wanted):
    return next((i for i, variable in enumerate(variables) if variable is wanted), None)


def _describe_inputs(batch):
    return [
        {"name": name, "shape": list(batch[name].shape), "dtype": batch[name].dtype.name}
        for name in sorted(batch)  # `tf.nest` flattens dicts so
    ]


def _describe_logs(outputs):
    numbers = {name: number for number, name in enumerate(sorted(outputs))}
    return [{"name": name, "output": numbers[name]} for name in outputs]


def _describe_variables(model, variables, traced, program):
    captured = {id(tensor): i for i, tensor in enumerate(traced.captured_inputs)}
    num_inputs = len(traced.inputs) - len(captured)
    arguments = [captured.pop(id(variable.value.handle), None) for variable in variables]
    if captured:
        raise ValueError(
            "A step of `model` must read no tensors but its input and its variables. "
            f"Received: {[traced.captured_inputs[i] for i in captured.values()]}."
        )
    arguments = [None if number is None else num_inputs + number for number in arguments]
    outputs: dict[int | None, int] = {
        int(argument): int(output) for argument, output in _ALIAS.findall(program)
    }
    metrics = {id(variable) for variable in model.metrics_variables}
    return [
        {
            "path": variable.path,
            "shape": list(variable.shape),
            "dtype": variable.dtype,
            "is_metric": id(variable) in metrics,
            "argument": argument,
            "output": outputs.get(argument),
        }
        for variable, argument in zip(variables, arguments, strict=True)
    ]


def _portable(program):
    """Returns a StableHLO program in the format that later runtimes promise to read."""
    # `mhlo.copy`, all that is not StableHLO in it, is the identity, as is a reshape to its shape.
    program = _COPY.sub(r"stablehlo.reshape \1 : (\2) -> \2", program)
    return stablehlo.serialize_portable_artifact_str(program, stablehlo.get_current_version())


def _plain(path):
    """Returns a path without the numbers by which Keras tells the models of a process apart."""
    return _COUNTER.sub("", path)
