"""The catalogue is that of the presets, and our scores in it are those of docs/results.md.

    WRITE_CATALOGUE=1 python -m pytest tests/test_catalogue.py

writes it anew after a change of the presets.
"""

import json
import os
import pathlib
import re

import pytest

from tfbind import _catalogue, training

RESULTS = (pathlib.Path(__file__).resolve().parents[1] / "docs" / "results.md").read_text("utf-8")
BY_HAND = {"our_score": None, "accelerator": False}


def said_by(preset):
    """Returns what a preset says of itself, as the catalogue has it."""
    return {
        "preset": preset.name,
        "model": preset.model.name,
        "task": type(preset.task).__name__,
        "data": preset.task.dataset,
        "metric": preset.task.METRIC,
        "paper_score": preset.paper.score,
        "summary": preset.summary,
        "source": preset.paper.source,
    }


def expected():
    """Returns the catalogue as it has to be: what presets say, and what is kept by hand."""
    old = _catalogue.presets()
    kept = {name: {key: entry[key] for key in BY_HAND} for name, entry in old.items()}
    presets = map(training.presets.get, training.presets.names())
    return [{**said_by(preset), **BY_HAND, **kept.get(preset.name, {})} for preset in presets]


def test_it_is_that_of_the_presets():
    if os.environ.get("WRITE_CATALOGUE"):
        lines = ",\n".join(json.dumps(entry) for entry in expected())
        _catalogue.CATALOGUE.write_text(f"[\n{lines}\n]\n", "utf-8")
    assert list(_catalogue.presets().values()) == expected()


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
