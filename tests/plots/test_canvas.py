"""Colours, brightness, grids with lines, files."""

import itertools

import numpy as np
import PIL.Image
import pytest

from tfbind import plots

from . import shown


def test_colors_can_be_told_apart():
    colors = plots.group_colors(16).astype(int)
    distances = [np.abs(one - other).sum() for one, other in itertools.combinations(colors, 2)]
    assert min(distances) > 60
    assert colors.max(axis=1).min() > 120  # bright enough on black
    np.testing.assert_array_equal(plots.group_colors(20)[16:], colors[:4])


def test_brightness_of_real_valued_and_colored_images():
    np.testing.assert_allclose(plots.brightness([[-1.0, 0.0, 3.0]]), [[0.0, 0.25, 1.0]])
    np.testing.assert_allclose(plots.brightness([[[0.0, 0.3, 0.9]]]), [[0.4]])
    np.testing.assert_allclose(plots.brightness(np.zeros((2, 2))), np.zeros((2, 2)))


def test_pictures_outside_the_unit_interval_share_one_scale():
    samples = np.array([-1.0, 0.0, 1.0, 3.0]).reshape(2, 2, 1, 1) * np.ones((2, 2, 4, 4))
    (axes,) = plots.components_figure(samples).axes
    tiles = [shown.tile(axes, row, column, 4, 4) for row in range(2) for column in range(2)]
    expected = np.broadcast_to(np.reshape([0, 0.25, 0.5, 1], [4, 1, 1]), (4, 4, 4))
    np.testing.assert_allclose(tiles, expected)


def test_save_writes_the_whole_file_or_none(scene, tmp_path):
    figure = plots.likelihood_figure(scene[2])
    plots.save(figure, tmp_path / "curve.png")
    with PIL.Image.open(tmp_path / "curve.png") as picture:
        assert picture.size == (720, 480)
    with pytest.raises(ValueError, match="curve|nonsense"):
        plots.save(figure, tmp_path / "curve.nonsense")
    assert [path.name for path in tmp_path.iterdir()] == ["curve.png"]
