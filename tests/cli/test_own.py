"""A person's own files, from a folder to masks and an artefact, by the command line."""

import csv

import numpy as np
import PIL.Image
import pytest

from benchmarks import photographs
from tfbind import export, metrics, reading, serving, training

from .calls import succeed_json, tfbind

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Drawings of two bars, dark on light, of different sizes; and a damaged file."""
    folder = tmp_path_factory.mktemp("drawings")
    for i in range(12):
        pixels = np.full((40 + i, 64), 240, "uint8")
        for _ in range(2):
            row, column = RANDOM.integers(4, 30, 2)
            pixels[row : row + 6, column : column + 30] = 20
        PIL.Image.fromarray(pixels).save(folder / f"d{i}.png")
    (folder / "damaged.png").write_bytes(b"\x89PNG nothing")
    return folder


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "own run"
    result = tfbind("train", "rc-tiny", "--data", folder, "--run", run, "--set", "max_epochs=3")
    assert result.exit_code == 0, result.output
    told = " ".join(result.stderr.split())  # it is wrapped
    assert "13 pictures, of different sizes" in told and "dark on light" in told
    assert "1 file was left out: " in told and "damaged.png" in told
    assert f"Next: tfbind group '{run}' {folder} --out groups" in result.stdout
    return run


def test_the_run_knows_what_was_done(run, folder):
    kept = training.Run(run)
    assert kept.preparation.invert and kept.preparation.event_shape == (8, 8, 1)
    assert kept.given["data"] == str(folder) and kept.given["shape"] == [12, 8, 8, 1]
    assert {"name", "sentence"} == {key for each in kept.metrics["diagnosis"] for key in each}
    assert (run / "groups.png").exists()
    assert training.train(kept.preset, run, data=folder, verbose=0).name  # finished already


def test_other_data_is_refused(run, tmp_path):
    PIL.Image.fromarray(RANDOM.integers(0, 256, (30, 30), "uint8")).save(tmp_path / "a.png")
    PIL.Image.fromarray(RANDOM.integers(0, 256, (30, 30), "uint8")).save(tmp_path / "b.png")
    with pytest.raises(ValueError, match="must be what the run began with, read as then"):
        training.train(training.Run(run).preset, run, data=tmp_path, verbose=0)


def test_masks_have_the_size_of_the_file(run, folder, tmp_path):
    result = tfbind("group", run, folder, "--out", tmp_path / "out")
    assert result.exit_code == 1  # for the damaged one, but the others are done
    assert "Error: 1 file was left out: " in result.stderr and "damaged.png" in result.stderr
    with (tmp_path / "out" / "groups.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [f"d{i}" for i in range(12)]
    for i, row in enumerate(rows):
        masks = np.load(row["masks"])
        assert masks.shape == (2, 40 + i, 64)
        np.testing.assert_allclose(masks.sum(axis=0), 1, atol=1e-5)
        with PIL.Image.open(row["file"]) as picture, PIL.Image.open(row["groups"]) as labels:
            ink = np.asarray(picture) < 128
            np.testing.assert_array_equal(np.asarray(labels) > 0, ink)
        with PIL.Image.open(row["overlay"]) as overlay:
            colored = np.asarray(overlay)
        factor = colored.shape[0] // (40 + i)
        assert (colored[::factor, ::factor][~ink] > 200).all()  # paper stays paper
        assert np.ptp(colored[::factor, ::factor][ink], axis=-1).min() > 40


def test_an_interrupted_command_goes_on(run, folder, tmp_path, monkeypatch):
    written = []

    def write(out, item, *arguments):
        if len(written) == 5:
            raise KeyboardInterrupt
        written.append(item.name)
        return {"masks": "m", "groups": "g", "overlay": "o"}

    monkeypatch.setattr("tfbind._inputs.BATCH", 2)
    monkeypatch.setattr("tfbind._image_files.write", write)
    files = sorted(folder.glob("d?.png"))
    assert tfbind("group", run, *files, "--out", tmp_path / "out").exit_code == 1
    assert written == ["d0", "d1", "d2", "d3", "d4"]
    written[4:] = []  # its batch was not finished

    def write_all(out, item, *arguments):
        written.append(item.name)
        return {"masks": "m", "groups": "g", "overlay": "o"}

    monkeypatch.setattr("tfbind._image_files.write", write_all)
    rows = succeed_json("group", run, *files, "--out", tmp_path / "out")
    assert [row["image"] for row in rows] == written == [f"d{i}" for i in range(10)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["groups.csv"]


@pytest.mark.slow
def test_a_keras_file_of_ones_own(run, folder, tmp_path):
    (tmp_path / "mine.keras").write_bytes((run / "model.keras").read_bytes())
    told = ("--invert", "--threshold", 0.4)
    out = ("--out", tmp_path / "out")
    (row,) = succeed_json("group", tmp_path / "mine.keras", folder / "d3.png", *told, *out)
    assert np.load(row["masks"]).shape == (2, 43, 64)
    assert "is sound" in tfbind("check", tmp_path / "mine.keras").stdout
    assert (tmp_path / "export" / "mine" / "1" / "saved_model.pb").exists()
    (tmp_path / "bad.keras").write_text("nothing")
    assert "Received: a damaged file" in tfbind("group", tmp_path / "bad.keras", folder).stderr


def test_a_run_is_served_as_it_is(run, folder, monkeypatch):
    calls = []
    monkeypatch.setattr("tfbind.serving.launch.serve", lambda *arguments: calls.append(arguments))
    for _ in range(2):
        assert tfbind("serve", run).exit_code == 0
    served = run / "export" / "rc-tiny"
    assert calls == [(served, 8500, 8501, None)] * 2
    assert [path.name for path in served.iterdir()] == ["1"]  # and not written twice
    card = export.read_card(served)
    assert reading.preparation_of(card["preparation"]) == training.Run(run).preparation


@pytest.mark.serving
def test_a_served_model_takes_files(run, folder, tmp_path):
    from tfbind import _models

    (row,) = succeed_json("group", run, folder / "d0.png", "--out", tmp_path)
    with serving.ReferenceServer(_models.exported(run)) as server:
        client = serving.RestClient(server.url, "rc-tiny")
        file = np.array([(folder / "d0.png").read_bytes()], object)
        answer = client.predict({"image_bytes": file}, signature="serving_default_image_bytes")
    assert answer["size"].tolist() == [[40, 64]]
    assert answer["confidence"][0] == pytest.approx(row["confidence"], abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "auto"), "`--data` must name files of your own for `auto`. Received: none."),
        (("train", "rc-tiny", "--invert"), "must name files of your own for `--invert`."),
        (("train", "rc-tiny", "--data", "nowhere"), "`nowhere` must be a file, a folder or a"),
        (("train", "rc-tiny", "--size", "axb"), "'axb' is no size such as 28, or 32x48"),
        (("train", "rc-tiny", "--num-groups", "1"), "'1' is neither an integer >= 2 nor auto."),
    ],
)
def test_bad_arguments(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = tfbind(*arguments)
    assert result.exit_code == 1 and message in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_table_of_unequal_kinds(tmp_path):
    """Columns in units of their own, kinds as frequent as 40 to 4 percent, K not told."""
    random = np.random.default_rng(5)
    truth = random.choice(6, 5000, p=(0.4, 0.25, 0.15, 0.1, 0.06, 0.04))
    rows = 2 * random.normal(size=(6, 8))[truth] + random.normal(size=(5000, 8))
    table = tmp_path / "rows.csv"
    units = random.uniform(0.1, 50, 8)
    np.savetxt(table, rows * units, delimiter=",", header=",".join("abcdefgh"), comments="")
    run = tmp_path / "run"
    result = tfbind("train", "auto", "--data", table, "--num-clusters", "auto", "--run", run)
    assert result.exit_code == 0, result.output
    assert "Looks for 6 clusters." in result.stderr
    found = [row["label"] for row in succeed_json("cluster", run, table)]
    assert metrics.clustering_accuracy(truth, found) > 0.9


@pytest.mark.slow
def test_short_texts(tmp_path):
    """Sentences of words that any text has, as frequent as in a language, and three of a topic."""
    random = np.random.default_rng(6)
    truth = random.integers(0, 5, 3000)
    common = np.array([f"common{i}" for i in range(3000)])
    frequent = 1 / np.arange(1, 3001)
    topics = np.array([[f"topic{k}word{i}" for i in range(40)] for k in range(5)])
    texts = [
        " ".join(
            [*random.choice(common, 12, p=frequent / frequent.sum()), *random.choice(words, 3)]
        )
        for words in topics[truth]
    ]
    file, run = tmp_path / "texts.txt", tmp_path / "run"
    file.write_text("\n".join(texts))
    result = tfbind("train", "auto", "--data", file, "--num-clusters", 5, "--run", run)
    assert result.exit_code == 0, result.output
    assert "3000 texts." in result.stderr
    found = [row["label"] for row in succeed_json("cluster", run, file)]
    assert metrics.clustering_accuracy(truth, found) > 0.9
    report = (run / "report.html").read_text("utf-8")
    assert "topic0word" in report and "from_text" in report


@pytest.mark.slow
def test_colour_photographs(tmp_path):
    """Photographs of five kinds, of different sizes and in different light, in one folder."""
    truth = np.repeat(range(5), 50)
    folder, run = tmp_path / "photos", tmp_path / "run"
    folder.mkdir()
    for i, (_, picture) in enumerate(photographs.photographs(8, 50)):
        picture.save(folder / f"{i:03}.jpg")
    smaller = ("--size", 32, "--set", "max_epochs=60")  # for the time of a test
    result = tfbind("train", "auto", "--data", folder, "--num-clusters", 5, *smaller, "--run", run)
    assert result.exit_code == 0, result.output
    assert "250 pictures, of different sizes, values from 0 to 1; colours." in result.stderr
    found = [row["label"] for row in succeed_json("cluster", run, folder)]
    assert metrics.clustering_accuracy(truth, found) > 0.9
