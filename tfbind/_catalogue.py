"""Which presets there are, and which have weights in the box: read from files, without Keras.

`catalogue.json` says of every preset what `tfbind list` shows. A test compares it with the presets,
and writes it anew if asked to; `our_score`, which docs/results.md backs, and `accelerator` are kept
there by hand. `weights` holds a run folder for every preset in the box, with its card.
"""

import difflib
import json
import pathlib
from collections.abc import Iterable
from typing import Any

_HERE = pathlib.Path(__file__).resolve().parent
CATALOGUE = _HERE / "catalogue.json"
WEIGHTS = _HERE / "weights"


def presets() -> dict[str, dict[str, Any]]:
    """Returns what is known of every preset, by its name."""
    return {entry["preset"]: entry for entry in json.loads(CATALOGUE.read_text("utf-8"))}


def boxed() -> dict[str, pathlib.Path]:
    """Returns the folder of every preset in the box, by its name."""
    return {path.parent.name: path.parent for path in sorted(WEIGHTS.glob("*/card.json"))}


def card(name: str) -> dict[str, Any]:
    """Returns the card of a preset in the box: where its weights come from, and its scores."""
    return json.loads((WEIGHTS / name / "card.json").read_text("utf-8"))


def is_boxed(path: pathlib.Path) -> bool:
    """Whether a path lies in the box, where nothing is written."""
    return path.resolve().is_relative_to(WEIGHTS)


def check_preset(name: str, known: Iterable[str]) -> None:
    """Raises unless a preset is among those `known`."""
    known = tuple(known)
    if name not in known:
        raise ValueError(
            f"`preset` must be the name of a preset. Received: preset={name!r}.{hint(name, known)}"
        )


def hint(name: str, known: Iterable[str]) -> str:
    """Returns a sentence with the names that are nearest, and where all of them are."""
    close = [repr(each) for each in difflib.get_close_matches(str(name), tuple(known))]
    if not close:
        return " `tfbind list` shows all."
    *others, last = close
    listed = f"{', '.join(others)} or {last}" if others else last
    return f" Did you mean {listed}? `tfbind list` shows all."
