"""The catalogue is that of the presets, and our scores in it are those of docs/results.md.

    WRITE_CATALOGUE=1 python -m pytest tests/test_catalogue.py

writes it anew after a change of the presets.
"""

import json
import os
import pathlib
import re

import pytest

from tfbind import _catalogue, _listing, training

RESULTS = (pathlib.Path(__file__).resolve().parents[1] / "docs" / "results.md").read_text("utf-8")


def test_it_is_that_of_the_presets():
    expected = list(_catalogue.completed(training.presets.described()).values())
    if os.environ.get("WRITE_CATALOGUE"):
        entries = ",\n".join(json.dumps(entry) for entry in expected)
        made_of = json.dumps(_catalogue.fingerprint())
        text = f'{{"made_of": {made_of}, "presets": [\n{entries}\n]}}\n'
        _catalogue.CATALOGUE.write_text(text, "utf-8")
    assert list(_catalogue.presets().values()) == expected
    assert _catalogue.is_current(), "WRITE_CATALOGUE=1"


def test_a_preset_of_a_new_file_is_listed(tmp_path, monkeypatch):
    """Without the catalogue written anew, and where nothing is loaded."""
    folder = tmp_path / "presets"
    folder.mkdir()
    (folder / "mine.py").write_text("PRESETS = ()")
    monkeypatch.setattr(_catalogue, "_PRESETS", folder)
    assert not _catalogue.is_current()
    assert _listing.presets() == _catalogue.completed(training.presets.described())


SCORED = [entry for entry in _catalogue.presets().values() if entry["our_score"] is not None]


@pytest.mark.parametrize("entry", SCORED, ids=lambda entry: entry["preset"])
def test_our_score_is_in_the_results(entry):
    score = entry["our_score"]
    said = f"{100 * score if entry['metric'] == 'error' else score:.3g}".removeprefix("0")
    sections = [text for text in RESULTS.split("\n#") if entry["preset"] in text]
    assert any(re.search(rf"(?<![\d.]){re.escape(said)}0*(?!\d)", text) for text in sections)


def test_what_is_in_the_box_is_a_preset():
    assert _catalogue.boxed().keys() <= _catalogue.presets().keys()


@pytest.mark.parametrize(
    ("name", "nearest"), [("rc-shape", "Did you mean 'rc-shapes', '"), ("zzz", "")]
)
def test_a_name_that_is_not_known(name, nearest):
    message = rf"must be the name of a preset\. Received: preset='{name}'\. ?{nearest}.*shows all\."
    with pytest.raises(ValueError, match=message):
        _catalogue.check_preset(name, _catalogue.presets())
