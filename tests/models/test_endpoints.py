"""A bad row has no answer and leaves the others alone, in every kind of input and output."""

import numpy as np
import pytest
import tensorflow as tf

from tfbind.models._endpoints import Endpoint, guarded

POINT = tf.TensorSpec([None, 2], tf.float32, name="point")
LABEL = tf.TensorSpec([None], tf.int32, name="label")
TEXT = tf.TensorSpec([None], tf.string, name="text")


def answer(point, label=None, limits=(0.0, 1.0)):
    """Echoes of a guarded endpoint, whose sum over the batch shows what the function was given."""
    label = np.zeros(len(point), "int32") if label is None else np.asarray(label, "int32")

    def function(point, label, text):
        every = tf.reduce_sum(point)
        given = {"point": point, "cube": point[:, None, None], "label": label, "on": label > 0}
        return {**given, "text_on": text == b"a", "every": tf.repeat(every, tf.shape(point)[0])}

    keys = ("point", "cube", "label", "on", "text_on", "every")
    endpoint = Endpoint(
        function, (POINT, LABEL, TEXT), dict.fromkeys(keys, ""), {"point": limits, "label": (0, 3)}
    )
    text = tf.fill([len(point)], "a")
    label = tf.constant(label)
    outputs = guarded(endpoint).function(tf.constant(point, tf.float32), label, text)
    return {key: value.numpy() for key, value in outputs.items()}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -0.01, 1.01, 3e38])
def test_a_bad_number(bad):
    found = answer([[0.25, 0.5], [0.25, bad], [1.0, 0.0]])
    assert found["valid"].tolist() == [1, 0, 1] and found["valid"].dtype == "int32"
    np.testing.assert_array_equal(found["point"], [[0.25, 0.5], [np.nan] * 2, [1.0, 0.0]])
    np.testing.assert_array_equal(np.isnan(found["cube"][:, 0, 0, 0]), [False, True, False])
    assert found["label"].tolist() == [0, -1, 0]
    assert found["text_on"].tolist() == [True, False, True]
    np.testing.assert_array_equal(found["every"], [1.75, np.nan, 1.75])  # it saw zeros instead


@pytest.mark.parametrize("label", [-1, 4, 2**31 - 1, -(2**31)])
def test_a_bad_label(label):
    found = answer([[0.5, 0.5]] * 3, [3, label, 0])
    assert found["valid"].tolist() == [1, 0, 1]
    assert found["on"].tolist() == [True, False, False]


@pytest.mark.parametrize("limits", [(None, None), (0.0, None), (None, 9.0)])
def test_an_open_end_takes_what_is_finite(limits):
    found = answer([[5.0, 3.0], [np.inf, 1.0], [np.nan, 1.0]], limits=limits)
    assert found["valid"].tolist() == [1, 0, 0]
    assert found["point"][0].tolist() == [5.0, 3.0]


def test_what_rounding_put_outside_is_moved_to_the_end():
    found = answer([[1 + 5e-7, -5e-7]])
    assert found["valid"].tolist() == [1] and found["point"].tolist() == [[1.0, 0.0]]


def test_a_range_without_zero_has_a_harmless_value():
    found = answer([[2.0, 3.0], [0.0, 3.0]], limits=(2.0, 5.0))
    assert found["every"][0] == 2 + 3 + 2 + 2


def test_no_rows_have_no_answers():
    found = answer(np.zeros((0, 2)))
    assert {key: len(value) for key, value in found.items()} == dict.fromkeys(found, 0)
