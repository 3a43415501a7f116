"""A preset for each published result, small ones for tests, and our own: numbers and reasons.

`get(name)` finds one. Each file here is a system's and holds a tuple `PRESETS`.
"""

import importlib
import pkgutil
from typing import Any

from tfbind._catalogue import check_preset
from tfbind.training.preset import Preset

_PRESETS = tuple(
    preset
    for module in pkgutil.iter_modules(__path__)
    for preset in importlib.import_module(f"{__name__}.{module.name}").PRESETS
)


def names() -> tuple[str, ...]:
    """Returns the names of all presets."""
    return tuple(preset.name for preset in _PRESETS)


def get(name: str) -> Preset:
    """Returns the preset called `name`; raises ValueError if there is none.

    Example:

    >>> tfbind.training.presets.get("rc-shapes").task.dataset
    'shapes'
    """
    check_preset(name, names())
    return next(preset for preset in _PRESETS if preset.name == name)


def described() -> list[dict[str, Any]]:
    """Returns what `tfbind list` shows of each preset, but for our scores."""
    return [
        {
            "preset": preset.name,
            "model": preset.model.name,
            "task": type(preset.task).__name__,
            "data": preset.task.dataset,
            "metric": preset.task.METRIC,
            "paper_score": preset.paper.score,
            "summary": preset.summary,
            "source": preset.paper.source,
        }
        for preset in _PRESETS
    ]
