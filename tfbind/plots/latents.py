"""Pictures of latents: what they decode to, what lies between them, and where examples lie."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from tfbind._validation import check_shape
from tfbind.plots import canvas

_MOST_GRIDS_A_ROW = 5


def manifold_figure(
    images: np.ndarray,
    names: Sequence,
    latent_range: tuple[float, float],
    dims: Sequence[int] = (0, 1),
) -> Figure:
    """Draws what each output of a model decodes to all over the box of its latents.

    Args:
        images: `[k, rows, columns, H, W, C]`, or without C, as `unseen_classes.decoded_grid`
            returns them: the first dimension grows to the right, the second upwards.
        names: `[k]`, the class that each output stands for.
        latent_range: Pair (low, high), the walls of the box.
        dims: The two dimensions of z that are traversed, or the only one.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    num_columns = min(len(images), _MOST_GRIDS_A_ROW)
    num_rows = -(-len(images) // num_columns)
    figure = Figure(figsize=(2.7 * num_columns, 2.9 * num_rows), layout="constrained")
    panels = figure.subplots(num_rows, num_columns, squeeze=False).ravel()
    for axes, grid, title in zip(panels, images, canvas.output_titles(names), strict=False):
        _draw_box(axes, canvas.mosaic(grid), latent_range, dims)
        axes.set_title(title, fontsize=9)
    for axes in panels[len(images) :]:
        axes.set_axis_off()
    return figure


def reconstructions_figure(images: ArrayLike, reconstructions: ArrayLike) -> Figure:
    """Draws images, and below each what a model makes of it.

    Args:
        images: `[B, H, W, C]` or `[B, H, W]`, a few; three channels are shown as colours.
        reconstructions: Of the same shape.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: If the shapes differ.
    """
    check_shape("reconstructions", np.shape(reconstructions), np.shape(images))
    return canvas.grid_figure(np.stack([images, reconstructions]), ["image", "reconstruction"])


def interpolations_figure(steps: ArrayLike) -> Figure:
    """Draws what lies between pairs of examples, one row a pair.

    Args:
        steps: `[B, num_steps, H, W, C]`, or without C, as `AdversarialMixture.interpolate` returns
            them; three channels are shown as colours.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    steps = np.asarray(steps)
    between = [""] * (steps.shape[1] - 2)
    return canvas.grid_figure(steps, [""] * len(steps), ["start", *between, "end"])


def embedding_figure(points: ArrayLike, classes: ArrayLike) -> Figure:
    """Draws points in the plane, coloured by class.

    Args:
        points: float `[n, 2]`, such as latents that PCA or t-SNE of scikit-learn has brought to
            two dimensions.
        classes: Integers `[n]`, any ids; the colours repeat after 16 classes.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: If the points are not in the plane, or are not as many as the classes.
    """
    points, classes = np.asarray(points), np.asarray(classes)
    check_shape("points", points.shape, (len(classes), 2))
    ids = np.unique(classes)
    figure = Figure(figsize=(6.5, 5.5), layout="constrained")
    axes = figure.subplots()
    for one, color in zip(ids, canvas.group_colors(len(ids)) / 255, strict=True):
        x, y = points[classes == one].T
        axes.scatter(x, y, s=8, color=color, label=one)
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.set_adjustable("datalim")
    figure.legend(title="class", loc="outside right center", markerscale=2, frameon=False)
    return figure


def _draw_box(axes, mosaic, latent_range, dims):
    height, width = mosaic.shape[:2]
    extent = (*latent_range, *latent_range)
    axes.imshow(mosaic, cmap="gray", vmin=0, vmax=1, extent=extent, aspect=height / width)
    axes.set(xlabel=_latent_name(dims[0]), xticks=latent_range, yticks=[])
    if len(dims) > 1:
        axes.set(ylabel=_latent_name(dims[1]), yticks=latent_range)


def _latent_name(dim):
    return f"$z_{{{dim + 1}}}$"
