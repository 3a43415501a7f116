"""Pictures of the groups that the pixels of an image form, and of how they form."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from tfbind import metrics, reading
from tfbind._validation import check_shape
from tfbind.plots import canvas

_TINT = 0.65  # share of the group's colour where a picture is tinted
_NO_GROUP = 255  # grey value of lit pixels without a true group


def overlay(image: ArrayLike, assignments: ArrayLike) -> np.ndarray:
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
    light = canvas.brightness(image)
    assignments = np.asarray(assignments)
    check_shape("assignments", assignments.shape, (None, *light.shape))
    return _blend(light * assignments)


def tinted(image: ArrayLike, assignments: ArrayLike) -> np.ndarray:
    """Lays the groups' colours over a picture, whose own colours and ground still show.

    Args:
        image: `[H, W]` or `[H, W, C]` in [0, 1].
        assignments: `[K, H, W]`; where they are all zero the picture is left as it is.

    Returns:
        uint8 `[H, W, 3]`, RGB.

    Raises:
        ValueError: If the sizes differ.

    Example:

    >>> black, white = [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]
    >>> tfbind.plots.tinted([[black, white]], [[[1.0, 0.0]]]).tolist()
    [[[166, 49, 39], [255, 255, 255]]]
    """
    image, assignments = np.asarray(image, "float32"), np.asarray(assignments)
    check_shape("assignments", assignments.shape, (None, *image.shape[:2]))
    image = np.broadcast_to(image.reshape(*image.shape[:2], -1), (*image.shape[:2], 3))
    kept = 1 - _TINT * assignments.sum(axis=0)
    colors = _blend(assignments).astype("float32")
    mixed = 255 * image * kept[..., None] + _TINT * colors
    return np.clip(np.rint(mixed), 0, 255).astype("uint8")


def picture_overlay(
    preparation: reading.Pictures, picture: np.ndarray, shares: np.ndarray
) -> np.ndarray:
    """Returns a picture of a person's own in the groups' colours, uint8 `[H, W, 3]`.

    Args:
        preparation: How the model sees it.
        picture: float32 `[H, W, C]` in [0, 1].
        shares: Of its pixels, `[K, H, W]`, as `preparation.put_back` gives them.
    """
    if preparation.invert or picture.shape[-1] == 3:
        return tinted(picture, shares * preparation.lit(picture))
    return overlay(picture, shares)


def label_map(image: ArrayLike, assignments: ArrayLike) -> np.ndarray:
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
    image = np.asarray(image)
    lit = (image != 0).any(axis=tuple(range(2, image.ndim)))
    return np.where(lit, 1 + np.asarray(assignments).argmax(axis=0), 0).astype("uint8")


def groups_figure(
    images: np.ndarray,
    trace: Mapping[str, ArrayLike],
    groups: ArrayLike | None = None,
    iterations: Sequence[int] = (0, 1, 2, 3, 5, 10),
    whole: bool = False,
) -> Figure:
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
    assignments = np.asarray(trace["assignments"])  # [T + 1, B, K, H, W]
    reconstructions = np.asarray(trace["reconstructions"])[-1]  # [B, K, H, W, C]
    light = np.stack([canvas.brightness(image) for image in images])
    check_shape("trace['assignments']", assignments.shape[1:], (len(light), None, *light.shape[1:]))
    panels = {
        "input": {"": canvas.grey(light)},
        "groups after iteration": _iteration_columns(
            np.ones_like(light) if whole else light, assignments, iterations
        ),
        "reconstructions": {
            str(k + 1): [_shaded(y[k], k) for y in reconstructions]
            for k in range(assignments.shape[2])
        },
    }
    if groups is not None:
        rows = zip(light, assignments[-1], np.asarray(groups), strict=True)
        panels["truth"] = {"": [_true_colors(*row) for row in rows]}
    return canvas.tiles_figure(panels, light.shape[1:])


def likelihood_figure(trace: Mapping[str, ArrayLike]) -> Figure:
    """Draws the log-likelihood over the iterations: each image's, and their mean.

    Args:
        trace: What `ReconstructionClustering.trace(images)` returns.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    values = np.asarray(trace["log_likelihoods"])  # [2 * T + 1, B]
    steps = np.arange(len(values)) / 2
    mean = values.mean(axis=1)
    figure, axes = canvas.curve_axes("iteration", "log-likelihood, nats per image")
    axes.plot(steps, values, color="0.8", linewidth=0.7)
    axes.plot(steps, mean, color=canvas.line_color(2), linewidth=2, label="mean")
    axes.plot(steps[1::2], mean[1::2], "o", color=canvas.line_color(0), label="after an R-step")
    axes.plot(steps[2::2], mean[2::2], "s", color=canvas.line_color(1), label="after an E-step")
    # The start, where every reconstruction is 0.5, would squeeze all the rest.
    low, high = values[1:].min(), values[1:].max()
    axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    axes.legend(loc="lower right")
    return figure


def iterations_figure(minutes: ArrayLike, scores: ArrayLike) -> Figure:
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
    figure, axes = canvas.curve_axes("minutes of training", "adjusted mutual information")
    for index, values in enumerate(np.asarray(scores)):
        axes.plot(minutes, values, color=canvas.line_color(index), label=f"iteration {index + 1}")
    axes.legend(loc="lower right")
    return figure


def num_groups_figure(selection: tuple[Sequence[int], Sequence[float], int]) -> Figure:
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
    candidates, log_likelihoods, best = selection
    figure, axes = canvas.curve_axes("number of groups K", "log-likelihood, nats per image")
    axes.plot(candidates, log_likelihoods, "o-", color=canvas.line_color(2))
    height = log_likelihoods[candidates.index(best)]
    axes.plot(best, height, "o", markersize=14, fillstyle="none", color=canvas.line_color(0))
    axes.set_xticks(candidates)
    axes.set_title(f"K = {best} explains the images best")
    return figure


def _iteration_columns(shade, assignments, iterations):
    last = len(assignments) - 1
    shown = sorted({t for t in iterations if t <= last} | {last})
    return {
        str(t): [_blend(x * a) for x, a in zip(shade, assignments[t], strict=True)] for t in shown
    }


def _blend(shares):
    """Mixes the groups' colours: `[K, H, W]` in [0, 1] to uint8 `[H, W, 3]`."""
    colors = canvas.group_colors(len(shares)).astype("float32")
    mixed = np.einsum("khw,kc->hwc", shares, colors)
    return np.clip(np.rint(mixed), 0, 255).astype("uint8")


def _shaded(reconstruction, group):
    light = np.clip(canvas.brightness(reconstruction), 0, 1)[..., None]
    return np.rint(light * canvas.colors_of(group)).astype("uint8")


def _true_colors(light, assignments, groups):
    num_true = max(1, int(groups.max()))
    # At least as many columns as rows, so that every true group gets a colour.
    shares = np.zeros([num_true, max(num_true, len(assignments))])
    for group in range(num_true):
        shares[group, : len(assignments)] = assignments[:, groups == group + 1].sum(axis=1)
    _, matched = metrics.best_matching(shares)
    palette = np.vstack([[[_NO_GROUP] * 3], canvas.colors_of(matched)])
    return np.rint(light[..., None] * palette[groups]).astype("uint8")
