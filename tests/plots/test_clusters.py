"""Clusters: the pictures in their places, the table of classes and its order."""

import itertools

import numpy as np
import pytest

from tfbind import metrics, plots, training

from . import shown


def test_classes_figure_has_the_seen_and_the_unseen_in_their_order():
    images = np.random.default_rng(0).uniform(size=(4, 5, 3, 1))
    figure = plots.classes_figure(images, names=[0, 1, 3, 2], num_seen=2)
    assert [part.get_suptitle() for part in figure.subfigs] == ["seen", "unseen"]
    titles = [[axes.get_title() for axes in part.axes] for part in figure.subfigs]
    assert titles == [["0 \u2192 0", "1 \u2192 1"], ["2 \u2192 3", "3 \u2192 2"]]
    pictures = [axes.images[0].get_array() for part in figure.subfigs for axes in part.axes]
    np.testing.assert_allclose(np.divide(pictures, 255)[..., :1], images, atol=0.51 / 255)


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_components_figure_has_a_row_a_cluster(channels):
    samples = np.random.default_rng(0).uniform(size=(3, 4, 5, 2, *channels))
    (axes,) = plots.components_figure(samples).axes
    pictures = samples[..., 0] if channels == (1,) else samples
    for row, column in itertools.product(range(3), range(4)):
        np.testing.assert_allclose(shown.tile(axes, row, column, 5, 2), pictures[row, column])
    assert axes.images[0].get_array().shape[:2] == (3 * 6 - 1, 4 * 3 - 1)
    # Each name stands at the middle of the five rows of pixels: 0 to 4, 6 to 10, 12 to 16
    assert shown.ticks(axes.yaxis) == {"0": 2, "1": 8, "2": 14}
    (axes,) = plots.components_figure(samples, names=[7, 5, 7]).axes
    assert shown.ticks(axes.yaxis) == {"0 \u2192 7": 2, "1 \u2192 5": 8, "2 \u2192 7": 14}


def test_components_figure_shows_zeros_as_black_and_ones_as_white():
    (axes,) = plots.components_figure(np.ones((2, 2, 3, 3, 1)) * 0.5).axes
    (picture,) = axes.images
    assert picture.get_cmap()(picture.norm([0.0, 1.0])).tolist() == [[0, 0, 0, 1], [1, 1, 1, 1]]


def _matrix(axes):
    """Returns the numbers written into the cells, zero where there is none, and framed cells."""
    counts = np.zeros(axes.images[0].get_array().shape, int)
    for text in axes.texts:
        column, row = text.get_position()
        counts[row, column] = int(text.get_text() or 0)
    corners = (patch.get_xy() for patch in axes.patches)
    return counts, {(int(y + 0.5), int(x + 0.5)) for x, y in corners}


@pytest.mark.parametrize("num_clusters", [4, 6, 9])
def test_cluster_matrix_figure_is_the_contingency_table(num_clusters):
    random = np.random.default_rng(0)
    classes = np.array([2, 3, 5, 7, 11, 13])[random.integers(0, 6, 300)]
    clusters = random.integers(0, num_clusters, 300)
    clusters[clusters == 1] = 0  # no example is in cluster 1
    (axes,) = plots.cluster_matrix_figure(classes, clusters, num_clusters).axes
    counts, framed = _matrix(axes)
    rows = [int(name) for name in shown.ticks(axes.yaxis)]
    columns = [int(name) for name in shown.ticks(axes.xaxis)]
    assert rows == [2, 3, 5, 7, 11, 13] and sorted(columns) == list(range(num_clusters))
    for (row, column), count in np.ndenumerate(counts):
        both = (classes == rows[row]) & (clusters == columns[column])
        assert count == both.sum() == axes.images[0].get_array()[row, column]
    accuracy = metrics.clustering_accuracy(classes, clusters)
    assert sum(counts[cell] for cell in framed) == pytest.approx(300 * accuracy)
    assert axes.get_title() == f"clustering accuracy {accuracy:.3f}"


def test_cluster_matrix_figure_orders_the_clusters_by_class():
    """Of two clusters of a class the larger stands on the diagonal; the smaller comes last."""
    classes = np.repeat([0, 1, 2, 2, 0], [9, 8, 7, 5, 4])
    clusters = np.repeat([3, 4, 0, 1, 2], [9, 8, 7, 5, 4])
    (axes,) = plots.cluster_matrix_figure(classes, clusters, 5).axes
    assert list(shown.ticks(axes.xaxis)) == ["3", "4", "0", "2", "1"]
    counts, framed = _matrix(axes)
    assert counts.tolist() == [[9, 0, 0, 4, 0], [0, 8, 0, 0, 0], [0, 0, 7, 0, 5]]
    assert framed == {(0, 0), (1, 1), (2, 2)}
    assert axes.texts[1].get_text() == ""


@pytest.mark.parametrize(
    ("clusters", "sentence"),
    [
        ([0, 2], r"`clusters` must hold integers from 0 to 1\. Received: values from 0 to 2\."),
        ([-1, 0], r"`clusters` must hold integers from 0 to 1\. Received: values from -1 to 0\."),
        ([0], r"`clusters` must have shape \(2,\)\. Received: shape \(1,\)\."),
    ],
)
def test_cluster_matrix_figure_of_other_clusters(clusters, sentence):
    with pytest.raises(ValueError, match=sentence):
        plots.cluster_matrix_figure([0, 1], clusters, 2)


def test_num_clusters_figure_marks_the_chosen_one():
    selection = training.NumClustersSelection((2, 3, 5), (0.4, 0.99, 0.7), (0.1, 0.01, 0.2), 3)
    (axes,) = plots.num_clusters_figure(selection).axes
    curve, *_, mark = axes.lines  # between them the ends of the error bars
    np.testing.assert_allclose(curve.get_xydata(), [[2, 0.4], [3, 0.99], [5, 0.7]])
    np.testing.assert_allclose(mark.get_xydata(), [[3, 0.99]])
