"""Argument checks with one message form: the rule, then what was received."""

import numbers
import re
from collections.abc import Collection, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

_Choice = TypeVar("_Choice")
_Shape = Sequence[int | None]

_FILE_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?")


def check_integer(name: str, value: Any, minimum: int) -> int:
    """Returns `value` as an int, or raises if it is not an integer >= `minimum`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
        raise ValueError(f"`{name}` must be an integer >= {minimum}. Received: {name}={value!r}.")
    return int(value)


def check_number(
    name: str, value: Any, low: float, high: float = np.inf, *, open_low: bool = False
) -> float:
    """Returns `value` as a float, or raises if it is not a finite number in `[low, high]`."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    inside = is_number and low <= value <= high and np.isfinite(value)
    if not inside or (open_low and value == low):
        opening = "(" if open_low or low == -np.inf else "["
        interval = f"{opening}{low}, {high}{')' if high == np.inf else ']'}"
        raise ValueError(f"`{name}` must be a number in {interval}. Received: {name}={value!r}.")
    return float(value)


def check_choice(name: str, value: _Choice, choices: Collection[Any]) -> _Choice:
    """Returns `value`, or raises if it is not one of `choices`."""
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"`{name}` must be one of {listed}. Received: {name}={value!r}.")
    return value


def check_file_name(name: str, value: Any) -> str:
    """Returns `value`, or raises if it cannot be the name of a file or folder on any system.

    For names out of files, which somebody else may have written: one that is a path would lead
    what is written under it out of its folder.
    """
    if not isinstance(value, str) or _FILE_NAME.fullmatch(value) is None:
        raise ValueError(
            f"`{name}` must be a plain name: 1 to 100 letters, digits, `_`, and within it `.` and "
            f"`-`. Received: {name}={value!r}."
        )
    return value


def check_shape(name: str, shape: _Shape, expected: _Shape) -> None:
    """Raises if `shape` is not `expected`, in which `None` stands for any size."""
    fits = len(shape) == len(expected) and all(
        want is None or have is None or have == want
        for have, want in zip(shape, expected, strict=True)
    )
    if not fits:
        raise ValueError(
            f"`{name}` must have shape {spell_shape(expected)}. "
            f"Received: shape {spell_shape(shape)}."
        )


def check_array(
    name: str,
    array: ArrayLike,
    event_shape: _Shape,
    low: float | None = None,
    high: float | None = None,
) -> np.ndarray:
    """Returns `array` as float32 `[n, *event_shape]`, or raises if it is not usable.

    Refuses the wrong shape, no rows, NaN or infinity, and values outside `[low, high]`.
    """
    array = np.asarray(array)
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == bool):
        raise ValueError(f"`{name}` must be numeric. Received: dtype {array.dtype}.")
    check_shape(name, array.shape, (None, *event_shape))
    if array.shape[0] == 0:
        raise ValueError(f"`{name}` must hold at least one example. Received: an empty array.")
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused below
        array = array.astype("float32", copy=False)
    # NaN propagates through both
    check_range(name, float(array.min()), float(array.max()), low, high)
    return array


def check_range(
    name: str, smallest: float, largest: float, low: float | None, high: float | None
) -> None:
    """Raises unless values from `smallest` to `largest` are finite and in `[low, high]`."""
    if not np.isfinite(smallest) or not np.isfinite(largest):
        raise ValueError(f"`{name}` must be finite. Received: NaN or infinity among its values.")
    if (low is not None and smallest < low) or (high is not None and largest > high):
        raise ValueError(
            f"`{name}` must lie in [{low}, {high}]. Received: values from {smallest:g} to "
            f"{largest:g}; rescale them first."
        )


def spell_shape(shape: Sequence[int | None]) -> str:
    """Returns a shape as messages write it, with n for any size."""
    sizes = ["n" if size is None else str(size) for size in shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
