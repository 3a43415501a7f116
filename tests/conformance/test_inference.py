"""The same answer in every mode, in every batch, every time."""

import keras
import numpy as np
import pytest
import tensorflow as tf


def rows(inputs, chosen):
    """Returns the chosen rows of an input, which is an array or a dict of arrays."""
    return keras.tree.map_structure(lambda array: array[chosen], inputs)


def assert_close(found, expected, atol=1e-5):
    """Asserts that two dicts of outputs agree; sums such as log-likelihoods to the same digits."""
    assert found.keys() == expected.keys()
    for key in expected:
        np.testing.assert_allclose(found[key], expected[key], atol=atol, rtol=1e-5, err_msg=key)


def test_eager_graph_and_predict_agree(entry, event_shape, make):
    model, inputs = make(entry, event_shape), entry.inputs(event_shape, 5)
    expected = model(inputs)
    assert_close(tf.function(model)(inputs), expected)
    assert_close(model.predict(inputs, verbose=0), expected)
    assert_close(model(inputs), expected, atol=0)


def test_xla_agrees(entry, make):
    event_shape = entry.event_shapes[0]
    model, inputs = make(entry), entry.inputs(event_shape, 5)
    assert_close(tf.function(model, jit_compile=True)(inputs), model(inputs))


def test_rows_do_not_depend_on_their_batch(entry, event_shape, make):
    model, inputs = make(entry, event_shape), entry.inputs(event_shape, 64)
    expected = model(inputs)
    for start, size in [(0, 1), (63, 1), (7, 3)]:
        chosen = slice(start, start + size)
        assert_close(model(rows(inputs, chosen)), rows(expected, chosen))


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_predict_does_not_depend_on_the_batch_size(entry, batch_size, make):
    model, inputs = make(entry), entry.inputs(entry.event_shapes[0], 7)
    assert_close(model.predict(inputs, batch_size=batch_size, verbose=0), model(inputs))
