"""Runs notebooks from start to end, and stores them with what their cells printed and drew.

    python -m colab.run                  # all of them, one after the other
    python -m colab.run 02_tagger

The text of the notebooks talks about numbers and pictures of such a run. What is stored says of
which code it is the output (`fingerprint`), so that a test sees when the code was changed since.
"""

import argparse
import base64
import hashlib
import io
import os
import pathlib
import re
import tempfile
import time

import nbclient
import nbformat
from PIL import Image

FOLDER = pathlib.Path(__file__).resolve().parent
WIDTH = 900  # pixels, of the widest picture
COLORS = 128  # of a picture's palette
TIMEOUT = 1800  # seconds a cell
PASSED = re.compile(r"^epoch .*\n(?=epoch )", re.MULTILINE)  # lines of progress but for the last


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Returns the cells of code, in their order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def fingerprint(notebook: nbformat.NotebookNode) -> str:
    """Returns a hash of all code of a notebook."""
    code = "\n\n".join(cell.source for cell in code_cells(notebook))
    return hashlib.sha256(code.encode()).hexdigest()


def smaller(png: str) -> str:
    """Returns a picture in few colours and at most `WIDTH` pixels wide, base64 like the first."""
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    image.thumbnail((WIDTH, image.height))
    written = io.BytesIO()
    image.quantize(COLORS, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    return base64.b64encode(written.getvalue()).decode()


def tidy(cell: nbformat.NotebookNode) -> None:
    """Leaves of a cell's outputs what is worth keeping, with pictures made small."""
    for output in cell.outputs:
        if output.get("name") == "stderr":
            print(f"left out of cell {cell.id}:", output.text)
        if output.output_type == "stream":
            output.text = PASSED.sub("", output.text)
        if "image/png" in output.get("data", ()):
            output.data["image/png"] = smaller(output.data["image/png"])
    cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]


def run(path: pathlib.Path) -> None:
    """Runs one notebook in an empty folder, and puts it with its outputs in place at once."""
    notebook = nbformat.read(path, as_version=4)
    metadata = notebook.metadata.copy()
    with tempfile.TemporaryDirectory() as folder:
        options = {"timeout": TIMEOUT, "record_timing": False, "coalesce_streams": True}
        nbclient.execute(notebook, cwd=folder, **options)
    for cell in code_cells(notebook):
        tidy(cell)
    notebook.metadata = {**metadata, "tfbind": {"outputs_of": fingerprint(notebook)}}
    written = path.with_suffix(".part")
    nbformat.write(notebook, written)
    os.replace(written, path)


def main() -> None:
    names = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
    parser = argparse.ArgumentParser(description="Runs notebooks and stores their outputs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    for name in parser.parse_args().names or names:
        start = time.monotonic()
        run(FOLDER / f"{name}.ipynb")
        print(f"{name}: {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
