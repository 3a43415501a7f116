"""What the pictures show: colours, labels, the numbers behind the curves."""

import itertools

import numpy as np
import PIL.Image
import pytest

from tfbind import plots, training


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


def test_save_writes_the_whole_file_or_none(scene, tmp_path):
    figure = plots.likelihood_figure(scene[2])
    plots.save(figure, tmp_path / "curve.png")
    with PIL.Image.open(tmp_path / "curve.png") as picture:
        assert picture.size == (720, 480)
    with pytest.raises(ValueError, match="curve|nonsense"):
        plots.save(figure, tmp_path / "curve.nonsense")
    assert [path.name for path in tmp_path.iterdir()] == ["curve.png"]
