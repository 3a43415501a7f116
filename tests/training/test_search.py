"""The random search: its ranges, its order, and going on where it was."""

import pytest

from tfbind import training
from tfbind.training import presets
from tfbind.training import search as searching

TRIALS = 3

# keras-tuner 1.4 asks `threading` for names that are going.
pytestmark = pytest.mark.filterwarnings("ignore:(currentThread|getName).*:DeprecationWarning")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    base = presets.get("rc-tiny").changed(max_epochs=5)
    folders = tmp_path_factory.mktemp("search"), tmp_path_factory.mktemp("tfds")
    return base, folders, searching.search(base, folders[0], TRIALS, folders[1], seed=4)


def test_best_first_and_within_the_ranges_of_the_paper(found):
    base, _, trials = found
    scores = [score for _, score in trials]
    assert len(trials) == TRIALS
    assert scores == sorted(scores, reverse=True)
    for preset, _ in trials:
        rate, units, activation, noise = (preset.setting(x).value for x in searching.SETTINGS)
        assert searching.LEARNING_RATE[0] <= rate <= searching.LEARNING_RATE[1]
        assert noise in searching.NOISE
        assert units in searching.HIDDEN_UNITS
        assert activation in searching.ACTIVATIONS
        assert preset.task == base.task
        assert preset.setting("num_groups") == base.setting("num_groups")


def test_the_score_is_that_of_the_run_it_left(found):
    _, (directory, data_dir), trials = found
    preset, score = trials[0]
    runs = [training.Run(path.parent) for path in directory.glob("*/runs/*/metrics.json")]
    (run,) = (run for run in runs if run.preset == preset)
    found = training.evaluate(run, data_dir, num_starts=1, split="test")
    assert found["ami"] == pytest.approx(score)


def test_a_finished_search_is_not_done_again(found, monkeypatch):
    base, (directory, data_dir), trials = found
    monkeypatch.setattr(training.run, "train", None)
    assert searching.search(base, directory, TRIALS, data_dir, seed=4) == trials
