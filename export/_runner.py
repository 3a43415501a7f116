"""What the runners of both kinds of artifact share: checks of a request."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfbind._validation import check_choice, check_shape

# Name -> "inputs" and "outputs" -> name -> "shape" and "dtype".
Signatures = dict[str, dict[str, dict[str, dict[str, Any]]]]


def check_inputs(
    signatures: Signatures, signature: str, inputs: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Returns the inputs of a call as arrays, or raises ValueError if they do not fit.

    Args:
        signatures: Dict from name to `inputs` and `outputs`, dicts from name to `shape`, None if
            the rank is unknown, and `dtype`, as on a card.
        signature: The name of one.
        inputs: Dict from input name to array.
    """
    check_choice("signature", signature, tuple(signatures))
    expected = signatures[signature]["inputs"]
    _check_names(signature, set(inputs), set(expected))
    arrays = {name: np.asarray(value) for name, value in inputs.items()}
    for name, array in arrays.items():
        _check_input(name, array, **expected[name])
    return arrays


def one_by_one(
    runner: Callable[[str, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]],
    signature: str,
    inputs: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Returns the answers to inputs of which a runner gets one row at a time."""
    num_rows = len(next(iter(inputs.values())))
    rows = [
        runner(signature, {name: array[i : i + 1] for name, array in inputs.items()})
        for i in range(num_rows)
    ]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def _check_names(signature, names, expected):
    if names != expected:
        differences = (("missing", expected - names), ("unknown", names - expected))
        raise ValueError(
            f"The inputs of signature {signature!r} must be {_listed(expected)}. "
            f"Received: {_listed(names) or 'none'}; "
            f"{', '.join(f'{what} {_listed(which)}' for what, which in differences if which)}."
        )


def _check_input(name, array, shape, dtype):
    if dtype_name(array) != dtype:
        raise ValueError(
            f"`{name}` must have dtype {dtype}. "
            f"Received: dtype {dtype_name(array)}; convert it first."
        )
    if shape is not None:
        check_shape(name, array.shape, shape)


def dtype_name(array: np.ndarray) -> str:
    """Returns the dtype of an array under TensorFlow's name: "string" for bytes and str."""
    return "string" if array.dtype.kind in "OSU" else array.dtype.name


def first_line(error: Exception) -> str:
    """Returns what an error of TensorFlow says, without the traces that follow."""
    text = str(error).strip().removeprefix("Graph execution error:")  # a session's first line
    return text.strip().split("\n")[0].rstrip(".")


def _listed(names):
    return ", ".join(repr(name) for name in sorted(names))
