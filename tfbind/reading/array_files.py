"""Own data of a third kind: arrays of numbers, in one file or in many."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tfbind._stored import Shard, Shards, Stored
from tfbind.reading import looking, storing
from tfbind.reading.data_files import DataFiles, Loaded, Watch, all_numbered
from tfbind.reading.looking import LOOKED_AT, Look
from tfbind.reading.options import Options, Wanted
from tfbind.reading.preparation import Arrays

_SAMPLED = 2000  # examples, evenly spread, that are looked at
_CHUNK = 2**22  # numbers that are measured at a time
_LABELS = ("labels", "label", "y")


class ArrayFiles(DataFiles):
    """Examples in .npy files or one .npz file, `[n, H, W]`, `[n, H, W, C]` or `[n, D]`.

    Args:
        files: Paths; several .npy files have rows of one shape and dtype.
        options: How they are read.
    """

    def __init__(self, files: Sequence[pathlib.Path], options: Options) -> None:
        self.files, self.options = tuple(files), options
        self._classes: tuple[str, ...] = ()
        self._labels: np.ndarray | None = None
        self._rows = self._opened()
        if self._rows.dtype.kind == "f":
            self._check_finite()

    def _opened(self) -> np.ndarray | Shards:
        path = self.files[0]
        if len(self.files) == 1 and path.suffix.lower() == ".npz":
            return only(path, self._without_labels(path))
        if self.options.labels is not None:
            raise ValueError(
                f"`labels` must be None for `{path}`, which is one array without names. Received: "
                f"labels={self.options.labels!r}; write both into an .npz file with `numpy.savez`."
            )
        shards = opened_shards(self.files)
        if storing.is_large(len(shards), shards.shape[1:]):
            return shards
        return shards.read(np.arange(len(shards)))

    def _without_labels(self, path: pathlib.Path) -> dict[str, np.ndarray]:
        """Returns the arrays of an .npz file but the labels, which it keeps."""
        arrays = load_arrays(path)
        key = self.options.labels or next((x for x in _LABELS if x in arrays), None)
        if self.options.labels is not None and key not in arrays:
            raise ValueError(
                f"`labels` must be the name of an array in `{path}`, which has "
                f"{', '.join(map(repr, arrays))}. Received: labels={self.options.labels!r}."
            )
        if key is not None:
            classes, numbers = np.unique(arrays.pop(key), return_inverse=True)
            self._classes, self._labels = tuple(map(str, classes)), numbers.astype("int32")
        return arrays

    def look(self) -> Look:
        """Returns what the array looks like, by a sample of its rows."""
        sample = self._sample()
        drawn: dict[str, Any] = {"sparsity": float((sample == 0).mean())}
        if len(self.shape) == 3 and 0 <= sample.min() and sample.max() <= 1:
            drawn = looking.painted(sample[:LOOKED_AT])
        return Look(
            kind="arrays",
            num=len(self._rows),
            shape=self.shape,
            low=float(sample.min()),
            high=float(sample.max()),
            classes=self._classes,
            **drawn,
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example, with channels if it is an image."""
        shape = self._rows.shape[1:]
        return (*shape, 1) if len(shape) == 2 else shape

    def prepared_for(self, wanted: Wanted) -> Arrays:
        """Returns how the array becomes what a model wants."""
        sample = self._sample()
        offset, scale = self._scaling(wanted.unit)
        told = self.options
        invert = len(self.shape) == 3 and wanted.binary and self.look().is_dark_on_light
        invert = invert if told.invert is None else told.invert
        if invert:
            offset, scale = np.add(offset, scale).tolist(), np.negative(scale).tolist()
        preparation = Arrays(shape=self.shape, offset=offset, scale=scale, unit=wanted.unit)
        if not wanted.binary:
            return preparation
        threshold = told.threshold
        if threshold is None:
            threshold = looking.threshold_of(preparation.apply(sample))
        return dataclasses.replace(preparation, threshold=threshold)

    def load(self, preparation: Any, watch: Watch = iter) -> Loaded:
        """Returns all examples, named by their numbers from 0; of large files, unread."""
        names = all_numbered(self.files[0].stem, len(self._rows))
        if isinstance(self._rows, np.ndarray):
            rows = self._rows.reshape(len(self._rows), *self.shape)
            return Loaded(preparation.apply(rows), names, self._labels)
        array = Stored(self._rows, preparation.apply, self.shape)
        return Loaded(array, names, self._labels, (storing.said(array, self.files[0].parent),))

    def _scaling(self, unit: bool) -> tuple:
        """Returns offset and scale: a vector's by element, an image's as a whole."""
        if self._rows.dtype == np.uint8:
            return 0.0, 255.0
        lows, highs, means, deviations = map(np.array, self._measured["columns"])
        low, high = float(lows.min()), float(highs.max())
        if 0 <= low and high <= 1:
            return 0.0, 1.0
        if len(self.shape) == 3:
            return low, max(high - low, np.finfo("float32").tiny)
        starts = lows if unit else means
        spread = highs - lows if unit else deviations
        spread = np.where(spread == 0, 1.0, spread)
        return tuple(starts.tolist()), tuple(spread.tolist())

    @functools.cached_property
    def _measured(self) -> dict[str, Any]:
        """What `measured` finds, in large files once and for all."""
        if isinstance(self._rows, np.ndarray):
            return measured(self._parts)
        key = storing.key_of(self.files, "measured")
        return storing.remembered(key, lambda: measured(self._parts))

    def _check_finite(self) -> None:
        count, first = self._measured["not_finite"]
        if count:
            raise ValueError(
                f"`{self.files[0]}` must be finite. Received: NaN or infinity in {count} rows, the "
                f"first in row {first}{'' if len(self.files) == 1 else ' of all files'}."
            )

    def _parts(self) -> Iterator[np.ndarray]:
        """Yields all rows `[m, D]`, some at a time."""
        size = max(1, _CHUNK // int(np.prod(self._rows.shape[1:])))
        for start in range(0, len(self._rows), size):
            rows = self._read(np.arange(start, min(start + size, len(self._rows))))
            yield rows.reshape(len(rows), -1).astype("float64")

    def _read(self, rows: np.ndarray) -> np.ndarray:
        return self._rows[rows] if isinstance(self._rows, np.ndarray) else self._rows.read(rows)

    def _sample(self) -> np.ndarray:
        spread = np.linspace(0, len(self._rows) - 1, min(_SAMPLED, len(self._rows)))
        sample = np.asarray(self._read(spread.astype(int)), "float32")
        sample = sample / 255 if self._rows.dtype == np.uint8 else sample
        return sample.reshape(len(sample), *self.shape)


def measured(parts: Callable[[], Iterable[np.ndarray]]) -> dict[str, Any]:
    """Measures rows `[m, D]` that come in parts, twice.

    Returns:
        A dict: `not_finite`, how many rows hold NaN or infinity, and the first of these; and
        `columns`, lists with the lowest, the highest, the mean and the deviation of each column.
    """
    bad: list[int] = []
    lows, highs, sums, count = [], [], [], 0
    for part in parts():
        bad += (count + np.flatnonzero(~np.isfinite(part).all(axis=1))).tolist()
        lows.append(part.min(axis=0))
        highs.append(part.max(axis=0))
        sums.append(part.sum(axis=0))
        count += len(part)
    if bad:
        return {"not_finite": [len(bad), bad[0]]}
    mean = np.sum(sums, axis=0) / count
    variance = np.sum([np.square(part - mean).sum(axis=0) for part in parts()], axis=0) / count
    columns = np.min(lows, axis=0), np.max(highs, axis=0), mean, np.sqrt(variance)
    return {"not_finite": [0, 0], "columns": [column.tolist() for column in columns]}


def opened_shards(files: Sequence[pathlib.Path]) -> Shards:
    """Returns .npy files as one array, of which nothing is read yet."""
    mapped = [_mapped(path) for path in files]
    first = mapped[0]
    for path, each in zip(files, mapped, strict=True):
        check_rows(path, each)
        if each.shape[1:] != first.shape[1:] or each.dtype != first.dtype:
            raise ValueError(
                f"`{path}` must hold rows as `{files[0]}` does, {_spelled(first)}. Received: "
                f"{_spelled(each)}."
            )
    shards = [Shard(path, x.offset, len(x)) for path, x in zip(files, mapped, strict=True)]
    return Shards(shards, first.shape[1:], first.dtype)


def _mapped(path: pathlib.Path) -> np.memmap:
    """Returns an array of which only the head has been read."""
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise _no_array(path, error) from error
    if isinstance(mapped, np.memmap) and mapped.flags.c_contiguous:
        return mapped
    raise ValueError(
        f"`{path}` must be an array that lies row by row in its file. Received: one that lies "
        "column by column; save it with `numpy.ascontiguousarray`."
    )


def _spelled(rows: np.ndarray) -> str:
    return f"{rows.dtype} of shape {rows.shape[1:]}"


def load_arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a .npy file, under "", or of a .npz file."""
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"": loaded}
        return dict(loaded)
    except (ValueError, EOFError, OSError) as error:
        raise _no_array(path, error) from error


def _no_array(path: pathlib.Path, error: Exception) -> Exception:
    if isinstance(error, FileNotFoundError):
        return error
    return ValueError(f"`{path}` must be an array that numpy.save wrote: {error}.")


def only(path: pathlib.Path, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Returns the one array with examples; raises ValueError if it cannot be any."""
    known = [name for name in ("images", "image", "x", "data") if name in arrays]
    if not known and len(arrays) != 1:
        raise ValueError(
            f"`{path}` must hold one array of examples, or call it `images`. Received: arrays "
            f"{', '.join(map(repr, arrays))}."
        )
    rows = arrays[known[0] if known else next(iter(arrays))]
    check_rows(path, rows)
    return rows


def check_rows(path: pathlib.Path, rows: np.ndarray) -> None:
    """Raises unless an array holds numbers of the shape of examples."""
    if rows.ndim not in (2, 3, 4) or 0 in rows.shape or rows.dtype.kind not in "buif":
        raise ValueError(
            f"`{path}` must hold numbers of shape (n, D), (n, H, W) or (n, H, W, C). Received: "
            f"shape {rows.shape}, dtype {rows.dtype}."
        )
