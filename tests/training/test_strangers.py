"""What comes from strangers writes nowhere but in its folder, and runs no code."""

import json
import pathlib
import shutil

import keras
import pytest

import tfbind
from tfbind import _catalogue, training
from tfbind.training import keras_file


@pytest.fixture
def run(tmp_path):
    boxed = _catalogue.boxed()["rc-simple-superposition"]
    return pathlib.Path(shutil.copytree(boxed, tmp_path / "run"))


def change(run, **fields):
    path = run / "preset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize(
    "name",
    ["../../x", "/x", "C:\\x", "a\\b", "a/b", "..", ".", "", "a\nb", "a\n", "-x", "a.", 3, None],
)
def test_a_name_that_would_lead_out_of_the_folder(run, name):
    change(run, name=name)
    with pytest.raises(ValueError, match="describe a preset. Received: `name` must be a plain"):
        training.Run(run).load()


@pytest.mark.parametrize("seed", ["../../x", -1, 1.5, None])
def test_a_seed_that_is_none(run, seed):
    change(run, seed=seed)
    with pytest.raises(ValueError, match="describe a preset. Received: `seed` must be an integer"):
        training.Run(run).load()


CODE = "must hold no code of its own. Received: a model with a Python lambda or the like"


def test_code_in_a_model_is_refused_and_not_called_damage(run, tmp_path):
    code = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x + 1)])
    code.save(run / "model.keras")
    with pytest.raises(ValueError, match=CODE):
        training.Run(run).load()
    with pytest.raises(ValueError, match=CODE):
        keras_file.load_keras(run / "model.keras", "", compile=False)
    decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)])
    encoder = keras.Sequential([*code.layers, keras.layers.Dense(2)])
    tfbind.DenoisingAutoencoder((4,), encoder=encoder, decoder=decoder).save(tmp_path / "in.keras")
    with pytest.raises(ValueError, match=CODE):
        tfbind.load(tmp_path / "in.keras")


def test_a_link_in_the_place_of_a_partial_file_is_not_followed(run, tmp_path):
    (tmp_path / "victim").write_text("mine")
    (run / ".partial-metrics.json").symlink_to(tmp_path / "victim")
    training.Run(run).note_scores({"error": 0.5})
    assert (tmp_path / "victim").read_text() == "mine"
    assert training.Run(run).metrics["test"] == {"error": 0.5}
