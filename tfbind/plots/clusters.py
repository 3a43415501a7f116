"""Pictures of the clusters that the examples of a data set form, and of the classes in them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from tfbind import metrics
from tfbind._validation import check_shape
from tfbind.plots import canvas


def classes_figure(images: np.ndarray, names: Sequence, num_seen: int) -> Figure:
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
    light = np.stack([canvas.brightness(image) for image in images])
    pictures = zip(canvas.output_titles(names), canvas.grey(light), strict=True)
    columns = [(title, [picture]) for title, picture in pictures]
    panels = {"seen": dict(columns[:num_seen]), "unseen": dict(columns[num_seen:])}
    return canvas.tiles_figure(panels, light.shape[1:])


def components_figure(samples: ArrayLike, names: Sequence | None = None) -> Figure:
    """Draws examples that a mixture generates of each of its clusters, one row a cluster.

    Args:
        samples: `[K, n, H, W, C]` or `[K, n, H, W]`, those of component k in row k; three channels
            are shown as colours.
        names: `[K]`, the class that each cluster stands for, or None.

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
    samples = np.asarray(samples)
    rows = range(len(samples)) if names is None else canvas.output_titles(names)
    return canvas.grid_figure(samples, rows)


def cluster_matrix_figure(classes: ArrayLike, clusters: ArrayLike, num_clusters: int) -> Figure:
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
        ValueError: If the lengths differ, there are no examples, or a cluster is out of range.

    Example:

    >>> figure = tfbind.plots.cluster_matrix_figure([3, 3, 5], [1, 1, 0], num_clusters=2)
    >>> figure.axes[0].get_title()
    'clustering accuracy 1.000'
    """
    check_shape("clusters", np.shape(clusters), np.shape(classes))
    ids, counts = _counts(classes, clusters, num_clusters)
    rows, matched = metrics.best_matching(counts)
    others = np.setdiff1d(np.arange(num_clusters), matched)
    order = [*matched, *sorted(others, key=lambda cluster: counts[:, cluster].argmax())]
    figure = Figure(
        figsize=(max(3, 0.5 * num_clusters + 1), 0.5 * len(ids) + 1), layout="constrained"
    )
    axes = figure.subplots()
    _draw_counts(axes, counts[:, order])
    for column, row in enumerate(rows):
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, linewidth=1.5))
    axes.set(xlabel="cluster", ylabel="class")
    axes.set_xticks(range(num_clusters), order)
    axes.set_yticks(range(len(ids)), ids)
    accuracy = metrics.clustering_accuracy(classes, clusters)
    axes.set_title(f"clustering accuracy {accuracy:.3f}", fontsize=10)
    return figure


def rounds_figure(rounds: Sequence[Mapping[str, Any]]) -> Figure:
    """Draws how the pseudo-labels of an ensemble came about, round by round.

    A training that gets there has few and right ones at first. If they are many at once, or their
    precision stands still while they grow, the members confirm each other's errors; so they do
    where examples that members differ on vanish early.

    Args:
        rounds: The `rounds` of a `PseudoLabelEnsemble`, at least one.

    Returns:
        A `matplotlib.figure.Figure` of four axes: how many examples have a pseudo-label, and how
        many of these are right where that is known; how many each class has now; how many members
        agree on an example now; and how evenly each member uses its clusters.

    Example:

    >>> found = {"num_found": 2, "coverage": 0.5, "class_sizes": [3, 2], "agreement": [0.2, 0.8]}
    >>> members = {"member_entropies": [0.69, 0.6], "merged": [0, 1]}
    >>> figure = tfbind.plots.rounds_figure([{**found, **members}])
    >>> [axes.get_xlabel() for axes in figure.axes]
    ['round', 'pseudo-class', 'members that agree', 'round']
    """
    if not rounds:
        raise ValueError("`rounds` must hold at least one round. Received: none.")
    figure = Figure(figsize=(8, 6), layout="constrained")
    (shares, sizes), (agreement, entropies) = figure.subplots(2, 2)
    numbers, last = np.arange(len(rounds)), rounds[-1]
    for name in ("coverage", "precision"):
        values = [each.get(name) for each in rounds]
        known = [value is not None for value in values]
        if any(known):
            shares.plot(numbers[known], [x for x in values if x is not None], "o-", label=name)
    shares.set(xlabel="round", ylabel="share", ylim=(0, 1.02))
    shares.set_xticks(numbers)
    shares.legend(loc="lower right")
    sizes.bar(range(len(last["class_sizes"])), last["class_sizes"])
    sizes.set(xlabel="pseudo-class", ylabel="examples")
    agreement.bar(range(1, 1 + len(last["agreement"])), last["agreement"])
    agreement.set(xlabel="members that agree", ylabel="share of examples", ylim=(0, 1.02))
    _draw_entropies(entropies, rounds)
    return figure


def _draw_entropies(axes, rounds):
    values = np.array([each["member_entropies"] for each in rounds])
    for member, (line, merged) in enumerate(zip(values.T, rounds[-1]["merged"], strict=True)):
        label = f"{member}, merged?" if merged else str(member)
        axes.plot(line, "o:" if merged else "o-", label=label)
    most = np.log(len(rounds[-1]["class_sizes"]))
    axes.axhline(most, color="grey", linewidth=1)
    axes.set(xlabel="round", ylabel="marginal entropy of a member, nats")
    axes.set_xticks(range(len(rounds)))
    axes.legend(fontsize=7, ncols=2)


def num_clusters_figure(
    selection: tuple[Sequence[int], Sequence[float], Sequence[float], int],
) -> Figure:
    """Draws how well trainings agree for each number of clusters, and marks the chosen one.

    Args:
        selection: What `tfbind.training.select_num_clusters` returns.

    Returns:
        A `matplotlib.figure.Figure`.

    Example:

    >>> selection = tfbind.training.NumClustersSelection(
    ...     (2, 3, 4), (0.6, 0.99, 0.8), (0.1, 0.01, 0.1), 3
    ... )
    >>> tfbind.plots.num_clusters_figure(selection).axes[0].get_title()
    'trainings agree best on K = 3'
    """
    candidates, agreements, spreads, best = selection
    figure, axes = canvas.curve_axes("number of clusters K", "adjusted Rand index of two trainings")
    axes.errorbar(candidates, agreements, spreads, fmt="o-", color=canvas.line_color(2), capsize=3)
    height = agreements[candidates.index(best)]
    axes.plot(best, height, "o", markersize=14, fillstyle="none", color=canvas.line_color(0))
    axes.set_xticks(candidates)
    axes.set_title(f"trainings agree best on K = {best}")
    return figure


def _counts(classes, clusters, num_clusters):
    """Returns the ids of the classes, and examples `[classes, num_clusters]`, zeros included."""
    ids, found, table = metrics.class_table(classes, clusters)
    if found[0] < 0 or found[-1] >= num_clusters:
        raise ValueError(
            f"`clusters` must hold integers from 0 to {num_clusters - 1}. "
            f"Received: values from {found[0]} to {found[-1]}."
        )
    counts = np.zeros((len(ids), num_clusters), int)
    counts[:, found] = table
    return ids, counts


def _draw_counts(axes, counts):
    axes.imshow(counts, cmap="Blues", vmin=0)
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if count > counts.max() / 2 else "black"
        axes.text(column, row, count or "", ha="center", va="center", color=color, fontsize=8)
