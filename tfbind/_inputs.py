"""The user's own files, one after the other, as a model takes them."""

import collections
import json
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfbind import _files, reading
from tfbind._validation import check_array
from tfbind.reading import listing, tables
from tfbind.reading.array_files import load_arrays, only
from tfbind.reading.data_files import numbered

BATCH = 250  # examples that are answered at a time


class Item(NamedTuple):
    """One example: its name and file, the array that the model takes, and where that comes from."""

    name: str
    file: pathlib.Path
    array: np.ndarray
    picture: np.ndarray | None = None  # [H, W, C], in its own size
    preparation: reading.Pictures | None = None  # what was done to it


class Reader:
    """Reads files for a model, in whatever size they are.

    Args:
        model: A model with `event_shape` and `value_range`.
        preparation: What is done to files before the model sees them.
        files: Paths of pictures, arrays and tables.
    """

    def __init__(
        self, model: Any, preparation: reading.Preparation, files: Sequence[pathlib.Path]
    ) -> None:
        self.model, self.preparation, self.files = model, preparation, files
        self.pictures = _of_pictures(preparation)
        self.names = names_of(files)

    def read(self, path: pathlib.Path) -> list[Item]:
        """Returns the examples in a file.

        Raises:
            ValueError: If they cannot be read, or do not fit the model.
        """
        suffix = path.suffix.lower()
        if isinstance(self.preparation, reading.Texts):
            return self._items(path, self.preparation.apply(self.preparation.read(path)))
        if suffix in tables.SUFFIXES:
            return self._items(path, self.of_table(path, reading.read_table(path)))
        if suffix in listing.ARRAYS:
            return self._arrays(path)
        return self._pictures(path)

    def _pictures(self, path: pathlib.Path) -> list[Item]:
        preparation = self.pictures
        if preparation is None:
            raise ValueError(
                f"`{path}` must be a .npy file or a table, since the examples of this run are no "
                f"images but have shape {self.model.event_shape}. Received: another kind of file."
            )
        frames = preparation.read(path).frames
        images = [preparation.apply(frame) for frame in frames]
        if preparation.threshold is not None and not all(image.any() for image in images):
            raise ValueError(
                f"`{path}` must have pixels brighter than the threshold "
                f"{preparation.threshold:g}. Received: none; lower --threshold, or pass --invert "
                "if objects are dark on light ground."
            )
        return self._items(path, self._checked(path, np.stack(images)), frames)

    def _arrays(self, path: pathlib.Path) -> list[Item]:
        arrays = load_arrays(path)
        array = only(path, arrays) if len(arrays) > 1 else next(iter(arrays.values()))
        return self._items(path, self.of_array(path, array))

    def of_array(self, path: pathlib.Path, array: np.ndarray) -> np.ndarray:
        """Returns what an array of a file holds, as the model takes it."""
        shape = self.model.event_shape
        if shape[-1] == 1 and array.shape[-len(shape) + 1 :] == shape[:-1]:
            array = array[..., None]
        array = array[None] if array.shape == shape else array
        if isinstance(self.preparation, reading.Arrays) and array.shape[1:] == shape:
            array = self.preparation.apply(array)
        return self._checked(path, array)

    def of_table(self, path: pathlib.Path, table: Any, first: int = 0) -> np.ndarray:
        """Returns rows of a file, from the row `first` on, as the model takes them."""
        if isinstance(self.preparation, reading.Texts) and self.preparation.column is not None:
            return self._checked(path, self.preparation.apply(self.preparation.in_table(table)))
        if not isinstance(self.preparation, tables.Rows):
            raise ValueError(
                f"`{path}` must be of the kind that the run was trained on, "
                f"{self.preparation.KIND}. Received: a table."
            )
        return self._checked(path, self.preparation.apply(table, first))

    def _checked(self, path: pathlib.Path, array: np.ndarray) -> np.ndarray:
        return check_array(str(path), array, self.model.event_shape, *self.model.value_range)

    def _items(
        self, path: pathlib.Path, array: np.ndarray, shown: Sequence | None = None
    ) -> list[Item]:
        names = numbered(self.names[path], len(array))
        items = [Item(name, path, x) for name, x in zip(names, array, strict=True)]
        if shown is None:
            return items
        pairs = zip(items, shown, strict=True)
        return [item._replace(picture=x, preparation=self.pictures) for item, x in pairs]


def _of_pictures(preparation: reading.Preparation) -> reading.Pictures | None:
    """Returns how pictures are prepared: for a run on arrays of images, as they are."""
    if isinstance(preparation, reading.Pictures):
        return preparation
    if isinstance(preparation, reading.Arrays) and len(preparation.shape) == 3:
        height, width, channels = preparation.shape
        if channels in (1, 3):
            return reading.Pictures(
                height=height, width=width, channels=channels, threshold=preparation.threshold
            )
    return None


class Journal:
    """What an interrupted command has done already, a line a file.

    Args:
        path: Path of the file, or None to keep nothing.
        circumstances: What the answers depend on; if it has changed, all is done anew.
    """

    def __init__(self, path: pathlib.Path | None, circumstances: dict[str, Any]) -> None:
        self.path, self._is_begun = path, False
        self._head = json.dumps(circumstances, sort_keys=True, default=str)
        self._done: dict[str, list[dict]] = {}
        if path is not None and path.exists():
            head, *lines = path.read_text().split("\n")
            if head == self._head:
                self._done = dict(map(json.loads, lines[:-1]))  # the last one is empty, or torn

    def rows(self, file: pathlib.Path) -> list[dict] | None:
        """Returns what was found in a file, None if it was not read or has changed since."""
        return self._done.get(self._key(file))

    def add(self, file: pathlib.Path, rows: list[dict]) -> None:
        """Notes what was found in a file."""
        if self.path is not None:
            self._begin(self.path)
            with self.path.open("a") as opened:
                opened.write(f"{json.dumps([self._key(file), rows])}\n")
        self._done[self._key(file)] = rows

    def remove(self) -> None:
        """Forgets everything, when all is done."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _begin(self, path: pathlib.Path) -> None:
        """Writes anew what is known, unless that was done: a killed command leaves half a line."""
        if not self._is_begun:
            self._is_begun = True
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = [self._head, *(json.dumps(each) for each in self._done.items())]
            _files.make_empty(path)
            path.write_text("".join(f"{line}\n" for line in lines))

    def _key(self, file: pathlib.Path) -> str:
        state = file.stat()
        return f"{file.resolve()}:{state.st_size}:{state.st_mtime_ns}"


class Answered(NamedTuple):
    """What `answer` finds: rows, a dict an example; why files were left out; and some images."""

    rows: list[dict]
    errors: list[Exception]
    some: list[np.ndarray]


def answer(
    reader: Reader,
    found: Callable[[list[Item]], list[dict]],
    journal: Journal,
    watch: Callable[[Sequence], Iterable],
) -> Answered:
    """Answers for all files, as many at a time as a batch holds, in time linear in their number.

    Args:
        reader: A `Reader`.
        found: Items to what is found in them, a dict each.
        journal: Knows what was done before; is told what is done now.
        watch: Called with the files, and gone through instead of them: a progress bar.
    """
    errors: list[Exception] = []
    some: list[np.ndarray] = []
    for batch in _batches(reader, journal, watch, errors):
        examples = [item for items in batch.values() for item in items]
        some += [item.array for item in examples[: BATCH - len(some)]]
        rows = iter(found(examples))
        for path, items in batch.items():
            journal.add(path, [next(rows) for _ in items])
    known = [journal.rows(path) or [] for path in reader.files if path.exists()]
    all_rows = [row for each in known for row in each]
    if not all_rows and errors:
        raise errors[0]
    return Answered(all_rows, errors, some)


def _batches(
    reader: Reader,
    journal: Journal,
    watch: Callable[[Sequence], Iterable],
    errors: list[Exception],
) -> Iterator[dict[pathlib.Path, list[Item]]]:
    batch: dict[pathlib.Path, list[Item]] = {}
    for path in watch(reader.files):
        if path.exists() and journal.rows(path) is not None:
            continue
        try:
            batch[path] = reader.read(path)
        except (ValueError, OSError) as error:
            errors.append(error)
        if sum(map(len, batch.values())) >= BATCH:
            yield batch
            batch = {}
    if batch:
        yield batch


def names_of(files: Sequence[pathlib.Path]) -> dict[pathlib.Path, str]:
    """Returns a name for each file: its own without the suffix; its folder's before, if need be.

    Raises:
        ValueError: If some have the same all the same.
    """
    longer = (
        lambda path: path.stem,
        lambda path: "-".join((path.parent.name, path.stem)),
        lambda path: "-".join((path.parent.name, path.stem, path.suffix[1:])),
    )
    for name in longer:
        names = {path: name(path) for path in files}
        if len(set(names.values())) == len(files):
            return names
    listed = list(names.values())
    twice = min(each for each, count in collections.Counter(listed).items() if count > 1)
    raise ValueError(
        f"Each file must have a name of its own. Received: {twice!r} more than once; rename one, "
        "or read it into another folder."
    )
