"""The page of each kind of run: whole, true, safe, and fit for a phone."""

import json
import pathlib
import re
import shlex
import shutil
import subprocess

import numpy as np
import pytest

from tfbind import data, export, reading, reporting, serving, training
from tfbind.reporting import groups

from .conftest import COLUMN, finished
from .pages import assert_self_contained, read

KINDS = (
    *("rows_run", "groups_run"),
    *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("pictures_run", "classes_run")),
)


def words(page, name):
    return " ".join(page.texts[name].split())


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_whole_and_needs_nothing_else(kind, request, data_dir):
    run = request.getfixturevalue(kind)
    path = reporting.report(run, data_dir=data_dir)
    assert path == run.path / "report.html" and path.stat().st_size < 3_000_000
    page = read(path)
    assert_self_contained(page)
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in page.attributes("href")} <= set(ids)
    assert not list(run.path.glob(".partial*"))


def test_sizes_and_neighbours_are_those_of_the_model(rows_run):
    own = reading.read_data(rows_run.given["data"], None, preparation=rows_run.preparation)
    model = rows_run.load()
    found, probabilities = model.cluster(own.array), model.probabilities(own.array)
    page = read(reporting.report(rows_run))
    for k in range(3):
        told = words(page, f"c{k}")
        size = int((found == k).sum())
        assert f"Cluster {k} {size} example" in told
        if size == 0:
            continue
        means = probabilities[found == k].mean(axis=0)
        nearest = max((j for j in range(3) if j != k), key=lambda j: means[j])
        assert f"Nearest: cluster {nearest}," in told
    assert "60 rows of 3 columns." in words(page, "data")
    assert "60 examples, all of the data" in words(page, "data")


def test_names_of_columns_are_text(rows_run, table):
    page = read(reporting.report(rows_run))
    scripts = [attrs for tag, attrs in page.tags if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "map-data"}, {}]
    assert COLUMN in page.texts["data"] and COLUMN in page.texts["found"]
    assert "a<b" in page.texts["found"]
    first = reading.read_table(table)[COLUMN][0].as_py()  # in the units of the file
    assert f"{COLUMN}: {first:,.0f}" in page.texts["map-data"].encode().decode("unicode_escape")


def test_best_and_worst_are_in_order(groups_run, data_dir):
    images, truth = data.load("simple_superposition", "test", data_dir)
    found = groups_run.load().predict(images, verbose=0)["assignments"]
    scores = np.sort(groups.agreements(truth, found))
    page = read(reporting.report(groups_run, data_dir=data_dir))
    shown = [float(x) for x in re.findall(r"AMI (-?[\d.]+),", page.texts["found"])]
    np.testing.assert_allclose(shown[:8], scores[::-1][:8], atol=0.0051)
    np.testing.assert_allclose(shown[8:], scores[:8], atol=0.0051)
    assert "Best by AMI" in page.texts["found"] and "Worst by AMI" in page.texts["found"]


def test_without_truth_the_order_is_of_confidence(tmp_path):
    images = (np.random.default_rng(1).random((20, 8, 8)) > 0.6).astype("float32")
    np.save(tmp_path / "x.npy", images)
    preset = training.presets.get("rc-tiny")
    own = training.own_data(preset, tmp_path / "x.npy")
    run = finished(tmp_path / "run", preset, own)
    confidence = np.sort(run.load().predict(own.array, verbose=0)["confidence"])[::-1]
    page = read(reporting.report(run))
    shown = [float(x) for x in re.findall(r"\bconfidence ([\d.]+)\n", page.texts["found"])]
    np.testing.assert_allclose(shown, [*confidence[:8], *confidence[::-1][:8]], atol=0.0051)
    assert "Best by confidence" in page.texts["found"]
    assert "no true groups are known" in words(page, "scores")


def test_a_failed_result_looks_like_one(rows_run, table, tmp_path):
    assert "Nothing suspicious was found" in reporting.report(rows_run).read_text()
    sentence = "Only 1 of 3 clusters are used: <kinds> have been merged."
    own = training.own_data(rows_run.preset, table)
    diagnosis = [{"name": "unused clusters", "sentence": sentence}]
    page = read(
        reporting.report(finished(tmp_path / "x", rows_run.preset, own, diagnosis=diagnosis))
    )
    assert ("div", {"class": "banner bad", "role": "alert"}) in page.tags
    text = (tmp_path / "x" / "report.html").read_text()
    assert "Do not rely on this result" in text and "&lt;kinds&gt; have been merged." in text
    assert "Nothing suspicious" not in text


def test_an_untrained_model_fails_by_the_truth(groups_run, data_dir):
    text = reporting.report(groups_run, data_dir=data_dir).read_text()
    assert "The groups are not the true ones (AMI " in text
    assert "Nothing suspicious" not in text


def test_scores_stand_beside_the_paper(groups_run, data_dir):
    assert "not scored yet" in reporting.report(groups_run, data_dir=data_dir).read_text()
    groups_run.note_scores({"ami": 0.25, "num_images": 120})
    page = read(reporting.report(groups_run, data_dir=data_dir))
    assert "ami0.2500" in words(page, "scores").replace(" ", "")


def test_data_that_is_gone_is_said(rows_run, table):
    table.unlink()
    page = read(reporting.report(rows_run))
    text = (rows_run.path / "report.html").read_text()
    assert "The data is not there any more" in text and str(table) in text
    assert "found" not in page.texts and "map" not in page.texts
    assert "loss 3 → 1" in words(page, "training")


def test_the_command_says_what_it_wrote(rows_run, tmp_path, tfbind):
    out = tmp_path / "new" / "page.html"
    told = tfbind("report", rows_run.path, "--out", out).stdout
    assert re.fullmatch(rf"Wrote {out}, 0\.\d MB, in \d+ s\.\n", told)
    result = json.loads(tfbind("report", rows_run.path, "--json").stdout)
    assert result["report"] == str(rows_run.path / "report.html")


def test_errors_are_one_sentence(tmp_path, rows_run, tfbind):
    (rows_run.path / "metrics.json").unlink()
    for run, message in (
        (tmp_path / "none", "must be a run folder made by `tfbind train`"),
        (rows_run.path, "must be a finished run folder"),
    ):
        result = tfbind("report", run)
        (line,) = result.stderr.splitlines()
        assert (result.exit_code, result.stdout) == (1, "") and message in line


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_says_of_use_is_true(
    kind, request, data_dir, capsys, monkeypatch, tmp_path, tfbind
):
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    run = request.getfixturevalue(kind)
    page = read(reporting.report(run))
    code = page.texts["use-python"]
    capsys.readouterr()
    exec(code, {})
    assert capsys.readouterr().out.strip()
    verb, *arguments = shlex.split(page.texts["use-command"])[1:]
    picture = tmp_path / "YOUR.png"
    if "YOUR.png" in arguments:
        import PIL.Image

        PIL.Image.fromarray(np.eye(9, dtype="uint8") * 255).save(picture)
    monkeypatch.chdir(tmp_path)
    result = tfbind(verb, *arguments)
    assert result.exit_code == 0, result.output
    assert (tmp_path / ("groups" if kind == "groups_run" else "labels.csv")).exists()


@pytest.mark.serving
@pytest.mark.parametrize("kind", ["rows_run", "pictures_run"])
def test_what_it_says_of_curl_is_true(kind, request, tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("no curl on the PATH")
    run = request.getfixturevalue(kind)
    page = read(reporting.report(run))
    assert page.texts["use-serve"] == f"tfbind serve {shlex.quote(str(run.path))}"
    served = tmp_path / "served" / run.preset.name
    export.export_saved_model(run.load(), served, preparation=run.preparation)
    with serving.ReferenceServer(served) as server:
        command = page.texts["use-curl"].replace("http://localhost:8501", server.url)
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert '"probabilities"' in done.stdout, done.stdout


def widths(chromium, path, width, folder):
    """Returns how wide a page is in a window of `width` pixels, by Chromium."""
    # In a frame, since a window of Chromium is never narrower than 500 pixels.
    quoted = path.read_text("utf-8").replace("&", "&amp;").replace('"', "&quot;")
    frame = folder / "frame.html"
    frame.write_text(
        f'<!doctype html><meta charset="utf-8"><title>?</title><iframe style="width:{width}px;'
        f'height:844px;border:0" srcdoc="{quoted}" onload="document.title = '
        "'width ' + contentDocument.documentElement.scrollWidth + ', names ' + "
        "(contentDocument.getElementById('map-name') || {textContent: '-'}).textContent"
        '"></iframe>',
        "utf-8",
    )
    options = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={folder / 'user'}",
    )
    command = [chromium, *options, "--dump-dom", frame.as_uri()]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return re.search(r"<title>(.*?)</title>", found.stdout)[1]


@pytest.mark.browser
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_wider_than_a_phone(kind, request, data_dir, tmp_path, chromium):
    path = reporting.report(request.getfixturevalue(kind), data_dir=data_dir)
    told = widths(chromium, pathlib.Path(path), 390, tmp_path)
    assert told.startswith("width 390, names ")
    if kind == "rows_run":
        assert re.search(r"names row \d+$", told)  # the map's own script has run
