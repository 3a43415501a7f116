"""Under a strategy a model ends at the weights that one process with the whole batch reaches."""

import inspect
import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from benchmarks.bench_workers import free_addresses

from .distributed import ENTRIES

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Those that take a few seconds; to trace a step of a large model twice takes a quarter of a minute
_FIRST = ["DenoisingAutoencoder", "ReconstructionClustering", "SelfLabeling"]
_OTHERS = [entry.name for entry in ENTRIES if entry.name not in _FIRST]


def start(folder, strategies, names, **environment):
    """Starts a process of `distributed.py`."""
    command = [sys.executable, "-m", "tests.conformance.distributed", folder, strategies, *names]
    environment = {**os.environ, **environment, "TF_NUM_INTRAOP_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=environment)


def start_workers(folders, names):
    """Starts two workers, each of which writes to a folder of its own."""
    cluster = {"worker": free_addresses(2)}
    for index, folder in enumerate(folders):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        yield start(folder, "workers", names, TF_CONFIG=json.dumps(task))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What one process left that trained some models both ways."""
    folder = tmp_path_factory.mktemp("distributed")
    assert start(folder, "none,mirrored,refusals", _FIRST).wait() == 0
    return folder


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    folder = tmp_path_factory.mktemp("others")
    assert start(folder, "none,mirrored", _OTHERS).wait() == 0
    return folder


@pytest.fixture(scope="module")
def workers(tmp_path_factory, folder, others):
    """What two workers left, each in a folder of its own."""
    folders = [tmp_path_factory.mktemp(f"worker-{index}") for index in range(2)]
    processes = list(start_workers(folders, [*_FIRST, *_OTHERS]))
    assert [process.wait() for process in processes] == [0, 0]
    return folders


def check_alike(one, other):
    """Checks the files of two trainings: weights, logs, scores and answers."""
    with np.load(one) as expected, np.load(other) as found:
        assert set(expected.files) == set(found.files)
        for name in expected.files:
            np.testing.assert_allclose(
                found[name], expected[name], rtol=1e-4, atol=1e-4, err_msg=name
            )


@pytest.mark.parametrize("name", _FIRST)
def test_two_replicas_train_as_one(name, folder):
    check_alike(folder / f"{name}-none.npz", folder / f"{name}-mirrored.npz")


@pytest.mark.long
@pytest.mark.parametrize("name", _OTHERS)
def test_two_replicas_train_other_models_as_one(name, others):
    check_alike(others / f"{name}-none.npz", others / f"{name}-mirrored.npz")


@pytest.mark.long
@pytest.mark.parametrize("name", [*_FIRST, *_OTHERS])
def test_two_workers_train_as_one(name, folder, others, workers):
    where = folder if name in _FIRST else others
    for worker in workers:
        check_alike(where / f"{name}-none.npz", worker / f"{name}-workers.npz")


def refusals(folder):
    return json.loads((folder / "refusals.json").read_text())


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("made outside", "The model must be made inside the scope of the strategy"),
        ("optimizer outside", "`optimizer` must be made inside the scope"),
        ("clipping", "`global_clipnorm` of an optimizer must be None"),
        ("accumulating", "`gradient_accumulation_steps` of an optimizer must be None"),
        ("half", "`dtype` must not be 'mixed_float16' under a strategy of several replicas"),
        ("steps", "`steps_per_execution` must be 1"),
        ("xla", "`jit_compile` must be False or 'auto'"),
        ("fit", "A batch must divide evenly among the 2 replicas of the strategy. Received: one"),
        ("rest", "must divide evenly among the 2 replicas of the strategy. Received: one of 3"),
        ("dataset", "must divide evenly among the 2 replicas of the strategy. Received: one of 5"),
        ("unknown", "must divide evenly among the 2 replicas of the strategy. Received: one of 1"),
        ("one batch", "`train_on_batch` must not be called under a strategy of several replicas"),
        ("generator", "`x` must be arrays or a tf.data.Dataset under a strategy. Received"),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(case, message, folder):
    assert message in refusals(folder)[case]


def test_noise_differs_on_every_replica(folder):
    (one, other), (dropped, dropped_there) = refusals(folder)["noise"]
    assert one != other
    assert dropped != dropped_there


def test_keras_still_has_what_is_changed_in_it():
    trainer = inspect.getmodule(keras.Model._make_function)
    source = inspect.getsource(trainer)
    assert "self.train_function = self._make_function(self.train_step)" in source
    assert "self.test_function = self._make_function(self.test_step)" in source
    assert "self._maybe_symbolic_build(iterator=epoch_iterator)" in source
    assert "logs = self.train_function(iterator)" in source
