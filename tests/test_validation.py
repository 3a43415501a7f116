"""Argument checks: what passes, and the sentence that says why something does not."""

import re

import numpy as np
import pytest

from tfbind import _validation


def raises(sentence):
    return pytest.raises(ValueError, match=f"^{re.escape(sentence)}$")


@pytest.mark.parametrize("value", [2, 3, np.int64(2), np.uint8(2)])
def test_integers(value):
    found = _validation.check_integer("num_groups", value, 2)
    assert found == value and type(found) is int


@pytest.mark.parametrize("value", [1, -5, 2.0, "2", None, True, np.float32(2), [2]])
def test_not_integers(value):
    with raises(f"`num_groups` must be an integer >= 2. Received: num_groups={value!r}."):
        _validation.check_integer("num_groups", value, 2)


@pytest.mark.parametrize("value", [0, 0.5, 1, np.float32(0.25), np.int8(1)])
def test_numbers(value):
    found = _validation.check_number("noise", value, 0, 1)
    assert found == value and type(found) is float


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "0", None, False, 1j])
def test_not_numbers(value):
    with raises(f"`noise` must be a number in [0, 1]. Received: noise={value!r}."):
        _validation.check_number("noise", value, 0, 1)


def test_open_and_endless_intervals():
    assert _validation.check_number("rate", 1e9, 0, open_low=True) == 1e9
    with raises("`rate` must be a number in (0, inf). Received: rate=0."):
        _validation.check_number("rate", 0, 0, open_low=True)
    with raises("`mean` must be a number in (-inf, inf). Received: mean=inf."):
        _validation.check_number("mean", np.inf, -np.inf)


def test_choices():
    assert _validation.check_choice("mode", "soft", ("soft", "hard")) == "soft"
    with raises("`mode` must be one of 'soft', 'hard'. Received: mode='Soft'."):
        _validation.check_choice("mode", "Soft", ("soft", "hard"))


@pytest.mark.parametrize("shape", [(5, 3), (None, 3), (5, None)])
def test_shapes(shape):
    _validation.check_shape("images", shape, (None, 3))


@pytest.mark.parametrize(
    ("shape", "spelled"), [((5, 4), "(5, 4)"), ((3,), "(3,)"), ((), "()"), ((None, 4), "(n, 4)")]
)
def test_other_shapes(shape, spelled):
    with raises(f"`images` must have shape (n, 3). Received: shape {spelled}."):
        _validation.check_shape("images", shape, (None, 3))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "uint8", "int64", "bool"])
def test_arrays_become_float32(dtype):
    array = np.array([[0, 1], [1, 0]], dtype)
    found = _validation.check_array("images", array, (2,), 0, 1)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[0, 1], [1, 0]])


def test_a_float32_array_is_not_copied():
    array = np.zeros((2, 3), "float32")
    assert _validation.check_array("images", array, (3,)) is array


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.array([["a"]]), "`x` must be numeric. Received: dtype <U1."),
        (np.array([[None]]), "`x` must be numeric. Received: dtype object."),
        (np.zeros((2, 2)), "`x` must have shape (n, 1). Received: shape (2, 2)."),
        (np.zeros(1), "`x` must have shape (n, 1). Received: shape (1,)."),
        (np.zeros((0, 1)), "`x` must hold at least one example. Received: an empty array."),
        (
            np.array([[0.5], [np.nan]]),
            "`x` must be finite. Received: NaN or infinity among its values.",
        ),
        (
            np.array([[1e300]]),  # infinite in float32
            "`x` must be finite. Received: NaN or infinity among its values.",
        ),
        (
            np.array([[-0.25], [1.0]]),
            "`x` must lie in [0, 1]. Received: values from -0.25 to 1; rescale them first.",
        ),
        (
            np.array([[0], [255]], "uint8"),
            "`x` must lie in [0, 1]. Received: values from 0 to 255; rescale them first.",
        ),
    ],
)
def test_bad_arrays(array, sentence):
    with raises(sentence):
        _validation.check_array("x", array, (1,), 0, 1)


def test_an_open_range():
    np.testing.assert_array_equal(
        _validation.check_array("x", np.array([[-7.0], [9.0]]), (1,)), [[-7], [9]]
    )


@pytest.mark.parametrize("value", ["rc-shapes", "a", "A_1.2-b", "x" * 100])
def test_a_plain_name(value):
    assert _validation.check_file_name("name", value) == value


@pytest.mark.parametrize("value", ["x" * 101, "a b", ".a", "a.", "a/b", "é", "a:b", "~"])
def test_a_name_that_is_not_plain(value):
    with pytest.raises(ValueError, match="`name` must be a plain name: 1 to 100 .* Received: name"):
        _validation.check_file_name("name", value)
