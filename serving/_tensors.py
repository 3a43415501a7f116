"""Signatures and arrays as both clients and the server see them, without TensorFlow."""

from typing import Any, NamedTuple

import numpy as np

from tfbind._validation import check_integer
from tfbind.export._runner import dtype_name

# TensorFlow's names in lower case, but for these.
_DTYPE_NAMES = {"DT_FLOAT": "float32", "DT_DOUBLE": "float64", "DT_HALF": "float16"}


class ServingError(ValueError):
    """A server refused a request, did not answer, or did not answer in time."""


def late(address: str, timeout: float) -> str:
    """Returns the sentence about a server that did not answer in time."""
    return f"{address} did not answer within {timeout:g} seconds; pass a larger `timeout`."


def unreachable(address: str, reason: object) -> str:
    """Returns the sentence about a server that is not there."""
    return f"No server answers at {address} ({reason}); is it running?"


def check_version(version: object) -> dict[str, Any]:
    """Returns the fields of a `ModelSpec` that choose a version: its number, its label, or none."""
    if version is None:
        return {}
    if isinstance(version, str) and version:
        return {"version_label": version}
    return {"version": {"value": check_integer("version", version, 0)}}


class TensorInfo(NamedTuple):
    """One input or output of a signature.

    `dtype` is a name such as "float32" or "string"; `shape` a tuple with None for any size, or
    None if the rank is unknown.
    """

    dtype: str
    shape: tuple | None


class Signature(NamedTuple):
    """What a signature takes and gives: two dicts from name to `TensorInfo`."""

    inputs: dict
    outputs: dict


def parse_signatures(signature_def_map: dict[str, Any]) -> dict[str, Signature]:
    """Returns name -> `Signature` from the JSON form of a `SignatureDefMap`.

    TensorFlow's own entries, such as `__saved_model_init_op`, are left out.
    """
    return {
        name: Signature(_parse_tensors(entry, "inputs"), _parse_tensors(entry, "outputs"))
        for name, entry in sorted(signature_def_map.get("signature_def", {}).items())
        if not name.startswith("__")
    }


def _parse_tensors(signature_def, side):
    return {
        name: TensorInfo(_parse_dtype(info["dtype"]), _parse_shape(info.get("tensor_shape", {})))
        for name, info in sorted(signature_def.get(side, {}).items())
    }


def _parse_dtype(dtype):
    return _DTYPE_NAMES.get(dtype, str(dtype).removeprefix("DT_").lower())


def _parse_shape(shape):
    if shape.get("unknown_rank"):
        return None
    sizes = [int(dim.get("size", 0)) for dim in shape.get("dim", [])]
    return tuple(None if size < 0 else size for size in sizes)


def as_arrays(inputs: dict[str, Any]) -> dict[str, np.ndarray]:
    """Returns the inputs of a request as arrays by name; strings as object arrays of bytes."""
    if not isinstance(inputs, dict):
        raise TypeError(
            f"`inputs` must be a dict from input name to array. Received: {type(inputs).__name__}."
        )
    return {name: _as_array(name, value) for name, value in inputs.items()}


def _as_array(name, value):
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"`{name}` must be a rectangular array. Received: {error}.") from error
    rule = f"`{name}` must hold real numbers, or strings alone. Received:"
    if array.dtype.kind in "biuf":
        return array
    if dtype_name(array) != "string":
        raise ValueError(f"{rule} dtype {array.dtype}.")
    as_bytes = np.empty(array.shape, object)
    for index, item in np.ndenumerate(array):
        if not isinstance(item, (bytes, str)):
            raise ValueError(f"{rule} an item of type {type(item).__name__}.")
        as_bytes[index] = item.encode() if isinstance(item, str) else bytes(item)
    return as_bytes
