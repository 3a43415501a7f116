"""Training pipelines: the order is the seed's and the epoch's, and every shape is static."""

import itertools

import numpy as np
import pytest

from tfbind.data import pipelines

IMAGES = np.arange(23, dtype="uint8")[:, None]


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
