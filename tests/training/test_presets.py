"""The settings of the papers, number by number, and that presets can be built."""

import re

import numpy as np
import pytest

from tfbind import models, seeds
from tfbind.training import Run, presets
from tfbind.training import preset as preset_module


def settings(preset, *names):
    """Returns the values of settings, a tuple."""
    return tuple(preset.setting(name).value for name in names)


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
    names = ("hidden_units", "activation", "probability", "num_groups")
    rate = round(preset.optimizer.learning_rate, 6)
    assert (rate, *settings(preset, *names), preset.paper.score) == row
    assert settings(preset, "dataset", "assignment") == (dataset, assignment)
    task = preset.task
    assert task.train_split == ("train_single" if assignment == "soft" else "train_multi")
    assert task.test_split == ("test" if dataset == "simple_superposition" else "test[:1000]")
    assert (task.validation, task.fixed_batches, task.binary_images) == (0.1, True, True)
    paper = {"batch_size": 100, "patience": 10, "max_epochs": 500, **DIFFERS.get(name, {})}
    assert {key: getattr(preset, key) for key in paper} == paper
    assert settings(preset, "num_iterations", "num_restarts") == (10, 1)
    assert (preset.optimizer.method.name, preset.optimizer.schedule) == ("SGD", "constant")
    assert re.search(
        r"arXiv:1511\.06418, Table " + ("1" if assignment == "soft" else "2"), preset.paper.source
    )


@pytest.mark.parametrize("dataset", TABLE_1)
def test_restarts_change_the_inference_alone(dataset):
    name = f"rc-{dataset.replace('_', '-')}"
    paper, ours = presets.get(name), presets.get(f"{name}-restarts")
    assert settings(ours, "num_iterations", "num_restarts") == (30, 5)
    about = {"name": name, "summary": paper.summary, "paper": paper.paper}
    assert ours.changed(num_iterations=10, num_restarts=1, **about) == paper


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
    assert preset.summary and preset.paper.source
    assert preset.model.name in models.__all__


@pytest.mark.parametrize("name", presets.names())
def test_every_setting_is_an_argument(name):
    parts = [presets.get(name).model, presets.get(name).optimizer.method]
    for part in parts:
        known = preset_module._parameters(preset_module._maker(part.name))
        inner = {key for key, x in part.settings.items() if isinstance(x, preset_module.Part)}
        assert part.settings.keys() - known.keys() <= inner & {"networks"}
        parts += [part.settings[key] for key in inner]


@pytest.mark.parametrize("name", presets.names())
def test_a_run_folder_remembers_its_preset(name, tmp_path):
    preset = presets.get(name)
    with Run(tmp_path).claimed(preset):
        pass
    assert Run(tmp_path).preset == preset


@pytest.mark.parametrize("name", [name for name in presets.names() if name.startswith("rc-")])
def test_clustering_presets_can_be_built(name):
    preset = presets.get(name)
    model = preset.build(SHAPES.get(preset.task.dataset, (28, 28, 1)))
    assert model.compiled
    assert (model.num_groups, model.assignment) == settings(preset, "num_groups", "assignment")
    assert model.optimizer.learning_rate == np.float32(preset.optimizer.learning_rate)
    assert (model.autoencoder.corruption.probability,) == settings(preset, "probability")


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
    names = ("units", "noise", "num_groups", "num_iterations", "learning_rate", "max_epochs")
    assert settings(preset, *names, "initial_mean") == TAGGER[name]
    assert settings(preset, "batch_size", "normalization", "schedule") == (100, "batch", "constant")
    binary = name == "tagger-shapes"
    assert settings(preset, "likelihood", "combinator", "binary_images") == (
        ("bernoulli", "gauss", True) if binary else ("gaussian", "gauss_stable_v", False)
    )


@pytest.mark.parametrize("name", ["tagger-shapes-cpu", "tagger-tiny"])
def test_small_tagger_presets_can_be_built(name):
    preset = presets.get(name)
    model = preset.build(SHAPES[preset.task.dataset])
    assert model.compiled
    assert (model.step.ladder.units, model.inference_iterations) == settings(
        preset, "units", "inference_iterations"
    )


# The paper's denoising weights from the input to the top, its noise, and the error.
LADDER = {
    "ladder-mnist-100": (100, (1000, 10, 0.1, 0.1, 0.1, 0.1, 0.1), (0.3,) * 7, 0.0106),
    "ladder-mnist-1000": (1000, (2000, 20, 0.1, 0.1, 0.1, 0.1, 0.1), (0.3, *(0.2,) * 6), 0.0084),
    "ladder-mnist-all": (None, (1000, 1, 0.01, 0.01, 0.01, 0.01, 0.01), (0.3,) * 7, 0.0057),
    "gamma-mnist-100": (100, (0, 0, 0, 0, 0, 0, 0.5), (0.3,) * 7, 0.0306),
}


@pytest.mark.parametrize("name", LADDER)
def test_ladder_has_the_settings_of_the_paper(name):
    preset = presets.get(name)
    found = settings(preset, "num_labels", "denoising_weights", "noise")
    assert (*found, preset.paper.score) == LADDER[name]
    assert settings(preset, "learning_rate", "batch_size", "max_epochs") == (0.002, 100, 150)
    model = preset.build((28, 28, 1))
    assert model.ladder.units == (784, 1000, 500, 250, 250, 250, 10)
    assert model.ladder.decoder_kernels.keys() == (
        set() if name.startswith("gamma") else set(range(6))
    )


def test_the_learning_rate_of_the_ladder_falls_to_zero_over_the_last_third():
    preset = presets.get("ladder-mnist-100")
    rates = [preset.learning_rate(epoch) for epoch in (0, 100, 101, 125, 149)]
    np.testing.assert_allclose(rates[:2], 0.002)
    np.testing.assert_allclose(rates[3], 0.002 * (25 / 150) / 0.33)
    np.testing.assert_allclose(rates[4], 0.002 * (1 / 150) / 0.33)


def test_kingdra_has_the_settings_of_the_paper_on_mnist():
    preset = presets.get("kingdra-mnist")
    found = settings(preset, "num_members", "hidden_units", "noise", "denoising_weights")
    assert found == (10, (1200, 1200), 0.3, (1000, 10, 0.1, 0.1))
    found = settings(preset, "information_weight", "confidence_threshold", "first_epochs")
    assert (*found, *settings(preset, "round_epochs")) == (0.1, 0.9, 5, 5)
    assert settings(preset, "learning_rate", "batch_size", "max_epochs") == (0.002, 64, 250)
    model = preset.changed(hidden_units=(4, 4)).build((28, 28, 1))
    assert (model.strong_agreement, model.weak_agreement, model.mapping) == (9, 1, "common")
    assert (model.marginal_weight, model.noise_weight, model.adversarial_weight) == (4.0, 1.0, 0.0)


def test_kingdra_can_be_taken_apart():
    preset = presets.get("kingdra-mnist-invariant").changed(hidden_units=(4, 4))
    images = np.random.default_rng(0).random((2, 28, 28, 1)).astype("float32")
    alone = preset.changed(first_epochs=preset.max_epochs).build((28, 28, 1))
    assert not any(map(alone.relabels_before, range(preset.max_epochs)))
    still = {name: 0.0 for name in ("rotation", "scale", "shear", "shift")}
    model = preset.changed(**still).build((28, 28, 1))
    views = model.augmentation.corrupt(images, seeds.fold(0))
    np.testing.assert_allclose(views, images, atol=1e-6)


# facts D.2: clusters, dimensions, weight of the penalty, dropout, and the error.
MIXTURE = {
    "amm-mnist": (10, 64, 10.0, 0.2, 0.0286),
    "amm-svhn": (18, 32, 0.01, 0.0, None),
    "samm-svhn": (10, 64, 0.01, 0.0, 0.0702),
    "samm-svhn-learned": (10, 64, 0.01, 0.0, 0.0643),
}
MEANS = {"amm-svhn": "grid_means", "samm-svhn": "corner_means"}


@pytest.mark.parametrize("name", MIXTURE)
def test_the_mixture_has_the_settings_of_the_paper(name):
    preset = presets.get(name)
    found = settings(preset, "num_clusters", "latent_dim", "gradient_penalty", "dropout")
    assert (*found, preset.paper.score) == MIXTURE[name]
    assert settings(preset, "learning_rate", "beta_1") == (2e-4, 0.5)
    prior = preset.model.settings.get("prior")
    assert (prior and prior.name) == MEANS.get(name)
    if name.startswith("samm"):
        assert preset.task.num_labels == 1000
        (counts,) = settings(preset, "class_probabilities")
        assert sum(counts) == 73257  # the images of SVHN's training set


@pytest.mark.slow
@pytest.mark.parametrize("name", ["amm-mnist-invariant", "samm-mnist-100-invariant"])
def test_the_mixture_that_compares_views_averages_its_weights(name):
    model = presets.get(name).build((28, 28, 1))
    assert all(optimizer.use_ema for optimizer in model.optimizers)
    weights = model.players()[0].weights
    assert weights["invariance_cost"] == 50.0
    assert float(weights["cycle_cost"]) == 0.0  # before the first step
    assert model.corruption.rotation == 15.0


# facts F.4: clusters, weight of the information, threshold, epochs in all, and the error.
KINGDRA = {
    "kingdra-mnist": (10, 0.1, 0.9, 250, 0.015),
    "kingdra-newsgroups": (20, 0.2, 0.0, 50, 0.561),
}


@pytest.mark.parametrize("name", KINGDRA)
def test_kingdra_has_the_settings_of_the_paper(name):
    preset = presets.get(name)
    names = ("num_clusters", "information_weight", "confidence_threshold", "max_epochs")
    assert (*settings(preset, *names), preset.paper.score) == KINGDRA[name]
    names = ("num_members", "hidden_units", "noise", "denoising_weights")
    assert settings(preset, *names) == (10, (1200, 1200), 0.3, (1000.0, 10.0, 0.1, 0.1))
    names = ("first_epochs", "round_epochs", "batch_size", "learning_rate")
    assert settings(preset, *names) == (5, 5, 64, 2e-3)


# facts: the networks, the data and the training of the paper's section 4.
@pytest.mark.parametrize("name, reverse, score", [("untapped", "bound", 2.07), ("m2", False, 2.30)])
def test_untapped_has_the_settings_of_the_paper(name, reverse, score):
    preset = presets.get(f"{name}-mnist")
    assert (*settings(preset, "reverse"), preset.paper.score) == (reverse, score)
    found = settings(preset, "train_split", "num_seen", "num_unlabeled", "binary_images")
    assert found == ("train+test", 5, 20_000, True)
    assert settings(preset, "learning_rate", "batch_size", "max_epochs") == (0.01, 10_000, 150)
    model = preset.build((28, 28, 1))
    shapes = {tuple(weight.shape) for weight in model.trainable_variables if weight.ndim == 2}
    assert shapes == {
        *((784, 50), (50, 50), (50, 10)),
        *((794, 10), (10, 10), (10, 2)),
        *((12, 250), (250, 500), (500, 784)),
    }
    assert (model.label_weight, model.reconstruction_weight) == (10.0, 0.1)
    assert (model.latent_range, model.temperature, model.marginalize) == ((-1.5, 1.5), 1.0, False)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("rc-shape", "Did you mean 'rc-shapes', 'rc-"), ("zzz", "`tfbind list` shows all.")],
)
def test_unknown_preset(name, hint):
    sentence = f"`preset` must be the name of a preset. Received: preset={name!r}. {hint}"
    with pytest.raises(ValueError, match=re.escape(sentence)):
        presets.get(name)
