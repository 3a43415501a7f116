"""Groups: their colours, their labels, the numbers behind the curves."""

import numpy as np
import pytest

from tfbind import plots, training


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


def test_iterations_figure_has_a_curve_an_iteration():
    scores = np.random.default_rng(0).uniform(size=(3, 4))
    (axes,) = plots.iterations_figure([1.0, 2.0, 3.5, 4.0], scores).axes
    assert [line.get_label() for line in axes.lines] == [f"iteration {t}" for t in (1, 2, 3)]
    for line, values in zip(axes.lines, scores, strict=True):
        np.testing.assert_array_equal(line.get_xydata().T, [[1.0, 2.0, 3.5, 4.0], values])


def test_num_groups_figure_marks_the_best():
    selection = training.NumGroupsSelection((2, 3, 5), (-68.0, -15.0, -20.0), 3)
    (axes,) = plots.num_groups_figure(selection).axes
    curve, mark = axes.lines
    np.testing.assert_array_equal(curve.get_xydata(), [[2, -68], [3, -15], [5, -20]])
    np.testing.assert_array_equal(mark.get_xydata(), [[3, -15]])
