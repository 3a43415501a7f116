"""A person's own data: opened, prepared, and parted into training and held-out examples."""

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfbind._stored import Stored
from tfbind.reading import listing, pictures, storing, texts
from tfbind.reading.array_files import ArrayFiles
from tfbind.reading.data_files import DataFiles, PictureFiles, Watch
from tfbind.reading.looking import Look
from tfbind.reading.options import Options, Wanted
from tfbind.reading.preparation import Pictures, Preparation
from tfbind.reading.table_files import TableFiles


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class OwnData:
    """Examples that were read from a person's own files.

    Attributes:
        path: Where they were read.
        options: How.
        look: What they looked like.
        preparation: What was done to them.
        array: float32 `[n, *event_shape]`; if that is more than the limit of memory, a `Stored` of
            them, which reads rows from the disk when they are taken.
        names: n strings.
        labels: int32 `[n]`, numbers of the classes of `look`, or None.
        notes: Sentences on files that were left out.
        origins: Of pictures, the file and the frame that each is from.
        texts: Of texts, the texts.
    """

    path: str
    options: Options
    look: Look
    preparation: Preparation
    array: Any  # np.ndarray, or Stored where it is large
    names: Sequence[str]
    labels: np.ndarray | None
    notes: tuple[str, ...]
    origins: Sequence[tuple[pathlib.Path, int]] = ()
    texts: Sequence[str] = ()

    def original(self, row: int) -> np.ndarray | None:
        """Returns a picture in its own size, float32 `[H, W, C]` in [0, 1]; None of other data."""
        if not isinstance(self.preparation, Pictures):
            return None
        path, frame = self.origins[row]
        return self.preparation.read(path).frames[frame]

    @property
    def held_out(self) -> np.ndarray:
        """Rows that are kept from training; at least one, where any are wanted."""
        return self._shuffled[: self._num_held_out]

    @property
    def training(self) -> np.ndarray:
        """Rows to train on, in an order of their own: files often come sorted by kind."""
        return self._shuffled[self._num_held_out :]

    @property
    def _shuffled(self) -> np.ndarray:
        return np.random.default_rng(self.options.seed).permutation(len(self.array))

    @property
    def _num_held_out(self) -> int:
        share, count = self.options.held_out, len(self.array)
        return min(max(1, round(share * count)), count - 1) if share else 0

    def described(self) -> dict[str, Any]:
        """Returns what a run remembers of the data, of types that JSON has."""
        digest = hashlib.sha256(self._digest())
        if self.labels is not None:
            digest.update(self.labels.astype("int32").data)
        fields = {
            "data": self.path,
            "options": self.options.to_json(),
            "preparation": self.preparation.to_json(),
            "classes": self.look.classes,
            "shape": self.array.shape,
            "sha256": digest.hexdigest(),
        }
        return json.loads(json.dumps(fields))  # with lists for tuples, as it is read again

    def _digest(self) -> bytes:
        """Returns what is another one for other examples, wherever these are."""
        if not isinstance(self.array, Stored):
            return hashlib.sha256(np.ascontiguousarray(self.array).data).digest()
        files = [shard.path for shard in self.array.shards.shards]
        key = storing.key_of(files, "digest", self.preparation.to_json())
        return bytes.fromhex(storing.remembered(key, lambda: storing.digest_of(self.array)))


def open_data(path: str | os.PathLike, options: Options | None = None) -> DataFiles:
    """Opens pictures, texts, an array or a table, to look at them before all is read.

    Args:
        path: A folder, or a pattern such as `*.png`, of pictures; a .npy or .npz file; a CSV,
            tab-separated or Parquet file; or a .txt file, of which each line is a text. A folder or
            a pattern may be of one of these files instead; of several .npy or several Parquet
            files, whose rows follow each other; or of .txt files, of which each is a text.
        options: An `Options`, or None for its defaults.

    Raises:
        ValueError: If there is no data, or it cannot be read.
    """
    path, options = pathlib.Path(path), options or Options()
    files = listing.files_of([path])
    suffixes = {file.suffix.lower() for file in files}
    if suffixes <= pictures.SUFFIXES or (path.is_dir() and suffixes & pictures.SUFFIXES):
        files = [file for file in files if file.suffix.lower() in pictures.SUFFIXES]
        return PictureFiles(files, options, listing.classes_of(path, files))
    if path.is_dir() and suffixes - texts.SUFFIXES:  # notes that lie beside the data
        files = [file for file in files if file.suffix.lower() not in texts.SUFFIXES]
        suffixes -= texts.SUFFIXES
    if suffixes <= texts.SUFFIXES:
        return texts.of_files(files, options, listing.classes_of(path, files))
    if len(files) > 1 and suffixes not in ({".npy"}, {".parquet"}):
        raise ValueError(
            f"`{path}` must hold pictures, texts, .npy or .parquet files of one kind, or one array "
            f"or table. Received: {len(files)} files, which end in {', '.join(sorted(suffixes))}."
        )
    if suffixes <= listing.ARRAYS:
        return ArrayFiles(files, options)
    opened = TableFiles(files, options)
    return texts.of_table(opened.table, options) or opened


def read_data(
    path: str | os.PathLike,
    wanted: Wanted | None,
    options: Options | None = None,
    *,
    preparation: Preparation | None = None,
    watch: Watch = iter,
) -> OwnData:
    """Reads own data for a model.

    Args:
        path: As `open_data` takes it.
        wanted: What the model wants; None where `preparation` says it all.
        options: An `Options`, or None for its defaults.
        preparation: What was done to it before, to do it again; None to find out what to do.
        watch: Called with the files, and gone through instead of them: a progress bar.

    Returns:
        An `OwnData`.

    Raises:
        ValueError: If there is no data, or it cannot be read or prepared.

    Example:

    >>> path = tempfile.mkdtemp() + "/images.npy"
    >>> np.save(path, np.zeros((10, 8, 8), "uint8"))
    >>> data = tfbind.reading.read_data(path, tfbind.reading.Wanted((8, 8, 1)))
    >>> data.array.shape, len(data.training), len(data.held_out)
    ((10, 8, 8, 1), 9, 1)
    """
    options = options or Options()
    opened = open_data(path, options)
    preparation = preparation or opened.prepared_for(wanted or Wanted(()))
    return load(opened, path, preparation, options, watch)


def load(
    opened: DataFiles,
    path: str | os.PathLike,
    preparation: Preparation,
    options: Options,
    watch: Watch,
) -> OwnData:
    """Loads what `open_data(path, options)` has opened; the arguments are those of `read_data`."""
    loaded = opened.load(preparation, watch)
    return OwnData(
        path=os.path.abspath(path),
        options=options,
        look=opened.look(),
        preparation=preparation,
        array=loaded.array,
        names=loaded.names,
        labels=loaded.labels,
        notes=loaded.notes,
        origins=loaded.origins,
        texts=loaded.texts,
    )
