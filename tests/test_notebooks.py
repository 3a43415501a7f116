"""Runs every notebook from start to end with few steps, and checks that it is fit to publish."""

import ast
import pathlib
import sys

import nbclient
import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

PATHS = sorted((pathlib.Path(__file__).resolve().parents[1] / "colab").glob("*.ipynb"))

# What replaces the cell tagged `parameters`.
SHORT = {
    "01_reconstruction_clustering": """
EPOCHS = 1
MULTI_OBJECT_EPOCHS = 1
SIGNAL_EPOCHS = 1
NUM_TRAIN_IMAGES = 200
NUM_TEST_IMAGES = 10
NUM_RESTARTS = 2
""",
    "02_tagger": """
EPOCHS = 1
NUM_TRAIN_IMAGES = 100
REPEATS = 1
""",
    "03_untapped_vae": """
EPOCHS = 1
NUM_STARTS = 1
NUM_TRAIN_IMAGES = 200
NUM_DRAWS = 2
""",
    "04_adversarial_mixture": """
EPOCHS = 1
LABELED_EPOCHS = 1
NUM_TRAIN_IMAGES = 200
""",
    "05_clustering_without_labels": """
NUM_TRAIN_IMAGES = 200
EPOCHS = 2
STARTS = 1
FIRST_EPOCHS = 1
ROUNDS = 1
CANDIDATES = (2, 4)
TABLE_EPOCHS = 1
""",
}
ALLOWED_IMPORTS = {"keras", "matplotlib", "numpy", "tfbind", *sys.stdlib_module_names}
CELL_TIMEOUT = 240  # seconds

pytestmark = pytest.mark.notebook
every_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def _code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _parameters(notebook):
    """Returns the one cell that holds the parameters."""
    (cell,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    return cell


def _assigned(source):
    return {target.id for statement in ast.parse(source).body for target in statement.targets}


@pytest.mark.slow
@every_notebook
def test_runs(path, tmp_path, monkeypatch):
    notebook = nbformat.read(path, as_version=4)
    parameters = _parameters(notebook)
    assert _assigned(SHORT[path.stem]) == _assigned(parameters.source)
    parameters.source = SHORT[path.stem]
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
    nbclient.execute(notebook, cwd=str(tmp_path), timeout=CELL_TIMEOUT)
    pictures = sum(
        "image/png" in output.get("data", ()) for cell in _code(notebook) for output in cell.outputs
    )
    assert pictures >= 5


@every_notebook
def test_is_stored_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in _code(notebook):
        assert not cell.outputs and cell.execution_count is None, f"cell {cell.id} has outputs"
    assert notebook.metadata.kernelspec.name == "python3"


@every_notebook
def test_installs_first(path):
    first = _code(nbformat.read(path, as_version=4))[0]
    assert "%pip install" in first.source


@every_notebook
def test_takes_everything_from_the_library(path):
    for cell in _code(nbformat.read(path, as_version=4)):
        plain = TransformerManager().transform_cell(cell.source)  # magics become calls
        for node in ast.walk(ast.parse(plain)):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module]
            else:
                modules = []
            for module in modules:
                assert module.split(".")[0] in ALLOWED_IMPORTS, f"cell {cell.id}: {module}"
