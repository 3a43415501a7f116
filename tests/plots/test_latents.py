"""Latents: each picture and each point at its place."""

import itertools

import numpy as np
import pytest

from tfbind import plots

from . import shown


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


def test_reconstructions_figure_has_each_below_its_image():
    images, made = np.random.default_rng(0).uniform(size=(2, 6, 4, 5, 3))
    (axes,) = plots.reconstructions_figure(images, made).axes
    for column in range(6):
        np.testing.assert_allclose(shown.tile(axes, 0, column, 4, 5), images[column])
        np.testing.assert_allclose(shown.tile(axes, 1, column, 4, 5), made[column])
    assert shown.ticks(axes.yaxis) == {"image": 1.5, "reconstruction": 6.5}
    with pytest.raises(ValueError, match=r"`reconstructions` must have shape \(6, 4, 5, 3\)\. Rec"):
        plots.reconstructions_figure(images, made[:5])


def test_interpolations_figure_goes_from_left_to_right():
    steps = np.linspace(0.2, 0.9, 7)[:, None, None] * np.ones((2, 7, 3, 4))
    (axes,) = plots.interpolations_figure(steps).axes
    for row, column in itertools.product(range(2), range(7)):
        np.testing.assert_allclose(shown.tile(axes, row, column, 3, 4), steps[row, column])
    ticks = shown.ticks(axes.xaxis)
    assert ticks["start"] == 1.5 and ticks["end"] == 6 * 5 + 1.5


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
