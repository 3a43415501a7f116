"""Arrays as JSON values, the way TF Serving's REST interface writes and reads them."""

import base64
import binascii
import itertools
import json
import re
from typing import Any

import numpy as np
import orjson

_NUMPY = orjson.OPT_SERIALIZE_NUMPY


def loads(body: bytes | bytearray) -> Any:
    """Returns what a body of JSON says; raises ValueError.

    The bare tokens NaN and Infinity, which TF Serving writes and reads, are no JSON to orjson: a
    body it refuses is left to Python's own reader.
    """
    try:
        return orjson.loads(body)
    except ValueError:
        try:
            return json.loads(body)
        except RecursionError as error:
            raise ValueError(str(error)) from error


def dumps(document: Any) -> bytes:
    """Returns a document, of which parts may be fragments from `encode`, as JSON."""
    return orjson.dumps(document)


def encode(name: str, array: np.ndarray) -> orjson.Fragment:
    """Returns `array` as a fragment of JSON for `dumps`.

    Floats have the fewest digits that give the same number back. Strings become base64 objects
    where the name ends in `_bytes`, or where they are not UTF-8.
    """
    array = np.asarray(array)
    if array.dtype.kind == "O":
        return orjson.Fragment(orjson.dumps(_encode_strings(name, array)))
    if array.dtype.itemsize > 8:  # a long double of the caller's
        array = array.astype("float64")
    native = np.asarray(array, array.dtype.newbyteorder("="), order="C")
    text = orjson.dumps(native if native.ndim else native[()], option=_NUMPY)
    if native.dtype.kind == "f" and not np.isfinite(native).all():
        text = _name_tokens(text, native)
    return orjson.Fragment(text)


def _name_tokens(text, array):
    """Puts the names of the numbers that are not finite in place of orjson's nulls."""
    names = (
        b"NaN" if np.isnan(number) else b"Infinity" if number > 0 else b"-Infinity"
        for number in array[~np.isfinite(array)]
    )
    return re.sub(b"null", lambda _: next(names), text)


def _encode_strings(name, array):
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
    leaves, shape, types = _flatten(name, value)
    if dtype == "string":
        array = np.empty(len(leaves), object)
        array[:] = [_decode_string(name, leaf) for leaf in leaves]
    elif dtype == "bool":
        _check_types(name, leaves, types, {bool}, "true or false")
        array = np.array(leaves, bool)
    elif dtype.startswith(("int", "uint")):
        array = _decode_integers(name, leaves, types, dtype)
    elif dtype in ("float32", "float64"):
        array = _decode_floats(name, leaves, types, dtype)
    else:
        raise ValueError(f"`{name}` has dtype {dtype}, which JSON cannot carry; use gRPC.")
    return array.reshape(shape)


def _flatten(name, value):
    """Returns the leaves of nested lists, the shape of the lists, and the types of the leaves."""
    leaves = [value]
    shape: list[int] = []
    while list in (types := set(map(type, leaves))):
        sizes = set(map(len, leaves)) if types == {list} else set()
        if len(sizes) != 1:
            raise ValueError(
                f"`{name}` must be a rectangular array. "
                f"Received: lists of unequal length or depth at level {len(shape)}."
            )
        shape += sizes
        leaves = list(itertools.chain.from_iterable(leaves))
    return leaves, shape, types


def _check_types(name, leaves, types, allowed, rule):
    if not types <= allowed:
        wrong = next(leaf for leaf in leaves if type(leaf) not in allowed)
        raise ValueError(f"`{name}` must hold {rule}. Received: {_spell(wrong)}.")


def _decode_integers(name, leaves, types, dtype):
    rule = f"whole numbers that fit {dtype}"
    _check_types(name, leaves, types, {int}, rule)
    limits = np.iinfo(dtype)
    for extreme in (min(leaves, default=0), max(leaves, default=0)):
        if not limits.min <= extreme <= limits.max:
            raise ValueError(f"`{name}` must hold {rule}. Received: {_spell(extreme)}.")
    return np.array(leaves, dtype)


def _decode_floats(name, leaves, types, dtype):
    rule = f"numbers that fit {dtype}"
    _check_types(name, leaves, types, {int, float}, rule)
    if int in types:
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
        try:
            return value.encode()
        except UnicodeEncodeError as error:  # half of a surrogate pair
            raise ValueError(f"`{name}` must hold valid text. Received: {error}.") from error
    if not is_base64(value):
        raise ValueError(
            f'`{name}` must hold strings, or {{"b64": ...}} objects. Received: {_spell(value)}.'
        )
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"`{name}` must hold valid base64. Received: {_spell(value)}.") from error


def _spell(value):
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole number of more than 4300 digits
        return "a very large number"
    return text if len(text) <= 80 else f"{text[:77]}..."
