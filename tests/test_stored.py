"""Examples on the disk are those that they would be in memory, whichever rows are asked for."""

import pathlib
import pickle

import numpy as np
import pytest
import tensorflow as tf

from tfbind import _rows
from tfbind._stored import Shard, Shards, Stored

ROWS = np.random.default_rng(0).normal(size=(23, 4, 3)).astype("float32")


@pytest.fixture
def shards(tmp_path):
    """The rows in three files, the second with a head of 16 bytes."""
    files = []
    for name, start, rows in (("a", 0, ROWS[:5]), ("b", 16, ROWS[5:6]), ("c", 0, ROWS[6:])):
        path = pathlib.Path(tmp_path, name)
        path.write_bytes(bytes(start) + rows.tobytes())
        files.append(Shard(path, start, len(rows)))
    return Shards(files, (4, 3), "float32")


@pytest.mark.parametrize(
    "rows", [[], [0], [22, 0, 5, 5, 6], range(23), range(22, -1, -1), [3, 4, 5, 6, 7, 4, 5]]
)
def test_rows_of_several_files(shards, rows):
    np.testing.assert_array_equal(shards.read(np.array(rows, int)), ROWS[list(rows)])


def test_a_stored_array_is_chosen_from_as_an_array_is(shards):
    array, doubled = Stored(shards), Stored(shards, lambda rows: 2 * rows.reshape(-1, 12), (12,))
    np.testing.assert_array_equal(np.asarray(array), ROWS)
    order = np.random.default_rng(1).permutation(23)
    np.testing.assert_array_equal(np.asarray(array[order][3:9][[0, 4]]), ROWS[order][3:9][[0, 4]])
    np.testing.assert_array_equal(
        doubled[order].take([2, 1]), 2 * ROWS[order][[2, 1]].reshape(2, 12)
    )
    np.testing.assert_array_equal(np.concatenate(list(array.chunks())), ROWS)
    assert doubled.shape == (23, 12) and array.nbytes == ROWS.nbytes and len(array[:4]) == 4
    again = pickle.loads(pickle.dumps(array[order]))  # as another process gets it
    np.testing.assert_array_equal(np.asarray(again), ROWS[order])


def test_pipelines_take_rows_of_it(shards):
    take = _rows.taker(Stored(shards))
    dataset = tf.data.Dataset.from_tensors([4, 22, 7]).map(take)
    assert dataset.element_spec.shape == (3, 4, 3)
    np.testing.assert_array_equal(next(iter(dataset)), ROWS[[4, 22, 7]])


def test_a_file_that_was_cut_is_named(shards, tmp_path):
    (tmp_path / "c").write_bytes(ROWS[6:8].tobytes())
    assert len(shards.read(np.array([7])))
    with pytest.raises(OSError, match="c` has become shorter since it was opened"):
        shards.read(np.array([8]))
