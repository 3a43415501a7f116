"""The files of a run folder, read as strangers may have written them: whole, or one sentence."""

import csv
import pathlib
from collections.abc import Callable
from typing import Any

from tfbind import reading
from tfbind._forms import NUMBER, check_fields, check_form, each, read_json
from tfbind.training.preset import Preset
from tfbind.training.source import Given

_ANEW = "train into a new folder"
_GIVEN = {"data": (str,), "shape": [(int,)], "sha256": (str,)}
_OWN = {"options": (dict,), "preparation": (dict,), "classes": [(str,)]}
_METRICS = {
    "epochs": (int,),
    "seconds": NUMBER,
    "diagnosis": [{"name": (str,), "sentence": (str,)}],
    "versions": each((str,)),
    "machine": (str,),
    "date": (str,),
}
# What only some trainings have: early stopping, several starts, a test.
_FURTHER = {
    "loss": NUMBER,
    "val_loss": NUMBER,
    "best_epoch": (int,),
    "test": each((*NUMBER, type(None))),
    "chosen_seed": (int,),
    "unsupervised_scores": each(NUMBER),
}


def read_preset(path: pathlib.Path) -> tuple[Preset, Given]:
    """Returns what `preset.json` holds: a preset, and what is remembered of given data."""

    def read() -> tuple[Preset, Given]:
        fields = read_json(path, {"given": _check_given})
        given = fields.pop("given")
        try:
            preset = Preset.from_json(fields)
        except TypeError as error:  # a field is missing, or nobody knows it
            raise ValueError(error) from error
        check_fields(preset)
        return preset, given

    return _or_a_sentence(path, "describe a preset", read)


def read_metrics(path: pathlib.Path) -> dict[str, Any]:
    """Returns what `metrics.json` holds."""
    return _or_a_sentence(path, "tell of a training", lambda: read_json(path, _check_metrics))


def read_history(path: pathlib.Path) -> list[dict[str, float | None]]:
    """Returns the rows of `history.csv`, None where one has no value."""

    def read() -> list[dict[str, float | None]]:
        with path.open(newline="") as file:
            rows = list(csv.reader(file, strict=True))
        names = rows[0] if rows else []
        values = [[float(text) if text else None for text in row] for row in rows[1:]]
        return [dict(zip(names, row, strict=True)) for row in values]

    return _or_a_sentence(path, "have a row of numbers an epoch", read)


def _or_a_sentence(path: pathlib.Path, rule: str, read: Callable) -> Any:
    try:
        return read()
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{str(path)!r} must {rule}. Received: {error}; {_ANEW}.") from error


def _check_given(value: Any, where: str) -> None:
    if value is None:
        return
    check_form(value, _GIVEN, where)
    if "preparation" in value:
        check_form(value, _OWN, where)
        reading.preparation_of(value["preparation"])
        reading.Options.from_json(value["options"])


def _check_metrics(value: Any, where: str) -> None:
    check_form(value, _METRICS, where)
    check_form(value, {name: form for name, form in _FURTHER.items() if name in value}, where)
    if "val_loss" in value:
        check_form(value, {"best_epoch": (int,)}, where)
    elif "loss" not in value:
        raise ValueError("it lacks 'loss'")
    if "chosen_seed" in value:
        check_form(value, {"unsupervised_scores": (dict,)}, where)
