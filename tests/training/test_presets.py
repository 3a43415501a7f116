"""The settings of the paper, number by number, and that all presets can be built."""

import dataclasses
import re

import numpy as np
import pytest

from tfbind import data, training
from tfbind.training import presets

# Tables 1 and 2 of the paper; the learning rates are rounded as they are printed there.
# dataset: (learning rate, hidden units, activation, noise, K, AMI)
TABLE_1 = {
    "bars": (0.768015, 100, "relu", 0.0, 12, 0.951809),
    "corners": (0.001920, 100, "relu", 0.0, 5, 0.853866),
    "multi_mnist": (0.011362, 1000, "relu", 0.6, 3, 0.651657),
    "mnist_shape": (0.031685, 250, "sigmoid", 0.6, 2, 0.545559),
    "shapes": (0.083147, 500, "tanh", 0.4, 3, 0.928792),
    "simple_superposition": (0.366627, 100, "relu", 0.1, 2, 0.890472),
}
TABLE_2 = {
    "bars": (0.012192, 100, "sigmoid", 0.8, 12, 0.851777),
    "corners": (0.026035, 100, "relu", 0.7, 5, 0.704285),
    "mnist_shape": (0.033200, 1000, "relu", 0.6, 2, 0.259646),
    "multi_mnist": (0.001786, 250, "sigmoid", 0.9, 3, 0.614277),
    "shapes": (0.049402, 100, "sigmoid", 0.9, 3, 0.776656),
}
# Where a preset stops at another time than the paper's, for the reason noted beside it.
DIFFERS = {
    "rc-multi-mnist": {"patience": 25},
    "rc-mnist-shape": {"max_epochs": 90},
    "rc-bars-multi": {"max_epochs": 30},
    "rc-mnist-shape-multi": {"max_epochs": 10},
}
ROWS = [(f"rc-{name.replace('_', '-')}", name, "soft", row) for name, row in TABLE_1.items()]
ROWS += [(f"rc-{name.replace('_', '-')}-multi", name, "hard", row) for name, row in TABLE_2.items()]


@pytest.mark.parametrize(("name", "dataset", "assignment", "row"), ROWS, ids=lambda row: str(row))
def test_settings_of_the_paper(name, dataset, assignment, row):
    preset = presets.get(name)
    found = (
        round(preset.learning_rate, 6),
        preset.hidden_units,
        preset.activation,
        preset.noise,
        preset.num_groups,
        preset.paper_score,
    )
    assert found == row
    assert preset.dataset == dataset
    assert preset.assignment == assignment
    assert preset.train_split == ("train_single" if assignment == "soft" else "train_multi")
    assert preset.test_split == ("test" if dataset == "simple_superposition" else "test[:1000]")
    paper = {"batch_size": 100, "patience": 10, "max_epochs": 500, **DIFFERS.get(name, {})}
    assert {key: getattr(preset, key) for key in paper} == paper
    assert (preset.num_iterations, preset.num_restarts) == (10, 1)
    assert re.search(
        r"arXiv:1511\.06418, Table " + ("1" if assignment == "soft" else "2"), preset.source
    )


@pytest.mark.parametrize("dataset", TABLE_1)
def test_restarts_change_the_inference_alone(dataset):
    name = f"rc-{dataset.replace('_', '-')}"
    paper, ours = presets.get(name), presets.get(f"{name}-restarts")
    changed = {
        field: getattr(ours, field)
        for field in vars(ours)
        if getattr(paper, field) != getattr(ours, field)
    }
    assert changed.keys() == {"name", "summary", "source", "num_iterations", "num_restarts"}
    assert (ours.num_iterations, ours.num_restarts) == (30, 5)


def test_names_are_unique_and_fit_a_command_line():
    names = presets.names()
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in names)
    assert "rc-tiny" in names


SHAPES = {"simple_superposition": (8, 8, 1), "bars": (20, 20, 1), "multi_mnist": (48, 48, 1)}
SHAPES |= {"shapes20": (20, 20, 1), "digits": (8, 8, 1)}


@pytest.mark.parametrize("name", presets.names())
def test_presets_are_described(name):
    preset = presets.get(name)
    assert preset.name == name
    assert preset.summary and preset.source
    assert preset.dataset in data.NAMES


@pytest.mark.parametrize("name", presets.names())
def test_a_run_folder_remembers_its_preset(name, tmp_path):
    preset = presets.get(name)
    training.run.claim(preset, tmp_path)
    assert training.run.read_preset(tmp_path) == preset


@pytest.mark.parametrize("name", [name for name in presets.names() if name.startswith("rc-")])
def test_clustering_presets_can_be_built(name):
    preset = presets.get(name)
    model = preset.build(SHAPES.get(preset.dataset, (28, 28, 1)))
    assert model.compiled
    assert model.num_groups == preset.num_groups
    assert model.assignment == preset.assignment
    assert model.optimizer.learning_rate == np.float32(preset.learning_rate)
    assert model.autoencoder.corruption.probability == preset.noise


# Facts of the papers' code: units, noise, groups, iterations, Adam's step, epochs, z before.
TAGGER = {
    "tagger-shapes": ((2000, 1000, 500), 0.2, 4, 3, 4e-4, 100, 0.26),
    "tagger-textured-mnist-1": ((3000, 2000, 1000), 0.2, 4, 3, 1e-3, 150, 0.5),
    "tagger-textured-mnist-2": ((3000, 2000, 1000), 0.2, 4, 3, 1e-3, 150, 0.5),
    "tagger-textured-mnist-1-labels-1000": (
        *((3000, 2000, 1000, 500, 250, 11), 0.18, 4, 4, 2e-4, 50, 0.5),
    ),
    "tagger-textured-mnist-2-labels-50000": (
        *((3000, 2000, 1000, 500, 250, 11), 0.18, 4, 4, 2e-4, 50, 0.5),
    ),
}


@pytest.mark.parametrize("name", TAGGER)
def test_tagger_has_the_settings_of_the_paper(name):
    preset = presets.get(name)
    found = (preset.units, preset.noise, preset.num_groups, preset.num_iterations)
    found += (preset.learning_rate, preset.max_epochs, preset.initial_mean)
    assert found == TAGGER[name]
    assert (preset.batch_size, preset.normalization, preset.schedule) == (100, "batch", "constant")
    binary = name == "tagger-shapes"
    assert preset.likelihood == ("bernoulli" if binary else "gaussian")
    assert preset.combinator == ("gauss" if binary else "gauss_stable_v")


@pytest.mark.parametrize("name", ["tagger-shapes-cpu", "tagger-tiny"])
def test_small_tagger_presets_can_be_built(name):
    preset = presets.get(name)
    model = preset.build(SHAPES[preset.dataset])
    assert model.compiled
    assert model.ladder.units == preset.units
    assert model.inference_iterations == preset.inference_iterations


def test_stage_2_starts_from_the_weights_of_stage_1_that_fit(tmp_path):
    settings = {"dataset": "textured_mnist_2", "likelihood": "gaussian", "name": "made"}
    stage_1 = dataclasses.replace(presets.get("tagger-tiny"), **settings, num_groups=4)
    first = stage_1.build((6, 6, 1))
    first.save(tmp_path / "model.keras")
    stage_2 = dataclasses.replace(
        presets.get("tagger-textured-mnist-2-labels-1000"),
        units=(64, 32, 16, 11),
        normalization="layer",
        initial_run=str(tmp_path),
    )
    second = stage_2.build((6, 6, 1))
    old = {weight.name: weight.numpy() for weight in first.trainable_variables}
    new = {weight.name: weight.numpy() for weight in second.trainable_variables}
    same = {name for name in new if name in old and np.array_equal(new[name], old[name])}
    assert {"hidden_kernel", "encoder_kernel_1", "encoder_kernel_2", "decoder_kernel_1"} <= same
    assert {"encoder_kernel_3", "decoder_kernel_2"} <= new.keys() - old.keys()


def test_stage_2_needs_stage_1():
    sentence = "`initial_run` must be the run folder of stage 1. Received: initial_run="
    with pytest.raises(ValueError, match=re.escape(sentence)):
        presets.get("tagger-textured-mnist-2-labels-1000").build((28, 28, 1))


# The paper's denoising weights from the input to the top, its noise, and the error in percent.
LADDER = {
    "ladder-mnist-100": (100, (1000, 10, 0.1, 0.1, 0.1, 0.1, 0.1), (0.3,) * 7, 1.06),
    "ladder-mnist-1000": (1000, (2000, 20, 0.1, 0.1, 0.1, 0.1, 0.1), (0.3, *(0.2,) * 6), 0.84),
    "ladder-mnist-all": (None, (1000, 1, 0.01, 0.01, 0.01, 0.01, 0.01), (0.3,) * 7, 0.57),
    "gamma-mnist-100": (100, (0, 0, 0, 0, 0, 0, 0.5), (0.3,) * 7, 3.06),
}


@pytest.mark.parametrize("name", LADDER)
def test_ladder_has_the_settings_of_the_paper(name):
    preset = presets.get(name)
    found = (preset.num_labels, preset.denoising_weights, preset.noise, preset.paper_score)
    assert found == LADDER[name]
    assert (preset.learning_rate, preset.batch_size, preset.max_epochs) == (0.002, 100, 150)
    model = preset.build((28, 28, 1))
    assert model.ladder.units == (784, 1000, 500, 250, 250, 250, 10)
    assert model.ladder.decoder_kernels.keys() == (
        set() if name.startswith("gamma") else set(range(6))
    )


def test_the_learning_rate_of_the_ladder_falls_to_zero_over_the_last_third():
    schedule, *_ = presets.get("ladder-mnist-100").callbacks(model=None)
    rates = [schedule.schedule(epoch) for epoch in (0, 100, 101, 125, 149)]
    np.testing.assert_allclose(rates[:2], 0.002)
    np.testing.assert_allclose(rates[3], 0.002 * (25 / 150) / 0.33)
    np.testing.assert_allclose(rates[4], 0.002 * (1 / 150) / 0.33)


def test_a_preset_gives_the_same_model_every_time():
    first, again = (presets.get("rc-tiny").build((8, 8, 1)) for _ in range(2))
    for one, other in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(first.default_start, again.default_start)
    assert first.autoencoder.corruption.seed == again.autoencoder.corruption.seed
    other = dataclasses.replace(presets.get("rc-tiny"), seed=2).build((8, 8, 1))
    assert (first.get_weights()[0] != other.get_weights()[0]).any()


def test_presets_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        presets.get("rc-tiny").seed = 3


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"dataset": "faces"}, "`dataset` must be one of 'simple_superposition', 'shapes',"),
        ({"learning_rate": 0.0}, "`learning_rate` must be a number in (0, inf). Received:"),
        ({"batch_size": 0}, "`batch_size` must be an integer >= 1. Received: batch_size=0."),
        ({"noise": 1.5}, "`noise` must be a number in [0, 1]. Received: noise=1.5."),
        ({"num_groups": 1}, "`num_groups` must be an integer >= 2. Received: num_groups=1."),
    ],
)
def test_bad_settings(change, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        dataclasses.replace(presets.get("rc-tiny"), **change)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("rc-shape", "Did you mean 'rc-shapes'?"), ("zzz", "`tfbind list` shows all.")],
)
def test_unknown_preset(name, hint):
    sentence = f"`preset` must be the name of a preset. Received: preset={name!r}. {hint}"
    with pytest.raises(ValueError, match=re.escape(sentence)):
        presets.get(name)


def test_score_by_hand():
    """The mean over starts and images of scikit-learn's AMI, on a model that is not trained."""
    import sklearn.metrics

    preset = dataclasses.replace(presets.get("rc-tiny"), num_iterations=2)
    model = preset.build((8, 8, 1))
    random = np.random.default_rng(0)
    images = random.integers(0, 2, (5, 8, 8, 1)).astype("float32")
    groups = random.integers(0, 3, (5, 8, 8)).astype("int32")
    scores = preset.score(model, images, groups, num_starts=2)
    expected = []
    for start in (1, 2):
        assignments = model(
            {
                "image": images,
                "initial_assignments": model.initial_assignments(5, preset.seed + 1000 * start),
            }
        )["assignments"].numpy()
        expected += [
            sklearn.metrics.adjusted_mutual_info_score(
                true[true > 0], found.argmax(axis=0)[true > 0], average_method="max"
            )
            for true, found in zip(groups, assignments, strict=True)
        ]
    assert scores["ami"] == pytest.approx(np.mean(expected), abs=1e-5)
