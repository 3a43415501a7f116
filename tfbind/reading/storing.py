"""What does not fit into memory: prepared once into a file of a cache, and read from there."""

import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import filelock
import numpy as np

from tfbind import _files
from tfbind._stored import Shard, Shards, Stored

_LIMIT_MIB = 1024
_EXAMPLES, _ABOUT, _ORIGINS = "examples.float32", "about.json", "origins.npy"


def memory_limit() -> int:
    """Returns the bytes of examples, in float32, above which they stay on the disk.

    1 GiB, or `$TFBIND_MEMORY_LIMIT` in MiB.
    """
    told = os.environ.get("TFBIND_MEMORY_LIMIT", str(_LIMIT_MIB))
    if not told.isdigit():
        raise ValueError(
            f"`TFBIND_MEMORY_LIMIT` must be a whole number of MiB. Received: {told!r}."
        )
    return int(told) * 2**20


def is_large(num: int, event_shape: Iterable[int]) -> bool:
    """Whether so many examples of a shape stay on the disk."""
    return 4 * num * int(np.prod(tuple(event_shape), dtype=np.int64)) > memory_limit()


def cache_folder() -> pathlib.Path:
    """Returns where prepared examples are kept: `$TFBIND_CACHE_DIR`, or `~/.cache/tfbind`."""
    told = os.environ.get("TFBIND_CACHE_DIR")
    return pathlib.Path(told or "~/.cache/tfbind").expanduser()


def key_of(files: Sequence[pathlib.Path], *circumstances: Any) -> str:
    """Returns a name for what is made of files as they are now, in some circumstances."""
    digest = hashlib.sha256(json.dumps(circumstances, sort_keys=True, default=str).encode())
    for file in files:
        state = file.stat()
        digest.update(f"{file.absolute()}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def remembered(key: str, find: Callable[[], Any]) -> Any:
    """Returns what was found before under a key, or finds it: something that JSON holds."""
    path = cache_folder() / f"{key}.json"
    with _locked(path):
        if not path.exists():
            with _files.replacing(path) as partial:
                partial.write_text(json.dumps(find()))
    return json.loads(path.read_text())


def _locked(path: pathlib.Path) -> filelock.BaseFileLock:
    """Returns what lets one process at a time make a file of the cache; the others wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return filelock.FileLock(path.with_suffix(".lock"))


class Store:
    """Prepared examples in a folder of the cache, which is there as a whole or not at all.

    Args:
        key: What `key_of` returns.
    """

    def __init__(self, key: str) -> None:
        self.path = cache_folder() / key

    def filled(self, parts: Callable[[list], Iterable[tuple[np.ndarray, np.ndarray]]]) -> "Store":
        """Returns the store, written first if it is missing; who comes second waits.

        Args:
            parts: Function from a list, for notes, to pairs: examples float32
                `[m, *event_shape]`, and integers `[m, 2]` that say where each is from.
        """
        with _locked(self.path):
            if not self.path.exists():
                self._write(parts)
        return self

    def _write(self, parts: Callable) -> None:
        partial = _files.partial_path(self.path)
        shutil.rmtree(partial, ignore_errors=True)  # of one that was killed
        partial.mkdir()
        try:
            with _files.naming(partial):
                self._write_into(partial, parts)
                os.replace(partial, self.path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    @staticmethod
    def _write_into(folder: pathlib.Path, parts: Callable) -> None:
        notes: list[str] = []
        origins, count, shape = [], 0, ()
        with (folder / _EXAMPLES).open("wb") as file:
            for examples, origin in parts(notes):
                file.write(np.ascontiguousarray(examples, "float32").data)
                origins.append(np.asarray(origin, "int32"))
                count, shape = count + len(examples), examples.shape[1:]
        np.save(folder / _ORIGINS, np.concatenate(origins))
        about = {"num": count, "shape": shape, "notes": notes}
        (folder / _ABOUT).write_text(json.dumps(about))

    @property
    def about(self) -> dict[str, Any]:
        """A dict: `num` examples, their `shape`, and `notes`."""
        return json.loads((self.path / _ABOUT).read_text())

    @property
    def origins(self) -> np.ndarray:
        """Where each example is from, int32 `[n, 2]`."""
        return np.load(self.path / _ORIGINS)

    @property
    def array(self) -> Stored:
        """The examples."""
        about = self.about
        shard = Shard(self.path / _EXAMPLES, 0, about["num"])
        return Stored(Shards([shard], tuple(about["shape"]), "float32"))


def digest_of(array: Stored) -> str:
    """Returns the SHA-256 of the examples as they would be in memory."""
    digest = hashlib.sha256()
    for chunk in array.chunks():
        digest.update(np.ascontiguousarray(chunk).data)
    return digest.hexdigest()


def said(array: Stored, where: pathlib.Path) -> str:
    """Returns the sentence that says that data is not in memory."""
    return (
        f"{len(array)} examples of {array.nbytes / 2**30:.3g} GiB stay on the disk, in `{where}`, "
        "and are read as they are needed."
    )
