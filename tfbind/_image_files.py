"""The user's own pictures and arrays: read for a model, and what it finds in them written."""

import csv
import os
import pathlib
import typing
from collections.abc import Iterable

import numpy as np
import PIL.Image

from tfbind import _files, plots
from tfbind._validation import check_array

if typing.TYPE_CHECKING:
    import keras

_SHORT_SIDE = 224  # pixels that an overlay has at least, so that it can be seen
_MODES = {1: "L", 3: "RGB"}


def read(
    paths: Iterable[str | os.PathLike],
    model: "keras.Model",
    threshold: float | None = 0.5,
    invert: bool = False,
) -> tuple[list[str], np.ndarray]:
    """Reads images for a model.

    Args:
        paths: Pictures of the model's height and width, or .npy files of one image or several.
        model: A model with `event_shape` and `value_range`.
        threshold: For a model of binary data, the brightness in [0, 1] above which a pixel of a
            picture is set; None takes its brightness as it is. Arrays are taken as they are.
        invert: Whether pictures show dark objects on a light ground.

    Returns:
        Names, a list of n strings, each its own; and images, float32 `[n, H, W, C]`.

    Raises:
        ValueError: If a file is of another kind, size or range than the model's images.
    """
    names, arrays = [], []
    for path in map(pathlib.Path, paths):
        if path.suffix.lower() == ".npy":
            array = _read_array(path, model)
        else:
            array = _read_picture(path, model, threshold, invert)
        array = check_array(str(path), array, model.event_shape, *model.value_range)
        width = len(str(len(array) - 1))
        stems = [f"{path.stem}-{i:0{width}d}" for i in range(len(array))]
        names += stems if len(array) > 1 else [path.stem]
        arrays.append(array)
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(
            f"Each image must have a name of its own. Received: {min(twice)!r} more than once; "
            "rename the file, or group it into another folder."
        )
    return names, np.concatenate(arrays)


def write(
    folder: str | os.PathLike, name: str, image: np.ndarray, assignments: np.ndarray
) -> dict[str, str]:
    """Writes the groups of one image, each file as a whole.

    Args:
        folder: Path of an existing folder.
        name: Start of the names of the files.
        image: float32 `[H, W, C]`.
        assignments: float32 `[K, H, W]`.

    Returns:
        A dict: `masks`, path of NAME-masks.npy, the assignments; `groups`, of NAME-groups.png, a
        picture whose palette index is the group, 1 to K, or 0 where the image is zero; `overlay`,
        of NAME-overlay.png, the image in the groups' colours, enlarged if it is small.
    """
    folder = pathlib.Path(folder)
    files = {
        "masks": folder / f"{name}-masks.npy",
        "groups": folder / f"{name}-groups.png",
        "overlay": folder / f"{name}-overlay.png",
    }
    labels = PIL.Image.fromarray(plots.label_map(image, assignments))
    labels.putpalette([0, 0, 0, *plots.group_colors(len(assignments)).ravel().tolist()])
    colored = PIL.Image.fromarray(plots.overlay(image, assignments))
    factor = -(-_SHORT_SIDE // min(colored.size))
    colored = colored.resize([factor * side for side in colored.size], PIL.Image.Resampling.NEAREST)
    with _files.replacing(files["masks"]) as partial:
        np.save(partial, assignments)
    for key, picture in (("groups", labels), ("overlay", colored)):
        with _files.replacing(files[key]) as partial:
            picture.save(partial, format="PNG")
    return {key: str(path) for key, path in files.items()}


def write_labels(path: str | os.PathLike, rows: list[dict]) -> None:
    """Writes a CSV file of `rows`, dicts with the same keys, as a whole."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _files.replacing(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=rows[0])
        writer.writeheader()
        writer.writerows(rows)


def _read_array(path, model):
    """Returns `[n, H, W, C]`; one image and images without channels are welcome."""
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"`{path}` must be an array that numpy.save wrote: {error}.") from error
    event_shape = model.event_shape
    if event_shape[-1] == 1 and array.shape[-len(event_shape) + 1 :] == event_shape[:-1]:
        array = array[..., None]
    return array[None] if array.shape == event_shape else array


def _read_picture(path, model, threshold, invert):
    """Returns float32 `[1, H, W, C]` in [0, 1]."""
    if len(model.event_shape) != 3:
        raise ValueError(
            f"`{path}` must be a .npy file, since the examples of this run are no images but have "
            f"shape {model.event_shape}. Received: a file of another kind."
        )
    height, width, num_channels = model.event_shape
    try:
        with PIL.Image.open(path) as picture:
            if picture.mode.startswith("I"):  # 16 bits
                array = np.asarray(picture, "float32") / 65535
            else:
                array = np.asarray(picture.convert(_MODES[num_channels]), "float32") / 255
    except (OSError, SyntaxError) as error:  # Pillow's own for damaged files are these two
        raise ValueError(
            f"`{path}` must be a picture (PNG, JPEG) or a .npy file. Received: a file of another "
            "kind, or a damaged one."
        ) from error
    if array.shape[:2] != (height, width):
        raise ValueError(
            f"`{path}` must be {height} pixels high and {width} wide, as the images of this run. "
            f"Received: {array.shape[0]} high, {array.shape[1]} wide; resize it first."
        )
    array = (1 - array if invert else array).reshape(1, height, width, -1)
    if threshold is None:
        return array
    binary = (array > threshold).astype("float32")
    if not binary.any():
        raise ValueError(
            f"`{path}` must have pixels brighter than the threshold {threshold:g}. Received: "
            "none; lower --threshold, or pass --invert if objects are dark on light ground."
        )
    return binary
