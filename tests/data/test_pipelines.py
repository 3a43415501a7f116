"""Training pipelines: the order is the seed's and the epoch's, and every shape is static."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from tfbind.data import pipelines

IMAGES = np.arange(23, dtype="int32")[:, None]


def take(dataset, steps, num_epochs=1):
    """Returns the ids of `num_epochs` epochs, `[epochs, steps, batch]`."""
    batches = itertools.islice(dataset.as_numpy_iterator(), steps * num_epochs)
    return np.stack([batch[:, 0] for batch in batches]).reshape(num_epochs, steps, -1)


def test_an_epoch_holds_every_batch_once_in_an_order_of_its_own():
    dataset, steps = pipelines.epochs(IMAGES, 5, seed=1)
    assert steps == 5
    assert dataset.element_spec.shape == (4, 1)  # 4 of the 5 wanted: 20 of 23 examples
    assert dataset.element_spec.dtype == np.float32
    epochs = take(dataset, steps, num_epochs=6)
    for epoch in epochs:
        np.testing.assert_array_equal(epoch[np.argsort(epoch[:, 0])], np.arange(20).reshape(5, 4))
    assert len({tuple(epoch[:, 0]) for epoch in epochs}) > 3


def test_bytes_in_batches_that_stay_are_grey_levels():
    dataset, _ = pipelines.epochs(np.array([[0], [51], [255]], "uint8"), 3, seed=0)
    (batch,) = dataset.take(1).as_numpy_iterator()
    np.testing.assert_array_equal(batch[:, 0], np.float32([0, 0.2, 1]))


@pytest.mark.parametrize("initial_epoch", [1, 4])
def test_a_later_start_continues_the_same_order(initial_epoch):
    dataset, steps = pipelines.epochs(IMAGES, 5, seed=1)
    later, _ = pipelines.epochs(IMAGES, 5, seed=1, initial_epoch=initial_epoch)
    expected = take(dataset, steps, num_epochs=6)[initial_epoch:]
    np.testing.assert_array_equal(take(later, steps, num_epochs=6 - initial_epoch), expected)


def test_the_order_is_the_seeds():
    orders = [take(pipelines.epochs(IMAGES, 2, seed)[0], 12)[0, :, 0] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(orders[0], orders[1])
    assert (orders[0] != orders[2]).any()


@pytest.mark.parametrize(
    ("num_images", "batch_size", "expected"),
    [(54_000, 100, (540, 100)), (14, 100, (1, 14)), (101, 100, (2, 50)), (100, 100, (1, 100))],
)
def test_batches_are_as_large_as_they_can_be(num_images, batch_size, expected):
    dataset, steps = pipelines.epochs(np.zeros((num_images, 1), "uint8"), batch_size, seed=0)
    assert (steps, dataset.element_spec.shape[0]) == expected
    assert num_images - expected[0] * expected[1] < expected[0]


@pytest.mark.parametrize(("num_images", "expected"), [(60_000, 6000), (16, 2), (3, 1), (2, 1)])
def test_the_last_tenth_validates(num_images, expected):
    images = np.arange(num_images)
    train, validation = pipelines.split_validation(images)
    np.testing.assert_array_equal(np.concatenate([train, validation]), images)
    assert len(validation) == expected


def test_at_least_one_example_trains():
    train, validation = pipelines.split_validation(np.arange(3), fraction=0.99)
    assert (len(train), len(validation)) == (1, 2)
    with pytest.raises(ValueError, match="needs at least 2 examples. Received: 1."):
        pipelines.split_validation(np.arange(1))


LABELED = np.arange(7, dtype="float32")[:, None]
LABELS = 10 * np.arange(7)
UNLABELED = np.arange(23, dtype="float32")[:, None]


def semi_supervised(seed=1, initial_epoch=0, **changes):
    """Returns the batches of 5 as NumPy arrays, endless, and the steps in an epoch."""
    arguments = {"images": LABELED, "labels": LABELS, "unlabeled_images": UNLABELED} | changes
    dataset, steps = pipelines.semi_supervised_epochs(
        **arguments, batch_size=5, seed=seed, initial_epoch=initial_epoch
    )
    return dataset.as_numpy_iterator(), steps


def take_epochs(batches, steps, num_epochs):
    """Returns a dict of arrays `[epochs, steps * batch, ...]`."""
    taken = list(itertools.islice(batches, steps * num_epochs))
    return {
        key: np.stack([batch[key] for batch in taken]).reshape(num_epochs, steps * 5, -1)
        for key in taken[0]
    }


def test_semi_supervised_batches_have_static_shapes():
    dataset, steps = pipelines.semi_supervised_epochs(
        LABELED, LABELS, UNLABELED, 5, seed=1, unfeatured_labels=np.arange(3)
    )
    assert steps == 4
    found = {key: (tuple(spec.shape), spec.dtype) for key, spec in dataset.element_spec.items()}
    assert found == {
        "image": ((5, 1), np.float32),
        "label": ((5,), np.int32),
        "unlabeled_image": ((5, 1), np.float32),
        "unfeatured_label": ((5,), np.int32),
    }


def test_no_unlabelled_example_comes_twice_in_an_epoch():
    epochs = take_epochs(*semi_supervised(), num_epochs=8)["unlabeled_image"][..., 0]
    assert all(len(set(epoch)) == 20 for epoch in epochs)
    assert {id for epoch in epochs for id in epoch} == set(range(23))  # others are left over
    assert len({tuple(epoch) for epoch in epochs}) == 8


def test_without_a_rest_every_unlabelled_example_comes_once_an_epoch():
    batches, steps = semi_supervised(unlabeled_images=UNLABELED[:20])
    for epoch in take_epochs(batches, steps, num_epochs=3)["unlabeled_image"][..., 0]:
        assert sorted(epoch) == list(range(20))


def test_batches_are_reshuffled_not_only_reordered():
    batches, steps = semi_supervised(unlabeled_images=UNLABELED[:20])
    epochs = take_epochs(batches, steps, num_epochs=6)["unlabeled_image"].reshape(6 * steps, 5)
    assert len({frozenset(batch) for batch in epochs}) > 20  # of 24


def test_the_shorter_streams_cycle_evenly():
    epochs = take_epochs(*semi_supervised(unfeatured_labels=np.arange(3)), num_epochs=5)
    for key, size in (("image", 7), ("unfeatured_label", 3)):
        for epoch in epochs[key][..., 0]:
            for start in range(0, 20 - size + 1, size):
                assert sorted(epoch[start : start + size]) == list(range(size))
            assert len(set(epoch[-(20 % size) :])) == 20 % size
        assert len({tuple(epoch[:size]) for epoch in epochs[key][..., 0]}) > 1


def test_labels_stay_with_their_images():
    epochs = take_epochs(*semi_supervised(), num_epochs=2)
    np.testing.assert_array_equal(epochs["label"], 10 * epochs["image"])


def test_the_streams_have_orders_of_their_own():
    same = {"images": UNLABELED[:20], "labels": np.arange(20), "unlabeled_images": UNLABELED[:20]}
    epochs = take_epochs(*semi_supervised(**same), num_epochs=1)
    assert (epochs["image"] != epochs["unlabeled_image"]).any()


@pytest.mark.parametrize("initial_epoch", [1, 4])
def test_a_later_start_continues_the_same_semi_supervised_epochs(initial_epoch):
    options = {"unfeatured_labels": np.arange(3)}
    expected = take_epochs(*semi_supervised(**options), num_epochs=6)
    later = semi_supervised(initial_epoch=initial_epoch, **options)
    found = take_epochs(*later, num_epochs=6 - initial_epoch)
    for key in expected:
        np.testing.assert_array_equal(found[key], expected[key][initial_epoch:], err_msg=key)


def test_semi_supervised_epochs_are_the_seeds():
    first, again, other = (take_epochs(*semi_supervised(seed), num_epochs=1) for seed in (1, 1, 2))
    for key in first:
        np.testing.assert_array_equal(first[key], again[key])
        assert (first[key] != other[key]).any()


def test_bytes_are_grey_levels():
    levels = np.array([[0], [51], [255]] * 2, "uint8")
    batches, _ = semi_supervised(unlabeled_images=levels, images=levels, labels=np.arange(6))
    batch = next(batches)
    for key in ("image", "unlabeled_image"):
        assert {f"{value:.3f}" for value in batch[key][:, 0]} == {"0.000", "0.200", "1.000"}


def test_fewer_unlabelled_examples_than_a_batch():
    dataset, steps = pipelines.semi_supervised_epochs(LABELED, LABELS, UNLABELED[:3], 5, seed=0)
    batch = next(dataset.as_numpy_iterator())
    assert (steps, len(batch["image"])) == (1, 3)
    assert sorted(batch["unlabeled_image"][:, 0]) == [0, 1, 2]


def test_a_balanced_subset_has_equally_many_of_each_class():
    labels = np.random.default_rng(0).permutation(np.repeat([3, 5, 9], [40, 10, 20]))
    chosen = pipelines.balanced_subset(labels, 24, seed=1)
    assert len(set(chosen)) == 24
    np.testing.assert_array_equal(np.unique(labels[chosen], return_counts=True)[1], [8, 8, 8])
    np.testing.assert_array_equal(chosen, pipelines.balanced_subset(labels, 24, seed=1))
    assert set(chosen) != set(pipelines.balanced_subset(labels, 24, seed=2))


@pytest.mark.parametrize("num_labels", [25, 33])
def test_a_balanced_subset_that_cannot_be(num_labels):
    labels = np.repeat([3, 5, 9], [40, 10, 20])
    sentence = (
        rf"a multiple of the number of classes, 3, up to 30\. Received: num_labels={num_labels}"
    )
    with pytest.raises(ValueError, match=sentence):
        pipelines.balanced_subset(labels, num_labels, seed=0)


def test_the_index_gives_the_rows_back_each_once_an_epoch():
    images = np.arange(24, dtype="uint8")[:, None]
    dataset, steps = pipelines.shuffled_epochs(images, 6, seed=1, with_index=True)
    assert dataset.element_spec["index"] == tf.TensorSpec([6], tf.int32)
    batches = list(itertools.islice(dataset.as_numpy_iterator(), 3 * steps))
    for batch in batches:
        np.testing.assert_array_equal(batch["image"], images[batch["index"]] / np.float32(255))
    epochs = np.stack([batch["index"] for batch in batches]).reshape(3, 24)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(np.arange(24), (3, 1)))
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_the_index_changes_nothing_in_the_images():
    with_index, steps = pipelines.shuffled_epochs(IMAGES, 5, 1, 2, with_index=True)
    without, _ = pipelines.shuffled_epochs(IMAGES, 5, 1, 2)
    pairs = zip(with_index.as_numpy_iterator(), without.as_numpy_iterator(), strict=True)
    for batch, images in itertools.islice(pairs, 2 * steps):
        np.testing.assert_array_equal(batch["image"], images)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_byte_survives_as_a_grey_level(dtype):
    levels = np.arange(256, dtype="uint8")[:, None]
    found = pipelines.to_bytes((levels / 255).astype(dtype))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, levels)
    np.testing.assert_array_equal(pipelines.to_bytes(levels.astype("float32") / 255), levels)


def test_other_grey_levels_go_to_the_nearest_byte():
    images = np.random.default_rng(0).uniform(size=(100, 7))
    assert np.abs(pipelines.to_bytes(images) / 255 - images).max() < 0.5 / 255 + 1e-6


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan])
def test_what_no_byte_holds_is_refused(value):
    with pytest.raises(ValueError, match="`images` must "):
        pipelines.to_bytes(np.array([[0.5, value]]))


def test_sparse_vectors_are_given_out_dense():
    vectors = np.random.default_rng(0).integers(0, 2, (23, 6)).astype("float32")
    for with_index in (True, False):
        streams = [
            pipelines.shuffled_epochs(x, 5, seed=1, with_index=with_index)[0].take(9)
            for x in (sparse.csr_array(vectors), vectors)
        ]
        assert streams[0].element_spec == streams[1].element_spec
        for one, other in zip(*streams, strict=True):
            tf.nest.map_structure(np.testing.assert_array_equal, one, other)


def test_arrays_keep_their_rows_together_in_the_order_of_their_images():
    arrays = {"image": IMAGES, "label": np.arange(len(IMAGES)), "sample_weight": IMAGES[:, 0]}
    dataset, steps = pipelines.array_epochs(arrays, 5, 1, 2)
    indexed, _ = pipelines.shuffled_epochs(IMAGES, 5, 1, 2, with_index=True)
    for batch, other in itertools.islice(zip(dataset, indexed, strict=True), 2 * steps):
        rows = other["index"].numpy()
        for name, array in arrays.items():
            np.testing.assert_array_equal(batch[name], array[rows])
            assert batch[name].dtype == array.dtype
