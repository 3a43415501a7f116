import copy
import datetime
import json
import pathlib
import subprocess
import sys

import keras
import pytest
import tensorflow as tf

import tfbind
from tfbind import export


@pytest.fixture(scope="module")
def made(tiny_model):
    return export.build_card(tiny_model)


@pytest.fixture
def card(made):
    return copy.deepcopy(made)


def test_it_describes_inputs_and_outputs(card):
    assert list(card["endpoints"]) == ["serving_default", "gated"]
    gated = card["endpoints"]["gated"]
    assert gated["inputs"] == {
        "point": {"shape": [None, 4], "dtype": "float32", "range": [-9.0, 9.0]},
        "gate": {"shape": [None, 3], "dtype": "float32", "range": [None, None]},
        "count": {"shape": [None], "dtype": "int32", "range": [2, 5]},
    }
    outputs = card["endpoints"]["serving_default"]["outputs"]
    assert outputs.pop("valid")["dtype"] == "int32"
    assert outputs == {
        "code": {"shape": [None, 3], "dtype": "float32", "description": "three numbers"},
        "total": {"shape": [None], "dtype": "float32", "description": "their sum"},
    }


def test_half_precision_outputs_are_announced_as_they_are_served(card):
    assert card["endpoints"]["gated"]["outputs"]["code"]["dtype"] == "float32"


def test_it_tells_the_origin(card):
    assert card["versions"] == {
        "tfbind": tfbind.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }
    assert card["model"]["class"] == "TinyModel"
    assert card["model"]["num_parameters"] == 4 * 3 + 3
    age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(card["created"])
    assert abs(age) < datetime.timedelta(minutes=10)


def test_the_config_keeps_plain_settings_and_names_the_parts(card):
    config = card["model"]["config"]
    assert config["scale"] == 2.0
    assert config["sizes"] == [4, 3]
    assert config["hidden"]["class"] == "Dense"
    assert config["hidden"]["units"] == 7
    assert "name" not in config


def test_the_written_card_is_the_one_built(card, saved_model):
    written = export.read_card(saved_model)
    artifact = written.pop("artifact")
    assert (artifact["kind"], artifact["version"]) == ("saved_model", 1)
    assert written["endpoints"] == json.loads(json.dumps(card["endpoints"]))
    assert written["model"] == card["model"]


def test_the_version_folder_has_the_same_card_as_its_parent(saved_model):
    assert export.read_card(saved_model / "1") == export.read_card(saved_model)


def test_reading_loads_no_tensorflow(saved_model):
    code = (
        "import sys; from tfbind import export; "
        f"print(len(export.read_card({str(saved_model)!r})['endpoints'])); "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "2\n"), result.stderr


def test_a_missing_card_is_named(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").touch()
    with pytest.raises(ValueError, match=r"with its card\. .*tfbind_card\.json is missing"):
        export.read_card(tmp_path)
    (tmp_path / "a.tflite").touch()
    with pytest.raises(ValueError, match=r"with its card\. .*a\.tflite\.json is missing"):
        export.read_card(tmp_path / "a.tflite")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"endpoints": {}}', "\xff"])
def test_a_damaged_card_is_named(tmp_path, text):
    (tmp_path / "a.tflite").touch()
    (tmp_path / "a.tflite.json").write_text(text, "latin-1")
    with pytest.raises(ValueError, match=r"readable card\. .*a\.tflite\.json is damaged"):
        export.read_card(tmp_path / "a.tflite")


def test_importing_the_folder_itself_is_refused():
    root = pathlib.Path(export.__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-c", "import export"], capture_output=True, text=True, cwd=root
    )
    assert "Import this package as `tfbind.export`. Received: 'export'." in result.stderr
