"""What is on the images of each data set."""

import numpy as np
import pytest
import sklearn.datasets

from tfbind import data
from tfbind.data import shapes, textured_mnist

from .conftest import fake_posts

SIZES = {  # H, W, most groups
    "simple_superposition": (8, 8, 2),
    "shapes": (28, 28, 3),
    "bars": (20, 20, 12),
    "corners": (28, 28, 5),
    "mnist_shape": (28, 28, 2),
    "multi_mnist": (48, 48, 3),
    "shapes20": (20, 20, 3),
}


@pytest.mark.parametrize("name", SIZES)
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


@pytest.mark.parametrize("name", SIZES)
def test_single_objects_are_group_one(name, small_dir):
    split = "single+test_1" if name == "shapes20" else "train_single"
    images, groups = data.load(name, split, small_dir)
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


@pytest.mark.slow
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
        (data.TfbindTexturedMnist, {"train": 50_000, "validation": 10_000, "test": 10_000}),
        (data.TfbindDigits, {"train": 1437, "test": 360}),
        (
            data.TfbindShapes20,
            {"train": 50_000, "validation": 10_000, "test": 10_000, "single": 10_000}
            | {"test_1": 1000, "test_2": 1000, "test_4": 1000, "test_5": 1000},
        ),
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


@pytest.mark.slow
def test_real_mnist(tmp_path, small, mnist_data_dir):
    """The made-up MNIST has the form of the real one."""
    (tmp_path / "mnist").symlink_to(mnist_data_dir / "mnist")
    images, groups = data.load("multi_mnist", "test", tmp_path)
    assert 0.11 < images.mean() < 0.14
    assert groups.max() == 3


def shapes20_by_loop(random, num_shapes):
    """One scene as the authors draw it: type, left and top of one shape after the other."""
    cover, groups = np.zeros((20, 20), int), np.zeros((20, 20), int)
    for group in range(1, num_shapes + 1):
        bitmap = shapes.BITMAPS[random.randint(0, 3)]
        height, width = bitmap.shape
        left = random.randint(0, 20 - width + 1)
        top = random.randint(0, 20 - height + 1)
        for row, column in np.argwhere(bitmap):
            cover[top + row, left + column] += 1
            groups[top + row, left + column] = group
    return cover > 0, np.where(cover == 1, groups, 0)


def test_shapes20_follow_the_authors_generator(small_dir):
    random = np.random.RandomState(265076)
    for split, num_shapes in [("train", 3), ("validation", 3), ("test", 3), ("single", 1)]:
        for image, group in zip(*data.load("shapes20", split, small_dir), strict=True):
            expected_image, expected_group = shapes20_by_loop(random, num_shapes)
            np.testing.assert_array_equal(image[..., 0], expected_image)
            np.testing.assert_array_equal(group, expected_group)


def test_shapes20_statistics(tmp_path, monkeypatch):
    """Against the chance of each pixel to be covered, from all places a shape can be in."""
    num_shapes = {"train": 3, "single": 1, "test_1": 1, "test_2": 2, "test_4": 4, "test_5": 5}
    monkeypatch.setattr(data.TfbindShapes20, "NUM_EXAMPLES", dict.fromkeys(num_shapes, 3000))
    chance = np.zeros((20, 20))
    for bitmap in shapes.BITMAPS:
        places = 21 - np.array(bitmap.shape)
        for top, left in np.ndindex(*places):
            chance[top:, left:][: bitmap.shape[0], : bitmap.shape[1]] += bitmap / places.prod() / 3
    for split, count in num_shapes.items():
        images, groups = data.load("shapes20", split, tmp_path)
        covered = 1 - (1 - chance) ** count
        scored = count * chance * (1 - chance) ** (count - 1)
        tolerance = 5 * 0.5 / np.sqrt(3000)  # five standard errors of a share
        np.testing.assert_allclose(images.mean(axis=0)[..., 0], covered, atol=tolerance)
        np.testing.assert_allclose((groups > 0).mean(axis=0), scored, atol=tolerance)
        np.testing.assert_allclose(images.mean(), covered.mean(), atol=0.003)
        assert set(np.unique(groups)) == set(range(count + 1))
        if split == "train":  # what the paper's set is known for
            np.testing.assert_allclose(covered.mean(), 0.284, atol=0.0005)
            np.testing.assert_allclose(scored.sum(), 93, atol=0.5)
            np.testing.assert_allclose(1 - scored.sum() / covered.sum(), 0.18, atol=0.005)


def test_textures_are_plane_waves():
    bins = set()
    for texture in textured_mnist.textures():
        assert (texture.min(), texture.max()) == (0, 1)
        power = abs(np.fft.fft2(texture - texture.mean())) ** 2
        (row, column), (other_row, other_column) = np.argwhere(power > 1e-6 * power.sum())
        assert ((row + other_row) % 38, (column + other_column) % 38) == (0, 0)  # conjugates
        bins |= {(row, column), (other_row, other_column)}
    expected = {(f, c + i) for i, f in enumerate([4, 10, 21, 32, 37]) for c in [0, 4, 8, 12]}
    assert bins == expected | {(-row % 38, -column % 38) for row, column in expected}


def textured_by_formula(num_digits, digits, test):
    """Textured images, their groups and labels, one at a time, in NumPy's own words."""
    phases = np.random.RandomState(546298).rand(20)
    waves = []
    for j, phase in enumerate(phases):
        row, column = (4, 10, 21, 32, 37)[j // 4], j // 4 + 4 * (j % 4)
        angle = np.add.outer(row * np.arange(38), column * np.arange(38)) / 38 + phase
        wave = np.cos(2 * np.pi * angle)
        waves.append((wave - wave.min()) / (wave.max() - wave.min()))
    random = np.random.RandomState(2938 if test else 52698)
    if num_digits == 2:
        first_slot = random.permutation(len(digits))
        second_slot = random.permutation(len(digits))
        random.binomial(1, 0.5, len(digits))
    chosen = [random.choice(20, size=num_digits + 1, replace=False) for _ in digits]
    corners = np.random.RandomState(598)
    for i, kinds in enumerate(chosen):
        layers = []
        for kind in kinds:
            top, left = corners.randint(0, 11, 2)
            layers.append(waves[kind][top : top + 28, left : left + 28])
        drawn = [(i, 0)] if num_digits == 1 else [(second_slot[i], 2), (first_slot[i], -2)]
        image, shares = layers[0], [np.ones((28, 28))]
        for layer, (index, shift) in zip(layers[1:], drawn, strict=True):
            mask = np.zeros((28, 28))
            for r, c in np.argwhere(digits[index]):
                if 0 <= r + shift < 28 and 0 <= c + shift < 28:
                    mask[r + shift, c + shift] = digits[index, r, c] / 255
            image = mask * layer + (1 - mask) * image
            shares = [share * (1 - mask) for share in shares] + [mask]
        np.testing.assert_allclose(sum(shares), 1, rtol=1e-12)
        groups = np.where(np.max(shares, axis=0) > 0.9, np.argmax(shares, axis=0) + 1, 0)
        yield image, groups, [index % 10 for index, _ in drawn]  # labels of the made-up MNIST


@pytest.mark.parametrize("num_digits", [1, 2])
@pytest.mark.parametrize(("split", "source"), [("train+validation", "train"), ("test", "test")])
def test_textured_mnist_against_the_formulas(num_digits, split, source, small_dir, digits):
    keys = ("image", "groups", "label")
    loaded = data.load(f"textured_mnist_{num_digits}", split, small_dir, keys)
    expected = textured_by_formula(num_digits, digits[source], source == "test")
    for example, (image, groups, label) in zip(zip(*loaded, strict=True), expected, strict=True):
        np.testing.assert_allclose(example[0][..., 0], image, atol=0.5 / 255 + 1e-5)
        np.testing.assert_array_equal(example[1], groups)
        np.testing.assert_array_equal(example[2], label)


def test_textured_mnist_labels_are_those_of_the_digits_seen(small_dir, digits):
    """What is group 3 is the upper digit, seen whole; of the lower one sees a part."""
    groups, labels = data.load("textured_mnist_2", "test", small_dir, ("groups", "label"))
    strokes = digits["test"][:, 2:-2, 2:-2] > 0.9 * 255  # without what a shift pushes out
    for group, label in zip(groups, labels, strict=True):
        (upper,) = np.flatnonzero((strokes == (group == 3)[:-4, :-4]).all(axis=(1, 2)))
        assert label[1] == upper % 10
        visible = (group == 2)[4:, 4:]
        (lower,) = np.flatnonzero((strokes >= visible).all(axis=(1, 2)))
        assert label[0] == lower % 10


def test_digits_are_those_of_scikit_learn(tmp_path):
    everything = sklearn.datasets.load_digits()
    known = {
        image.tobytes(): label
        for image, label in zip(everything.images, everything.target, strict=True)
    }
    seen = []
    for split in ("train", "test"):
        images, labels = data.load("digits", split, tmp_path, ("image", "label"))
        levels = 16 * images[..., 0].astype(float)
        np.testing.assert_allclose(levels, np.rint(levels), atol=16 * 0.5 / 255 + 1e-6)
        images = [image.tobytes() for image in np.rint(levels)]
        assert [known[image] for image in images] == list(labels)
        shares = np.bincount(labels) / np.bincount(everything.target)
        np.testing.assert_allclose(shares, 0.8 if split == "train" else 0.2, atol=0.005)
        seen += images
    assert sorted(seen) == sorted(image.tobytes() for image in everything.images)


def test_newsgroups_are_weights_of_the_frequent_words(small_dir):
    """Against the formula of tf-idf: counts, times ln((1 + n) / (1 + posts with it)) + 1."""
    weights, labels = data.load("newsgroups", "train", small_dir, ("image", "label"))
    posts = [post.lower().split() for post in fake_posts().data]
    words = [f"word{rank:04d}" for rank in range(2000)]  # not `the`, nor those that come once
    counts = np.array([[post.count(word) for word in words] for post in posts])
    expected = counts * (np.log(51 / (1 + (counts > 0).sum(axis=0))) + 1)
    expected /= np.sqrt(np.mean(expected**2, axis=1, keepdims=True))
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, expected, rtol=1e-5)
    np.testing.assert_array_equal(labels, np.arange(50) % 20)
    (same,) = data.load("newsgroups", "train", small_dir, ("image",), dtype="uint8")
    np.testing.assert_array_equal(same, weights)


def test_real_newsgroups(tmp_path):
    """The names and the number of posts, of what scikit-learn keeps."""
    try:
        posts = sklearn.datasets.fetch_20newsgroups(subset="all", download_if_missing=False)
    except OSError:
        pytest.skip(
            "scikit-learn has no 20 Newsgroups in $SCIKIT_LEARN_DATA or ~/scikit_learn_data"
        )
    builder = data.TfbindNewsgroups(data_dir=tmp_path)
    assert builder.info.features["label"].names == posts.target_names
    assert len(posts.target) == builder.NUM_EXAMPLES["train"]
