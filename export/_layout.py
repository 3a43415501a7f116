"""Where artifacts lie on disk, and how they get there in one step."""

import contextlib
import hashlib
import os
import pathlib
import tempfile
from collections.abc import Iterator

SAVED_MODEL = "saved_model.pb"

# TF Serving reads no file of this folder but the warm-up file.
EXTRA = "assets.extra"


def is_one_file(path: str | os.PathLike) -> bool:
    """Tells a TFLite or ONNX file, by its name, from a SavedModel folder."""
    return pathlib.Path(path).suffix in (".tflite", ".onnx")


def kind(path: str | os.PathLike) -> str:
    """Returns what a card calls an artifact of this path: "saved_model", "tflite" or "onnx"."""
    return pathlib.Path(path).suffix[1:] if is_one_file(path) else "saved_model"


def check_suffix(path: str | os.PathLike, suffix: str) -> pathlib.Path:
    """Returns `path`, where a file of one kind is to be written; raises ValueError."""
    path = pathlib.Path(path)
    if path.suffix != suffix:
        raise ValueError(f"`path` must end in {suffix!r}. Received: path={str(path)!r}.")
    return path


def find_file(path: str | os.PathLike) -> pathlib.Path:
    """Returns `path` if there is a file; raises ValueError."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(
            f"`path` must be an existing SavedModel folder or .tflite or .onnx file. "
            f"Received: path={str(path)!r}."
        )
    return path


def card_path(artifact: str | os.PathLike) -> pathlib.Path:
    """Returns where the card of a TFLite or ONNX file or of one SavedModel version lies."""
    artifact = pathlib.Path(artifact)
    if is_one_file(artifact):
        return artifact.with_name(artifact.name + ".json")
    return artifact / EXTRA / "tfbind_card.json"


def sha256(file: str | os.PathLike) -> str:
    """Returns the SHA-256 of a file's bytes in hexadecimal."""
    return hashlib.sha256(pathlib.Path(file).read_bytes()).hexdigest()


def version_folders(directory: str | os.PathLike) -> dict[int, pathlib.Path]:
    """Returns version number -> folder, lowest first; folders not named by a number are not."""
    directory = pathlib.Path(directory)
    folders = directory.iterdir() if directory.is_dir() else ()
    return dict(
        sorted(
            (int(folder.name), folder)
            for folder in folders
            if folder.name.isascii() and folder.name.isdigit() and folder.is_dir()
        )
    )


def find_saved_model(path: str | os.PathLike) -> pathlib.Path:
    """Returns the folder of one version: `path` itself, or the latest version in it.

    Raises:
        ValueError: If the folder is missing, has no version, or its version is half-written.
    """
    path = pathlib.Path(path)
    received = f"Received: path={str(path)!r}"
    if not path.is_dir():
        raise ValueError(
            f"`path` must be an existing SavedModel folder or .tflite or .onnx file. {received}."
        )
    if (path / SAVED_MODEL).is_file():
        return path
    versions = version_folders(path)
    if not versions:
        raise ValueError(
            f"`path` must hold a version folder, such as 1/{SAVED_MODEL}. {received}, which has "
            "none; export a model into it first."
        )
    latest = versions[max(versions)]
    if not (latest / SAVED_MODEL).is_file():
        raise ValueError(
            f"`path` must hold a complete SavedModel. {received}, where {latest.name} has no "
            f"{SAVED_MODEL}; export the model again."
        )
    return latest


@contextlib.contextmanager
def written_at_once(folder: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a temporary folder in `folder`, which is made if need be, for files to move out of.

    Its name is no number, so that a TF Serving that polls `folder` passes it over. If the body
    raises, nothing stays: not the temporary folder, nor `folder` if it is new.
    """
    folder = pathlib.Path(folder)
    existed = folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as temporary:
            yield pathlib.Path(temporary)
    except BaseException:
        if not existed:
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        raise


def folder_size(folder: pathlib.Path) -> int:
    """Returns the bytes of all files in a folder, at any depth."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
