"""Rows of a matrix, dense or sparse: checked as one, given out dense, a batch at a time."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from scipy import sparse

from tfbind._stored import Stored
from tfbind._validation import check_range, check_shape

_READERS = 4  # batches of stored rows that are read at a time


def is_sparse(array: Any) -> bool:
    """Whether `array` is a sparse matrix of SciPy or a sparse tensor."""
    return sparse.issparse(array) or isinstance(array, tf.SparseTensor)


def is_lazy(array: Any) -> bool:
    """Whether `array` is sparse, or stored: made a dense array a batch at a time, never whole."""
    return is_sparse(array) or isinstance(array, Stored)


def check_lazy(
    name: str,
    array: Any,
    event_shape: tuple[int | None, ...],
    low: float | None = None,
    high: float | None = None,
) -> sparse.csr_array | Stored:
    """Returns a sparse matrix as float32 `[n, D]` in rows, one value a place; it may be `array`.

    Refuses what `check_array` does, in its words; of what is stored only the shape is known.
    """
    check_shape(name, array.shape, (None, *event_shape))
    if array.shape[0] == 0:
        raise ValueError(f"`{name}` must hold at least one example. Received: an empty matrix.")
    if isinstance(array, Stored):
        return array
    rows = _compressed(array)
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused below
        rows = rows.astype("float32", copy=False)
    check_range(name, float(rows.min()), float(rows.max()), low, high)
    return rows


def _compressed(array: Any) -> sparse.csr_array:
    if isinstance(array, tf.SparseTensor):
        places = tuple(array.indices.numpy().T)
        array = sparse.coo_array((array.values.numpy(), places), shape=tuple(array.shape))
    rows = sparse.csr_array(array)
    if not rows.has_canonical_format:
        rows = rows.copy()  # the caller's stays as it is
        rows.sum_duplicates()
    return rows


def dense(array: Any) -> Any:
    """Returns what is lazy, and must be of a batch's size, as a dense array; all else as is."""
    if isinstance(array, tf.SparseTensor):
        return tf.ensure_shape(tf.sparse.to_dense(tf.sparse.reorder(array)), array.shape)
    if isinstance(array, Stored):
        return np.asarray(array)
    return array.toarray() if sparse.issparse(array) else array


def differ(array: Any) -> bool:
    """Whether an array has rows that differ; of a stored one, which has not been read, assumed."""
    if isinstance(array, Stored):
        return True
    return not np.array_equal(dense(array.min(axis=0)), dense(array.max(axis=0)))


def taker(array: Any) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function from row numbers, integer `[B]`, to these rows of `array`, dense.

    It runs in pipelines, and no more than the batch is ever made dense.
    """
    if isinstance(array, Stored):
        return _stored_taker(array)
    if not is_sparse(array):
        held = tf.constant(array)
        return lambda rows: tf.gather(held, rows)
    return _sparse_taker(_compressed(array))


def taker_of_all(arrays: Mapping[str, Any]) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Returns what `taker` does, of several arrays: a function to a dict of their rows."""
    takers = {key: taker(array) for key, array in arrays.items()}
    return lambda rows: {key: take(rows) for key, take in takers.items()}


def readers(*arrays: Any) -> int | None:
    """Returns the `num_parallel_calls` of a pipeline's `map` that takes rows of `arrays`."""
    return _READERS if any(isinstance(array, Stored) for array in arrays) else None


def _stored_taker(array: Stored) -> Callable[[tf.Tensor], tf.Tensor]:
    def take(rows: tf.Tensor) -> tf.Tensor:
        batch = tf.numpy_function(array.take, [rows], tf.float32)
        return tf.ensure_shape(batch, (rows.shape[0], *array.shape[1:]))

    return take


def _sparse_taker(array: sparse.csr_array) -> Callable[[tf.Tensor], tf.Tensor]:
    splits = tf.constant(array.indptr, tf.int64)
    columns, values = (
        tf.RaggedTensor.from_row_splits(each, splits, validate=False)
        for each in (tf.constant(array.indices, tf.int64), tf.constant(array.data))
    )

    def take(rows: tf.Tensor) -> tf.Tensor:
        taken = tf.gather(columns, rows)
        places = tf.stack([taken.value_rowids(), taken.flat_values], axis=1)  # [nonzeros, 2]
        shape = tf.stack([tf.shape(rows, tf.int64)[0], array.shape[1]])
        batch = tf.scatter_nd(places, tf.gather(values, rows).flat_values, shape)
        return tf.ensure_shape(batch, (rows.shape[0], array.shape[1]))

    return take
