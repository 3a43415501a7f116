"""Placing bitmaps, against a loop over single pixels."""

import numpy as np
import pytest

from tfbind.data import _scenes, corners, shapes, simple_superposition


def compose_by_loop(canvas, bitmaps, kinds, tops, lefts):
    """One image: the set of objects on each pixel, written down literally."""
    objects = {}
    for g, (kind, top, left) in enumerate(zip(kinds, tops, lefts, strict=True), start=1):
        for row, column in np.argwhere(bitmaps[kind]):
            objects.setdefault((top + row, left + column), []).append(g)
    image, groups = np.zeros(canvas, int), np.zeros(canvas, int)
    for pixel, owners in objects.items():
        image[pixel] = 1
        groups[pixel] = owners[0] if len(owners) == 1 else 0
    return image, groups


def test_compose_equals_loop():
    rng = np.random.default_rng(0)
    bitmaps = [rng.integers(0, 2, size=size) for size in [(1, 1), (2, 5), (6, 3), (9, 11)]]
    kinds = rng.integers(len(bitmaps), size=(50, 5))
    sizes = np.array([bitmap.shape for bitmap in bitmaps])[kinds]  # [50, 5, 2]
    tops, lefts = (rng.integers(np.array([9, 11]) - sizes + 1)).transpose(2, 0, 1)

    images, groups = _scenes.compose((9, 11), _scenes.pad_bitmaps(bitmaps), kinds, tops, lefts)

    for i in range(len(kinds)):
        image, group = compose_by_loop((9, 11), bitmaps, kinds[i], tops[i], lefts[i])
        np.testing.assert_array_equal(images[i], image)
        np.testing.assert_array_equal(groups[i], group)


def test_positions_are_uniform_and_fully_inside():
    bitmap = _scenes.pad_bitmaps([np.ones((2, 3), int), np.ones((5, 5), int)])
    kinds = np.zeros((6000, 1), int)
    images = np.concatenate(
        [block for block, _ in _scenes.draw_scenes(np.random.default_rng(0), (4, 5), bitmap, kinds)]
    )
    np.testing.assert_array_equal(images.sum(axis=(1, 2)), 6)
    top, left = images.any(axis=2).argmax(axis=1), images.any(axis=1).argmax(axis=1)
    counts = np.bincount(3 * top + left)
    assert len(counts) == 9  # 3 x 3 positions, 667 images each, standard deviation 24
    assert abs(counts - 6000 / 9).max() < 5 * 24


@pytest.mark.parametrize("num_images", [1, 999, 1000, 1001, 2500])
def test_blocks_cover_all_images(num_images):
    bitmap = _scenes.pad_bitmaps([np.ones((1, 1), int)])
    kinds = np.zeros((num_images, 1), int)
    blocks = list(_scenes.draw_scenes(np.random.default_rng(0), (3, 3), bitmap, kinds))
    assert sum(len(images) for images, _ in blocks) == num_images
    assert max(len(images) for images, _ in blocks) <= _scenes.BLOCK


def test_shape_bitmaps():
    square, up, down = shapes.BITMAPS
    assert [bitmap.shape for bitmap in shapes.BITMAPS] == [(7, 7), (7, 12), (7, 12)]
    assert [bitmap.sum() for bitmap in shapes.BITMAPS] == [40, 48, 48]
    assert square[2:5, 2:5].sum() == 0  # the hole
    columns = [[5, 6], range(4, 8), range(3, 9), [2, 3, 4, 7, 8, 9], [1, 2, 3, 8, 9, 10]]
    for row, expected in enumerate([*columns, range(12), range(12)]):
        assert list(np.flatnonzero(up[row])) == list(expected)
    np.testing.assert_array_equal(down, np.flipud(up))


def test_corner_bitmaps():
    square, *orientations = corners.BITMAPS
    assert square.shape == (20, 20)
    assert square.sum() == 4 * 16
    assert [bitmap.sum() for bitmap in orientations] == [16] * 4
    assert len({bitmap.tobytes() for bitmap in orientations}) == 4
    assert square[0].tolist() == square[:, 0].tolist() == [1] * 5 + [0] * 10 + [1] * 5
    np.testing.assert_array_equal(square, square[::-1])
    np.testing.assert_array_equal(square, square[:, ::-1])


def test_superposition_patterns():
    patterns = simple_superposition.PatternsConfig(name="default").load()
    assert patterns.shape == (16, 8, 8)
    sizes = patterns.sum(axis=(1, 2))
    assert 6 <= sizes.min() <= sizes.max() <= 20
    flat = patterns.reshape(16, 64).astype(int)
    shared = flat @ flat.T
    np.fill_diagonal(shared, 0)
    assert (shared.max(axis=1) < sizes).all()  # none lies wholly inside another
