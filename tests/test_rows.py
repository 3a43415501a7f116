"""Sparse rows against the dense ones."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from tfbind import _rows

RANDOM = np.random.default_rng(0)
DENSE = (RANDOM.standard_normal((9, 5)) * (RANDOM.random((9, 5)) < 0.3)).astype("float32")
FORMATS = {
    **{name: getattr(sparse, f"{name}_array") for name in ("csr", "csc", "coo", "lil", "dok")},
    "csr_matrix": sparse.csr_matrix,
    "float64": lambda x: sparse.csr_array(x.astype("float64")),
    "tensor": tf.sparse.from_dense,
}


@pytest.mark.parametrize("name", FORMATS)
def test_rows_of_any_format(name):
    rows = _rows.check_lazy("x", FORMATS[name](DENSE), (5,))
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows.toarray(), DENSE)
    np.testing.assert_array_equal(_rows.dense(FORMATS[name](DENSE)), DENSE)
    for wanted in ([8, 0, 0, 3], [], [2]):
        wanted = tf.constant(wanted, tf.int64)
        taken = [_rows.taker(each)(wanted) for each in (FORMATS[name](DENSE), DENSE)]
        np.testing.assert_array_equal(*taken)


def test_places_with_several_values_are_sums_and_the_callers_stay():
    matrix = sparse.csr_array(([1.0, 2.0, 4.0], ([0, 0, 1], [2, 2, 0])), shape=(2, 3))
    twice = sparse.csr_array((np.ones(3), [1, 0, 1], [0, 3]), shape=(1, 2))
    assert _rows.check_lazy("x", twice, (2,)).toarray().tolist() == [[1.0, 2.0]]
    assert twice.nnz == 3
    np.testing.assert_array_equal(_rows.check_lazy("x", matrix, (3,)).toarray()[0], [0, 0, 3])


def test_no_rows_and_no_values():
    assert _rows.check_lazy("x", sparse.csr_array((3, 5)), (5,), 0.0, 1.0).nnz == 0
    with pytest.raises(ValueError, match="`x` must hold at least one example."):
        _rows.check_lazy("x", sparse.csr_array((0, 5)), (5,))


def test_zeros_count_in_the_range():
    ones = sparse.csr_array(np.eye(3) + 1)
    _rows.check_lazy("x", ones, (3,), 1.0, 2.0)
    with pytest.raises(ValueError, match=r"`x` must lie in \[1.0, 2.0\]. Received: values from 0"):
        _rows.check_lazy("x", sparse.csr_array(np.eye(3)), (3,), 1.0, 2.0)
