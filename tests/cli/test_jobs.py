"""Batch jobs: the answers of `predict`, each once, whatever was interrupted; here and on Ray."""

import importlib.util
import json
import pathlib

import keras
import numpy as np
import PIL.Image
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

import tfbind
from tfbind import _jobs, _models, reading

from .calls import tfbind as call

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of vectors that was not trained, in a Keras file."""
    path = tmp_path_factory.mktemp("model") / "vectors.keras"
    keras.utils.set_random_seed(0)
    tfbind.SelfLabeling((5,), 3, num_heads=1, units=(8,), seed=0).save(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    np.save(folder / "a.npy", RANDOM.normal(size=(250, 5)).astype("float32"))
    np.save(folder / "b.npy", RANDOM.normal(size=(40, 5)).astype("float32"))
    return folder


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(_jobs, "_MOST", 100)


def answers(folder):
    """All rows of a finished job, in order."""
    return pa.concat_tables([parquet.read_table(path) for path in sorted(folder.glob("*.parquet"))])


def check_clusters(out, model, folder):
    found = answers(out)
    wanted = [
        keras.models.load_model(model).predict(np.load(x), verbose=0)["probabilities"]
        for x in (folder / "a.npy", folder / "b.npy")
    ]
    assert found["row"].to_pylist() == [*range(250), *range(40)]
    files = [pathlib.Path(x).name for x in found["file"].to_pylist()]
    assert files == ["a.npy"] * 250 + ["b.npy"] * 40
    np.testing.assert_array_equal(found["label"], np.concatenate(wanted).argmax(axis=-1))
    np.testing.assert_allclose(found["probability"], np.concatenate(wanted).max(axis=-1), rtol=1e-5)


def test_a_job_here(model, folder, tmp_path):
    out = tmp_path / "out"
    result = call("cluster", model, folder, "--out", out, "--runner", "local")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"Wrote {out}: 290 rows in 4 files.\n"
    check_clusters(out, model, folder)
    assert not list(out.glob(".partial*"))


def test_a_killed_job_does_what_is_missing(model, folder, tmp_path, monkeypatch):
    class Killed(BaseException):
        """Stands in for a signal."""

    answered = []

    def answer(self, part, whole=_jobs.Worker.answer):
        if len(answered) == 2:
            raise Killed
        answered.append(part.number)
        return whole(self, part)

    command = ["cluster", model, folder, "--out", tmp_path / "out", "--runner", "local"]
    with monkeypatch.context() as patch:
        patch.setattr(_jobs.Worker, "answer", answer)
        with pytest.raises(Killed):
            call(*command)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.parquet")}
    assert len(times) == 2
    result = call(*command, "--json")
    found = json.loads(result.stdout)
    assert (found["parts"], found["found"], found["rows"]) == (4, 2, 290)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    check_clusters(tmp_path / "out", model, folder)


def test_the_folder_of_another_job_is_refused(model, folder, tmp_path):
    command = ["cluster", model, folder / "b.npy", "--out", tmp_path / "out", "--runner", "local"]
    assert call(*command).exit_code == 0
    other = call("cluster", model, folder, "--out", tmp_path / "out", "--runner", "local")
    assert other.exit_code == 1 and "`--out` must be a new folder, or that of the" in other.stderr
    none = call("cluster", model, folder, "--runner", "local")
    assert "`--out` must name a folder for a batch job. Received: none." in none.stderr


def test_tables_by_their_row_groups(tmp_path):
    path = tmp_path / "rows.parquet"
    columns = {"x": RANDOM.normal(size=130), "kind": RANDOM.choice(["u", "v"], 130)}
    parquet.write_table(pa.table(columns), path, row_group_size=30)
    data = reading.read_data(path, reading.Wanted(()))
    model = tfbind.SelfLabeling((3,), 3, num_heads=1, units=(8,), seed=0)
    parts = _jobs.parts_of([path], model.event_shape)
    assert [part[2:] for part in parts] == [(0, 4), (4, 5)]
    job = _jobs.Job("cluster", path, {}, {}, None, tmp_path / "out", parts)
    done = _jobs.run(job, _models.Loaded(model, "", data.preparation, path), "local", iter)
    assert (done.parts, done.found, done.rows, done.left_out) == (2, 0, 130, [])
    assert answers(tmp_path / "out")["row"].to_pylist() == list(range(130))
    np.testing.assert_array_equal(answers(tmp_path / "out")["label"], model.cluster(data.array))


def test_a_column_of_texts_by_row_groups(tmp_path):
    """As the rows of the same texts in a CSV file, which is answered as a whole."""
    texts = [" ".join(RANDOM.choice([f"word{i}" for i in range(50)], 4)) for _ in range(250)]
    whole, parted = tmp_path / "texts.csv", tmp_path / "texts.parquet"
    csv.write_csv(pa.table({"said": texts}), whole)
    parquet.write_table(pa.table({"said": texts}), parted, row_group_size=60)
    data = reading.read_data(whole, None)
    model = tfbind.SelfLabeling(data.array.shape[1:], 3, num_heads=1, units=(8,), seed=0)
    loaded = _models.Loaded(model, "", data.preparation, whole)
    parts = _jobs.parts_of([whole, parted], model.event_shape)
    job = _jobs.Job("cluster", whole, {}, {}, None, tmp_path / "out", parts)
    done = _jobs.run(job, loaded, "local", iter)
    assert (done.rows, done.left_out) == (500, []) and done.parts > 2
    assert answers(tmp_path / "out")["row"].to_pylist() == 2 * list(range(250))
    expected = model.cluster(data.array)
    np.testing.assert_array_equal(answers(tmp_path / "out")["label"], [*expected, *expected])


def test_groups_of_pictures(tmp_path):
    (tmp_path / "pictures").mkdir()
    for i in range(5):
        pixels = 255 * (RANDOM.random((8, 8)) < 0.4).astype("uint8")
        PIL.Image.fromarray(pixels).save(tmp_path / "pictures" / f"p{i}.png")
    (tmp_path / "pictures" / "damaged.png").write_text("nothing")
    out = tmp_path / "out"
    run = "rc-simple-superposition"
    result = call("group", run, tmp_path / "pictures", "--out", out, "--runner", "local")
    assert result.exit_code == 1 and "1 file was left out: " in result.stderr
    found, loaded = answers(out), _models.load(pathlib.Path(run))
    images = np.stack(
        [
            loaded.preparation.apply(loaded.preparation.read(file).frames[0])
            for file in found["file"].to_pylist()
        ]
    )
    outputs = loaded.model.predict(images, verbose=0)
    np.testing.assert_allclose(found["log_likelihood"], outputs["log_likelihood"], rtol=1e-4)
    groups = np.array(found["groups"].to_pylist()).reshape(5, 8, 8)
    np.testing.assert_array_equal(groups > 0, images[..., 0] > 0)
    lit = groups > 0
    np.testing.assert_array_equal(groups[lit], 1 + outputs["assignments"].argmax(axis=1)[lit])


@pytest.mark.long
@pytest.mark.filterwarnings("default")  # Ray 2.60 has deprecated what it uses itself
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_a_job_on_ray(model, folder, tmp_path):
    import ray

    out = tmp_path / "out"
    try:
        result = call("cluster", model, folder, "--out", out, "--runner", "ray")
        assert result.exit_code == 0, result.output
        check_clusters(out, model, folder)
        (out / "part-00001.parquet").unlink()
        again = call("cluster", model, folder, "--out", out, "--runner", "ray")
        assert "290 rows in 4 files, 3 of which were there" in again.stdout
        check_clusters(out, model, folder)
    finally:
        ray.shutdown()


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_ray_that_is_not_there(model, folder, tmp_path):
    result = call("cluster", model, folder, "--out", tmp_path / "out", "--runner", "ray")
    assert "needs Ray Data; install it with pip install 'tfbind[ray]'" in result.stderr
