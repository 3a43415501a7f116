"""Examples that stay on the disk: arrays of which rows are read when they are asked for."""

import os
import pathlib
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

SCORED = 10_000  # examples that are scored or counted of those that stay on the disk
_CHUNK = 2**24  # bytes that are read at a time where all rows are gone through


class Shard(NamedTuple):
    """Rows of one file, one after the other from the byte `start` on."""

    path: pathlib.Path
    start: int
    num_rows: int


class Shards:
    """The rows of several files of numbers, as one array that nothing is read of before `read`.

    Rows are read by their places in the files rather than mapped into memory: pages of a mapping
    count as the process' own, and a file that somebody has cut would end it without a word.

    Args:
        shards: Files, in the order of their rows.
        shape: Of one row.
        dtype: Of the numbers.
    """

    def __init__(self, shards: Sequence[Shard], shape: tuple[int, ...], dtype: Any) -> None:
        self.shards, self.dtype = tuple(shards), np.dtype(dtype)
        self._files = [os.open(shard.path, os.O_RDONLY) for shard in shards]
        weakref.finalize(self, _close, self._files)
        counts = np.array([shard.num_rows for shard in shards])
        self._ends = counts.cumsum()
        self._row_bytes = int(np.prod(shape, dtype=np.int64)) * self.dtype.itemsize
        # Where row 0 of all would be in each file, if it went on to the front
        starts = np.array([shard.start for shard in shards])
        self._origins = starts - self._row_bytes * (self._ends - counts)
        self.shape = (int(self._ends[-1]), *shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __reduce__(self) -> tuple:
        return Shards, (self.shards, self.shape[1:], self.dtype)  # another process opens the files

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Returns rows of `[0, n)`, in memory: `[m, *shape]`; neighbours are read at once."""
        rows = np.asarray(rows, "int64")
        files = np.searchsorted(self._ends, rows, side="right")
        begins = (np.diff(rows, prepend=-2) != 1) | (np.diff(files, prepend=-1) != 0)
        first = np.flatnonzero(begins)
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        into = found.reshape(-1).view("uint8").data
        places = self._row_bytes * np.append(first, len(rows))
        offsets = self._origins[files[first]] + self._row_bytes * rows[first]
        spans = zip(places[:-1].tolist(), places[1:].tolist(), strict=True)
        for (start, end), file, offset in zip(
            spans, files[first].tolist(), offsets.tolist(), strict=True
        ):
            self._fill(into[start:end], file, offset)
        return found

    def _fill(self, into: memoryview, file: int, offset: int) -> None:
        descriptor, done = self._files[file], 0
        while done < len(into):
            count = os.preadv(descriptor, [into[done:]], offset + done)
            if not count:
                raise OSError(f"`{self.shards[file].path}` has become shorter since it was opened.")
            done += count


def _close(descriptors: Sequence[int]) -> None:
    for each in descriptors:
        os.close(each)


class Stored:
    """An array `[n, *event_shape]` of float32 whose rows are read, and prepared, when wanted.

    Slices and row numbers choose rows and read none; `numpy.asarray` reads what was chosen.

    Args:
        shards: The rows as they are stored.
        apply: What makes examples of such rows, from `[m, ...]` to `[m, *event_shape]`; None
            where they are ready.
        event_shape: Of an example.
        rows: Which rows there are, integer `[n]`, or None for all.
    """

    dtype = np.dtype("float32")

    def __init__(
        self,
        shards: Shards,
        apply: Callable[[np.ndarray], np.ndarray] | None = None,
        event_shape: tuple[int, ...] | None = None,
        rows: np.ndarray | None = None,
    ) -> None:
        self.shards, self.apply, self.rows = shards, apply, rows
        event = shards.shape[1:] if event_shape is None else event_shape
        self.shape = (len(shards) if rows is None else len(rows), *event)
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes that all of it would take in memory."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def __getitem__(self, key: Any) -> "Stored":
        """Returns the rows of a slice or of integers `[m]`, still unread."""
        rows = np.arange(len(self)) if self.rows is None else self.rows
        return Stored(self.shards, self.apply, self.shape[1:], rows[key])

    def take(self, places: np.ndarray) -> np.ndarray:
        """Returns some examples in memory, float32 `[m, *event_shape]`."""
        read = self.shards.read(places if self.rows is None else self.rows[places])
        return (read if self.apply is None else self.apply(read)).reshape(-1, *self.shape[1:])

    def chunks(self) -> Iterator[np.ndarray]:
        """Yields all examples in memory, some at a time."""
        size = max(1, _CHUNK * len(self) // max(1, self.nbytes))
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self))))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.take(np.arange(len(self))).astype(dtype or self.dtype, copy=False)
