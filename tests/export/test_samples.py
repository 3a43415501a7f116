import numpy as np
import pytest

from tfbind import export


def sample(low, high, dtype="float32", shape=(1000,)):
    info = {"shape": [None, *shape], "dtype": dtype, "range": [low, high]}
    return export.sample_inputs({"inputs": {"x": info}}, 2)["x"]


@pytest.mark.parametrize(
    "given, low, high",
    [((0.0, 3.0), 0, 3), ((None, 5.0), 4, 5), ((5.0, None), 5, 6), ((None, None), -1, 1)],
)
def test_they_fill_the_range(given, low, high):
    values = sample(*given)
    assert values.shape == (2, 1000) and values.dtype == np.float32
    assert low <= values.min() < low + 0.1 and high - 0.1 < values.max() <= high


def test_integers_reach_both_ends():
    assert set(sample(2, 4, "int32").ravel()) == {2, 3, 4}
    assert set(sample(0, 1, "bool").ravel()) == {False, True}


def test_they_are_the_same_at_every_call():
    np.testing.assert_array_equal(sample(0, 1), sample(0, 1))
