"""Arrays to and from `TensorProto`, ours of `_wire.py` or TensorFlow's, without TensorFlow."""

import math
from typing import Any

import numpy as np

from tfbind.export._runner import dtype_name
from tfbind.serving import _wire

# dtype -> (name in the DataType enum, field of the values where they are not packed as bytes)
_DTYPES = {
    "float32": ("DT_FLOAT", "float_val"),
    "float64": ("DT_DOUBLE", "double_val"),
    "float16": ("DT_HALF", "half_val"),
    "int8": ("DT_INT8", "int_val"),
    "int16": ("DT_INT16", "int_val"),
    "int32": ("DT_INT32", "int_val"),
    "int64": ("DT_INT64", "int64_val"),
    "uint8": ("DT_UINT8", "int_val"),
    "uint16": ("DT_UINT16", "int_val"),
    "uint32": ("DT_UINT32", "uint32_val"),
    "uint64": ("DT_UINT64", "uint64_val"),
    "bool": ("DT_BOOL", "bool_val"),
    "string": ("DT_STRING", "string_val"),
}
_NUMBERS = {_wire.ENUMS["DataType"][enum]: dtype for dtype, (enum, _) in _DTYPES.items()}
_MOST_FILLED = 2**28
"""Bytes that a few values may be repeated to: a message of 68 can ask for 8 GB."""


def encode_tensor(name: str, array: np.ndarray, proto: Any) -> None:
    """Writes an array into an empty `TensorProto`; raises ValueError on a dtype it cannot hold."""
    dtype = dtype_name(array)
    if dtype not in _DTYPES:
        raise ValueError(
            f"`{name}` must have one of the dtypes {', '.join(_DTYPES)}. Received: {dtype}."
        )
    proto.dtype = _wire.ENUMS["DataType"][_DTYPES[dtype][0]]
    proto.tensor_shape.SetInParent()  # a scalar has a shape too
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if dtype == "string":
        proto.string_val.extend(array.ravel().tolist())
    else:
        little_endian = array.dtype.newbyteorder("<")
        proto.tensor_content = np.ascontiguousarray(array, little_endian).tobytes()


def dtype_and_shape(name: str, proto: Any) -> tuple[str, tuple[int, ...]]:
    """Returns what a `TensorProto` says it is, before anything is made of it."""
    dtype = _NUMBERS.get(proto.dtype)
    if dtype is None:
        raise ValueError(
            f"`{name}` must have one of the dtypes {', '.join(_DTYPES)}. "
            f"Received: number {proto.dtype} of TensorFlow's DataType."
        )
    return dtype, tuple(dim.size for dim in proto.tensor_shape.dim)


def decode_tensor(name: str, proto: Any) -> np.ndarray:
    """Returns a `TensorProto` as an array; strings as an object array of bytes.

    The size that it states is compared with what it holds before memory is taken for it.
    """
    dtype, shape = dtype_and_shape(name, proto)
    kind = np.dtype(object if dtype == "string" else dtype)
    content, values = proto.tensor_content, getattr(proto, _DTYPES[dtype][1])
    size = math.prod(shape)
    if min(shape, default=0) < 0 or len(shape) > 64:
        raise _incomplete(name, f"shape {shape}")
    if content:
        if dtype == "string" or len(content) != size * kind.itemsize:
            raise _incomplete(name, f"{len(content)} bytes for {dtype} of shape {shape}")
        flat = np.frombuffer(content, kind.newbyteorder("<"))
        return flat.astype(kind, copy=False).reshape(shape)
    if len(values) > size or (len(values) < size and size * kind.itemsize > _MOST_FILLED):
        raise _incomplete(name, f"{len(values)} values for {dtype} of shape {shape}")
    try:
        return _fill(shape, dtype, values)
    except OverflowError as error:  # 300 for a uint8
        raise _incomplete(name, str(error)) from error


def _incomplete(name, received):
    return ValueError(f"`{name}` must be a complete TensorProto. Received: {received}.")


def _fill(shape, dtype, values):
    """Lays out the values of a `*_val` field, of which the last stands for all that follow."""
    if dtype == "string":
        array = np.empty(shape, object)
        array.fill(values[-1] if values else b"")
        array.reshape(-1)[: len(values)] = values
        return array
    held = np.array(list(values), "uint16" if dtype == "float16" else dtype)
    if dtype == "float16":  # half_val holds the bits
        held = held.view("float16")
    array = np.full(shape, held[-1] if len(held) else 0, dtype)
    array.reshape(-1)[: len(held)] = held
    return array
