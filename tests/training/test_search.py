"""The random search: its ranges, its order, and going on where it was."""

import dataclasses

import pytest

from tfbind import data, training
from tfbind.training import presets
from tfbind.training import search as searching

TRIALS = 3

# keras-tuner 1.4 asks `threading` for names that are going.
pytestmark = pytest.mark.filterwarnings("ignore:(currentThread|getName).*:DeprecationWarning")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    base = dataclasses.replace(presets.get("rc-tiny"), max_epochs=5)
    folders = tmp_path_factory.mktemp("search"), tmp_path_factory.mktemp("tfds")
    return base, folders, searching.search(base, folders[0], TRIALS, folders[1], seed=4)


def test_best_first_and_within_the_ranges_of_the_paper(found):
    base, _, trials = found
    scores = [score for _, score in trials]
    assert len(trials) == TRIALS
    assert scores == sorted(scores, reverse=True)
    for preset, _ in trials:
        assert searching.LEARNING_RATE[0] <= preset.learning_rate <= searching.LEARNING_RATE[1]
        assert preset.noise in searching.NOISE
        assert preset.hidden_units in searching.HIDDEN_UNITS
        assert preset.activation in searching.ACTIVATIONS
        assert (preset.dataset, preset.num_groups) == (base.dataset, base.num_groups)


def test_the_score_is_that_of_the_run_it_left(found):
    _, (directory, data_dir), trials = found
    preset, score = trials[0]
    images, groups = data.load(preset.dataset, "test", data_dir)
    runs = [training.load(path.parent) for path in directory.glob("*/runs/*/metrics.json")]
    (model,) = (model for model, found_preset in runs if found_preset == preset)
    assert preset.score(model, images, groups, num_starts=1)["ami"] == pytest.approx(score)


def test_a_finished_search_is_not_done_again(found, monkeypatch):
    base, (directory, data_dir), trials = found
    monkeypatch.setattr(training.run, "train", None)
    assert searching.search(base, directory, TRIALS, data_dir, seed=4) == trials
