"""Two processes that train one preset together, over gRPC on this machine."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.bench_workers import free_addresses
from tfbind import training
from tfbind.training import workers

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
_TOLD_WITHIN = 90  # seconds after a worker was lost, on a busy machine


# The command line, with a checkpoint after every epoch
_COMMAND = """
from tfbind import cli, training
training.train.__kwdefaults__["checkpoint_interval"] = 0.0
cli.main()
"""


def start(run, addresses, index, *options, preset="rc-tiny"):
    """Starts a worker by the command line."""
    command = [sys.executable, "-c", _COMMAND, "train", preset, "--run", str(run), *options]
    command += ["--workers", addresses, "--index", str(index)]
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def train_together(run, *options, **settings):
    """Trains to the end with two workers; returns what the second one said."""
    addresses = ",".join(free_addresses(2))
    second = start(run.parent / "unused", addresses, 1, *options, **settings)
    first = start(run, addresses, 0, *options, **settings)
    said = [process.communicate(timeout=900)[1] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], said
    return said[1]


def weights_of(run):
    return training.Run(run).load().get_weights()


@pytest.mark.parametrize(
    ("addresses", "index", "message"),
    [
        (["a:1"], 0, "`workers` must be two different addresses HOST:PORT or more"),
        (["a:1", "a:1"], 0, "`workers` must be two different addresses HOST:PORT or more"),
        (["a:1", "b"], 0, "`workers` must be two different addresses HOST:PORT or more"),
        (["a:1", "b:1"], None, "`index` must be an integer from 0 to 1"),
        (["a:1", "b:1"], 2, "`index` must be an integer from 0 to 1"),
    ],
)
def test_who_the_workers_are_is_checked(addresses, index, message):
    with pytest.raises(ValueError, match=message):
        workers.check_addresses(addresses, index)


def test_an_index_is_one_of_workers(tmp_path):
    with pytest.raises(ValueError, match="`index` must be given with `workers`"):
        training.train(training.presets.get("rc-tiny"), tmp_path / "run", index=0)


def test_a_training_begins_with_its_workers(tmp_path):
    tf.zeros(1)  # TensorFlow is at work
    preset = training.presets.get("rc-tiny")
    with pytest.raises(ValueError, match="must be named before anything else"):
        training.train(preset, tmp_path / "run", workers=["localhost:1", "localhost:2"], index=0)


def test_the_files_of_a_run_travel(tmp_path):
    run = tmp_path / "run"
    (run / "checkpoint-00001").mkdir(parents=True)
    (run / "checkpoint-00001" / "state.json").write_text("{}")
    (run / "checkpoint-00002.partial").mkdir()
    (run / "checkpoint-00002.partial" / "state.json").write_text("{")
    (run / ".lock").touch()
    workers._unpack(workers._packed(run), tmp_path / "copy")
    copied = [str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*")]
    assert sorted(copied) == ["checkpoint-00001", "checkpoint-00001/state.json"]
    assert workers._packed(tmp_path / "none")


@pytest.mark.long
@pytest.mark.parametrize("preset", ["rc-tiny", "sela-tiny", "kingdra-tiny"])
def test_the_second_worker_writes_nothing(preset, tmp_path):
    run = tmp_path / "run"
    said = train_together(run, "--set", "max_epochs=6", preset=preset)
    assert "Worker 1 is done" in said
    assert training.Run(run).is_finished
    assert not (tmp_path / "unused").exists()
    before = weights_of(run)
    train_together(run, "--set", "max_epochs=6", preset=preset)  # nothing is left to do
    for one, other in zip(before, weights_of(run), strict=True):
        np.testing.assert_array_equal(one, other)


def wait_for(path, processes, seconds=600):
    """Waits until a file is there; fails if a process ends before."""
    end = time.monotonic() + seconds
    while not path.exists():
        ended = [process.communicate() for process in processes if process.poll() is not None]
        assert not ended, ended
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.long
@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_worker_stops_the_other_and_both_go_on(lost, tmp_path):
    options = ("--set", "max_epochs=12", "--set", "patience=None")
    whole, run = tmp_path / "whole", tmp_path / "run"
    train_together(whole, *options)
    addresses = ",".join(free_addresses(2))
    processes = [start(run, addresses, index, *options) for index in range(2)]
    wait_for(run / "checkpoint-00002", processes)
    os.kill(processes[lost].pid, signal.SIGKILL)
    processes[lost].communicate()
    began = time.monotonic()
    _, said = processes[1 - lost].communicate(timeout=_TOLD_WITHIN)
    assert time.monotonic() - began < _TOLD_WITHIN
    assert processes[1 - lost].returncode != 0
    assert "`workers` must all be at work until the end" in said
    assert not training.Run(run).is_finished
    train_together(run, *options)
    for one, other in zip(weights_of(whole), weights_of(run), strict=True):
        np.testing.assert_array_equal(one, other)
