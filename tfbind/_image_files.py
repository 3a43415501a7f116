"""What a model finds in the user's own pictures and rows, written."""

import csv
import os
import pathlib

import numpy as np
import PIL.Image

from tfbind import _files, plots
from tfbind._inputs import Item
from tfbind.plots.groups import picture_overlay

_SHORT_SIDE = 224  # pixels that an overlay has at least, so that it can be seen


def write(folder: str | os.PathLike, item: Item, assignments: np.ndarray) -> dict[str, str]:
    """Writes the groups of one image in the size of its picture, each file as a whole.

    Args:
        folder: Path of an existing folder.
        item: The image, and the picture that it is of.
        assignments: float32 `[K, H, W]`, of the image.

    Returns:
        A dict: `masks`, path of NAME-masks.npy, the assignments in the size of the picture;
        `groups`, of NAME-groups.png, a picture whose palette index is the group, 1 to K, or 0
        where there is nothing; `overlay`, of NAME-overlay.png, the picture in the groups' colours,
        enlarged if it is small.
    """
    if item.picture is None or item.preparation is None:
        overlay = plots.overlay(item.array, assignments)
        return _write_all(pathlib.Path(folder, item.name), item.array, assignments, overlay)
    assignments = item.preparation.put_back(assignments, item.picture)
    overlay = picture_overlay(item.preparation, item.picture, assignments)
    lit = item.preparation.lit(item.picture)
    return _write_all(pathlib.Path(folder, item.name), lit, assignments, overlay)


def _write_all(
    start: pathlib.Path, lit: np.ndarray, assignments: np.ndarray, colored: np.ndarray
) -> dict[str, str]:
    files = {
        "masks": start.with_name(f"{start.name}-masks.npy"),
        "groups": start.with_name(f"{start.name}-groups.png"),
        "overlay": start.with_name(f"{start.name}-overlay.png"),
    }
    labels = PIL.Image.fromarray(plots.label_map(lit, assignments))
    labels.putpalette([0, 0, 0, *plots.group_colors(len(assignments)).ravel().tolist()])
    overlay = PIL.Image.fromarray(colored)
    factor = -(-_SHORT_SIDE // min(overlay.size))
    overlay = overlay.resize([factor * side for side in overlay.size], PIL.Image.Resampling.NEAREST)
    with _files.replacing(files["masks"]) as partial:
        np.save(partial, assignments)
    for key, picture in (("groups", labels), ("overlay", overlay)):
        with _files.replacing(files[key]) as partial:
            picture.save(partial, format="PNG")
    return {key: str(path) for key, path in files.items()}


def write_rows(path: str | os.PathLike, rows: list[dict]) -> None:
    """Writes a CSV file of `rows`, dicts with the same keys, as a whole."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _files.replacing(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=rows[0])
        writer.writeheader()
        writer.writerows(rows)
