"""Which files a person means: folders, globs and names, in the order people count in."""

import glob
import os
import pathlib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence

from tfbind.reading import pictures, tables, texts

ARRAYS = frozenset({".npy", ".npz"})
_READABLE = pictures.SUFFIXES | tables.SUFFIXES | texts.SUFFIXES | ARRAYS


def files_of(paths: Iterable[str | os.PathLike]) -> list[pathlib.Path]:
    """Returns the files that paths name: files as they are, what matches a glob, all in a folder.

    Of a folder, at any depth, those that can be read and are not hidden; "2.png" comes before
    "10.png".

    Raises:
        ValueError: If a path names nothing, or a folder holds nothing that can be read.
    """
    found: dict[pathlib.Path, None] = {}
    for path in map(pathlib.Path, paths):
        found |= dict.fromkeys(_named(path))
    return list(found)


def classes_of(named: pathlib.Path, files: Sequence[pathlib.Path]) -> list[str] | None:
    """Returns the subfolder of each file if all are in one of several; None otherwise.

    Args:
        named: The folder or pattern that named the files.
        files: Paths.
    """
    folder = named
    while not folder.is_dir():  # of a pattern, what comes before the first wildcard
        folder = folder.parent
    parts = [path.relative_to(folder).parts for path in files]
    names = [sys.intern(each[0]) for each in parts if len(each) > 1]
    return names if len(names) == len(files) and len(set(names)) > 1 else None


def _named(path: pathlib.Path) -> list[pathlib.Path]:
    if path.is_dir():
        inside = list(filter(_is_readable, _visible(str(path))))
        if not inside:
            raise ValueError(
                f"`{path}` must hold pictures, texts, arrays or tables. Received: a folder without "
                f"a file that ends in {', '.join(sorted(_READABLE))}."
            )
        return inside
    if path.exists():
        return [path]
    matching = sorted(map(pathlib.Path, glob.glob(str(path), recursive=True)), key=_counted)
    if not matching:
        raise ValueError(
            f"`{path}` must be a file, a folder or a pattern. Received: nothing there."
        )
    return [path for path in matching if path.is_file()]


def _visible(folder: str) -> Iterator[pathlib.Path]:
    """Yields the files in a folder at any depth, but hidden ones and those of archivers."""
    with os.scandir(folder) as entries:
        shown = [entry for entry in entries if not entry.name.startswith((".", "__MACOSX"))]
    for entry in sorted(shown, key=lambda entry: _counted(entry.name)):
        if entry.is_dir(follow_symlinks=False):
            yield from _visible(entry.path)
        elif entry.is_file():
            yield pathlib.Path(entry.path)


def _is_readable(path: pathlib.Path) -> bool:
    return path.suffix.lower() in _READABLE


def _counted(path: str | os.PathLike) -> list:
    """Returns what sorts "2" before "10"."""
    pieces = re.split(r"(\d+)", str(path))
    return [(int(x), "") if x.isdigit() else (-1, x) for x in pieces]
