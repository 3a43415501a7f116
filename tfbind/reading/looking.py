"""What data looks like: how many, how large, which values, which ground."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from tfbind.reading.pictures import grey

LOOKED_AT = 64  # pictures, evenly spread, that are looked at before all are read
_NEAR = 0.15  # differences of brightness that paper and light make, at most
_FAINT = 0.3  # the same as a share of the contrast, where that is low
_PLAIN = 0.5  # share of the pixels of a plain ground, at least
_INK = 0.999  # share of the pixels that are no further from the ground than its ink: lines are thin
_LEVELS = 0.9  # share of the pixels near ground or ink where there are two levels
_COLORFUL = 0.1  # difference of channels that is a colour
_WIDE = 256  # bins of grey


class Look(NamedTuple):
    """What data looks like.

    Attributes:
        kind: "pictures", "arrays", "rows" or "texts".
        num: Examples.
        shape: Of an example as it is stored, or None if they differ.
        low: Lowest value among those looked at.
        high: Highest value.
        sparsity: Share of elements that are the ground of a picture, or zero elsewhere.
        is_plain: Whether all pictures stand on a ground of one brightness.
        is_dark_on_light: Whether that ground is the lighter part.
        has_two_levels: Whether there is little between ground and figures.
        is_colored: Whether pictures have colours.
        classes: Names of known classes; empty if none are.
        notes: Sentences on what was left out or taken for granted.
    """

    kind: str
    num: int
    shape: tuple[int, ...] | None
    low: float
    high: float
    sparsity: float
    is_plain: bool = False
    is_dark_on_light: bool = False
    has_two_levels: bool = False
    is_colored: bool = False
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Returns what a person is told."""
        size = "of different sizes" if self.shape is None else " x ".join(map(str, self.shape))
        first = f"{self.num} {self.kind}"
        if self.kind != "texts":
            first += f", {size}, values from {self.low:.4g} to {self.high:.4g}"
        known = f"{len(self.classes)} classes known, used to score alone" if self.classes else ""
        return [f"{first}{self._drawn()}.", *([f"{known}."] if known else []), *self.notes]

    def _drawn(self) -> str:
        if self.kind in ("rows", "texts"):
            return ""
        tones = "two levels" if self.has_two_levels else "colours" if self.is_colored else "greys"
        ground = "dark on light" if self.is_dark_on_light else "light on dark"
        plain = f", {ground}, {self.sparsity:.0%} ground" if self.is_plain else ""
        return f"; {tones}{plain}"


class Tones(NamedTuple):
    """How one picture is painted."""

    ground: float
    sparsity: float
    two_levels: bool
    colored: bool


def tones_of(picture: np.ndarray) -> Tones:
    """Returns how `[H, W, C]` in [0, 1] is painted; its ground is what its edge mostly is."""
    light = grey(picture)[..., 0]
    edge = np.concatenate([light[0], light[-1], light[:, 0], light[:, -1]])
    ground = float(np.median(edge))
    away = np.abs(light - ground)
    ink = float(np.quantile(away, _INK))
    near = min(_NEAR, _FAINT * ink)
    between = (away > near) & (away < (1 - _FAINT) * ink)
    colored = np.ptp(picture, axis=-1) > _COLORFUL
    return Tones(
        ground,
        float((away <= near).mean()),
        bool(between.mean() < 1 - _LEVELS),
        colored.mean() > 0.01,
    )


def painted(pictures: Iterable[np.ndarray]) -> dict[str, Any]:
    """Returns the fields of `Look` that tell how most of some pictures are painted."""
    tones = [tones_of(picture) for picture in pictures]
    sparsity = float(np.median([each.sparsity for each in tones]))
    grounds = np.array([each.ground for each in tones])
    ground = float(np.median(grounds))
    plain = sparsity > _PLAIN and float(np.median(np.abs(grounds - ground))) < _NEAR
    return {
        "sparsity": sparsity,
        "is_plain": plain,
        "is_dark_on_light": plain and ground > 0.5,
        "has_two_levels": float(np.mean([each.two_levels for each in tones])) > 0.5,
        "is_colored": float(np.mean([each.colored for each in tones])) > 0.5,
    }


def threshold_of(images: np.ndarray) -> float:
    """Returns the value in [0, 1] that parts two kinds of pixels best.

    References:
        Otsu. A threshold selection method from gray-level histograms. IEEE Transactions on
        Systems, Man, and Cybernetics, 1979.
    """
    counts, edges = np.histogram(images, _WIDE, (0.0, 1.0))
    middles = (edges[:-1] + edges[1:]) / 2
    below = counts.cumsum()
    above = below[-1] - below
    total = (counts * middles).cumsum()
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = total / below - (total[-1] - total) / above
        spread = np.nan_to_num(below * above * distance**2)
    # In the middle of the best ones: between two values all are as good.
    return float(np.mean(edges[1:][np.isclose(spread, spread.max())]))
