"""Presets as values: what parts are given, schedules, JSON, and settings at any depth."""

import dataclasses
import json
import random
import re

import keras
import numpy as np
import pytest

from tfbind.training import Optimizer, Paper, Part, Preset, presets, tasks

TASK = tasks.Grouping(dataset="simple_superposition", validation=0.1, binary_images=True)
PRESET = Preset(
    name="made",
    summary="for tests",
    model=Part(
        "ReconstructionClustering",
        num_groups=2,
        autoencoder=Part(
            "DenoisingAutoencoder",
            hidden_units=3,
            corruption=Part("SaltAndPepperNoise", probability=0.25),
        ),
    ),
    task=TASK,
    optimizer=Optimizer(method=Part("SGD", momentum=0.5), learning_rate=0.1),
    max_epochs=3,
    paper=Paper(score=0.5, source="made for tests"),
)


@keras.saving.register_keras_serializable("tfbind-tests")
class Noted:
    """Keeps what it was given, and the next number of the seeds that were drawn for others."""

    def __init__(self, event_shape=None, size=None, part=None, other=None, seed=None):
        self.given = {"event_shape": event_shape, "size": size, "part": part, "other": other}
        self.seed = seed

    def get_config(self):
        return {**self.given, "seed": self.seed}


def noted(**settings):
    return Part("tfbind-tests>Noted", **settings)


@keras.saving.register_keras_serializable("tfbind-tests")
def two_parts(size):
    return {"part": f"part of {size}", "other": f"other of {size}"}


def test_parts_come_first_in_the_order_they_are_written():
    random.seed(5)
    expected = [random.randrange(2**31) for _ in range(4)]
    random.seed(5)
    made = noted(other=noted(part=noted()), part=noted()).make({})
    other, part = made.given["other"], made.given["part"]
    assert [each.seed for each in (other.given["part"], other, part, made)] == expected


def test_a_seed_that_is_set_is_not_drawn():
    random.seed(5)
    expected = random.randrange(2**31)
    random.seed(5)
    made = noted(part=noted(seed=7), seed=3).make({})
    assert (made.seed, made.given["part"].seed) == (3, 7)
    assert random.randrange(2**31) == expected


def test_a_part_is_given_what_is_around_it_and_it_does_not_set():
    around = {"event_shape": (4,), "size": 1, "else": None}
    made = noted(part=noted(part=noted(size=3)), size=2).make(around)
    part = made.given["part"]
    innermost = part.given["part"]
    assert [each.given["size"] for each in (made, part, innermost)] == [2, 2, 3]
    assert innermost.given["event_shape"] == (4,)


def test_a_dict_of_networks_is_spread_and_later_settings_win():
    made = noted(networks=Part("tfbind-tests>two_parts"), size=2, other="mine").make({})
    assert made.given == {
        "event_shape": None,
        "size": 2,
        "part": "part of 2",
        "other": "mine",
    }


def test_the_arguments_of_a_public_model_are_those_of_its_extensions_too():
    settings = {"num_clusters": 3, "latent_dim": 2, "hidden_units": (4,)}
    model = Part("SemiSupervisedAdversarialMixture", **settings, seed=11)
    assert model.make({"event_shape": (5,)}).seed == 11


def test_a_part_that_nobody_knows():
    with pytest.raises(ValueError, match="`name` must be that of a model, .* name='Nothing'"):
        Part("Nothing").make({})


def test_a_preset_builds_what_it_says():
    model = PRESET.build((4, 4, 1))
    assert (model.num_groups, model.event_shape, model.jit_compile) == (2, (4, 4, 1), True)
    assert model.autoencoder.hidden_units == 3
    assert model.autoencoder.corruption.probability == 0.25
    assert isinstance(model.optimizer, keras.optimizers.SGD)
    assert model.optimizer.momentum == 0.5
    assert model.optimizer.learning_rate == np.float32(0.1)


def test_a_preset_gives_the_same_model_every_time():
    first, again = (PRESET.build((8, 8, 1)) for _ in range(2))
    for one, other in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(first.default_start, again.default_start)
    assert first.autoencoder.corruption.seed == again.autoencoder.corruption.seed
    other = PRESET.changed(seed=2).build((8, 8, 1))
    assert (first.get_weights()[0] != other.get_weights()[0]).any()


def test_a_start_from_the_weights_that_fit(tmp_path):
    stage_1 = presets.get("tagger-tiny").changed(dataset="textured_mnist_2", num_groups=4)
    first = stage_1.changed(likelihood="gaussian").build((6, 6, 1))
    first.save(tmp_path / "model.keras")
    stage_2 = presets.get("tagger-textured-mnist-2-labels-1000").changed(
        units=(64, 32, 16, 11), normalization="layer", initial_run=str(tmp_path)
    )
    second = stage_2.build((6, 6, 1))
    old = {weight.name: weight.numpy() for weight in first.trainable_variables}
    new = {weight.name: weight.numpy() for weight in second.trainable_variables}
    same = {name for name in new if name in old and np.array_equal(new[name], old[name])}
    assert {"hidden_kernel", "encoder_kernel_1", "encoder_kernel_2", "decoder_kernel_1"} <= same
    assert {"encoder_kernel_3", "decoder_kernel_2"} <= new.keys() - old.keys()


def test_a_start_from_nowhere():
    sentence = "`initial_run` must be the run folder of stage 1. Received: initial_run='gone'"
    with pytest.raises(ValueError, match=re.escape(sentence)):
        PRESET.changed(initial_run="gone").build((8, 8, 1))


@pytest.mark.parametrize(
    ("schedule", "decay_start", "expected"),
    [
        ("constant", 0.0, [2.0, 2.0, 2.0, 2.0]),
        ("cosine", 0.0, [2.0, 1 + 0.5**0.5, 1.0, 1 - 0.5**0.5]),
        ("cosine", 0.5, [2.0, 2.0, 2.0, 1.0]),
        ("linear", 0.0, [2.0, 1.5, 1.0, 0.5]),
        ("linear", 0.5, [2.0, 2.0, 2.0, 1.0]),
        ("linear", 1.0, [2.0, 2.0, 2.0, 2.0]),
    ],
)
def test_schedules(schedule, decay_start, expected):
    optimizer = Optimizer(learning_rate=2.0, schedule=schedule, decay_start=decay_start)
    rates = [optimizer.rate(epoch, 4) for epoch in range(4)]
    np.testing.assert_allclose(rates, expected, rtol=1e-12)


@pytest.mark.parametrize("name", presets.names())
def test_json_and_back(name):
    preset = presets.get(name)
    again = Preset.from_json(json.loads(json.dumps(preset.to_json())))
    assert again == preset
    assert hash(again) == hash(preset)
    assert list(again.model.settings) == list(preset.model.settings)  # the order is that of draws


def test_presets_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PRESET.seed = 3
    with pytest.raises(TypeError):
        PRESET.model.settings["num_groups"] = 3


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("seed", "seed"),
        ("dataset", "task.dataset"),
        ("momentum", "optimizer.method.momentum"),
        ("probability", "model.autoencoder.corruption.probability"),
        ("corruption.probability", "model.autoencoder.corruption.probability"),
    ],
)
def test_settings_are_found_at_any_depth(name, path):
    setting = PRESET.setting(name)
    assert setting.path == path
    changed = PRESET.changed(**{name: setting.value})
    assert changed == PRESET
    with pytest.raises(ValueError, match="`setting` must be one of 'num_groups', "):
        PRESET.setting(f"x{name}")


def test_names_that_several_settings_share_are_refused():
    seeded = PRESET.changed(
        model=Part("Tagger", seed=1, ladder=Part("Ladder", units=(2, 1), seed=2))
    )
    assert seeded.setting("seed").path == "seed"  # the preset's own
    assert seeded.setting("ladder.seed").value == 2
    doubled = PRESET.changed(model=Part("Tagger", noise=0.1, ladder=Part("Ladder", noise=0.2)))
    sentence = "`setting` must be one of 'model.noise', 'model.ladder.noise'. Received: setting="
    with pytest.raises(ValueError, match=re.escape(sentence)):
        doubled.setting("noise")
    assert doubled.changed(**{"ladder.noise": 0.5}).setting("ladder.noise").value == 0.5


def test_changes_that_only_fit_together():
    task = presets.get("untapped-tiny").changed(num_classes=4, num_seen=2).task
    assert (task.num_classes, task.num_seen) == (4, 2)
    part = Part("ReconstructionClustering", num_groups=2, autoencoder=Part("DenoisingAutoencoder"))
    changed = PRESET.changed(model=part, num_groups=3)
    assert changed.model == Part(part.name, **{**part.settings, "num_groups": 3})


def test_changes_leave_the_rest_alone():
    changed = PRESET.changed(probability=0.5, learning_rate=1.0, name="other", validation=0.2)
    assert changed.setting("probability").value == 0.5
    assert (changed.optimizer.learning_rate, changed.task.validation) == (1.0, 0.2)
    back = changed.changed(probability=0.25, learning_rate=0.1, name="made", validation=0.1)
    assert back == PRESET != changed


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"dataset": "faces"}, "`dataset` must be one of 'simple_superposition', 'shapes',"),
        ({"learning_rate": 0.0}, "`learning_rate` must be a number in (0, inf). Received:"),
        ({"schedule": "wild"}, "`schedule` must be one of 'constant', 'cosine', 'linear'."),
        ({"decay_start": 1.5}, "`decay_start` must be a number in [0, 1]. Received:"),
        ({"batch_size": 0}, "`batch_size` must be an integer >= 1. Received: batch_size=0."),
        ({"patience": 0}, "`patience` must be an integer >= 1. Received: patience=0"),
        ({"validation": 1.0}, "`validation` must be a number in [0, 0.99]. Received:"),
    ],
)
def test_bad_settings(change, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        PRESET.changed(**change)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"probability": 1.5}, "`probability` must be a number in [0, 1]. Received:"),
        ({"num_groups": 1}, "`num_groups` must be an integer >= 2. Received: num_groups=1."),
    ],
)
def test_bad_settings_of_parts(change, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        PRESET.changed(**change).build((8, 8, 1))
