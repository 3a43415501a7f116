"""The error of a set of labels, against a search through Python lists."""

import numpy as np
import pytest

from tfbind.metrics import set_error


def brute_force(labels, probabilities):
    """One example: the share of its distinct labels that are not among as many best classes."""
    true = set(labels)
    best = sorted(range(len(probabilities)), key=lambda c: probabilities[c], reverse=True)
    return 1 - len(true & set(best[: len(true)])) / len(true)


@pytest.mark.parametrize("num_labels", [1, 2, 3])
def test_random_cases(num_labels, test_seed):
    random = np.random.default_rng(test_seed)
    for num_classes in (2, 3, 10):
        labels = random.integers(0, num_classes, (200, num_labels))
        probabilities = random.dirichlet(np.ones(num_classes), 200).astype("float32")
        expected = [brute_force(*case) for case in zip(labels, probabilities, strict=True)]
        np.testing.assert_allclose(set_error(labels, probabilities), expected, atol=1e-6)
        assert len(set(expected)) > 1


def test_two_objects_as_the_paper_counts_them():
    """Different digits: half a point for each of the best two. Equal ones: the best alone."""
    probabilities = np.tile(np.array([[0.5, 0.3, 0.2]], "float32"), (5, 1))
    labels = [[0, 1], [1, 0], [1, 2], [0, 0], [1, 1]]
    np.testing.assert_allclose(set_error(labels, probabilities), [0, 0, 0.5, 0, 1], atol=1e-6)


def test_one_label_is_the_usual_error(test_seed):
    random = np.random.default_rng(test_seed)
    labels = random.integers(0, 4, 50)
    logits = random.standard_normal((50, 4)).astype("float32")
    expected = labels != logits.argmax(axis=1)
    for shape in ((50,), (50, 1)):
        np.testing.assert_array_equal(set_error(labels.reshape(shape), logits), expected)
    np.testing.assert_array_equal(set_error(labels.astype("uint8"), logits), expected)


def test_neither_order_counts(test_seed):
    random = np.random.default_rng(test_seed)
    labels = random.integers(0, 5, (30, 3))
    probabilities = random.random((30, 5)).astype("float32")
    expected = set_error(labels, probabilities)
    np.testing.assert_array_equal(set_error(labels[:, ::-1], probabilities), expected)
    classes = random.permutation(5)
    renamed = np.empty_like(probabilities)
    renamed[:, classes] = probabilities
    np.testing.assert_array_equal(set_error(classes[labels], renamed), expected)


@pytest.mark.parametrize("shape", [(3, 5), (2,), (2, 5, 1)])
def test_bad_shapes(shape):
    with pytest.raises(ValueError, match="`probabilities` must have shape .2, n.. Received: shape"):
        set_error([[0, 1], [1, 2]], np.zeros(shape, "float32"))
