"""One way to a model: of a preset in the box, of a run, of a file; and what wins."""

import json
import re
import shutil

import numpy as np
import pytest

import tfbind
from tfbind import _catalogue, training

BOXED = _catalogue.boxed()
NAME = "rc-simple-superposition"


@pytest.fixture
def run(tmp_path):
    """A run folder of a name that nothing else has."""
    shutil.copytree(BOXED[NAME], tmp_path / "mine")
    return tmp_path / "mine"


def answers(model):
    images = np.random.default_rng(0).integers(2, size=(3, *model.event_shape))
    return model.predict(images.astype("float32"), verbose=0)


def test_a_preset_a_run_and_a_file_of_the_same_weights(run, tmp_path):
    shutil.copy(run / "model.keras", tmp_path / "mine.keras")
    first, *others = (tfbind.load(x) for x in (NAME, run, tmp_path / "mine.keras"))
    for other in others:
        for name, answer in answers(first).items():
            np.testing.assert_array_equal(answers(other)[name], answer)


@pytest.mark.parametrize("kind", ["preset", "file"])
def test_other_groups_and_iterations(kind, run):
    source = NAME if kind == "preset" else run / "model.keras"
    model = tfbind.load(source, num_groups=3, num_iterations=2)
    assert (model.num_groups, model.num_iterations) == (3, 2)
    assert answers(model)["assignments"].shape[1] == 3


def test_a_run_wins_over_a_preset_of_its_name_and_no_other_folder_does(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).mkdir()  # such as what `tfbind export --out .` leaves
    assert training.located(NAME) == BOXED[NAME]
    shutil.copytree(run, tmp_path / NAME, dirs_exist_ok=True)
    assert training.located(NAME).resolve() == tmp_path / NAME


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rc-shape", "'rc-shape', which is none of them. Did you mean 'rc-shapes', "),
        ("zzz", "'zzz', which is none of them. `tfbind list` shows all."),
        (
            "rc-multi-mnist",
            "'rc-multi-mnist', a preset without weights in the box; run `tfbind train "
            "rc-multi-mnist`, then use 'runs/rc-multi-mnist'.",
        ),
        ("runs/zzz", "'runs/zzz', which does not exist."),
        ("zzz.keras", "`zzz.keras` must be a Keras file. Received: nothing there."),
    ],
)
def test_names_that_lead_nowhere(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=re.escape(message)):
        tfbind.load(name)


@pytest.mark.parametrize("name", BOXED)
def test_weights_in_the_box_score_what_their_card_says(name, request):
    """Within rounding, which may tip an image: another machine adds in another order."""
    card = _catalogue.card(name)
    on_mnist = "mnist" in _catalogue.presets()[name]["data"]
    data_dir = request.getfixturevalue("mnist_data_dir") if on_mnist else None
    scores = training.evaluate(BOXED[name], data_dir)
    assert scores.keys() == card["scores"].keys()
    for key, score in card["scores"].items():
        assert scores[key] == pytest.approx(score, rel=2e-3, abs=3e-3), key
    assert scores[card["metric"]] == pytest.approx(
        card["scores_of_the_run"][card["metric"]], rel=2e-3, abs=3e-3
    )


@pytest.mark.parametrize("name", BOXED)
def test_a_card_is_of_its_preset(name):
    card, run = _catalogue.card(name), training.Run(BOXED[name])
    assert (card["preset"], run.preset.name) == (name, name)
    assert card["bytes"] == (BOXED[name] / "model.keras").stat().st_size
    assert f"tfbind train {name}" in card["command"]
    if "--set" not in card["command"]:
        assert run.preset == training.presets.get(name)


def test_scoring_writes_nothing_into_the_box(tmp_path, monkeypatch):
    monkeypatch.setattr(_catalogue, "WEIGHTS", tmp_path)
    shutil.copytree(BOXED[NAME], tmp_path / NAME)
    metrics = tmp_path / NAME / "metrics.json"
    metrics.write_text(json.dumps({**json.loads(metrics.read_text()), "test": {"ami": 0.125}}))
    training.evaluate(tmp_path / NAME, num_starts=1)
    assert training.Run(tmp_path / NAME).metrics["test"] == {"ami": 0.125}
