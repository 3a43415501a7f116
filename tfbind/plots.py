"""Pictures of groupings, in one set of colours: group k looks the same in all. And of classes.

Figures are matplotlib's own objects, made without pyplot, so that no global state is touched and
no display is needed. In a notebook, `IPython.display.display(figure)` shows one.
"""

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from scipy.optimize import linear_sum_assignment

from tfbind import _files
from tfbind._validation import check_shape

__all__ = [
    "brightness",
    "classes_figure",
    "group_colors",
    "groups_figure",
    "iterations_figure",
    "label_map",
    "likelihood_figure",
    "manifold_figure",
    "num_groups_figure",
    "overlay",
    "save",
]

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
_MOST_GRIDS_A_ROW = 5
_GAP = 0.4  # grey value of the lines between the pictures of a grid
_NO_GROUP = 255  # grey value of lit pixels without a true group


def group_colors(num_groups):
    """Returns the colours of groups 0, 1, ..., uint8 `[num_groups, 3]`; they repeat after 16."""
    return _COLORS[np.arange(num_groups) % len(_COLORS)]


def brightness(image, spatial_ndim=2):
    """Returns how light each pixel is, float32 `[H, W]` in [0, 1].

    Args:
        image: `[H, W]` or `[H, W, C]`; values outside [0, 1] are scaled to fill it.
        spatial_ndim: Axes to keep.

    Example:

    >>> tfbind.plots.brightness(np.array([[0.0, 2.0], [4.0, 1.0]])).tolist()
    [[0.0, 0.5], [1.0, 0.25]]
    """
    image = _array(image).astype("float32")
    image = image.mean(axis=tuple(range(spatial_ndim, image.ndim)))
    low, high = min(0.0, float(image.min())), float(image.max())
    return (image - low) / max(1.0, high - low) if low < 0 or high > 1 else image


def overlay(image, assignments):
    """Colours an image by its groups: hue says which group, brightness is the image's own.

    Args:
        image: `[H, W]` or `[H, W, C]`.
        assignments: `[K, H, W]`, sums to 1 over K; mixed shares give mixed colours.

    Returns:
        uint8 `[H, W, 3]`, RGB.

    Raises:
        ValueError: If the sizes differ.

    Example:

    >>> image = np.array([[1.0, 1.0, 0.0]])
    >>> assignments = np.array([[[1.0, 0.0, 0.5]], [[0.0, 1.0, 0.5]]])
    >>> tfbind.plots.overlay(image, assignments).tolist()
    [[[255, 75, 60], [60, 200, 90], [0, 0, 0]]]
    """
    light = brightness(image)
    assignments = _array(assignments)
    check_shape("assignments", assignments.shape, (None, *light.shape))
    return _blend(light * assignments)


def label_map(image, assignments):
    """Numbers the group of every pixel.

    Args:
        image: `[H, W]` or `[H, W, C]`.
        assignments: `[K, H, W]`.

    Returns:
        uint8 `[H, W]`: 0 where the image is zero, else 1 + the group with the largest share.

    Example:

    >>> image = np.array([[1.0, 1.0, 0.0]])
    >>> assignments = np.array([[[0.9, 0.2, 0.5]], [[0.1, 0.8, 0.5]]])
    >>> tfbind.plots.label_map(image, assignments).tolist()
    [[1, 2, 0]]
    """
    image = _array(image)
    lit = (image != 0).any(axis=tuple(range(2, image.ndim)))
    return np.where(lit, 1 + _array(assignments).argmax(axis=0), 0).astype("uint8")


def groups_figure(images, trace, groups=None, iterations=(0, 1, 2, 3, 5, 10), whole=False):
    """Draws how groups form, one row an image: input, assignments, reconstructions, truth.

    Args:
        images: `[B, H, W, C]` or `[B, H, W]`, a few.
        trace: What `ReconstructionClustering.trace(images)` or `Tagger.trace(images)` returns.
        groups: True groups, integer `[B, H, W]`, or None. Each takes the colour of the found group
            that it fits best; white marks lit pixels without a group.
        iterations: Iterations to show, of which those that the trace has are; and the last one.
        whole: Whether to colour the dark pixels too, as Tagger's paper does, instead of shading
            the assignments by the image.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: If the trace is not of these images.

    References:
        Greff, Srivastava, Schmidhuber. Binding via Reconstruction Clustering. ICLR workshop,
        2016. https://arxiv.org/abs/1511.06418, Figure 5.
        Greff, Rasmus, Berglund, Hao, Schmidhuber, Valpola. Tagger: Deep Unsupervised Perceptual
        Grouping. NIPS, 2016. https://arxiv.org/abs/1606.06724, Figure 3.
    """
    assignments = _array(trace["assignments"])  # [T + 1, B, K, H, W]
    reconstructions = _array(trace["reconstructions"])[-1]  # [B, K, H, W, C]
    num_iterations, num_groups = len(assignments) - 1, assignments.shape[2]
    light = np.stack([brightness(image) for image in images])
    check_shape("trace['assignments']", assignments.shape[1:], (len(light), None, *light.shape[1:]))
    shade = np.ones_like(light) if whole else light
    shown = sorted({t for t in iterations if t <= num_iterations} | {num_iterations})
    panels = {
        "input": {"": _grey(light)},
        "groups after iteration": {
            str(t): [_blend(x * a) for x, a in zip(shade, assignments[t], strict=True)]
            for t in shown
        },
        "reconstructions": {
            str(k + 1): [_tint(y[k], k) for y in reconstructions] for k in range(num_groups)
        },
    }
    if groups is not None:
        rows = zip(light, assignments[-1], _array(groups), strict=True)
        panels["truth"] = {"": [_true_colors(*row) for row in rows]}
    return _tiled(panels, light.shape[1:])


def classes_figure(images, names, num_seen):
    """Draws what each output of a model decodes to, in their order: seen classes, then unseen.

    Args:
        images: `[k, H, W, C]` or `[k, H, W]`, as `unseen_classes.decoded_classes` returns them.
        names: `[k]`, the class that each output stands for, as `unseen_classes.name_classes` finds.
        num_seen: Integer from 1 to k - 1, how many classes had labels.

    Returns:
        A `matplotlib.figure.Figure`.

    References:
        Inverting VAEs (all-umass/untapped), Figure 2.
    """
    light = np.stack([brightness(image) for image in images])
    pictures = zip(_titles(names), _grey(light), strict=True)
    columns = [(title, [picture]) for title, picture in pictures]
    panels = {"seen": dict(columns[:num_seen]), "unseen": dict(columns[num_seen:])}
    return _tiled(panels, light.shape[1:])


def likelihood_figure(trace):
    """Draws the log-likelihood over the iterations: each image's, and their mean.

    Args:
        trace: What `ReconstructionClustering.trace(images)` returns.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    values = _array(trace["log_likelihoods"])  # [2 * T + 1, B]
    steps = np.arange(len(values)) / 2
    mean = values.mean(axis=1)
    figure, axes = _axes("iteration", "log-likelihood, nats per image")
    axes.plot(steps, values, color="0.8", linewidth=0.7)
    axes.plot(steps, mean, color=_rgb(2), linewidth=2, label="mean")
    axes.plot(steps[1::2], mean[1::2], "o", color=_rgb(0), label="after an R-step")
    axes.plot(steps[2::2], mean[2::2], "s", color=_rgb(1), label="after an E-step")
    # The start, where every reconstruction is 0.5, would squeeze all the rest.
    low, high = values[1:].min(), values[1:].max()
    axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    axes.legend(loc="lower right")
    return figure


def iterations_figure(minutes, scores):
    """Draws how the score of each iteration grows with training.

    Args:
        minutes: Float `[epochs]`, minutes of training at the end of each epoch.
        scores: `[T, epochs]`, such as the `val_ami_1` to `val_ami_T` of a history.

    Returns:
        A `matplotlib.figure.Figure`.

    Example:

    >>> figure = tfbind.plots.iterations_figure([1.0, 2.0], [[0.2, 0.4], [0.3, 0.6]])
    >>> len(figure.axes[0].lines)
    2
    """
    figure, axes = _axes("minutes of training", "adjusted mutual information")
    for index, values in enumerate(_array(scores)):
        axes.plot(minutes, values, color=_rgb(index), label=f"iteration {index + 1}")
    axes.legend(loc="lower right")
    return figure


def manifold_figure(images, names, latent_range, dims=(0, 1)):
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
    gap = [(0, 0), (0, 0), (0, 1), (0, 1)]
    grids = [np.pad(brightness(grid, spatial_ndim=4), gap, constant_values=_GAP) for grid in images]
    num_columns = min(len(grids), _MOST_GRIDS_A_ROW)
    num_rows = -(-len(grids) // num_columns)
    figure = Figure(figsize=(2.7 * num_columns, 2.9 * num_rows), layout="constrained")
    panels = figure.subplots(num_rows, num_columns, squeeze=False).ravel()
    for axes, grid, title in zip(panels, grids, _titles(names), strict=False):
        mosaic = np.block([[picture for picture in row] for row in grid])
        height, width = mosaic.shape
        extent = (*latent_range, *latent_range)
        axes.imshow(mosaic, cmap="gray", vmin=0, vmax=1, extent=extent, aspect=height / width)
        axes.set_title(title, fontsize=9)
        axes.set(xlabel=_latent(dims[0]), xticks=latent_range, yticks=[])
        if len(dims) > 1:
            axes.set(ylabel=_latent(dims[1]), yticks=latent_range)
    for axes in panels[len(grids) :]:
        axes.set_axis_off()
    return figure


def num_groups_figure(selection):
    """Draws the log-likelihood for each number of groups and marks the best.

    Args:
        selection: What `tfbind.training.select_num_groups` returns.

    Returns:
        A `matplotlib.figure.Figure`.

    Example:

    >>> selection = tfbind.training.NumGroupsSelection((2, 3, 4), (-68.0, -15.0, -18.0), 3)
    >>> figure = tfbind.plots.num_groups_figure(selection)
    >>> figure.axes[0].get_title()
    'K = 3 explains the images best'
    """
    figure, axes = _axes("number of groups K", "log-likelihood, nats per image")
    axes.plot(selection.candidates, selection.log_likelihoods, "o-", color=_rgb(2))
    best = selection.log_likelihoods[selection.candidates.index(selection.best)]
    axes.plot(selection.best, best, "o", markersize=14, fillstyle="none", color=_rgb(0))
    axes.set_xticks(selection.candidates)
    axes.set_title(f"K = {selection.best} explains the images best")
    return figure


def save(figure, path):
    """Writes a figure; the suffix of `path` says how: .png, .pdf, .svg.

    Args:
        figure: A `matplotlib.figure.Figure`.
        path: File to write, replaced as a whole if there is one.
    """
    with _files.replacing(path) as partial:
        figure.savefig(partial, dpi=120)


def _array(values):
    """Returns NumPy's view of an array or tensor, which NumPy 2 cannot take without a warning."""
    return values.numpy() if hasattr(values, "numpy") else np.asarray(values)


def _blend(shares):
    """Mixes the groups' colours: `[K, H, W]` in [0, 1] to uint8 `[H, W, 3]`."""
    colors = group_colors(len(shares)).astype("float32")
    mixed = np.einsum("khw,kc->hwc", shares, colors)
    return np.clip(np.rint(mixed), 0, 255).astype("uint8")


def _grey(light):
    return [np.rint(255 * np.repeat(x[..., None], 3, axis=-1)).astype("uint8") for x in light]


def _titles(names):
    return [f"{output} \u2192 {name}" for output, name in enumerate(names)]


def _latent(dim):
    return f"$z_{{{dim + 1}}}$"


def _tint(reconstruction, group):
    light = np.clip(brightness(reconstruction), 0, 1)[..., None]
    return np.rint(light * _COLORS[group % len(_COLORS)]).astype("uint8")


def _true_colors(light, assignments, groups):
    num_true = max(1, int(groups.max()))
    shares = np.zeros([num_true, max(num_true, len(assignments))])
    for group in range(num_true):
        shares[group, : len(assignments)] = assignments[:, groups == group + 1].sum(axis=1)
    _, matched = linear_sum_assignment(shares, maximize=True)
    palette = np.vstack([[[_NO_GROUP] * 3], _COLORS[matched % len(_COLORS)]])
    return np.rint(light[..., None] * palette[groups]).astype("uint8")


def _tiled(panels, shape):
    """Lays out panels, each a dict from column title to a picture a row, side by side."""
    widths = [len(columns) for columns in panels.values()]
    num_rows = len(next(iter(next(iter(panels.values())).values())))
    height = _TILE * shape[0] / shape[1]
    size = (_TILE * (sum(widths) + 0.4 * len(widths)), height * num_rows + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    subfigures = figure.subfigures(1, len(panels), width_ratios=widths, squeeze=False)[0]
    for subfigure, (title, columns) in zip(subfigures, panels.items(), strict=True):
        subfigure.suptitle(title, fontsize=9)
        grid = subfigure.subplots(num_rows, len(columns), squeeze=False)
        for column, (name, pictures) in zip(grid.T, columns.items(), strict=True):
            column[0].set_title(name or " ", fontsize=8)
            for axes, picture in zip(column, pictures, strict=True):
                axes.imshow(picture, interpolation="nearest")
                axes.set_axis_off()
    return figure


def _axes(xlabel, ylabel):
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    return figure, axes


def _rgb(index):
    return matplotlib.colors.to_hex(_COLORS[index] / 255)
