"""The verbs on presets in the box, with no training; nothing is written into the package."""

import numpy as np
import PIL.Image
import pytest

from tfbind import _catalogue, data, quickstart, serving

from .calls import fail, succeed, succeed_json

GROUPS, CLUSTERS = "rc-shapes", "kingdra-digits"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Works in an empty folder; the box is as it was in the end."""
    monkeypatch.chdir(tmp_path)
    before = in_the_box()
    yield tmp_path
    assert in_the_box() == before


def in_the_box():
    paths = sorted(_catalogue.WEIGHTS.rglob("*"))
    return [(path, path.stat().st_mtime_ns) for path in paths]


def test_group_a_picture_of_any_size(folder):
    pixels = np.zeros((60, 40), "uint8")
    pixels[5:20, 5:20] = pixels[35:50, 20:35] = 255
    PIL.Image.fromarray(pixels).save("two.png")
    (row,) = succeed_json("group", GROUPS, "two.png")
    assert np.load(folder / "groups" / "two-masks.npy").shape == (3, 60, 40)
    assert row["confidence"] > 0.5


def test_cluster_digits(tmp_path):
    images, labels = data.load("digits", "test[:50]", keys=("image", "label"))
    np.save("digits.npy", images)
    rows = succeed_json("cluster", CLUSTERS, "digits.npy")
    found = np.array([row["label"] for row in rows])
    same = labels[:, None] == labels
    assert np.mean((found[:, None] == found) == same) > 0.9


def test_evaluate(folder):
    scores = succeed_json("evaluate", CLUSTERS)
    card = _catalogue.card(CLUSTERS)["scores"]
    assert scores["error"] == pytest.approx(card["error"], abs=2e-3)
    assert list(folder.iterdir()) == []


def test_select_draws_where_the_user_is(folder):
    np.save("images.npy", np.eye(28, dtype="float32")[None])
    result = succeed_json("select", GROUPS, "images.npy", "--max", 3)
    assert result["candidates"] == [2, 3]
    assert (folder / "num_groups.png").exists()


def test_export_and_serve_where_the_user_is(folder, monkeypatch):
    assert "export/rc-shapes/1" in succeed("export", GROUPS, "--format", "savedmodel")
    served = []
    monkeypatch.setattr(serving, "serve", lambda path, *options: served.append(path))
    succeed("serve", GROUPS)
    assert [path.resolve() for path in served] == [folder / "export" / GROUPS]
    assert sorted(path.name for path in (folder / "export" / GROUPS).iterdir()) == ["1"]


def test_what_is_exported_under_its_name_is_served(folder, monkeypatch):
    (folder / GROUPS).mkdir()
    served = []
    monkeypatch.setattr(serving, "serve", lambda path, *options: served.append(path))
    succeed("serve", GROUPS)
    assert [path.resolve() for path in served] == [folder / GROUPS]


@pytest.mark.parametrize("verb", ["group", "cluster", "select"])
def test_names_that_lead_nowhere(verb):
    np.save("images.npy", np.eye(28, dtype="float32")[None])
    line = fail(verb, "rc-shape", "images.npy")
    assert "Received: 'rc-shape', which is none of them. Did you mean 'rc-shapes'" in line
    line = fail(verb, "rc-multi-mnist", "images.npy")
    assert "run `tfbind train rc-multi-mnist`, then use 'runs/rc-multi-mnist'." in line


@pytest.mark.slow
@pytest.mark.tflite
@pytest.mark.serving
def test_quickstart_without_training(folder, monkeypatch):
    monkeypatch.setattr(quickstart, "_NUM_STARTS", 1)
    text = succeed("quickstart", "--pretrained")
    assert "2/6 No training: " in text
    assert "All 4 answers to the same 4 images agree." in text
    assert "tfbind group rc-shapes YOUR.png" in text
    left = {path.name for path in (folder / "runs" / "pretrained").iterdir()}
    assert left == {"groups.png", "report.html", "export"}
