"""Runs side by side: the same as one by one, resumed when killed, compared without labels."""

import csv
import os
import pickle

import numpy as np
import pytest

from tfbind import training
from tfbind.training import Run, presets, processes, run, several

PRESET = presets.get("sela-tiny").changed(max_epochs=3)
STARTS = PRESET.changed(starts=3, seed=5)
SEEDS = (5, 1005, 2005)


class Killed(BaseException):
    """Stands in for a signal: nothing in the library may catch it."""


def assert_same_weights(one, other):
    for mine, its in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(mine.numpy(), its.numpy(), err_msg=mine.path)


@pytest.fixture(scope="module")
def straight(tmp_path_factory, data_dir):
    folder = tmp_path_factory.mktemp("starts") / "run"
    training.train(STARTS, folder, data_dir, verbose=0)
    return folder


def test_the_run_is_that_of_the_best_start(straight, data_dir):
    notes, images = Run(straight).metrics, STARTS.task.load("train", data_dir).image
    starts = {seed: Run(straight / "starts" / f"seed-{seed}") for seed in SEEDS}
    scores = {seed: each.load().unsupervised_score(images) for seed, each in starts.items()}
    assert list(notes["unsupervised_scores"]) == [f"seed {seed}" for seed in SEEDS]
    np.testing.assert_allclose(
        list(notes["unsupervised_scores"].values()), list(scores.values()), rtol=1e-5
    )
    best = max(scores, key=scores.get)
    assert notes["chosen_seed"] == best
    assert_same_weights(Run(straight).load(), starts[best].load())
    assert Run(straight).history == starts[best].history
    assert notes["seconds"] == pytest.approx(sum(x.metrics["seconds"] for x in starts.values()))
    assert Run(straight).preset == STARTS
    assert starts[1005].preset == PRESET.changed(seed=1005)


def test_a_finished_run_is_not_done_again(straight, data_dir, monkeypatch):
    monkeypatch.setattr(run, "_train_start", None)
    assert_same_weights(training.train(STARTS, straight, data_dir, verbose=0), Run(straight).load())


@pytest.mark.slow
def test_a_kill_in_the_second_start_changes_nothing(straight, data_dir, tmp_path, monkeypatch):
    class Kill(run.Checkpoint):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2 and "seed-1005" in str(self.directory):
                raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(run, "Checkpoint", Kill)
        training.train(STARTS, tmp_path / "run", data_dir, checkpoint_interval=0.0, verbose=0)
    assert not Run(tmp_path / "run").is_finished
    assert_same_weights(
        training.train(STARTS, tmp_path / "run", data_dir, verbose=0), Run(straight).load()
    )


def test_images_of_the_caller_and_a_merged_start(tmp_path, monkeypatch):
    scores = {5: 2.06, 1005: 2.17, 2005: float("nan")}
    monkeypatch.setattr(run, "_train_start", lambda preset, *rest: scores[preset.seed])
    monkeypatch.setattr(Run, "metrics", {"seconds": 1.0})
    adopted = []
    monkeypatch.setattr(Run, "adopt", lambda self, start, notes: adopted.append(notes))
    monkeypatch.setattr(Run, "load", lambda self: None)
    images = np.random.default_rng(0).random((40, 8, 8, 1)).astype("float32")
    training.train(STARTS, tmp_path / "run", images=images, verbose=0)
    assert adopted[0]["chosen_seed"] == 1005


@pytest.mark.slow
def test_seeds_side_by_side_are_those_one_by_one(tmp_path, data_dir):
    alone = training.train_seeds(PRESET, tmp_path / "one", (1, 2), data_dir, verbose=0)
    beside = training.train_seeds(
        PRESET, tmp_path / "two", (1, 2), data_dir, processes=2, verbose=0
    )
    assert list(alone) == list(beside) == [1, 2]
    for seed, scores in alone.items():
        assert beside[seed]["num_images"] == scores["num_images"]
        folder = tmp_path / "two" / f"seed-{seed}"
        assert Run(folder).metrics["test"] == beside[seed]
        assert Run(folder).preset == PRESET.changed(seed=seed)
        # One thread adds up in another order than several
        losses = [
            [row["loss"] for row in Run(x / f"seed-{seed}").history] for x in folders(tmp_path)
        ]
        np.testing.assert_allclose(*losses, rtol=1e-2)
    with (tmp_path / "two" / "seeds.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["seed"]) for row in rows] == [1, 2]
    assert [float(row["error"]) for row in rows] == [beside[seed]["error"] for seed in (1, 2)]


def folders(path):
    return path / "one", path / "two"


def test_mean_and_spread():
    found = several.mean_and_spread({1: {"error": 0.1}, 2: {"error": 0.2}, 7: {"error": 0.6}})
    np.testing.assert_allclose(found["error"], (0.3, np.sqrt(0.07)))
    assert several.mean_and_spread({1: {"error": 0.1}}) == {"error": (0.1, 0.0)}


def test_the_number_of_clusters_of_a_preset(tmp_path, data_dir, monkeypatch):
    halves = np.arange(40) % 2

    class Model:
        def __init__(self, preset):
            self.preset = preset

        def cluster(self, images, batch_size):
            k, seed = self.preset.setting("num_clusters").value, self.preset.seed
            return halves if k == 2 else np.random.default_rng(seed).integers(0, k, len(images))

    made = []

    def train(preset, folder, data_dir, data, verbose):
        made.append(folder)
        return Model(preset)

    monkeypatch.setattr(several, "train", train)
    images = np.zeros((40, 8, 8, 1), "float32")
    found = training.select_preset_clusters(
        PRESET, tmp_path, (2, 3, 4), data_dir, images=images, trainings=2
    )
    assert (found.candidates, found.best, found.agreements[0]) == ((2, 3, 4), 2, 1.0)
    expected = [f"clusters-{k}/seed-{seed}" for k in (2, 3, 4) for seed in (1, 2)]
    assert [str(folder.relative_to(tmp_path)) for folder in made] == expected


# What runs in other processes, which know the functions of Python's own modules.

IMPORTED = "(__import__('os').getpid(), __import__('tensorflow').config.threading"


@pytest.mark.slow
def test_results_come_in_the_order_of_the_jobs_from_processes_on_one_core():
    threads = f"{IMPORTED}.get_intra_op_parallelism_threads())"
    found = processes.side_by_side(eval, [(f"({n}, *{threads})",) for n in range(3)], 2)
    assert [number for number, *_ in found] == [0, 1, 2]
    assert os.getpid() not in {process for _, process, _ in found}
    assert [threads for *_, threads in found] == [1, 1, 1]
    assert processes.side_by_side(os.getpid, [()], 2) == [os.getpid()]


@pytest.mark.slow
def test_an_error_comes_through():
    with pytest.raises(ZeroDivisionError):
        processes.side_by_side(divmod, [(1, 1), (1, 0)], 2)


@pytest.mark.slow
def test_a_process_that_is_killed_is_not_waited_for():
    with pytest.raises(ValueError, match="`processes` must be no more than the memory has room"):
        processes.side_by_side(os._exit, [(3,), (3,)], 2)


def test_presets_go_to_other_processes():
    for name in presets.names():
        preset = presets.get(name)
        assert pickle.loads(pickle.dumps(preset)) == preset


def test_what_is_refused(tmp_path, data_dir):
    for seeds in ((), (1, 1)):
        with pytest.raises(ValueError, match="`seeds` must be different integers, one or more"):
            training.train_seeds(PRESET, tmp_path, seeds, data_dir)
    with pytest.raises(ValueError, match=r"`processes` must be an integer >= 1\."):
        training.train_seeds(PRESET, tmp_path, (1,), data_dir, processes=0)
    with pytest.raises(ValueError, match=r"`starts` must be an integer >= 1\."):
        PRESET.changed(starts=0)
    tagger = presets.get("rc-tiny")
    with pytest.raises(ValueError, match="`preset` must be one of a model with `num_clusters`"):
        training.select_preset_clusters(tagger, tmp_path, (2, 3), data_dir)
