"""Own data as a person has it, and the first kind of it: pictures in files."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfbind.reading import looking, storing
from tfbind.reading.looking import Look
from tfbind.reading.options import Options, Wanted
from tfbind.reading.pictures import PictureFile
from tfbind.reading.preparation import Pictures, Preparation

Watch = Callable[[Sequence], Iterable]

_DIM = 8  # times as bright as the brightest pixel that white is, where it must be a mistake
_LISTED = 5  # files that a note names


class Loaded(NamedTuple):
    """Prepared examples: `array` `[n, *event_shape]`, a name and perhaps a label for each.

    `origins` are the file and the frame that each picture is from, `texts` the texts; other data
    has none.
    """

    array: Any  # np.ndarray, or Stored where it is large
    names: Sequence[str]
    labels: np.ndarray | None
    notes: tuple[str, ...] = ()
    origins: Sequence[tuple[pathlib.Path, int]] = ()
    texts: Sequence[str] = ()


class Made(Sequence):
    """A list of which each item is made when it is asked for, as there may be millions.

    Args:
        count: Items.
        make: Function from the place of an item to it.
    """

    def __init__(self, count: int, make: Callable[[int], Any]) -> None:
        self._count, self._make = count, make

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self._make(i) for i in range(self._count)[place]]
        return self._make(range(self._count)[place])


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
        self.files, self.options, self.classes = list(files), options, classes
        self._sample = self._sampled()

    def _sampled(self) -> list[np.ndarray]:
        plain = Pictures(height=1, width=1, **self._as_told())
        spread = np.linspace(0, len(self.files) - 1, min(looking.LOOKED_AT, len(self.files)))
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
            classes=() if self.classes is None else tuple(sorted(set(self.classes))),
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
        if storing.is_large(len(self.files), preparation.event_shape):
            key = storing.key_of(self.files, preparation.to_json())
            store = storing.Store(key).filled(lambda told: self._parts(preparation, watch, told))
            where = storing.said(store.array, store.path)
            return self._loaded(store.array, store.origins, (where, *store.about["notes"]))
        notes: list[str] = []
        images, origins = zip(*self._parts(preparation, watch, notes), strict=True)
        return self._loaded(np.concatenate(images), np.concatenate(origins), tuple(notes))

    def _parts(
        self, preparation: Pictures, watch: Watch, notes: list[str]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields the images of a file, and the number of the file and of the frame of each."""
        errors: list[Exception] = []
        num_read = 0
        for number, path in enumerate(watch(self.files)):
            try:
                frames = preparation.read(path).frames
            except (ValueError, OSError) as error:
                errors.append(error)
                continue
            num_read += 1
            origins = [(number, frame) for frame in range(len(frames))]
            yield np.stack([preparation.apply(frame) for frame in frames]), np.array(origins)
        if not num_read:
            raise errors[0]
        notes += left_out(errors)

    def _loaded(self, array: Any, origins: np.ndarray, notes: tuple[str, ...]) -> Loaded:
        counts = np.bincount(origins[:, 0], minlength=len(self.files))
        names = functools.partial(_picture_name, self.files, origins, counts)
        files = functools.partial(_picture_origin, self.files, origins)
        labels = None
        if self.classes is not None:
            labels = np.unique(np.array(self.classes)[origins[:, 0]], return_inverse=True)[1]
        count = len(origins)
        return Loaded(array, Made(count, names), labels, notes, Made(count, files))


def _picture_name(
    files: Sequence[pathlib.Path], origins: np.ndarray, counts: np.ndarray, place: int
) -> str:
    number, frame = origins[place].tolist()
    return _numbered(files[number].stem, frame, int(counts[number]))


def _picture_origin(
    files: Sequence[pathlib.Path], origins: np.ndarray, place: int
) -> tuple[pathlib.Path, int]:
    number, frame = origins[place].tolist()
    return files[number], frame


def numbered(stem: str, count: int) -> list[str]:
    """Returns a name for each of `count` examples of a file."""
    return [_numbered(stem, i, count) for i in range(count)]


def all_numbered(stem: str, count: int) -> Made:
    """Returns what `numbered` does, each name made when it is asked for."""
    return Made(count, functools.partial(_numbered, stem, count=count))


def _numbered(stem: str, number: int, count: int) -> str:
    return stem if count == 1 else f"{stem}-{number:0{len(str(count - 1))}d}"


def left_out(errors: Sequence[Exception]) -> tuple[str, ...]:
    """Returns a note on files that could not be read, if any."""
    if not errors:
        return ()
    named = " ".join(" ".join(str(error).split()) for error in errors[:_LISTED])
    files = "1 file was" if len(errors) == 1 else f"{len(errors)} files were"
    return (f"{files} left out: {named}",)
