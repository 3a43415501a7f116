"""Scores and numbers as people read them."""

from collections.abc import Mapping
from typing import Any


def said(name: str, value: Any) -> str:
    """Returns a score as people read it: errors in percent."""
    return f"{100 * value:.3g} %" if value is not None and is_error(name) else number(value)


def beside_paper(
    scores: Mapping[str, Any], metric: str, paper: float | None
) -> list[tuple[str, str, str]]:
    """Returns name, score and the paper's, a row each, as people read them; the paper has one."""
    return [
        (name, said(name, value), said(name, paper if name == metric else None))
        for name, value in scores.items()
    ]


def is_error(name: str) -> bool:
    """Whether a score is an error, a fraction that people read in percent."""
    return name == "error" or name.endswith("_error") and not name.endswith("standard_error")


def number(value: Any, spec: str = ".4f") -> str:
    """Returns a number as text, or a dash."""
    if value is None:
        return "-"
    return format(value, spec) if isinstance(value, float) else str(value)
