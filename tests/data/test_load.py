"""`tfbind.data.load`: slices, errors, and what it leaves on disk."""

import os
import urllib.error

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfbind import data
from tfbind.data import _load


def test_names_are_the_registered_builders():
    builders = {name for name in tfds.list_builders() if name.startswith("tfbind_")}
    known = {name.split("/")[0] for name in _load._BUILDERS.values()}
    assert known == builders | {"mnist", "svhn_cropped"}


def test_slices_are_parts_of_the_whole(small_dir):
    images, groups = data.load("shapes", "test", small_dir)
    some_images, some_groups = data.load("shapes", "test[5:12]", small_dir)
    np.testing.assert_array_equal(some_images, images[5:12])
    np.testing.assert_array_equal(some_groups, groups[5:12])
    both, _ = data.load("shapes", "test[:10%]+train_multi[:4]", small_dir)
    np.testing.assert_array_equal(both[:3], images[:3])
    assert len(both) == 7


def test_tfds_load_reads_the_same(small_dir):
    images, groups = data.load("shapes", "test", small_dir)
    dataset = tfds.load("tfbind_shapes", split="test", data_dir=small_dir)
    for image, group, example in zip(images, groups, dataset, strict=True):
        np.testing.assert_array_equal(example["image"], image)
        np.testing.assert_array_equal(example["groups"], group)


def test_standard_output_stays_clean(small, tmp_path, capsys):
    data.load("shapes", "test", tmp_path)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Generating" in printed.err  # the progress bar


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("shape", "test", r"`name` must be one of 'simple_superposition', 'shapes', .* name='sh"),
        ("shapes", "valid", r"`split` must be one of 'train_multi', .* split='valid'"),
        ("shapes", "test+", r"`split` must be one of 'train_multi', .* split=''"),
        ("shapes20", "train_multi", r"`split` must be one of 'train', 'validation', 'test', 'sin"),
        ("simple_superposition", "train_multi", r"must be one of 'train_single', 'test'\. Rec"),
        ("shapes", "test[:0]", r"`split` must select at least one example\. .*'test\[:0\]'"),
        ("shapes", "test[20:10]", r"`split` must select at least one example\."),
        ("shapes", "test[:31]", r"optional slice inside it.*'test\[:31\]'.* test \(30\)"),
        ("shapes", "test[x]", r"optional slice inside it, such as 'test\[:10\]'\."),
        ("shapes", "test[5:", r"optional slice inside it, such as 'test\[:10\]'\."),
    ],
)
def test_bad_arguments(name, split, message, small_dir):
    with pytest.raises(ValueError, match=message):
        data.load(name, split, small_dir)


def test_keys_say_what_comes_back(mnist_dir, digits):
    images, labels = data.load("mnist", "test[3:]", mnist_dir, keys=("image", "label"))
    assert (images.dtype, labels.dtype) == (np.float32, np.int32)
    np.testing.assert_array_equal(images[..., 0], np.float32(digits["test"][3:]) / 255)
    np.testing.assert_array_equal(labels, np.arange(3, len(digits["test"])) % 10)
    (only,) = data.load("mnist", "test[3:]", mnist_dir, keys=["label"])
    np.testing.assert_array_equal(only, labels)
    labels_first = data.load("mnist", "test[3:]", mnist_dir, keys=("label", "image"))
    np.testing.assert_array_equal(labels_first[1], images)


@pytest.mark.parametrize("name", ["mnist", "shapes"])
def test_bytes_are_the_images_times_255(name, small_dir, mnist_dir):
    folder = mnist_dir if name == "mnist" else small_dir
    (images,) = data.load(name, "test", folder, keys=("image",))
    (levels,) = data.load(name, "test", folder, keys=("image",), dtype="uint8")
    assert levels.dtype == np.uint8
    np.testing.assert_array_equal(levels / np.float32(255), images)
    with pytest.raises(ValueError, match="`dtype` must be one of 'float32', 'uint8'."):
        data.load(name, "test", folder, dtype="int8")


@pytest.mark.parametrize("keys", [("image", "groups"), ("labels",), "image"])
@pytest.mark.parametrize("name", ["mnist", "digits"])
def test_keys_that_the_set_has_not(name, keys, tmp_path):
    message = f"`keys` must be a tuple of features of '{name}', which has 'image', 'label'. Rec"
    with pytest.raises(ValueError, match=message):
        data.load(name, "test", tmp_path, keys)
    assert os.listdir(tmp_path) == []  # said before any work


def test_mnist_says_which_splits_it_has(mnist_dir):
    with pytest.raises(ValueError, match=r"must be one of 'train', 'test'\. .*split='validation'"):
        data.load("mnist", "validation", mnist_dir, keys=("image", "label"))


def test_split_of_the_wrong_type(small_dir):
    with pytest.raises(TypeError, match=r"`split` must be a string\. Received: split=3\."):
        data.load("shapes", 3, small_dir)


@pytest.mark.parametrize(
    ("name", "needed", "folder"),
    [
        *((name, "MNIST", "mnist") for name in ("mnist_shape", "multi_mnist", "textured_mnist_2")),
        ("mnist", "MNIST", "mnist"),
        ("svhn", "SVHN", "svhn_cropped"),
    ],
)
def test_no_download(name, needed, folder, tmp_path, monkeypatch):
    def no_network(url, timeout):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    message = rf"needs {needed}, which is not in {tmp_path}.*no network.*copy a prepared `{folder}`"
    with pytest.raises(ValueError, match=message):
        data.load(name, "test", tmp_path, keys=("image",))
    if _load._BUILDERS[name] != folder:  # TFDS' own
        with pytest.raises(ValueError, match=message):
            tfds.load(_load._BUILDERS[name], data_dir=tmp_path)
    assert os.listdir(tmp_path) == []


def test_no_posts(tmp_path, monkeypatch):
    def no_network(url, timeout):
        raise urllib.error.URLError("no network")

    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "posts"))
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    message = f"needs the 20 Newsgroups, which are not in {tmp_path}/posts.*no network.*or set SCI"
    with pytest.raises(ValueError, match=message):
        data.load("newsgroups", "train", tmp_path / "sets", keys=("image",))
    with pytest.raises(ValueError, match=message):
        tfds.load("tfbind_newsgroups", data_dir=tmp_path / "sets")
    assert not (tmp_path / "sets").exists()


def test_another_process_finishes_first(small, tmp_path, monkeypatch):
    """The slower of two processes that generate the same set takes what the quicker one wrote."""
    generate = data.TfbindShapes._generate_examples
    quicker = []

    def interrupted(self, split):
        monkeypatch.setattr(data.TfbindShapes, "_generate_examples", generate)
        quicker.append(data.load("shapes", "test", tmp_path))
        return generate(self, split)

    monkeypatch.setattr(data.TfbindShapes, "_generate_examples", interrupted)
    images, groups = data.load("shapes", "test", tmp_path)
    np.testing.assert_array_equal(images, quicker[0][0])
    np.testing.assert_array_equal(groups, quicker[0][1])
    assert os.listdir(tmp_path / "tfbind_shapes") == ["1.0.0"]  # nothing half-written


def test_failed_generation_leaves_nothing(small, tmp_path, monkeypatch):
    def full_disk(self, split):
        raise OSError("no space left")

    monkeypatch.setattr(data.TfbindShapes, "_generate_examples", full_disk)
    with pytest.raises(OSError, match="no space left"):
        data.load("shapes", "test", tmp_path)
    assert os.listdir(tmp_path / "tfbind_shapes") == []


def patterns_builder(tmp_path, patterns):
    np.save(tmp_path / "patterns.npy", patterns)
    config = data.PatternsConfig(name="mine", patterns=tmp_path / "patterns.npy")
    return tfds.builder("tfbind_simple_superposition", config=config, data_dir=tmp_path)


def test_patterns_of_your_own(tmp_path):
    patterns = np.random.default_rng(0).integers(0, 2, size=(5, 8, 8))
    builder = patterns_builder(tmp_path, patterns)
    builder.download_and_prepare()
    single = builder.as_dataset(split="train_single", batch_size=-1)["image"]
    pairs = builder.as_dataset(split="test", batch_size=-1)["image"]
    np.testing.assert_array_equal(single[..., 0], patterns)
    assert len(pairs) == 10
    np.testing.assert_array_equal(pairs[-1, ..., 0], patterns[3] | patterns[4])


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (np.zeros((4, 8, 7)), r"shape \(P, 8, 8\), P >= 2\. Received: shape \(4, 8, 7\)"),
        (np.zeros((1, 8, 8)), r"P >= 2\. Received: shape \(1, 8, 8\)"),
        (np.full((4, 8, 8), 0.5), r"zeros and ones\. Received: other values in .*patterns\.npy"),
    ],
)
def test_bad_patterns(patterns, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        patterns_builder(tmp_path, patterns).download_and_prepare()
