"""What all pictures share: colours, tiles side by side, grids with lines, curves, saving."""

import os
from collections.abc import Iterable, Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from tfbind import _files

# Picked one after the other to be as far apart as can be, in CIELAB, from those before, black
# and white; all of them bright enough to be seen on black.
_COLORS = np.array(
    [
        [255, 75, 60],
        [60, 200, 90],
        [70, 130, 255],
        [255, 0, 195],
        [255, 210, 0],
        [135, 120, 60],
        [165, 90, 135],
        [0, 135, 165],
        [150, 60, 255],
        [0, 255, 0],
        [0, 240, 225],
        [255, 165, 150],
        [225, 0, 105],
        [210, 225, 120],
        [210, 120, 0],
        [180, 240, 15],
    ],
    dtype=np.uint8,
)
_TILE = 0.85  # inches
_GAP = 0.4  # grey value of the lines between the pictures of a grid


def group_colors(num_groups: int) -> np.ndarray:
    """Returns the colours of groups 0, 1, ..., uint8 `[num_groups, 3]`; they repeat after 16."""
    return colors_of(np.arange(num_groups))


def colors_of(groups: ArrayLike) -> np.ndarray:
    """Returns the colours of some groups, uint8 `[..., 3]` for integers `[...]`."""
    return _COLORS[np.asarray(groups) % len(_COLORS)]


def line_color(group: int) -> str:
    """Returns the colour of a group for a line, as `#rrggbb`."""
    return matplotlib.colors.to_hex(tuple(colors_of(group) / 255))


def brightness(image: ArrayLike, spatial_ndim: int = 2) -> np.ndarray:
    """Returns how light each pixel is, float32 `[H, W]` in [0, 1].

    Args:
        image: `[H, W]` or `[H, W, C]`; values outside [0, 1] are scaled to fill it.
        spatial_ndim: Axes to keep.

    Example:

    >>> tfbind.plots.brightness(np.array([[0.0, 2.0], [4.0, 1.0]])).tolist()
    [[0.0, 0.5], [1.0, 0.25]]
    """
    pixels = np.asarray(image, "float32")
    light = pixels.mean(axis=tuple(range(spatial_ndim, pixels.ndim)))
    low, high = min(0.0, float(light.min())), float(light.max())
    return (light - low) / max(1.0, high - low) if low < 0 or high > 1 else light


def grey(light: np.ndarray) -> list[np.ndarray]:
    """Returns pictures of brightnesses `[B, H, W]` in [0, 1], each uint8 `[H, W, 3]`."""
    return [np.rint(255 * np.repeat(x[..., None], 3, axis=-1)).astype("uint8") for x in light]


def output_titles(names: Iterable) -> list[str]:
    """Returns a title for each output of a model: its number, and what it stands for."""
    return [f"{output} \u2192 {name}" for output, name in enumerate(names)]


def tiles_figure(
    panels: Mapping[str, Mapping[str, Sequence[np.ndarray]]], image_shape: tuple[int, int]
) -> Figure:
    """Lays out panels, each a dict from column title to a picture a row, side by side."""
    widths = [len(columns) for columns in panels.values()]
    num_rows = len(next(iter(next(iter(panels.values())).values())))
    height = _TILE * image_shape[0] / image_shape[1]
    size = (_TILE * (sum(widths) + 0.4 * len(widths)), height * num_rows + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    subfigures = figure.subfigures(1, len(panels), width_ratios=widths, squeeze=False)[0]
    for subfigure, (title, columns) in zip(subfigures, panels.items(), strict=True):
        subfigure.suptitle(title, fontsize=9)
        grid = subfigure.subplots(num_rows, len(columns), squeeze=False)
        for column, (name, pictures) in zip(grid.T, columns.items(), strict=True):
            _fill_column(column, name, pictures)
    return figure


def _fill_column(column, name, pictures):
    column[0].set_title(name or " ", fontsize=8)
    for axes, picture in zip(column, pictures, strict=True):
        axes.imshow(picture, interpolation="nearest")
        axes.set_axis_off()


def mosaic(grid: ArrayLike) -> np.ndarray:
    """Joins `[rows, columns, H, W, C]`, or without C; three channels are shown as colours."""
    grid = np.asarray(grid)
    colored = grid.ndim == 5 and grid.shape[-1] == 3
    light = brightness(grid, spatial_ndim=5 if colored else 4)
    gap = [(0, 0), (0, 0), (0, 1), (0, 1)] + [(0, 0)] * colored
    lined = np.pad(light, gap, constant_values=_GAP)
    rows, columns, height, width, *channels = lined.shape
    return lined.swapaxes(1, 2).reshape(rows * height, columns * width, *channels)


def grid_figure(grid: np.ndarray, row_names: Sequence, column_names: Sequence[str] = ()) -> Figure:
    """Draws `[rows, columns, H, W, C]`, or without C, with names beside the rows and above."""
    rows, columns, height, width = grid.shape[:4]
    size = (_TILE * columns + 1, _TILE * rows * height / width + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.imshow(mosaic(grid)[:-1, :-1], cmap="gray", vmin=0, vmax=1)
    axes.set_yticks(np.arange(rows) * (height + 1) + (height - 1) / 2, row_names)
    centers = np.arange(columns) * (width + 1) + (width - 1) / 2
    axes.set_xticks(centers[: len(column_names)], column_names)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    return figure


def curve_axes(xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    """Returns a figure for curves and its only axes."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    return figure, axes


def save(figure: Figure, path: str | os.PathLike) -> None:
    """Writes a figure; the suffix of `path` says how: .png, .pdf, .svg.

    Args:
        figure: A `matplotlib.figure.Figure`.
        path: File to write, replaced as a whole if there is one.
    """
    with _files.replacing(path) as partial:
        figure.savefig(partial, dpi=120)
