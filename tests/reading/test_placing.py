"""Pictures find their place in an image, and masks the way back."""

import numpy as np
import pytest

from tfbind.reading import placement, placing

PICTURE = np.random.default_rng(0).random((60, 90, 3)).astype("float32")


@pytest.mark.parametrize("fit", placing.FITS)
@pytest.mark.parametrize("size", [(1, 1), (7, 30), (60, 90), (90, 60), (500, 3)])
@pytest.mark.parametrize("wanted", [(20, 20), (16, 28)])
def test_boxes_lie_inside(fit, size, wanted):
    source, target = placement(fit, size, wanted)
    for box, whole in ((source, size), (target, wanted)):
        assert box.height >= 1 and box.width >= 1
        assert box.top >= 0 and box.top + box.height <= whole[0]
        assert box.left >= 0 and box.left + box.width <= whole[1]


def test_pad_shows_everything_and_crop_fills_everything():
    padded = placing.place(np.ones((30, 60, 1), "float32"), "pad", (20, 20))
    assert padded.sum() == 10 * 20 and padded[:5].sum() == 0 == padded[15:].sum()
    cropped = placing.place(np.ones((30, 60, 1), "float32"), "crop", (20, 20))
    assert cropped.min() == 1
    assert placement("crop", (30, 60), (20, 20))[0] == (0, 15, 30, 30)


def test_shrinking_averages():
    fine = np.indices((64, 64)).sum(axis=0)[..., None] % 2
    shrunk = placing.resize(fine.astype("float32"), (8, 8))
    np.testing.assert_allclose(shrunk, 0.5, atol=0.02)


@pytest.mark.parametrize("fit", placing.FITS)
def test_masks_come_back_where_they_were(fit):
    """A mask of the left half of what an image shows covers the left half of what is shown."""
    wanted = (24, 24)
    left = np.zeros((60, 90, 1), "float32")
    left[:, :45] = 1
    image = placing.place(left, fit, wanted)[..., 0]
    back = placing.put_back(np.stack([image, 1 - image]), fit, (60, 90))
    source, _ = placement(fit, (60, 90), wanted)
    inside = np.zeros((60, 90), bool)
    inside[source.rows, source.columns] = True
    np.testing.assert_allclose(back.sum(axis=0), inside, atol=1e-5)
    right = (back[0] > 0.5)[inside] == left[..., 0][inside].astype(bool)
    assert right.mean() > 0.97


def test_the_same_size_is_left_alone():
    assert placing.resize(PICTURE, (60, 90)) is PICTURE


def test_shares_of_a_line_are_not_those_of_the_ground_beside_it():
    """The left half of a line is in group 0, its right half in 1; the ground is in neither."""
    shares = np.full((2, 8, 8), 0.5, "float32")
    shares[:, 4] = [[1] * 4 + [0] * 4, [0] * 4 + [1] * 4]
    line = np.zeros((8, 8), "float32")
    line[4] = 1
    plain = placing.put_back(shares, "pad", (32, 32))
    back = placing.put_back(shares, "pad", (32, 32), line)
    np.testing.assert_allclose(back.sum(axis=0), 1, atol=1e-5)
    thick = np.s_[14:22, :14]  # of the picture's rows, those near the line and left of its middle
    assert back[0][thick].min() > 0.98 > 0.9 > plain[0][thick].min()
    np.testing.assert_allclose(back[:, :8], plain[:, :8], atol=1e-5)  # nothing is near
