"""Files that appear whole or not at all."""

import contextlib
import errno
import os
import pathlib
from collections.abc import Iterator


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a path beside `path`, of the same suffix, that takes its place after the body.

    If the body raises, `path` stays as it was and nothing is left beside it; an error of the
    system, such as a full disk, names `path`.
    """
    path = pathlib.Path(path)
    partial = partial_path(path)
    with naming(path):
        make_empty(partial)
        try:
            yield partial
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def naming(path: str | os.PathLike) -> Iterator[None]:
    """Makes an error of the system in the body say which file or folder was written.

    The system says so of a file that cannot be opened, but not of one that cannot be filled.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        what = error.strerror or " ".join(str(error).split())  # a library may have its own text
        raise OSError(error.errno or errno.EIO, what, os.fspath(path)) from error


@contextlib.contextmanager
def claiming(path: str | os.PathLike, taken: str) -> Iterator[None]:
    """Holds the lock file `path` during the body; a crash does not leave it held.

    Raises:
        ValueError: With the sentence `taken`, if another process holds it.
    """
    import filelock  # slow, and for trainings and jobs alone

    try:
        held = filelock.FileLock(path).acquire(blocking=False)
    except filelock.Timeout as error:
        raise ValueError(taken) from error
    with held:
        yield


def partial_path(path: pathlib.Path) -> pathlib.Path:
    """Returns the name under which `path` is written, which a killed process leaves behind."""
    return path.with_name(f".partial-{path.name}")


def make_empty(path: pathlib.Path) -> None:
    """Makes an empty file in the place of whatever is there.

    A link goes itself: in a folder from elsewhere it may lead to a file of the user's.
    """
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
