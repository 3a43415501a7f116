"""`tfbind list`: the presets by what they are for, with our scores beside the papers'."""

import importlib
import sys
from collections.abc import Collection, Iterable
from typing import Any

import click

from tfbind import _catalogue, _console, _numbers

_PRESETS = "tfbind.training.presets"

# Heading and score, of the tasks that the presets are for.
_WANTED = (
    ("Find the parts of pictures, without labels", "AMI, of 1", ("Grouping",)),
    ("Find clusters, without labels", "error", ("Clustering",)),
    ("Find classes, with few labels", "error", ("FewLabels", "FewLabeledScenes")),
    ("Find classes that have labels but no labelled images", "nats", ("UnseenClasses",)),
)
_TESTS = "For tests and notebooks, in seconds"
_BOXED, _ACCELERATOR = "in the box", "accelerator"
_LEGEND = (
    f"Here: our score; {_BOXED}: with weights, `tfbind group rc-shapes YOUR.png` needs no "
    f"training; {_ACCELERATOR}: too slow for a few cores. `tfbind list NAME` says more of one."
)


def presets() -> dict[str, _catalogue.Entry]:
    """Returns what is known of every preset: at once from the catalogue, if that is current.

    Else, or where they are loaded already, the presets say it themselves.
    """
    if _catalogue.is_current() and _PRESETS not in sys.modules:
        return _catalogue.presets()
    _console.load_tensorflow()
    return _catalogue.completed(importlib.import_module(_PRESETS).described())


@click.command("list")
@click.argument("name", required=False)
@_console.as_json
def list_presets(name: str | None, as_json: bool) -> None:
    """List the presets, the settings of published results, or all that is known of NAME."""
    boxed = _catalogue.boxed()
    entries = {each: _entry(found, each in boxed) for each, found in presets().items()}
    if name is None:
        _console.show(list(entries.values()), as_json, _text(entries.values()))
        return
    _catalogue.check_preset(name, entries)
    card = _catalogue.card(name) if entries[name]["in_the_box"] else {}
    about = {**entries[name], **card}
    _console.show(about, as_json, "\n".join(_lines(about)))


def _entry(found: _catalogue.Entry, boxed: bool) -> _catalogue.Entry:
    """Returns what is known of a preset; of one in the box, the score of its weights."""
    scores = _catalogue.card(found["preset"])["scores"] if boxed else {}
    ours = scores.get(found["metric"], found["our_score"])
    return {**found, "our_score": ours, "in_the_box": boxed}


def _text(entries: Collection[_catalogue.Entry]) -> str:
    tiny = [entry for entry in entries if entry["preset"].endswith("-tiny")]
    parts = [
        _part(f"{wanted} ({score})", [x for x in entries if x["task"] in tasks and x not in tiny])
        for wanted, score, tasks in _WANTED
    ]
    return "\n\n".join([*parts, _part(_TESTS, tiny), _console.wrapped(_LEGEND)])


def _part(heading: str, entries: Iterable[_catalogue.Entry]) -> str:
    rows = [
        (
            entry["preset"],
            entry["data"],
            *(_said(entry["metric"], entry[key]) for key in ("our_score", "paper_score")),
            _BOXED * entry["in_the_box"] or _ACCELERATOR * entry["accelerator"],
        )
        for entry in entries
    ]
    return f"{heading}\n{_console.table(('preset', 'data', 'here', 'paper', ''), rows)}"


def _said(metric: str, score: float | None) -> str:
    return _numbers.said(metric, score) if metric == "error" else _numbers.number(score, ".3f")


def _lines(about: _catalogue.Entry) -> list[str]:
    """Returns all that is known of a preset, without what is not."""
    width = max(map(len, about)) + 2
    return [
        _console.wrapped(f"{name.replace('_', ' '):{width}}{_spelled(value)}", " " * width)
        for name, value in about.items()
        if value is not None
    ]


def _spelled(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_numbers.said(name, x)}" for name, x in value.items())
    return ("no", "yes")[value] if isinstance(value, bool) else _numbers.number(value)
