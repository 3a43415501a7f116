"""Several trainings from the command line: starts, seeds, numbers of clusters."""

import json
import types

import numpy as np
import pytest

from tfbind import training
from tfbind.training import several

from .calls import fail, succeed

SETTINGS = ("--set", "max_epochs=1", "--processes", 1)


@pytest.fixture(scope="module")
def run(tmp_path_factory, data_dir):
    """The folder of a run of two starts, and what was printed."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    told = succeed(
        *("train", "sela-tiny", "--run", folder, "--data-dir", data_dir, "--starts", 2), *SETTINGS
    )
    return folder, told


def test_starts_are_told_and_noted(run):
    folder, told = run
    notes = training.Run(folder).metrics
    header, *rows = told.splitlines()[:3]
    assert header.split() == ["start", "score", "without", "labels"]
    assert [row.split()[:2] for row in rows] == [["seed", "1"], ["seed", "1001"]]
    (chosen,) = (row for row in rows if row.endswith("chosen"))
    assert chosen.split()[1] == str(notes["chosen_seed"])
    assert (folder / "clusters.png").exists()
    assert training.Run(folder).preset.starts == 2


@pytest.mark.slow
def test_seeds_are_compared(tmp_path, data_dir):
    arguments = ("train", "sela-tiny", "--run", tmp_path / "runs", "--data-dir", data_dir)
    arguments = (*arguments, "--seeds", "1,2", *SETTINGS)
    lines = succeed(*arguments).splitlines()
    assert lines[0].split() == ["score", "mean", "spread", "seed", "1", "seed", "2"]
    assert lines[-1] == f"Wrote {tmp_path / 'runs'}, with seeds.csv."
    again = json.loads(succeed(*arguments, "--json"))
    errors = [again["seeds"][seed]["error"] for seed in ("1", "2")]
    assert again["mean"]["error"] == pytest.approx(sum(errors) / 2)
    assert again["spread"]["error"] == pytest.approx(abs(errors[0] - errors[1]) / 2**0.5)
    assert training.Run(tmp_path / "runs" / "seed-2").preset.seed == 2


def test_select_counts_clusters(run, data_dir, monkeypatch):
    folder, _ = run
    trained = []

    def train(preset, folder, data_dir, data, verbose):
        size, seed = preset.setting("num_clusters").value, preset.seed
        trained.append((size, seed, str(folder)))

        def cluster(images, batch_size):
            shift = seed * (size > 3)  # with more than three, trainings disagree
            return (np.arange(len(images)) // (1 + shift)) % size

        return types.SimpleNamespace(cluster=cluster)

    monkeypatch.setattr(several, "train", train)
    options = ("--max", 4, "--trainings", 2, "--data-dir", data_dir, "--processes", 1)
    found = json.loads(succeed("select", folder, *options, "--json"))
    assert (found["candidates"], found["best"]) == ([2, 3, 4], 3)
    assert found["agreements"][:2] == [1.0, 1.0] and found["agreements"][2] < 0.5
    assert (folder / "num_clusters.png").exists()
    assert trained[-1] == (4, 2, str(folder / "select" / "clusters-4" / "seed-2"))
    text = succeed("select", folder, *options).splitlines()
    assert text[0].split() == ["K", "agreement", "of", "trainings"]
    assert text[2].split() == ["3", "1.000", "best"]


def test_what_is_refused(run, data_dir):
    folder, _ = run
    options = ("--data-dir", data_dir)
    train = ("train", "sela-tiny", *options)
    assert "`starts` must be an integer >= 1." in fail(*train, "--starts", 0)
    assert "`--seeds` must be integers with commas" in fail(*train, "--seeds", "1,x")
    assert "`seeds` must be different integers" in fail(*train, "--seeds", "1,1")
    assert "`processes` must be an integer >= 1." in fail(
        *train, "--seeds", "1,2", "--processes", 0
    )
    assert "`candidates` must hold two numbers" in fail("select", folder, "--max", 2, *options)
    assert "`trainings` must be an integer >= 2." in fail(
        "select", folder, "--trainings", 1, *options
    )
