"""What the pictures show: colours, labels, the numbers behind the curves."""

import itertools

import numpy as np
import PIL.Image
import pytest

from tfbind import metrics, plots, training


@pytest.fixture
def scene():
    """Two images of 4 x 5 pixels, their true groups and a trace of 3 iterations, K = 3."""
    random = np.random.default_rng(0)
    groups = random.integers(0, 4, (2, 4, 5))
    images = (random.uniform(size=groups.shape) < 0.7) | (groups > 0)
    draw = random.uniform(size=(4, 2, 3, 4, 5))
    order = [2, 0, 1]  # found group k is true group order[k] + 1
    draw[-1] = np.stack([groups == g + 1 for g in order], axis=1) + 0.01
    trace = {
        "assignments": draw / draw.sum(axis=2, keepdims=True),
        "reconstructions": random.uniform(size=(3, 2, 3, 4, 5, 1)),
        "log_likelihoods": -random.uniform(1, 9, size=(7, 2)),
    }
    return images[..., None].astype("float32"), groups, trace


def test_colors_can_be_told_apart():
    colors = plots.group_colors(16).astype(int)
    distances = [np.abs(one - other).sum() for one, other in itertools.combinations(colors, 2)]
    assert min(distances) > 60
    assert colors.max(axis=1).min() > 120  # bright enough on black
    np.testing.assert_array_equal(plots.group_colors(20)[16:], colors[:4])


def test_overlay_has_the_color_of_the_group():
    labels = np.arange(12).reshape(3, 4)
    assignments = (labels == np.arange(12)[:, None, None]).astype("float32")
    picture = plots.overlay(np.ones((3, 4, 1)), assignments)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, plots.group_colors(12)[labels])


def test_overlay_has_the_brightness_of_the_image():
    image = np.array([[0.0, 0.5, 1.0]])
    picture = plots.overlay(image, np.ones((1, 1, 3)))
    np.testing.assert_allclose(picture[0], image.T * plots.group_colors(1), atol=0.51)


def test_overlay_mixes_shared_pixels():
    picture = plots.overlay(np.ones((1, 1)), np.full((2, 1, 1), 0.5))
    np.testing.assert_allclose(picture[0, 0], plots.group_colors(2).mean(axis=0), atol=0.51)


def test_overlay_of_another_size():
    with pytest.raises(ValueError, match=r"`assignments` must have shape \(n, 3, 4\)\. Received"):
        plots.overlay(np.ones((3, 4)), np.ones((2, 4, 3)))


def test_brightness_of_real_valued_and_colored_images():
    np.testing.assert_allclose(plots.brightness([[-1.0, 0.0, 3.0]]), [[0.0, 0.25, 1.0]])
    np.testing.assert_allclose(plots.brightness([[[0.0, 0.3, 0.9]]]), [[0.4]])
    np.testing.assert_allclose(plots.brightness(np.zeros((2, 2))), np.zeros((2, 2)))


def test_label_map_is_the_largest_share_where_the_image_is_not_zero(scene):
    images, _, trace = scene
    assignments = trace["assignments"][0, 0]
    labels = plots.label_map(images[0], assignments)
    np.testing.assert_array_equal(labels, (1 + assignments.argmax(0)) * (images[0, ..., 0] > 0))


def test_groups_figure_shows_the_trace(scene):
    images, groups, trace = scene
    figure = plots.groups_figure(images, trace, groups, iterations=(0, 1, 10))
    panels = [subfigure.get_suptitle() for subfigure in figure.subfigs]
    assert panels == ["input", "groups after iteration", "reconstructions", "truth"]
    titles = [[axes.get_title() for axes in part.axes] for part in figure.subfigs]
    assert titles[1] == ["0", "1", "3", "", "", ""]  # 3 is the last; two rows
    assert titles[2] == ["1", "2", "3", "", "", ""]
    shown = [
        [axes.images[0].get_array() for axes in subfigure.axes] for subfigure in figure.subfigs
    ]
    np.testing.assert_array_equal(shown[0][1], 255 * np.repeat(images[1], 3, axis=-1))
    for column, iteration in enumerate((0, 1, 3)):
        expected = plots.overlay(images[1], trace["assignments"][iteration, 1])
        np.testing.assert_array_equal(shown[1][3 + column], expected)
    tinted = trace["reconstructions"][-1, 1, 2] * plots.group_colors(3)[2]
    np.testing.assert_allclose(shown[2][5], tinted, atol=0.51)


def test_true_groups_take_the_colors_of_those_found(scene):
    images, groups, trace = scene
    figure = plots.groups_figure(images, trace, groups)
    for row in range(2):
        truth = figure.subfigs[-1].axes[row].images[0].get_array()
        colors = np.vstack([[255, 255, 255], plots.group_colors(3)[[1, 2, 0]]])
        expected = images[row] * colors[groups[row]]
        np.testing.assert_array_equal(truth, expected)


def test_groups_figure_without_truth_and_with_a_foreign_trace(scene):
    images, _, trace = scene
    assert len(plots.groups_figure(images, trace).subfigs) == 3
    with pytest.raises(ValueError, match=r"`trace\['assignments'\]` must have shape \(1, n, 4, 5"):
        plots.groups_figure(images[:1], trace)


def test_likelihood_figure_shows_every_half_step(scene):
    values = scene[2]["log_likelihoods"]
    (axes,) = plots.likelihood_figure(scene[2]).axes
    lines = {line.get_label(): line.get_xydata() for line in axes.lines}
    np.testing.assert_allclose(lines["mean"].T, [np.arange(7) / 2, values.mean(axis=1)])
    np.testing.assert_allclose(lines["after an R-step"][:, 0], [0.5, 1.5, 2.5])
    np.testing.assert_allclose(lines["after an E-step"][:, 1], values.mean(axis=1)[2::2])
    np.testing.assert_allclose(axes.lines[1].get_ydata(), values[:, 1])


def test_num_groups_figure_marks_the_best():
    selection = training.NumGroupsSelection((2, 3, 5), (-68.0, -15.0, -20.0), 3)
    (axes,) = plots.num_groups_figure(selection).axes
    curve, mark = axes.lines
    np.testing.assert_array_equal(curve.get_xydata(), [[2, -68], [3, -15], [5, -20]])
    np.testing.assert_array_equal(mark.get_xydata(), [[3, -15]])


def test_classes_figure_has_the_seen_and_the_unseen_in_their_order():
    images = np.random.default_rng(0).uniform(size=(4, 5, 3, 1))
    figure = plots.classes_figure(images, names=[0, 1, 3, 2], num_seen=2)
    assert [part.get_suptitle() for part in figure.subfigs] == ["seen", "unseen"]
    titles = [[axes.get_title() for axes in part.axes] for part in figure.subfigs]
    assert titles == [["0 \u2192 0", "1 \u2192 1"], ["2 \u2192 3", "3 \u2192 2"]]
    shown = [axes.images[0].get_array() for part in figure.subfigs for axes in part.axes]
    np.testing.assert_allclose(np.divide(shown, 255)[..., :1], images, atol=0.51 / 255)


@pytest.mark.parametrize("dims", [(0, 2), (3,)])
def test_manifold_figure_lies_as_the_axes_say(dims):
    """Each picture is found at the place of its latents."""
    rows, columns = (3, 4) if len(dims) > 1 else (1, 4)
    images = np.random.default_rng(0).uniform(size=(7, rows, columns, 5, 2))
    figure = plots.manifold_figure(images, "abcdefg", latent_range=(-1.0, 3.0), dims=dims)
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title()[-1] for axes in panels] == list("abcdefg")
    for axes, grid in zip(panels, images, strict=True):
        (picture,) = axes.images
        left, right, bottom, top = picture.get_extent()
        assert (left, right, bottom, top) == (-1, 3, -1, 3)
        assert picture.origin == "upper"  # row 0 is on top
        tiles = picture.get_array().reshape(rows, 6, columns, 3).swapaxes(1, 2)
        np.testing.assert_allclose(tiles[..., :5, :2], grid, rtol=1e-6)  # without the lines
        assert axes.get_xlabel() == f"$z_{{{dims[0] + 1}}}$"
        assert axes.get_ylabel() == (f"$z_{{{dims[1] + 1}}}$" if len(dims) > 1 else "")


def _tile(axes, row, column, height, width):
    """Returns the picture in a place of a grid that has lines of one pixel."""
    top, left = row * (height + 1), column * (width + 1)
    return axes.images[0].get_array()[top : top + height, left : left + width]


def _ticks(axis):
    return {
        label.get_text(): place
        for label, place in zip(axis.get_ticklabels(), axis.get_ticklocs(), strict=True)
    }


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_components_figure_has_a_row_a_component(channels):
    samples = np.random.default_rng(0).uniform(size=(3, 4, 5, 2, *channels))
    (axes,) = plots.components_figure(samples).axes
    shown = samples[..., 0] if channels == (1,) else samples
    for row, column in itertools.product(range(3), range(4)):
        np.testing.assert_allclose(_tile(axes, row, column, 5, 2), shown[row, column])
    assert axes.images[0].get_array().shape[:2] == (3 * 6 - 1, 4 * 3 - 1)
    # Each name stands at the middle of the five rows of pixels: 0 to 4, 6 to 10, 12 to 16
    assert _ticks(axes.yaxis) == {"0": 2, "1": 8, "2": 14}
    (axes,) = plots.components_figure(samples, names=[7, 5, 7]).axes
    assert _ticks(axes.yaxis) == {"0 \u2192 7": 2, "1 \u2192 5": 8, "2 \u2192 7": 14}


def test_components_figure_shows_zeros_as_black_and_ones_as_white():
    (axes,) = plots.components_figure(np.ones((2, 2, 3, 3, 1)) * 0.5).axes
    (picture,) = axes.images
    assert picture.get_cmap()(picture.norm([0.0, 1.0])).tolist() == [[0, 0, 0, 1], [1, 1, 1, 1]]


def test_pictures_outside_the_unit_interval_share_one_scale():
    samples = np.array([-1.0, 0.0, 1.0, 3.0]).reshape(2, 2, 1, 1) * np.ones((2, 2, 4, 4))
    (axes,) = plots.components_figure(samples).axes
    tiles = [_tile(axes, row, column, 4, 4) for row in range(2) for column in range(2)]
    expected = np.broadcast_to(np.reshape([0, 0.25, 0.5, 1], [4, 1, 1]), (4, 4, 4))
    np.testing.assert_allclose(tiles, expected)


def test_reconstructions_figure_has_each_below_its_image():
    images, made = np.random.default_rng(0).uniform(size=(2, 6, 4, 5, 3))
    (axes,) = plots.reconstructions_figure(images, made).axes
    for column in range(6):
        np.testing.assert_allclose(_tile(axes, 0, column, 4, 5), images[column])
        np.testing.assert_allclose(_tile(axes, 1, column, 4, 5), made[column])
    assert _ticks(axes.yaxis) == {"image": 1.5, "reconstruction": 6.5}
    with pytest.raises(ValueError, match=r"`reconstructions` must have shape \(6, 4, 5, 3\)\. Rec"):
        plots.reconstructions_figure(images, made[:5])


def test_interpolations_figure_goes_from_left_to_right():
    steps = np.linspace(0.2, 0.9, 7)[:, None, None] * np.ones((2, 7, 3, 4))
    (axes,) = plots.interpolations_figure(steps).axes
    for row, column in itertools.product(range(2), range(7)):
        np.testing.assert_allclose(_tile(axes, row, column, 3, 4), steps[row, column])
    ticks = _ticks(axes.xaxis)
    assert ticks["start"] == 1.5 and ticks["end"] == 6 * 5 + 1.5


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
    rows = [int(name) for name in _ticks(axes.yaxis)]
    columns = [int(name) for name in _ticks(axes.xaxis)]
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
    assert list(_ticks(axes.xaxis)) == ["3", "4", "0", "2", "1"]
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


def test_embedding_figure_has_a_color_a_class():
    random = np.random.default_rng(0)
    points, classes = random.normal(size=(40, 2)), np.array([4, 8, 9])[random.integers(0, 3, 40)]
    figure = plots.embedding_figure(points, classes)
    (axes,), (legend,) = figure.axes, figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["4", "8", "9"]
    for cloud, name, color in zip(axes.collections, (4, 8, 9), plots.group_colors(3), strict=True):
        np.testing.assert_array_equal(cloud.get_offsets(), points[classes == name])
        np.testing.assert_allclose(cloud.get_facecolor()[0, :3], color / 255)
    with pytest.raises(ValueError, match=r"`points` must have shape \(39, 2\)\. Received: shape"):
        plots.embedding_figure(points, classes[1:])


def test_save_writes_the_whole_file_or_none(scene, tmp_path):
    figure = plots.likelihood_figure(scene[2])
    plots.save(figure, tmp_path / "curve.png")
    with PIL.Image.open(tmp_path / "curve.png") as picture:
        assert picture.size == (720, 480)
    with pytest.raises(ValueError, match="curve|nonsense"):
        plots.save(figure, tmp_path / "curve.nonsense")
    assert [path.name for path in tmp_path.iterdir()] == ["curve.png"]
