"""The learning curves of a run, as lines that the page draws in its own colours."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

_NOT_CURVES = ("epoch", "seconds", "learning_rate")
_POINTS = 200  # of a line
_SIZE = (300.0, 100.0)  # of a panel, in units of its own
_MARGIN = 4.0


class Line(NamedTuple):
    """One line of a panel: its name, the path of SVG, and its first, last and best values."""

    name: str
    path: str
    first: float
    last: float


class Panel(NamedTuple):
    """Curves that share an axis: those of training and of validation."""

    name: str
    low: float
    high: float
    lines: list[Line]


def panels_of(history: Sequence[dict[str, float | None]]) -> list[Panel]:
    """Returns a panel for each thing that was logged, the loss first.

    Args:
        history: A dict an epoch, None where an epoch has no value.
    """
    names = [name for name in history[0] if name not in _NOT_CURVES] if history else []
    plain = sorted(dict.fromkeys(name.removeprefix("val_") for name in names), key=_rank)
    found = (
        _panel(name, [x for x in (name, f"val_{name}") if x in names], history) for name in plain
    )
    told = {tuple(line.path for line in panel.lines): panel for panel in reversed(list(found))}
    return [panel for paths, panel in reversed(told.items()) if paths]  # one of equal ones


def _rank(name: str) -> bool:
    return name != "loss"


def _panel(name: str, names: Sequence[str], history: Sequence[dict[str, Any]]) -> Panel:
    values = {each: _known(each, history) for each in names}
    values = {each: known for each, known in values.items() if len(known)}
    everything = np.concatenate([known[:, 1] for known in values.values()] or [np.zeros(1)])
    low, high = float(everything.min()), float(everything.max())
    return Panel(name, low, high, [_line(each, x, low, high) for each, x in values.items()])


def _known(name: str, history: Sequence[dict[str, Any]]) -> np.ndarray:
    """Returns epoch and value, float `[n, 2]`, where there is one; at most 200, evenly spread."""
    pairs = [(row["epoch"], row.get(name)) for row in history]
    known = np.array([pair for pair in pairs if pair[1] is not None and np.isfinite(pair[1])])
    spread = np.linspace(0, len(known) - 1, min(_POINTS, len(known))).round().astype(int)
    return known.reshape(-1, 2)[spread]


def _line(name: str, known: np.ndarray, low: float, high: float) -> Line:
    (width, height), epochs = _SIZE, known[:, 0]
    share = (epochs - 1) / max(1.0, float(epochs.max()) - 1)
    x = _MARGIN + (width - 2 * _MARGIN) * share
    y = height - _MARGIN - (height - 2 * _MARGIN) * (known[:, 1] - low) / max(high - low, 1e-12)
    points = " L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
    return Line(name, f"M{points}", float(known[0, 1]), float(known[-1, 1]))
