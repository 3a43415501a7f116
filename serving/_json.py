"""Arrays as JSON values, the way TF Serving's REST interface writes and reads them."""

import base64
import binascii
import itertools
from typing import Any

import numpy as np


def encode(name: str, array: np.ndarray) -> Any:
    """Returns the nested lists of `array`.

    Floats have the fewest digits that give the same number back. Strings become base64 objects
    where the name ends in `_bytes`, or where they are not UTF-8.
    """
    array = np.asarray(array)
    if array.dtype.kind == "f":
        return array.astype("U").astype("float64").tolist()
    if array.dtype.kind != "O":
        return array.tolist()
    items = np.empty(array.shape, object)
    for index, item in np.ndenumerate(array):
        items[index] = _encode_string(item, name.endswith("_bytes"))
    return items.tolist()


def _encode_string(item, binary):
    if not binary:
        try:
            return item.decode()
        except UnicodeDecodeError:
            pass
    return {"b64": base64.b64encode(item).decode()}


def is_base64(value: object) -> bool:
    """Returns whether a JSON value stands for bytes."""
    return isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str)


def decode(name: str, value: Any, dtype: str) -> np.ndarray:
    """Returns a JSON value, a scalar or nested lists, as an array; raises ValueError.

    Nothing is rounded or wrapped in silence: a number that `dtype` cannot hold is refused.
    """
    leaves, shape = _flatten(name, value)
    if dtype == "string":
        array = np.empty(len(leaves), object)
        array[:] = [_decode_string(name, leaf) for leaf in leaves]
    elif dtype == "bool":
        _check_types(name, leaves, {bool}, "true or false")
        array = np.array(leaves, bool)
    elif dtype.startswith(("int", "uint")):
        array = _decode_integers(name, leaves, dtype)
    elif dtype in ("float32", "float64"):
        array = _decode_floats(name, leaves, dtype)
    else:
        raise ValueError(f"`{name}` has dtype {dtype}, which JSON cannot carry; use gRPC.")
    return array.reshape(shape)


def _flatten(name, value):
    leaves, shape = [value], []
    while leaves and isinstance(leaves[0], list):
        sizes = {len(leaf) if isinstance(leaf, list) else None for leaf in leaves}
        if len(sizes) > 1:
            break
        shape.append(sizes.pop())
        leaves = list(itertools.chain.from_iterable(leaves))
    if any(isinstance(leaf, list) for leaf in leaves):
        raise ValueError(
            f"`{name}` must be a rectangular array. "
            f"Received: lists of unequal length or depth at level {len(shape)}."
        )
    return leaves, shape


def _check_types(name, leaves, types, rule):
    if not set(map(type, leaves)) <= types:
        wrong = next(leaf for leaf in leaves if type(leaf) not in types)
        raise ValueError(f"`{name}` must hold {rule}. Received: {_spell(wrong)}.")


def _decode_integers(name, leaves, dtype):
    rule = f"whole numbers that fit {dtype}"
    _check_types(name, leaves, {int}, rule)
    limits = np.iinfo(dtype)
    for extreme in (min(leaves, default=0), max(leaves, default=0)):
        if not limits.min <= extreme <= limits.max:
            raise ValueError(f"`{name}` must hold {rule}. Received: {_spell(extreme)}.")
    return np.array(leaves, dtype)


def _decode_floats(name, leaves, dtype):
    rule = f"numbers that fit {dtype}"
    _check_types(name, leaves, {int, float}, rule)
    exact = 2 ** (np.finfo(dtype).nmant + 1)  # every smaller whole number has a float
    for leaf in leaves:
        if type(leaf) is int and abs(leaf) > exact:
            raise ValueError(f"`{name}` must hold {rule}. Received: {_spell(leaf)}.")
    wide = np.array(leaves, "float64")
    with np.errstate(over="ignore"):
        array = wide.astype(dtype)
    overflow = np.isfinite(wide) & ~np.isfinite(array)
    if overflow.any():
        raise ValueError(f"`{name}` must hold {rule}. Received: {wide[overflow][0]:g}.")
    return array


def _decode_string(name, value):
    if isinstance(value, str):
        return value.encode()
    if not is_base64(value):
        raise ValueError(
            f'`{name}` must hold strings, or {{"b64": ...}} objects. Received: {_spell(value)}.'
        )
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"`{name}` must hold valid base64. Received: {_spell(value)}.") from error


def _spell(value):
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
