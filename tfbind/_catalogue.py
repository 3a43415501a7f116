"""Which presets there are, and which have weights in the box: read from files, without Keras.

`catalogue.json` says of every preset what `tfbind list` shows, and of which files of presets it was
made. A test compares it with them, and writes it anew if asked to; `our_score`, which
docs/results.md backs, and `accelerator` are kept there by hand. `weights` holds a run folder for
every preset in the box, with its card.
"""

import difflib
import hashlib
import json
import pathlib
from collections.abc import Iterable
from typing import Any

_HERE = pathlib.Path(__file__).resolve().parent
CATALOGUE = _HERE / "catalogue.json"
WEIGHTS = _HERE / "weights"
_PRESETS = _HERE / "training" / "presets"
_KEPT_BY_HAND = {"our_score": None, "accelerator": False}

Entry = dict[str, Any]  # what is known of a preset


def presets() -> dict[str, Entry]:
    """Returns what the catalogue has of every preset, by its name."""
    return {entry["preset"]: entry for entry in _read()["presets"]}


def is_current() -> bool:
    """Whether the catalogue was made of the files of presets as they are."""
    return _read()["made_of"] == fingerprint()


def fingerprint() -> str:
    """Returns what tells the files of presets from all others."""
    digest = hashlib.sha256()
    for path in sorted(_PRESETS.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def completed(described: Iterable[Entry]) -> dict[str, Entry]:
    """Returns what presets say of themselves, by name, with what is kept by hand."""
    old = presets()
    by_hand = {name: {key: entry[key] for key in _KEPT_BY_HAND} for name, entry in old.items()}
    return {
        entry["preset"]: {**entry, **by_hand.get(entry["preset"], _KEPT_BY_HAND)}
        for entry in described
    }


def _read() -> dict[str, Any]:
    return json.loads(CATALOGUE.read_text("utf-8"))


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
