"""Arrays to and from the `TensorProto` of `_wire.py`, without TensorFlow."""

from typing import Any

import numpy as np
from google.protobuf.message import Message

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


def encode_tensor(name: str, array: np.ndarray) -> Message:
    """Returns an array as a `TensorProto`; raises ValueError on a dtype that has no place there."""
    dtype = dtype_name(array)
    if dtype not in _DTYPES:
        raise ValueError(
            f"`{name}` must have one of the dtypes {', '.join(_DTYPES)}. Received: {dtype}."
        )
    proto = _wire.MESSAGES["TensorProto"](dtype=_DTYPES[dtype][0])
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if dtype == "string":
        proto.string_val.extend(array.ravel().tolist())
    else:
        little_endian = array.dtype.newbyteorder("<")
        proto.tensor_content = np.ascontiguousarray(array, little_endian).tobytes()
    return proto


def decode_tensor(name: str, proto: Any) -> np.ndarray:
    """Returns a `TensorProto` as an array; strings as an object array of bytes."""
    dtype = _NUMBERS.get(proto.dtype)
    if dtype is None:
        raise ValueError(
            f"`{name}` must have one of the dtypes {', '.join(_DTYPES)}. "
            f"Received: number {proto.dtype} of TensorFlow's DataType."
        )
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if proto.tensor_content:
        little_endian = np.dtype(dtype).newbyteorder("<")
        return np.frombuffer(proto.tensor_content, little_endian).astype(dtype).reshape(shape)
    return _fill(shape, dtype, getattr(proto, _DTYPES[dtype][1]))


def _fill(shape, dtype, values):
    """Lays out the values of a `*_val` field, of which the last stands for all that follow."""
    if dtype == "string":
        array = np.empty(shape, object)
        array.fill(values[-1] if values else b"")
    elif dtype == "float16":  # half_val holds the bits
        values = np.array(values, "uint16").view("float16")
        array = np.full(shape, values[-1] if len(values) else 0, "float16")
    else:
        array = np.full(shape, values[-1] if values else 0, dtype)
    array.reshape(-1)[: len(values)] = values
    return array
