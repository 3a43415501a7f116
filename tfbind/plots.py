"""Pictures of groupings, in one set of colours: group k looks the same in all. And of clusters.

Figures are matplotlib's own objects, made without pyplot, so that no global state is touched and
no display is needed. In a notebook, `IPython.display.display(figure)` shows one.
"""

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.optimize import linear_sum_assignment

from tfbind import _files
from tfbind._validation import check_shape

__all__ = [
    "brightness",
    "classes_figure",
    "cluster_matrix_figure",
    "components_figure",
    "embedding_figure",
    "group_colors",
    "groups_figure",
    "interpolations_figure",
    "iterations_figure",
    "label_map",
    "likelihood_figure",
    "manifold_figure",
    "num_groups_figure",
    "overlay",
    "reconstructions_figure",
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
    mosaics = [_mosaic(grid) for grid in images]
    num_columns = min(len(mosaics), _MOST_GRIDS_A_ROW)
    num_rows = -(-len(mosaics) // num_columns)
    figure = Figure(figsize=(2.7 * num_columns, 2.9 * num_rows), layout="constrained")
    panels = figure.subplots(num_rows, num_columns, squeeze=False).ravel()
    for axes, mosaic, title in zip(panels, mosaics, _titles(names), strict=False):
        height, width = mosaic.shape[:2]
        extent = (*latent_range, *latent_range)
        axes.imshow(mosaic, cmap="gray", vmin=0, vmax=1, extent=extent, aspect=height / width)
        axes.set_title(title, fontsize=9)
        axes.set(xlabel=_latent(dims[0]), xticks=latent_range, yticks=[])
        if len(dims) > 1:
            axes.set(ylabel=_latent(dims[1]), yticks=latent_range)
    for axes in panels[len(mosaics) :]:
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


def components_figure(samples, names=None):
    """Draws examples that each component of a mixture generates, one row a component.

    Args:
        samples: `[K, n, H, W, C]` or `[K, n, H, W]`; three channels are shown as colours.
        names: `[K]`, the class that each component stands for, or None.

    Returns:
        A `matplotlib.figure.Figure`.

    Example:

    >>> figure = tfbind.plots.components_figure(np.zeros([3, 5, 8, 8]))
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['0', '1', '2']

    References:
        Jesson, Low-Kam, Nair, Soudan, Chandelier, Chapados. Adversarially Learned Mixture Model.
        2018. https://arxiv.org/abs/1807.05344.
    """
    samples = _array(samples)
    return _grid_figure(samples, range(len(samples)) if names is None else _titles(names))


def reconstructions_figure(images, reconstructions):
    """Draws images, and below each what a model makes of it.

    Args:
        images: `[B, H, W, C]` or `[B, H, W]`, a few; three channels are shown as colours.
        reconstructions: Of the same shape.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: If the shapes differ.
    """
    images, reconstructions = _array(images), _array(reconstructions)
    check_shape("reconstructions", reconstructions.shape, images.shape)
    return _grid_figure(np.stack([images, reconstructions]), ["image", "reconstruction"])


def interpolations_figure(steps):
    """Draws what lies between pairs of examples, one row a pair.

    Args:
        steps: `[B, num_steps, H, W, C]`, or without C, as `AdversarialMixture.interpolate` returns
            them; three channels are shown as colours.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    steps = _array(steps)
    between = [""] * (steps.shape[1] - 2)
    return _grid_figure(steps, [""] * len(steps), ["start", *between, "end"])


def cluster_matrix_figure(classes, clusters, num_clusters):
    """Draws how many examples of each class are in each cluster.

    The clusters stand in the order of the classes with which `metrics.clustering_accuracy`
    matches them, those cells with a frame; those left over follow in the order of their most
    frequent class.

    Args:
        classes: Integers `[n]`, any ids.
        clusters: Integers `[n]`, from 0 to num_clusters - 1.
        num_clusters: Integer, how many clusters there could be.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: If the lengths differ, or a cluster is out of range.

    Example:

    >>> figure = tfbind.plots.cluster_matrix_figure([3, 3, 5], [1, 1, 0], num_clusters=2)
    >>> figure.axes[0].get_title()
    'clustering accuracy 1.000'
    """
    classes, clusters = _array(classes), _array(clusters)
    check_shape("clusters", clusters.shape, classes.shape)
    if clusters.min() < 0 or clusters.max() >= num_clusters:
        raise ValueError(
            f"`clusters` must hold integers from 0 to {num_clusters - 1}. "
            f"Received: values from {clusters.min()} to {clusters.max()}."
        )
    ids, rows = np.unique(classes, return_inverse=True)
    counts = np.zeros((len(ids), num_clusters), int)
    np.add.at(counts, (rows, clusters), 1)
    matched_rows, matched = linear_sum_assignment(counts, maximize=True)
    others = np.setdiff1d(np.arange(num_clusters), matched)
    order = [*matched, *sorted(others, key=lambda cluster: counts[:, cluster].argmax())]
    counts = counts[:, order]
    size = (max(3, 0.5 * num_clusters + 1), 0.5 * len(ids) + 1)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.imshow(counts, cmap="Blues", vmin=0)
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if count > counts.max() / 2 else "black"
        axes.text(column, row, count or "", ha="center", va="center", color=color, fontsize=8)
    for column, row in enumerate(matched_rows):
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, linewidth=1.5))
    axes.set(xlabel="cluster", ylabel="class")
    axes.set_xticks(range(num_clusters), order)
    axes.set_yticks(range(len(ids)), ids)
    accuracy = counts[matched_rows, range(len(matched))].sum() / counts.sum()
    axes.set_title(f"clustering accuracy {accuracy:.3f}", fontsize=10)
    return figure


def embedding_figure(points, classes):
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
    points, classes = _array(points), _array(classes)
    check_shape("points", points.shape, (len(classes), 2))
    ids = np.unique(classes)
    figure = Figure(figsize=(6.5, 5.5), layout="constrained")
    axes = figure.subplots()
    for one, color in zip(ids, group_colors(len(ids)) / 255, strict=True):
        axes.scatter(*points[classes == one].T, s=8, color=color, label=one)
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.set_adjustable("datalim")
    figure.legend(title="class", loc="outside right center", markerscale=2, frameon=False)
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


def _mosaic(grid):
    """Joins `[rows, columns, H, W, C]`, or without C; three channels are shown as colours."""
    grid = _array(grid)
    colored = grid.ndim == 5 and grid.shape[-1] == 3
    light = brightness(grid, spatial_ndim=5 if colored else 4)
    gap = [(0, 0), (0, 0), (0, 1), (0, 1)] + [(0, 0)] * colored
    lined = np.pad(light, gap, constant_values=_GAP)
    rows, columns, height, width, *channels = lined.shape
    return lined.swapaxes(1, 2).reshape(rows * height, columns * width, *channels)


def _grid_figure(grid, row_names, column_names=()):
    rows, columns, height, width = grid.shape[:4]
    size = (_TILE * columns + 1, _TILE * rows * height / width + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.imshow(_mosaic(grid)[:-1, :-1], cmap="gray", vmin=0, vmax=1)
    axes.set_yticks(np.arange(rows) * (height + 1) + (height - 1) / 2, row_names)
    centers = np.arange(columns) * (width + 1) + (width - 1) / 2
    axes.set_xticks(centers[: len(column_names)], column_names)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
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
