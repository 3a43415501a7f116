"""The options of verbs that read the user's own files."""

import dataclasses
import functools
import pathlib
import re
import typing
from collections.abc import Callable
from typing import Any

import click

if typing.TYPE_CHECKING:
    from tfbind import reading

FILES = click.Path(path_type=pathlib.Path)


class _Size(click.ParamType):
    """A size such as "28" or "32x48", height first."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        sides = re.fullmatch(r"(\d+)(?:x(\d+))?", value)
        if sides is None:
            self.fail(f"{value!r} is no size such as 28, or 32x48 for height and width.")
        return int(sides[1]), int(sides[2] or sides[1])


class _Count(click.ParamType):
    """An integer from 2 on, or "auto"."""

    name = "count"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | str:
        if value == "auto" or isinstance(value, int):
            return value
        if not value.isdigit() or int(value) < 2:
            self.fail(f"{value!r} is neither an integer >= 2 nor auto.")
        return int(value)


_ground = click.option("--ground", help="What shows through transparent pixels, such as white.")
_white = click.option("--white", type=float, help="Value of white in files of over 8 bits.")
_frames = click.option(
    "--frames", type=click.Choice(["first", "all"]), help="Of files with several.  [default: first]"
)
_invert = click.option(
    "--invert/--no-invert", default=None, help="Objects are dark, on a light ground."
)
_threshold = click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="Brightness above which a pixel is set, for binary models.",
)
_fit = click.option(
    "--fit", type=click.Choice(["pad", "crop", "stretch"]), help="How other shapes are made to fit."
)
_missing = click.option(
    "--missing",
    type=click.Choice(["refuse", "fill"]),
    help="What is done about gaps in a table.  [default: refuse]",
)
_SHARED = {
    "ground": _ground,
    "white": _white,
    "frames": _frames,
    "invert": _invert,
    "threshold": _threshold,
    "fit": _fit,
    "missing": _missing,
}
_TRAINING = {
    "text": click.option("--text", help="Column of a table with texts, to go by their words."),
    "labels": click.option("--labels", help="Column or array with the classes, only to score by."),
    "size": click.option("--size", type=_Size(), help="Of the model's images: 28, or 32x48."),
    "color": click.option("--color/--grey", default=None, help="Whether pictures keep colours."),
    "held_out": click.option(
        "--held-out",
        type=click.FloatRange(0, 0.9),
        help="Share kept from training.  [default: 0.1]",
    ),
}


def for_training(command: Callable) -> Callable:
    """Adds the options of a verb that trains on own files, given to it as the dict `told`."""
    return _collected(command, {**_SHARED, **_TRAINING})


def for_answers(command: Callable) -> Callable:
    """Adds the options of a verb that answers for own files, given to it as the dict `told`."""
    return _collected(command, _SHARED)


def numbers(command: Callable) -> Callable:
    """Adds the options that say how many there are, given to a verb as the dict `wanted`."""
    options = {
        "find": click.option(
            "--find",
            type=click.Choice(["groups", "clusters"]),
            help="For auto: parts of each picture, or kinds of them.",
        ),
        "num_groups": click.option("--num-groups", type=_Count(), help="Of a picture: K, or auto."),
        "num_clusters": click.option("--num-clusters", type=_Count(), help="K, or auto."),
    }
    return _collected(command, options, "wanted")


def adapted(preparation: "reading.Preparation", told: dict[str, Any]) -> "reading.Preparation":
    """Returns a preparation with what the user told otherwise."""
    known = {field.name for field in dataclasses.fields(preparation)}
    return dataclasses.replace(preparation, **{k: x for k, x in told.items() if k in known})


def _collected(command: Callable, options: dict[str, Callable], into: str = "told") -> Callable:
    @functools.wraps(command)
    def collecting(*args: Any, **kwargs: Any) -> Any:
        given = {name: kwargs.pop(name) for name in options}
        kwargs[into] = {name: value for name, value in given.items() if value is not None}
        return command(*args, **kwargs)

    for option in reversed(options.values()):
        collecting = option(collecting)
    return collecting
