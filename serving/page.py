import json
import os
import pathlib
import shutil
from collections.abc import Sequence

from tfbind.export import read_card
from tfbind.export._layout import card_path, written_at_once

_PAGE = pathlib.Path(__file__).parent / "web"


def write_page(files: Sequence[str | os.PathLike], out: str | os.PathLike) -> pathlib.Path:
    """Writes a page on which people draw, and watch models group and cluster in their browser.

    Use it to show what a model does, with nothing installed where it is looked at. The folder
    needs a server of files, such as `python -m http.server`, and nothing from elsewhere. A model
    that groups pulls shapes apart iteration by iteration; one that clusters places digits.

    Args:
        files: The .tflite files of `export.export_tflite`, each with its card beside it; for
            images of one channel, and batches of one.
        out: Folder for the page. Files of the same names are replaced.

    Returns:
        The path of `out`.

    Raises:
        ValueError: If a file is not of a model that the page can show, or two have one name.

    Example:

    >>> model = tfbind.ReconstructionClustering(tfbind.DenoisingAutoencoder((12, 12, 1)))
    >>> report = tfbind.export.export_tflite(model, tempfile.mkdtemp() + "/toy.tflite")
    >>> page = tfbind.serving.write_page([report["path"]], tempfile.mkdtemp())
    >>> (page / "models.json").read_text()
    '["toy"]'
    """
    paths = [pathlib.Path(file) for file in files]
    names = [path.stem for path in paths]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"`files` must have names, each its own. Received: {names}.")
    for path in paths:
        _check_shown(path)
    out = pathlib.Path(out)
    with written_at_once(out) as temporary:
        shutil.copytree(_PAGE, temporary, dirs_exist_ok=True)
        for path in paths:
            shutil.copy(path, temporary)
            shutil.copy(card_path(path), temporary)
        (temporary / "models.json").write_text(json.dumps(names), "utf-8")
        for file in [path for path in temporary.rglob("*") if path.is_file()]:
            target = out / file.relative_to(temporary)
            target.parent.mkdir(exist_ok=True)
            os.replace(file, target)
    return out


def _check_shown(path):
    """Raises unless a file is of a model that the page can show."""
    if pathlib.Path(path).suffix != ".tflite":
        raise ValueError(
            f"`files` must be .tflite files. Received: {str(path)!r}; export the model first."
        )
    card = read_card(path)
    nothing: dict = {"inputs": {}, "outputs": {}}
    default = card["endpoints"].get("serving_default", nothing)
    shape = default["inputs"].get("image", {"shape": []})["shape"]
    works = "trace" in card["endpoints"] or "probabilities" in default["outputs"]
    if not works or len(shape) != 4 or shape[-1] != 1 or card["artifact"]["batch_size"] != 1:
        raise ValueError(
            "`files` must be of models that group or cluster images of one channel, one at a time. "
            f"Received: {str(path)!r}, a {card['model']['class']} for images {shape}."
        )
