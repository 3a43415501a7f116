"""The three kinds of own data: pictures in files, arrays, rows of a table."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from tfbind.reading import looking, tables
from tfbind.reading.looking import Look
from tfbind.reading.options import Options, Wanted
from tfbind.reading.pictures import PictureFile
from tfbind.reading.preparation import Arrays, Pictures, Preparation

Watch = Callable[[Sequence], Iterable]

_LOOKED_AT = 64  # pictures, evenly spread, that are looked at before all are read
_SAMPLED = 2000  # examples of an array, likewise
_DIM = 8  # times as bright as the brightest pixel that white is, where it must be a mistake
_LISTED = 5  # files that a note names


class Loaded(NamedTuple):
    """Prepared examples: `array` `[n, *event_shape]`, a name and perhaps a label for each.

    `origins` are the file and the frame that each picture is from, `texts` the texts; other data
    has none.
    """

    array: np.ndarray
    names: list[str]
    labels: np.ndarray | None
    notes: tuple[str, ...] = ()
    origins: tuple[tuple[pathlib.Path, int], ...] = ()
    texts: Sequence[str] = ()


class DataFiles:
    """What every kind of own data can do."""

    def look(self) -> Look:
        """Returns what it looks like, by a sample of it."""
        raise NotImplementedError

    def prepared_for(self, wanted: Wanted) -> Preparation:
        """Returns how it becomes what a model wants."""
        raise NotImplementedError

    def load(self, preparation: Any, watch: Watch = iter) -> Loaded:
        """Reads and prepares all of it; `watch` is called with its files: a progress bar."""
        raise NotImplementedError


class PictureFiles(DataFiles):
    """Pictures in files, of any sizes.

    Args:
        files: Paths.
        options: How they are read.
        classes: The class of each file, or None.
    """

    def __init__(
        self, files: Sequence[pathlib.Path], options: Options, classes: Sequence[str] | None = None
    ) -> None:
        self.files, self.options = list(files), options
        self.classes = None if classes is None else dict(zip(files, classes, strict=True))
        self._sample = self._sampled()

    def _sampled(self) -> list[np.ndarray]:
        plain = Pictures(height=1, width=1, **self._as_told())
        spread = np.linspace(0, len(self.files) - 1, min(_LOOKED_AT, len(self.files)))
        sample, reasons = [], []
        self._notes: dict[str, None] = {}
        for path in (self.files[int(i)] for i in spread):
            try:
                read = plain.read(path)
            except ValueError as error:
                reasons.append(error)
                continue
            sample.append(read.frames[0])
            self._note(read)
        if not sample:
            raise reasons[0]
        return sample

    def _note(self, read: PictureFile) -> None:
        """Notes what a person may not know of his files."""
        if read.has_more:
            more = "of which the first is taken; --frames all takes all."
            self._notes[f"Some files have several frames, {more}"] = None
        highest = max(float(frame.max()) for frame in read.frames) * read.depth
        if read.depth > 255 and 0 < highest <= read.depth / _DIM:
            dim = f"of {read.depth:g} in files of this kind; if white is less, say --white."
            self._notes[f"Some pictures are dark: at most {highest:g} {dim}"] = None

    def _as_told(self) -> dict[str, Any]:
        names = ("ground", "white", "frames")
        return {name: value for name, value in vars(self.options).items() if name in names}

    def look(self) -> Look:
        """Returns what the pictures look like, by a sample of them."""
        shapes = {picture.shape for picture in self._sample}
        return Look(
            kind="pictures",
            num=len(self.files),
            shape=shapes.pop() if len(shapes) == 1 else None,
            low=min(float(picture.min()) for picture in self._sample),
            high=max(float(picture.max()) for picture in self._sample),
            classes=() if self.classes is None else tuple(sorted(set(self.classes.values()))),
            notes=tuple(self._notes),
            **looking.painted(self._sample),
        )

    def prepared_for(self, wanted: Wanted) -> Pictures:
        """Returns how the pictures become what a model wants."""
        look, told = self.look(), self.options
        height, width = told.size or wanted.shape[:2]
        colored = wanted.shape[2] == 3 if told.color is None else told.color
        preparation = Pictures(
            height=height,
            width=width,
            channels=3 if colored else 1,
            fit=told.fit or wanted.fit,
            invert=look.is_dark_on_light if told.invert is None else told.invert,
            **self._as_told(),
        )
        if not wanted.binary:
            return preparation
        threshold = told.threshold
        if threshold is None:
            sample = np.stack([preparation.apply(picture) for picture in self._sample])
            threshold = looking.threshold_of(sample)
        return dataclasses.replace(preparation, threshold=threshold)

    def load(self, preparation: Any, watch: Watch = iter) -> Loaded:
        """Reads all files, but those that cannot be read, which the notes name."""
        images: list[np.ndarray] = []
        names: list[str] = []
        labels: list[str] = []
        origins: list[tuple[pathlib.Path, int]] = []
        errors: list[Exception] = []
        for path in watch(self.files):
            try:
                frames = preparation.read(path).frames
            except (ValueError, OSError) as error:
                errors.append(error)
                continue
            images += [preparation.apply(frame) for frame in frames]
            names += numbered(path.stem, len(frames))
            labels += [(self.classes or {}).get(path, "")] * len(frames)
            origins += [(path, frame) for frame in range(len(frames))]
        if not images:
            raise errors[0]
        known = None if self.classes is None else np.unique(labels, return_inverse=True)[1]
        return Loaded(np.stack(images), names, known, left_out(errors), tuple(origins))


class TableFile(DataFiles):
    """Rows of a CSV or Parquet file.

    Args:
        table: What is in the file.
        options: How it is read.
    """

    def __init__(self, table: pa.Table, options: Options) -> None:
        self.options, self._table = options, table
        features = self._table
        self._labels: np.ndarray | None = None
        self._classes: tuple[str, ...] = ()
        if options.labels is not None:
            self._labels, self._classes = tables.classes_of(self._table, options.labels)
            features = self._table.drop_columns([options.labels])
        self._features = features

    def look(self) -> Look:
        """Returns what the table looks like."""
        found = tables.fit_rows(self._features, missing="fill")
        rows = dataclasses.replace(found.preparation, missing="fill").apply(self._features)
        columns = [(len(found.preparation.numbers), "numbers")]
        columns += [(len(found.preparation.kinds), "kinds")]
        kept = " and ".join(f"{count} of {what}" for count, what in columns if count)
        return Look(
            kind="rows",
            num=len(rows),
            shape=(len(self._features.column_names),),
            low=float(rows.min()),
            high=float(rows.max()),
            sparsity=float((rows == 0).mean()),
            classes=self._classes,
            notes=(f"Columns used: {kept}.", *found.notes),
        )

    def prepared_for(self, wanted: Wanted) -> tables.Rows:
        """Returns how the rows become what a model wants."""
        missing = self.options.missing
        return tables.fit_rows(self._features, missing=missing, unit=wanted.unit).preparation

    def load(self, preparation: Any, watch: Watch = iter) -> Loaded:
        """Returns all rows, named by their numbers from 1."""
        names = [str(i + 1) for i in range(self._table.num_rows)]
        return Loaded(preparation.apply(self._table), names, self._labels)


class ArrayFile(DataFiles):
    """Examples in a .npy or .npz file, `[n, H, W]`, `[n, H, W, C]` or `[n, D]`.

    Args:
        path: The file.
        options: How it is read.
    """

    _LABELS = ("labels", "label", "y")

    def __init__(self, path: pathlib.Path, options: Options) -> None:
        self.path, self.options = path, options
        arrays = load_arrays(path)
        key = options.labels or next((x for x in self._LABELS if x in arrays), None)
        if options.labels is not None and options.labels not in arrays:
            raise ValueError(
                f"`labels` must be the name of an array in `{path}`, which has "
                f"{', '.join(map(repr, arrays))}. Received: labels={options.labels!r}."
            )
        labels = None if key is None else arrays.pop(key)
        self._rows = only(path, arrays)
        self._classes: tuple[str, ...] = ()
        self._labels: np.ndarray | None = None
        if labels is not None:
            classes, numbers = np.unique(labels, return_inverse=True)
            self._classes, self._labels = tuple(map(str, classes)), numbers.astype("int32")

    def look(self) -> Look:
        """Returns what the array looks like, by a sample of its rows."""
        sample = self._sample()
        drawn: dict[str, Any] = {"sparsity": float((sample == 0).mean())}
        if len(self.shape) == 3 and 0 <= sample.min() and sample.max() <= 1:
            drawn = looking.painted(sample[:_LOOKED_AT])
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
        offset, scale = self._scaling(sample, wanted.unit)
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
        """Returns all examples, named by their numbers from 0."""
        rows = self._rows.reshape(len(self._rows), *self.shape)
        names = numbered(self.path.stem, len(rows))
        return Loaded(preparation.apply(rows), names, self._labels)

    def _scaling(self, sample: np.ndarray, unit: bool) -> tuple:
        """Returns offset and scale: a vector's by element, an image's as a whole."""
        if self._rows.dtype == np.uint8:
            return 0.0, 255.0
        low, high = float(self._rows.min()), float(self._rows.max())
        if 0 <= low and high <= 1:
            return 0.0, 1.0
        if len(self.shape) == 3:
            return low, max(high - low, np.finfo("float32").tiny)
        rows = self._rows.astype("float64")
        starts = rows.min(axis=0) if unit else rows.mean(axis=0)
        spread = np.ptp(rows, axis=0) if unit else rows.std(axis=0)
        spread = np.where(spread == 0, 1.0, spread)
        return tuple(starts.tolist()), tuple(spread.tolist())

    def _sample(self) -> np.ndarray:
        spread = np.linspace(0, len(self._rows) - 1, min(_SAMPLED, len(self._rows)))
        sample = np.asarray(self._rows[spread.astype(int)], "float32")
        sample = sample / 255 if self._rows.dtype == np.uint8 else sample
        return sample.reshape(len(sample), *self.shape)


def load_arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a .npy file, under "", or of a .npz file."""
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"": loaded}
        return dict(loaded)
    except (ValueError, EOFError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"`{path}` must be an array that numpy.save wrote: {error}.") from error


def numbered(stem: str, count: int) -> list[str]:
    """Returns a name for each of `count` examples of a file."""
    if count == 1:
        return [stem]
    width = len(str(count - 1))
    return [f"{stem}-{i:0{width}d}" for i in range(count)]


def left_out(errors: Sequence[Exception]) -> tuple[str, ...]:
    """Returns a note on files that could not be read, if any."""
    if not errors:
        return ()
    named = " ".join(" ".join(str(error).split()) for error in errors[:_LISTED])
    files = "1 file was" if len(errors) == 1 else f"{len(errors)} files were"
    return (f"{files} left out: {named}",)


def only(path: pathlib.Path, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Returns the one array with examples; raises ValueError if it cannot be any."""
    known = [name for name in ("images", "image", "x", "data") if name in arrays]
    if not known and len(arrays) != 1:
        raise ValueError(
            f"`{path}` must hold one array of examples, or call it `images`. Received: arrays "
            f"{', '.join(map(repr, arrays))}."
        )
    rows = arrays[known[0] if known else next(iter(arrays))]
    if rows.ndim not in (2, 3, 4) or 0 in rows.shape or rows.dtype.kind not in "buif":
        raise ValueError(
            f"`{path}` must hold numbers of shape (n, D), (n, H, W) or (n, H, W, C). Received: "
            f"shape {rows.shape}, dtype {rows.dtype}."
        )
    bad = ~np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
    if bad.any():
        raise ValueError(
            f"`{path}` must be finite. Received: NaN or infinity in {bad.sum()} rows, the first "
            f"in row {int(bad.argmax())}."
        )
    return rows
