"""What the paper claims of Shapes, on a network trained for it: `pytest -m slow`."""

import pytest

from tfbind import training
from tfbind.training import presets

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    run, data_dir = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("tfds")
    model = training.train(presets.get("rc-shapes"), run, data_dir, verbose=0)
    examples = presets.get("rc-shapes").task.load("test[:1000]", data_dir)
    return model, run, data_dir, examples


def test_score_of_table_1(shapes):
    _, run, data_dir, _ = shapes
    scores = training.evaluate(run, data_dir)
    assert scores["ami"] > 0.929 - 2 * scores["ami_standard_error"]


def test_the_likelihood_is_highest_at_the_true_number_of_groups(shapes):
    model, _, _, (images, _, _) = shapes
    selection = training.select_num_groups(model, images[:200], (2, 3, 5, 12))
    two, three, five, twelve = selection.log_likelihoods
    assert selection.best == 3
    assert two < twelve < five < three  # much lower at 2, slightly lower at 5, lower still at 12


def test_it_converges_within_ten_iterations(shapes):
    model, _, _, (images, _, _) = shapes
    e_steps = model.trace(images[:200])["log_likelihoods"].numpy()[2::2].mean(axis=1)
    assert e_steps[4] > e_steps[0]
    assert e_steps[9] - e_steps[7] < 0.1 * (e_steps[9] - e_steps[0])


def test_restarts_beat_the_paper(shapes):
    model, _, _, examples = shapes
    preset = presets.get("rc-shapes-restarts")
    changes = {name: preset.setting(name).value for name in ("num_iterations", "num_restarts")}
    ours = training.regroup(model, **changes)
    assert preset.task.score(ours, examples, seed=1, num_starts=1)["ami"] > 0.94
