"""Keras files, and why one of them cannot be loaded."""

import os
from collections.abc import Iterator

import keras


class RefusedCodeError(ValueError):
    """A file holds code of its own, which is not run."""


def load_keras(path: str | os.PathLike, remedy: str, *, compile: bool = True) -> keras.Model:
    """Loads a model in the safe mode of Keras, which runs no code out of the file.

    Args:
        path: Path of a `.keras` file.
        remedy: What to do about a damaged one.
        compile: Whether to compile it, if it was compiled.

    Raises:
        ValueError: If the file is damaged or names a class that is not there.
        RefusedCodeError: If Keras refuses to load it, since that would run code of its author's.
    """
    try:
        return keras.saving.load_model(path, compile=compile)
    except Exception as error:  # zipfile, h5py, json and Keras each have their own
        if any("safe_mode" in str(each) for each in _chain(error)):
            raise RefusedCodeError(
                f"`{path}` must hold no code of its own. Received: a model with a Python lambda or "
                "the like, which Keras refuses to load, since it would run as you; if you trust "
                "whoever made it, load it by `keras.saving.load_model(path, safe_mode=False)`."
            ) from error
        raise ValueError(
            f"`{path}` must be a Keras model. Received: a damaged file, or one with parts that are "
            f"not installed ({type(error).__name__}); {remedy}."
        ) from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
