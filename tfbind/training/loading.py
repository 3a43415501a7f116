"""One way to a trained model: by the name of a preset in the box, a run folder, or a Keras file."""

import pathlib
from typing import Any

import keras

from tfbind import _catalogue
from tfbind.models._base import BaseModel
from tfbind.training import presets
from tfbind.training.folder import Path, Run
from tfbind.training.keras_file import load_keras
from tfbind.training.selection import regroup


def load(
    run: Path,
    data_dir: str | None = None,
    *,
    num_groups: int | None = None,
    num_iterations: int | None = None,
) -> keras.Model:
    """Loads a trained model, ready to `predict`.

    The model of a run or of a file is compiled if it was when it was saved. One in the box comes
    without its optimizer: call `compile` before `fit` or `evaluate`.

    Args:
        run: Name of a preset that has weights in the box, path of a run folder, or of a Keras file
            of a tfbind model. A run folder wins over a preset of the same name.
        data_dir: Where TFDS keeps its data, or None for TFDS' default. Only a model with
            population statistics needs data, to calibrate it where it is changed.
        num_groups: Integer >= 2, or None for the model's; for models that group.
        num_iterations: Integer >= 1, or None for the model's, likewise.

    Returns:
        A Keras model of `tfbind.models`. Its `predict` takes float32 `[n, *event_shape]` in
        [0, 1] and gives a dict, which its class documents.

    Raises:
        ValueError: If nothing has that name, the preset has no weights in the box, the run is
            unfinished or damaged, or the model cannot be changed so.

    Example:

    >>> model = tfbind.load("rc-shapes")
    >>> model.event_shape, model.num_groups
    ((28, 28, 1), 3)
    >>> image = np.zeros((1, 28, 28, 1), "float32")
    >>> image[:, 3:10, 3:10] = image[:, 15:22, 12:19] = 1.0
    >>> model.predict(image, verbose=0)["assignments"].shape
    (1, 3, 28, 28)
    """
    path = located(run)
    if not is_file(path):
        return Run(path).load(data_dir, num_groups=num_groups, num_iterations=num_iterations)
    changes = {"num_groups": num_groups, "num_iterations": num_iterations}
    return _of_file(path, {name: x for name, x in changes.items() if x is not None})


def located(run: Path) -> pathlib.Path:
    """Returns the path of a Keras file or of a run folder, which for some presets is in the box.

    What is on disk wins: a run folder that has the name of a preset is that run.

    Raises:
        ValueError: If nothing has that name, or the preset has no weights in the box.

    Example:

    >>> tfbind.training.located("rc-shapes").name
    'rc-shapes'
    """
    path, name = pathlib.Path(run), str(run)
    if is_file(path) or (path / "preset.json").exists():
        return path
    boxed = _catalogue.boxed()
    if name in boxed:
        return boxed[name]
    if path.exists() or path.suffix or len(path.parts) != 1:  # `Run` says what is the matter there
        return path
    known = presets.names()
    if name in known:
        raise ValueError(
            f"`run` must be a run folder, a Keras file, or a preset in the box. Received: {name!r},"
            f" a preset without weights in the box; run `tfbind train {name}`, then use "
            f"'runs/{name}'."
        )
    raise ValueError(
        f"`run` must be a run folder, a Keras file, or a preset in the box. Received: {name!r}, "
        f"which is none of them.{_catalogue.hint(name, known)}"
    )


def is_file(path: pathlib.Path) -> bool:
    """Whether a path is that of a Keras file rather than of a folder."""
    return path.suffix == ".keras"


def _of_file(path: pathlib.Path, changes: dict[str, Any]) -> keras.Model:
    if not path.is_file():
        raise ValueError(f"`{path}` must be a Keras file. Received: nothing there.")
    model = load_keras(path, "save it again, or import what it is made of first")
    if not isinstance(model, BaseModel):
        raise ValueError(
            f"`{path}` must be of a model of tfbind. Received: a `{type(model).__name__}`, which "
            "has no `serving_endpoints()`."
        )
    if "num_iterations" in changes:
        changes[model.ITERATIONS] = changes.pop("num_iterations")
    return regroup(model, **changes) if changes else model
