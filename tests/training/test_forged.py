"""A run folder whose files lack something, or have something else there, is one sentence."""

import json
import pathlib
import shutil

import pytest

from tests.forging import forged
from tfbind import _catalogue, reading
from tfbind.training import Run

GIVEN = {"data": "bars.csv", "shape": [12, 3], "sha256": "00", "classes": []}
ROWS = reading.tables.Rows(
    numbers=(reading.tables.Number(name="a", offset=0.0, scale=2.0, fill=1.0),),
    kinds=(reading.tables.Kinds(name="b", kinds=("x", "y")),),
)
PREPARATIONS = (
    reading.Pictures(height=28, width=28, ground="white", threshold=0.5),
    reading.Arrays(shape=(4,), offset=(0.0, 1.0, 0.0, 0.0)),
    ROWS,
)
MORE = {
    "chosen_seed": 1,
    "unsupervised_scores": {"seed 1": 0.5, "seed 1001": -0.5},
    "test": {"ami": 0.9},
}


@pytest.fixture
def folder(tmp_path):
    boxed = _catalogue.boxed()["rc-simple-superposition"]
    return pathlib.Path(shutil.copytree(boxed, tmp_path / "run"))


def refused(path, value, read):
    """Writes forged values to a file and reads them; returns how many were refused."""
    count = 0
    for place, changed in forged(value):
        path.write_text(json.dumps(changed))
        try:
            read()
        except ValueError as error:
            count += 1
            assert str(error).startswith(f"{str(path)!r} must "), place
            assert "; train into a new folder." in str(error), place
    return count


@pytest.mark.parametrize("preparation", [None, *PREPARATIONS], ids=lambda x: type(x).__name__)
def test_a_forged_preset(folder, preparation):
    path = folder / "preset.json"
    fields = json.loads(path.read_text())
    if preparation is not None:
        options = reading.Options(size=(28, 28)).to_json()
        fields = {"given": {**GIVEN, "options": options, "preparation": preparation.to_json()}}
        fields |= {name: x for name, x in json.loads(path.read_text()).items() if name != "given"}
    path.write_text(json.dumps(fields))
    assert Run(folder).preparation == preparation
    count = refused(path, fields, lambda: (Run(folder).preset, Run(folder).preparation))
    assert count > 300


def test_forged_metrics(folder):
    path = folder / "metrics.json"
    notes = {**json.loads(path.read_text()), **MORE}
    notes["diagnosis"] = [{"name": "undecided", "sentence": "The groups are undecided."}]
    path.write_text(json.dumps(notes))
    assert Run(folder).metrics == notes
    assert refused(path, notes, lambda: Run(folder).metrics) > 200


@pytest.mark.parametrize(
    "text", ["", "[", "[]", "3", "null", "[" * 100_000, '{"epochs": }', "\xff"]
)
@pytest.mark.parametrize("name", ["preset.json", "metrics.json"])
def test_no_json(folder, name, text):
    (folder / name).write_text(text, "latin-1")
    with pytest.raises(ValueError, match=f"{name}' must .* Received: .*; train into a new folder"):
        _ = Run(folder).metrics


@pytest.mark.parametrize(
    "text", ["epoch,loss\n1,x\n", "epoch,loss\n1\n", "epoch\n1,2\n", 'epoch,loss\n"1,2\n']
)
def test_a_forged_history(folder, text):
    (folder / "history.csv").write_text(text)
    with pytest.raises(ValueError, match=r"history.csv' must have a row of numbers an epoch\. Rec"):
        _ = Run(folder).history


def test_a_history_with_gaps(folder):
    (folder / "history.csv").write_text("epoch,loss,val\n1,2.5,\n2,1.5,0.5\n")
    first, second = Run(folder).history
    assert first == {"epoch": 1.0, "loss": 2.5, "val": None} and second["val"] == 0.5
