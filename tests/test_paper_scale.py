"""The kit trains, without TensorFlow, as `fit` does: batches, labels, weights, scores."""

import csv
import importlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

from tfbind import export, seeds, training
from tfbind.data import pipelines
from tfbind.models import PseudoLabelEnsemble, SelfLabeling
from tfbind.training.checkpoint import Checkpoint
from tfbind.training.preset import Preset

pytestmark = pytest.mark.stablehlo

ROOT = pathlib.Path(__file__).resolve().parents[1]
NAMES = ("kingdra-tiny", "sela-tiny", "samm-tiny", "tagger-tiny")
PYTHON = os.environ.get("TFBIND_JAX_PYTHON", sys.executable)  # of another version of JAX, say
WITHOUT_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None  # what raises ImportError
from benchmarks.paper_scale.__main__ import main
main(sys.argv[1:])
"""


def of_kit(module):
    return importlib.import_module(f"benchmarks.paper_scale.{module}")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Returns a kit that another process has trained, where TensorFlow cannot be imported."""
    kit = tmp_path_factory.mktemp("paper_scale") / "kit"
    of_kit("prepare").prepare(kit, NAMES)
    command = [PYTHON, "-c", WITHOUT_TENSORFLOW, "run", str(kit)]
    back = ["--results", str(kit / "back")]
    for more in (NAMES[:3], [NAMES[3], "--epochs", "5", *back]):
        subprocess.run([*command, *more, "--device", "cpu"], cwd=ROOT, check=True)
    return kit


@pytest.fixture(scope="module")
def restored(trained):
    of_kit("restore").restore(trained, trained / "back", trained / "runs")
    return trained / "runs"


def started(folder, run):
    """Begins a run of `tfbind train` with the first weights of a kit's; returns its preset."""
    kit = json.loads((folder.parent / "kit.json").read_text())
    preset = Preset.from_json(kit["preset"])
    model = preset.build((8, 8, 1))
    weights = dict(enumerate(of_kit("run").first_values(folder, kit)))
    if isinstance(model, (PseudoLabelEnsemble, SelfLabeling)):
        model.prepare_labels(len(weights[kit["labels"]][0]))
    for place, variable in enumerate(model.variables):
        variable.assign(weights[place])
    with training.Run(run).claimed(preset):
        checkpoint = Checkpoint(run, stopping=None)
        checkpoint.set_model(model)
        checkpoint.save(0)
    return preset


def noted_labels(kind, patched):
    """Returns a list that all labels which a kind of model gives itself will be put into."""
    labels, relabel = [], kind.relabel

    def noting(model, images):
        relabel(model, images)
        labels.append(model.row_labels.labels.numpy())

    patched.setattr(kind, "relabel", noting)
    return labels


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:For .* epochs only", "ignore:Members?", "ignore:The members")
@pytest.mark.parametrize("name", NAMES[:3])
def test_a_training_is_that_of_fit(name, trained, restored, tmp_path, monkeypatch):
    agreed = noted_labels(PseudoLabelEnsemble, monkeypatch)
    solved = noted_labels(SelfLabeling, monkeypatch)
    folder = trained / name / "1"
    preset = started(folder, tmp_path / "run")
    expected = training.train(preset, tmp_path / "run", verbose=0)
    mine = training.Run(restored / name / "1")
    for weight, other in zip(mine.load().weights, expected.weights, strict=True):
        np.testing.assert_allclose(weight.numpy(), other.numpy(), rtol=1e-3, atol=1e-3)
    losses = [
        [row["loss"] for row in run.history] for run in (mine, training.Run(tmp_path / "run"))
    ]
    assert len(losses[0]) == preset.max_epochs
    np.testing.assert_allclose(*losses, rtol=1e-4)
    with np.load(folder / "state.npz") as state:
        rounds = [state[key] for key in state.files if key.endswith("_labels")]
        kit = json.loads((folder.parent / "kit.json").read_text())
        if solved:
            np.testing.assert_array_equal(state[f"arr_{kit['labels']}"], solved[-1])
            assert len(solved) == preset.max_epochs
    assert len(rounds) == len(agreed)
    if agreed:
        assert len(mine.load().rounds) == len(expected.rounds)
        for one, other in zip(mine.load().rounds, expected.rounds, strict=True):
            assert one.keys() == other.keys()
            for key, value in one.items():
                np.testing.assert_allclose(value, other[key], rtol=1e-4, atol=1e-4)
    for found, labels in zip(rounds, agreed, strict=True):
        np.testing.assert_array_equal(found, labels[:-1])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES[:3])
def test_what_the_device_predicts_is_what_the_restored_model_does(name, trained, restored):
    run = training.Run(restored / name / "1")
    test = run.source().test()
    p = run.load().predict(test.image, batch_size=500, verbose=0)["probabilities"]
    with np.load(restored / name / "1" / "device.npz") as said:
        np.testing.assert_allclose(said["test/probabilities"], p, atol=2e-3)
    scores = training.evaluate(run)
    assert 0 < scores["error"] < 1


@pytest.mark.slow
def test_groups_are_predicted_and_scored(trained, restored, capsys):
    assert len(training.Run(restored / "tagger-tiny" / "1").history) == 5
    with np.load(restored / "tagger-tiny" / "1" / "device.npz") as said:
        groups = said["test/groups"]
    assert groups.dtype == np.uint8 and set(np.unique(groups)) == {0, 1}


@pytest.mark.slow
def test_the_programs_need_no_tensorflow_and_a_killed_run_goes_on(trained, tmp_path, monkeypatch):
    kit, killed, epochs = trained, tmp_path / "kit", iter("12345")
    shutil.copytree(kit, killed)
    folder = killed / "kingdra-tiny" / "1"
    for path in folder.glob("state.npz"):
        path.unlink()
    train = export.TrainStepRunner.train

    def killed_in_the_sixth(runner, *args):
        if next(epochs, None) is None:
            raise KeyboardInterrupt
        return train(runner, *args)

    run = of_kit("run").run
    with monkeypatch.context() as patched:
        patched.setattr(export.TrainStepRunner, "train", killed_in_the_sixth)
        with pytest.raises(KeyboardInterrupt):
            run(killed, ["kingdra-tiny"], device="cpu", save_interval=0.0)
    with np.load(folder / "state.npz") as state:
        assert len(json.loads(str(state["history"]))) == 5
    run(killed, ["kingdra-tiny"], device="cpu")
    with (
        np.load(folder / "state.npz") as resumed,
        np.load(kit / "kingdra-tiny" / "1" / "state.npz") as expected,
    ):
        assert set(resumed.files) == set(expected.files)
        numbers = [name for name in expected.files if expected[name].dtype.kind != "U"]
        for name in numbers:
            np.testing.assert_allclose(resumed[name], expected[name], atol=1e-3)


@pytest.mark.slow
def test_budget_and_failures_are_one_line_each(trained, tmp_path, capsys):
    kit = tmp_path / "kit"
    shutil.copytree(trained, kit)
    for path in kit.glob("*/1/state.npz"):
        path.unlink()
    (kit / "sela-tiny" / "train_step.mlirbc").write_bytes(b"nothing")
    run = of_kit("run").run
    run(kit, ["sela-tiny"], device="cpu")
    run(kit, ["kingdra-tiny"], device="cpu", minutes=0.0)
    failed, unstarted = capsys.readouterr().out.splitlines()
    assert failed.startswith("sela-tiny/1: failed: ")
    assert unstarted == "kingdra-tiny/1: no epoch of 10, there was no time"


def test_batches_are_those_of_the_pipelines():
    feed = of_kit("feed")
    for number in (0, 3, 2**31 - 1):
        assert list(feed.fold(number, 1, 7)) == seeds.fold(number, 1, 7).numpy().tolist()
    seed = seeds.fold(5, 1)
    drawn = feed.uniform(1003, seed.numpy())
    np.testing.assert_array_equal(drawn, seeds.uniform([1003], seed).numpy())
    rows = feed.round_and_round(10_000, 25_000, seed.numpy())
    np.testing.assert_array_equal(rows, pipelines._round_and_round(10_000, 25_000, seed).numpy())
    images, labels = np.arange(200, dtype="uint8")[:, None], np.arange(7)
    dataset, steps = pipelines.semi_supervised_epochs(images[:7], labels, images, 20, seed=3)
    streams = [["image", "label"], ["unlabeled_image"]]
    arrays = {"image": labels, "label": labels, "unlabeled_image": np.arange(200)}
    found = feed.Feed(images, arrays, streams, batch_size=20, steps=steps, seed=3)
    data = found.data()
    for number, batch in enumerate(dataset.take(2 * steps).as_numpy_iterator()):
        order = found.order(number // steps)
        for name, expected in batch.items():
            mine = data[name][order[name][number % steps]]
            np.testing.assert_array_equal(mine, expected)


def test_first_weights_are_of_the_distributions_of_keras():
    prepare, first_weights = of_kit("prepare"), of_kit("first_weights")
    shape = (200, 300)
    makers = [
        keras.initializers.GlorotUniform(1),
        keras.initializers.HeNormal(1),
        keras.initializers.RandomNormal(0.2, 0.01, seed=1),
        keras.initializers.Constant(0.7),
    ]
    with prepare._noted_draws() as draws:
        weights = [keras.Variable(maker, shape=shape, dtype="float32") for maker in makers]
    changed = keras.Variable(weights[0].numpy() + np.eye(*shape, dtype="float32"))
    recipes, values = prepare._recipes([*weights, changed], draws)
    assert [recipe and recipe[0][0] for recipe in recipes] == [
        *("uniform", "truncated_normal", "normal", "constant"),
        None,
    ]
    assert list(values) == ["4"]
    for place, (weight, recipe) in enumerate(zip(weights, recipes, strict=False)):
        mine = first_weights.draw(recipe, shape, "float32", (1, place))
        expected = weight.numpy()
        assert mine.shape == shape and mine.dtype == np.float32
        np.testing.assert_allclose(mine.mean(), expected.mean(), atol=2e-3)
        np.testing.assert_allclose(mine.std(), expected.std(), rtol=0.02, atol=1e-6)
        np.testing.assert_allclose(mine.max(), expected.max(), rtol=0.1)
        again = first_weights.draw(recipe, shape, "float32", (1, place))
        np.testing.assert_array_equal(mine, again)


def test_a_second_stage_starts_from_what_the_first_one_left(tmp_path):
    start_from = of_kit("run")._start_from
    stage_1 = tmp_path / "stage-1"
    (stage_1 / "7").mkdir(parents=True)
    values = [np.zeros(2), np.zeros((2, 3)), np.zeros(4)]
    names = {"kernel": 1, "bias": 2, "new": 0}
    with pytest.raises(ValueError, match="stage 1, stage-1/7, comes first"):
        start_from(stage_1, "7", names, values)
    (stage_1 / "kit.json").write_text(json.dumps({"names": {"kernel": 0, "bias": 1}}))
    np.savez(stage_1 / "7" / "state.npz", np.ones((2, 3)), np.ones(5))
    start_from(stage_1, "7", names, values)
    assert [value.sum() for value in values] == [0, 6, 0]  # a bias of another shape stays


@pytest.mark.slow
def test_results_come_in_small_files_the_small_things_first(trained, tmp_path, monkeypatch, capsys):
    results = of_kit("results")
    whole = sum(path.stat().st_size for path in (trained / "back").iterdir())
    monkeypatch.setattr(results, "PIECE", whole // 6)
    results.collect(trained, tmp_path / "back")
    sizes = [path.stat().st_size for path in (tmp_path / "back").iterdir()]
    assert max(sizes) <= whole // 6 and len(sizes) <= 4
    entries = results.read(tmp_path / "back")
    assert {f"{name}/1/history.csv" for name in NAMES} <= entries.keys()
    assert "left out" in capsys.readouterr().out
    header = next(csv.reader(entries["kingdra-tiny/1/history.csv"].decode().splitlines()))
    assert header[:2] == ["epoch", "loss"]
