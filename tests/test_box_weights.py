"""Weights are put into the box as they are in their run, or in float16 if that is too large."""

import importlib
import json
import pathlib
import shutil

import keras
import numpy as np
import pytest

from tfbind import _catalogue, data, training

NAME = "rc-simple-superposition"


@pytest.fixture
def box_weights():
    return importlib.import_module("benchmarks.box_weights")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of other weights than those in the box, with its optimizer; and an empty box."""
    shutil.copytree(_catalogue.boxed()[NAME], tmp_path / "run")
    monkeypatch.setattr(_catalogue, "WEIGHTS", tmp_path / "box")
    run = training.Run(tmp_path / "run")
    model = run.load()
    for weight in model.trainable_variables:
        weight.assign(weight + 0.01 * keras.random.normal(weight.shape, seed=1))
    model.compile(keras.optimizers.Adam())
    model.fit(data.load("simple_superposition", "test")[0], verbose=0)
    model.save(run.path / "model.keras")
    return run


def differences(run):
    """Returns the differences of all weights of a run from those in the box."""
    pairs = zip(run.load().variables, boxed(run).load().variables, strict=False)
    kept = [(old.numpy(), new.numpy()) for old, new in pairs if old.dtype == "float32"]
    return np.concatenate([(old - new).ravel() for old, new in kept])


def boxed(run):
    return training.Run(_catalogue.boxed()[run.preset.name])


@pytest.mark.slow
def test_answers_are_those_of_the_run(run, box_weights):
    card = box_weights.put(run)
    images = data.load("simple_superposition", "test[:5]")[0]
    expected, found = (each.load().predict(images, verbose=0) for each in (run, boxed(run)))
    for name, answer in expected.items():
        np.testing.assert_allclose(found[name], answer, atol=1e-5)
    assert card["dtype"] == "float32"
    assert max(card["largest_differences"].values()) < 1e-4
    assert json.loads((boxed(run).path / "card.json").read_text()) == card


@pytest.mark.slow
def test_no_optimizer_is_put_in(run, box_weights):
    box_weights.put(run)
    assert not boxed(run).load().compiled
    sizes = [pathlib.Path(each.path, "model.keras").stat().st_size for each in (run, boxed(run))]
    assert sizes[1] < 0.5 * sizes[0]


@pytest.mark.slow
def test_what_is_too_large_is_put_in_as_float16(run, box_weights, monkeypatch):
    box_weights.put(run)
    full = boxed(run).path.joinpath("model.keras").stat().st_size
    # The same weights may take a byte more or less, for the file has the time in it
    monkeypatch.setattr(box_weights, "LIMIT", int(0.9 * full))
    assert box_weights.put(run)["dtype"] == "float16"
    assert 0 < np.abs(differences(run)).max() < 1e-3
    monkeypatch.setattr(box_weights, "LIMIT", full // 10)
    with pytest.raises(ValueError, match=f"must fit into {full // 10} bytes"):
        box_weights.put(run)


def test_the_command_says_what_was_changed(box_weights):
    preset = training.presets.get(NAME)
    changed = preset.changed(starts=3, hidden_units=50)
    expected = f"tfbind train {NAME} --set hidden_units=50 --set starts=3"
    assert box_weights._command(changed) == expected
    assert box_weights._command(preset) == f"tfbind train {NAME}"
