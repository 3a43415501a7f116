"""Pages of the notebooks, with what their cells printed and drew."""

import base64
import json
import pathlib
from typing import Any

NOTEBOOKS = pathlib.Path(__file__).resolve().parents[1] / "colab"


def pages() -> dict[str, str | bytes]:
    """Returns a page for each notebook, and its pictures, by the names of their files."""
    made: dict[str, str | bytes] = {}
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        parts = [_text(cell, path.stem, made) for cell in cells]
        made[f"{path.stem}.md"] = "\n\n".join(parts) + "\n"
    return made


def _text(cell: dict[str, Any], stem: str, made: dict[str, str | bytes]) -> str:
    """Returns a cell as Markdown; its pictures are put into `made`."""
    source = "".join(cell["source"])
    if cell["cell_type"] != "code":
        return source
    parts = [_fenced(source, "ipython" if "%" in source else "python")]
    for number, output in enumerate(cell["outputs"]):
        data = output.get("data", {})
        if "image/png" in data:
            name = f"{stem}-{cell['id']}-{number}.png"
            made[name] = base64.b64decode(data["image/png"])
            parts.append(f"![What the code above draws]({name})")
        else:
            parts.append(_fenced("".join(output.get("text", data.get("text/plain"))), "text"))
    return "\n\n".join(parts)


def _fenced(text: str, language: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```"
