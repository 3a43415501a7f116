"""What JSON of unknown origin must look like, so that whoever reads it finds what they look for."""

import dataclasses
import json
import math
import pathlib
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

# A form says what a value must be: a tuple of types; a list of one form, that of its items; a dict
# of forms by name, of which a value may have more; or a function that looks at it by itself.
Form = tuple | list | dict | Callable

NUMBER = (int, float)

_NAMES = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "an integer",
    float: "a number",
    type(None): "null",
    bool: "true or false",
}


def read_json(file: pathlib.Path, form: Form) -> Any:
    """Returns what a JSON file holds; raises ValueError unless it is of a form."""
    try:
        value = json.loads(file.read_text("utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    check_form(value, form)
    return value


def check_form(value: Any, form: Form, where: str = "") -> None:
    """Raises ValueError, naming the place, unless a value is of a form.

    Args:
        value: What JSON made of a text.
        form: See `Form`.
        where: Where the value is, such as "endpoints.serving_default"; empty at the top.
    """
    if callable(form):
        form(value, where)
    elif isinstance(form, tuple):
        _check_kind(value, form, where)
    elif isinstance(form, list):
        _check_kind(value, (list,), where)
        for number, item in enumerate(value):
            check_form(item, form[0], f"{where}[{number}]")
    else:
        _check_kind(value, (dict,), where)
        for name, inner in form.items():
            if name not in value:
                raise ValueError(f"{where or 'it'} lacks {name!r}")
            check_form(value[name], inner, _inside(where, name))


def finite(value: Any, where: str) -> None:
    """The form of a number that is neither NaN nor infinite."""
    _check_kind(value, NUMBER, where)
    if not math.isfinite(value):
        raise ValueError(f"{where} is not finite")


def each(form: Form, fewest: int = 0) -> Callable[[Any, str], None]:
    """Returns the form of an object with any names, whose values have one form."""

    def check(value: Any, where: str) -> None:
        _check_kind(value, (dict,), where)
        if len(value) < fewest:
            raise ValueError(f"{where} is empty")
        for name, item in value.items():
            check_form(item, form, _inside(where, name))

    return check


def check_fields(thing: Any) -> None:
    """Raises ValueError unless the fields of a dataclass, at any depth, are of their types.

    For those that are made of a file; their makers check values, and trust types.
    """
    for name, kind in typing.get_type_hints(type(thing)).items():
        if typing.get_origin(kind) is typing.ClassVar:
            continue
        value = vars(thing)[name]
        if not _is_of(value, kind):
            spelled = kind.__name__ if isinstance(kind, type) else str(kind)
            raise ValueError(f"`{name}` must be of type {spelled}. Received: {name}={value!r}")
        for held in _held(value):
            if dataclasses.is_dataclass(held):
                check_fields(held)


def _inside(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _check_kind(value: Any, kinds: tuple[type, ...], where: str) -> None:
    if type(value) not in kinds:
        wanted = " or ".join(_NAMES[kind] for kind in kinds)
        raise ValueError(f"{where or 'it'} is not {wanted}")


def _is_of(value: Any, kind: Any) -> bool:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, types.UnionType):
        return any(_is_of(value, each) for each in inner)
    if origin is tuple:
        return isinstance(value, tuple) and all(_is_of(item, inner[0]) for item in value)
    if kind is float:
        return type(value) in NUMBER
    if kind is int:  # which a truth value is to Python
        return type(value) is int
    return isinstance(value, origin or kind)


def _held(value: Any) -> tuple:
    if isinstance(value, Mapping):
        return tuple(value.values())
    return value if isinstance(value, tuple) else (value,)
