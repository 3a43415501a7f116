"""Scores of features on examples whose scores are known."""

import importlib

import numpy as np
import pytest

from tfbind import training
from tfbind.training.tasks import Examples

LABELS = np.arange(200) % 4
MIDDLES = np.array([[8.0, 0.0], [0.0, 8.0], [-8.0, 0.0], [0.0, -8.0]])


class Known:
    """A model whose features are the images, and whose clusters are pairs of classes."""

    def predict(self, images, batch_size, verbose):
        pair = (images @ [1.0, 1.0] > 0).astype(int)
        return {"features": images, "probabilities": np.eye(4)[pair]}


@pytest.fixture
def module():
    return importlib.import_module("benchmarks.feature_scores")


def examples(seed):
    noise = np.random.default_rng(seed).standard_normal((200, 2))
    return Examples((MIDDLES[LABELS] + noise).astype("float32"), LABELS)


def test_scores_of_what_is_apart(module):
    found = module.scores(Known(), examples(0), examples(1))
    assert found["accuracy"] == found["majority"] == pytest.approx(0.5, abs=0.02)
    assert found["NMI"] == pytest.approx(2 / 3, abs=0.05)
    for name in ("kNN", "kNN, pixels", "linear probe", "k-means, features", "k-means, pixels"):
        assert found[name] > 0.99


def test_a_run_gives_one_row(module, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(module, "scores", lambda *args: {"accuracy": 0.5, "kNN": 0.97})

    class Run:
        def __init__(self, path):
            self.path = path

        def load(self):
            return Known()

        def source(self, data_dir):
            return self

        def training(self):
            return examples(0)

        test = training

    monkeypatch.setattr(training, "Run", Run)
    module.main([str(tmp_path / "mine"), "--examples", "10"])
    lines = capsys.readouterr().out.splitlines()
    expected = ["| run | accuracy | kNN |", "| --- | --- | --- |", "| mine | 0.5000 | 0.9700 |"]
    assert lines == expected
