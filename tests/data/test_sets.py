"""What is on the images of each data set."""

import numpy as np
import pytest

from tfbind import data
from tfbind.data import shapes

SIZES = {  # H, W, most groups
    "simple_superposition": (8, 8, 2),
    "shapes": (28, 28, 3),
    "bars": (20, 20, 12),
    "corners": (28, 28, 5),
    "mnist_shape": (28, 28, 2),
    "multi_mnist": (48, 48, 3),
}


@pytest.mark.parametrize("name", data.NAMES)
def test_images_and_groups(name, small_dir):
    height, width, num_groups = SIZES[name]
    images, groups = data.load(name, "test", small_dir)
    assert images.shape == (len(images), height, width, 1)
    assert groups.shape == (len(images), height, width)
    assert (images.dtype, groups.dtype) == (np.float32, np.int32)
    assert set(np.unique(images)) == {0.0, 1.0}
    assert set(np.unique(groups)) == set(range(num_groups + 1))
    assert (images[..., 0][groups > 0] == 1).all()
    overlap = (images[..., 0] == 1) & (groups == 0)
    assert overlap.any()


@pytest.mark.parametrize("name", data.NAMES)
def test_single_objects_are_group_one(name, small_dir):
    images, groups = data.load(name, "train_single", small_dir)
    np.testing.assert_array_equal(images[..., 0], groups)


@pytest.mark.parametrize("name", ["shapes", "bars", "corners", "mnist_shape", "multi_mnist"])
def test_splits_differ(name, small_dir):
    train, _ = data.load(name, "train_multi", small_dir)
    test, _ = data.load(name, "test", small_dir)
    assert not {image.tobytes() for image in train} & {image.tobytes() for image in test}


@pytest.mark.parametrize("name", ["shapes", "bars", "corners", "multi_mnist"])
def test_same_seed_same_images(name, small_dir, mnist_dir):
    first = data.load(name, "train_multi", small_dir)
    again = data.load(name, "train_multi", mnist_dir)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_shapes_at_full_size(tmp_path):
    images, groups = data.load("shapes", "train_multi", tmp_path)
    assert len(images) == 60_000
    # Facts of the generator, from an independent simulation.
    np.testing.assert_allclose(images.mean(), 0.160, atol=0.001)
    np.testing.assert_allclose((groups > 0).sum(axis=(1, 2)).mean(), 115, atol=0.5)
    singles, _ = data.load("shapes", "train_single", tmp_path)
    sizes, counts = np.unique(singles.sum(axis=(1, 2, 3)), return_counts=True)
    assert list(sizes) == [40, 48]  # one square, two triangles
    np.testing.assert_allclose(counts / 10_000, [1 / 3, 2 / 3], atol=5 * 0.0047)
    assert len(data.load("shapes", "test", tmp_path)[0]) == 10_000


@pytest.mark.parametrize(
    ("builder", "num_examples"),
    [
        (data.TfbindSimpleSuperposition, {"train_single": 16, "test": 120}),
        (data.TfbindShapes, {"train_multi": 60_000, "train_single": 10_000, "test": 10_000}),
        (data.TfbindBars, {"train_multi": 60_000, "train_single": 200, "test": 10_000}),
        (data.TfbindCorners, {"train_multi": 60_000, "train_single": 5_000, "test": 10_000}),
        (data.TfbindMnistShape, {"train_multi": 60_000, "train_single": 10_000, "test": 10_000}),
        (data.TfbindMultiMnist, {"train_multi": 60_000, "train_single": 60_000, "test": 10_000}),
    ],
)
def test_sizes_of_splits(builder, num_examples):
    assert num_examples == builder.NUM_EXAMPLES


def test_bars(small_dir):
    images, groups = data.load("bars", "test", small_dir)
    crossings = (images[..., 0] == 1) & (groups == 0)
    np.testing.assert_array_equal(crossings.sum(axis=(1, 2)), 36)
    for group in range(1, 13):  # a bar of 20 pixels less 6 crossings, in one column or row
        member = groups == group
        np.testing.assert_array_equal(member.sum(axis=(1, 2)), 14)
        np.testing.assert_array_equal(member.any(axis=1).sum(axis=1), 1 if group <= 6 else 14)
    starts = (groups == 1).any(axis=1).argmax(axis=1)
    assert len(set(starts)) > 5  # groups are numbered as drawn, not from left to right


def test_bars_single(small_dir):
    images, _ = data.load("bars", "train_single", small_dir)
    vertical = images[..., 0].all(axis=1).any(axis=1)
    horizontal = images[..., 0].all(axis=2).any(axis=1)
    assert vertical.sum() == horizontal.sum() == len(images) // 2
    assert 2 < np.count_nonzero(np.diff(vertical)) < len(images) - 3  # shuffled


def test_corners(small_dir):
    images, groups = data.load("corners", "train_multi", small_dir)
    assert images.sum(axis=(1, 2, 3)).max() <= 64 + 4 * 16
    square, loose = (groups == 1).sum(axis=(1, 2)), (groups == 2).sum(axis=(1, 2))
    assert square.max() <= 64 and square.mean() > 48
    assert loose.max() == 16


def test_corners_single(small_dir):
    images, _ = data.load("corners", "train_single", small_dir)
    sizes = images.sum(axis=(1, 2, 3))
    assert (sizes == 64).sum() == (sizes == 16).sum() == len(images) // 2
    assert 2 < np.count_nonzero(np.diff(sizes)) < len(images) - 3  # shuffled


def test_superposition_has_every_pair_once(small_dir):
    singles, _ = data.load("simple_superposition", "train_single", small_dir)
    images, groups = data.load("simple_superposition", "test", small_dir)
    unions = [np.maximum(one, two) for i, one in enumerate(singles) for two in singles[i + 1 :]]
    np.testing.assert_array_equal(images, unions)
    np.testing.assert_array_equal(groups[0] == 1, (singles[0] > singles[1])[..., 0])


@pytest.mark.parametrize(("split", "source"), [("train_multi", "train"), ("test", "test")])
def test_mnist_shape_has_the_digits_in_order(split, source, small_dir, digits):
    images, groups = data.load("mnist_shape", split, small_dir)
    digit = digits[source] > 128
    image = images[..., 0] == 1
    assert (image[digit]).all()
    np.testing.assert_array_equal(groups == 1, digit & (groups != 0))
    shape = (groups == 2) | (digit & (groups == 0))
    sizes = shape.sum(axis=(1, 2))
    assert set(sizes) == {40, 48}
    assert (image == digit | shape).all()


def test_mnist_shape_single(small_dir, digits):
    images, _ = data.load("mnist_shape", "train_single", small_dir)
    known = {digit.tobytes() for digit in digits["train"] > 128}
    is_digit = np.array([(image == 1).tobytes() in known for image in images[..., 0]])
    assert is_digit.sum() == len(images) // 2
    for image in images[~is_digit][..., 0]:
        rows, columns = image.any(axis=1), image.any(axis=0)
        drawn = image[np.ix_(rows, columns)]
        assert any(np.array_equal(drawn, bitmap) for bitmap in shapes.BITMAPS)


def test_multi_mnist_single_has_cropped_digits_in_order(small_dir, digits):
    images, _ = data.load("multi_mnist", "train_single", small_dir)
    tops = set()
    for image, grey in zip(images[..., 0], digits["train"], strict=False):
        # Rows and columns with a byte > 0 stay, even those the threshold empties afterwards.
        expected = np.array([row[grey.any(axis=0)] for row in grey if row.any()]) >= 128
        at = [
            (top, left)
            for top in range(48 - expected.shape[0] + 1)
            for left in range(48 - expected.shape[1] + 1)
            if np.array_equal(
                image[top:, left:][: expected.shape[0], : expected.shape[1]], expected
            )
        ]
        assert len(at) == 1
        assert image.sum() == expected.sum()
        tops.add(at[0][0])
    assert len(tops) > 10


def test_real_mnist(tmp_path, small, mnist_data_dir):
    """The made-up MNIST has the form of the real one."""
    (tmp_path / "mnist").symlink_to(mnist_data_dir / "mnist")
    images, groups = data.load("multi_mnist", "test", tmp_path)
    assert 0.11 < images.mean() < 0.14
    assert groups.max() == 3
