"""Functions and files stay small enough to be read at once."""

import ast
import pathlib

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
LIBRARY = sorted(
    path for folder in ("tfbind", "export", "serving") for path in (ROOT / folder).rglob("*.py")
)
TRAINED = [ROOT / "tfbind" / folder for folder in ("layers", "models", "training")]
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def bodies(path):
    """Yields name and number of lines after the docstring of every function of a file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            yield f"{path.relative_to(ROOT)}:{node.name}", lines


def test_functions_of_the_library():
    found = dict(body for path in LIBRARY for body in bodies(path))
    lines = list(found.values())
    assert np.median(lines) <= 5
    assert np.percentile(lines, 90) <= 17
    assert [name for name, size in found.items() if size > 40] == []


@pytest.mark.parametrize(("paths", "most"), [(LIBRARY, 400), (TESTS, 499)])
def test_files(paths, most):
    sizes = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in paths}
    assert {name: size for name, size in sizes.items() if size > most} == {}


def test_dicts_are_told_from_arrays_in_one_file():
    asking = {
        str(path.relative_to(ROOT))
        for folder in TRAINED
        for path in folder.rglob("*.py")
        if ", dict)" in path.read_text("utf-8")
    }
    assert asking <= {"tfbind/models/_batch.py"}


def test_no_attribute_is_guessed():
    guessing = {}
    for path in LIBRARY:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                if node.func.id == "hasattr" or (node.func.id == "getattr" and len(node.args) > 2):
                    guessing[str(path.relative_to(ROOT))] = node.lineno
    assert guessing == {}
