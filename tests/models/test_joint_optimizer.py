"""Two optimisers as one: rates, averages, loss scales, accumulation, and what comes back."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbind.models._base import BaseModel, Player, means
from tfbind.models._batch import images_of
from tfbind.models._joint_optimizer import JointOptimizer
from tfbind.models.adversarial_mixture import AdversarialMixture

IMAGES = np.random.default_rng(0).random((8, 3)).astype("float32")


@keras.saving.register_keras_serializable("test")
class Tug(BaseModel):
    """Two players on one line: `left` wants the product of their outputs low, `right` high."""

    def __init__(self, event_shape=(3,), **kwargs):
        super().__init__(event_shape, **kwargs)
        self.left, self.right = (
            keras.Sequential([keras.layers.Input(self.event_shape), keras.layers.Dense(2)])
            for _ in range(2)
        )
        self.trackers |= means("product", "distance")
        self.built = True

    def build(self, input_shape=None):
        self.built = True

    def call(self, inputs):
        images = images_of(inputs, self.event_shape)
        return {"left": self.left(images), "right": self.right(images)}

    def loss_terms(self, batch, seed, training):
        left, right = (tf.cast(part, tf.float32) for part in self.call(batch).values())
        return {
            "product": tf.reduce_sum(left * right, axis=-1),
            "distance": tf.reduce_sum(tf.square(right - 1.0), axis=-1),
        }

    def players(self):
        return [
            Player({"product": 1.0}, self.left.trainable_variables),
            Player({"product": -1.0, "distance": 0.5}, self.right.trainable_variables),
        ]

    def compile(self, optimizer, **kwargs):
        optimizer.divide([player.variables for player in self.players()])
        super().compile(optimizer, **kwargs)


def tug(first, second, **settings):
    keras.utils.set_random_seed(1)
    model = Tug()
    model.compile(JointOptimizer([first, second]), **settings)
    return model


def values(variables):
    return [variable.numpy() for variable in variables]


def slopes(model, images=IMAGES):
    """Returns what each player's loss gives for its own variables, the reference of all below."""
    found = []
    for player in model.players():
        with tf.GradientTape() as tape:
            terms = model.loss_terms({"image": tf.constant(images)}, None, True)
            loss = sum(
                weight * tf.reduce_mean(terms[name]) for name, weight in player.weights.items()
            )
        found.append([slope.numpy() for slope in tape.gradient(loss, player.variables)])
    return found


def assert_all_close(found, expected, **tolerances):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, **tolerances)


@contextlib.contextmanager
def policy_of(name):
    """Sets the global dtype policy for a while."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    yield
    keras.config.set_dtype_policy(before)


sgd, adam = keras.optimizers.SGD, keras.optimizers.Adam


# Each changes its own variables.


@pytest.mark.parametrize("jit_compile", [False, True])
def test_each_optimizer_changes_its_own_variables(jit_compile):
    model = tug(sgd(0.1), sgd(0.02), jit_compile=jit_compile)
    expected = [
        [
            variable.numpy() - rate * slope
            for variable, slope in zip(player.variables, each, strict=True)
        ]
        for player, each, rate in zip(model.players(), slopes(model), (0.1, 0.02), strict=True)
    ]
    model.train_on_batch(IMAGES)
    for player, each in zip(model.players(), expected, strict=True):
        assert_all_close(values(player.variables), each, rtol=1e-5, atol=1e-6)
    assert int(model.optimizer.iterations) == 1


def test_it_is_as_if_each_was_alone():
    """Adam and RMSprop, ten steps, by hand and together."""
    together = tug(adam(0.01), keras.optimizers.RMSprop(0.003, momentum=0.5))
    apart = tug(sgd(), sgd())
    alone = adam(0.01), keras.optimizers.RMSprop(0.003, momentum=0.5)
    for _ in range(10):
        together.train_on_batch(IMAGES)
        found = slopes(apart)
        for optimizer, player, each in zip(alone, apart.players(), found, strict=True):
            optimizer.apply([tf.constant(slope) for slope in each], player.variables)
    assert_all_close(values(together.weights), values(apart.weights), rtol=1e-5, atol=1e-6)


# Learning rates.


def test_a_set_rate_scales_both():
    joint = JointOptimizer([sgd(0.1), adam(0.025)])
    joint.learning_rate = 0.04
    assert [float(each.learning_rate) for each in joint.members] == pytest.approx([0.04, 0.01])
    assert float(joint.learning_rate) == pytest.approx(0.04)
    joint.learning_rate = 0.0
    joint.learning_rate = 0.2  # the ratio is that of the beginning
    assert float(joint.members[1].learning_rate) == pytest.approx(0.05)


def test_a_schedule_of_its_own_is_left_alone():
    decay = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    model = tug(sgd(0.1), sgd(decay))
    model.optimizer.learning_rate = 0.3
    first, second = model.optimizer.members
    assert float(first.learning_rate) == pytest.approx(0.3)
    for step in range(3):
        assert float(second.learning_rate) == pytest.approx(0.1 * 0.5**step)
        model.train_on_batch(IMAGES)
    other = JointOptimizer([sgd(decay), sgd(0.1)])
    with pytest.raises(TypeError, match="its learning rate is not settable"):
        other.learning_rate = 0.1


def test_callbacks_of_the_rate_reach_both():
    model = tug(sgd(0.1), sgd(0.05))
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.1 / (1 + epoch))
    history = model.fit(IMAGES, epochs=3, callbacks=[schedule], verbose=0).history
    assert history["learning_rate"] == pytest.approx([0.1, 0.05, 0.1 / 3])
    found = [float(each.learning_rate) for each in model.optimizer.members]
    assert found == pytest.approx([0.1 / 3, 0.05 / 3])
    plateau = keras.callbacks.ReduceLROnPlateau("loss", 0.5, patience=0, min_delta=1e9, min_lr=0)
    model.fit(IMAGES, epochs=3, callbacks=[plateau], verbose=0)
    found = np.array([float(each.learning_rate) for each in model.optimizer.members])
    assert found[0] < 0.1 / 3
    assert found[0] / found[1] == pytest.approx(2.0)


# Averaged weights.


def test_averages_of_both_are_put_in_place():
    settings = {"use_ema": True, "ema_momentum": 0.5}
    model, plain = tug(sgd(0.1, **settings), sgd(0.05, **settings)), tug(sgd(0.1), sgd(0.05))
    # Keras starts its averages from the weights after the first step
    average = None
    for _ in range(3):
        plain.train_on_batch(IMAGES)
        now = values(plain.trainable_variables)
        average = now if average is None else _halfway(average, now)
    model.fit(IMAGES, batch_size=8, epochs=3, shuffle=False, verbose=0)
    assert_all_close(values(model.trainable_variables), average, rtol=1e-5, atol=1e-6)


def _halfway(one, other):
    return [0.5 * (a + b) for a, b in zip(one, other, strict=True)]


# Loss scales.


def steps_of(model):
    """Returns by how much one step of SGD changes the weights."""
    before = values(model.trainable_variables)
    model.train_on_batch(IMAGES)
    return [a - b for a, b in zip(values(model.trainable_variables), before, strict=True)]


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_fixed_scale_of_losses_cancels(jit_compile):
    scaled = {"loss_scale_factor": 1024.0}
    one = steps_of(tug(sgd(0.1, **scaled), sgd(0.05, **scaled), jit_compile=jit_compile))
    assert_all_close(one, steps_of(tug(sgd(0.1), sgd(0.05))), rtol=1e-4, atol=1e-7)


def test_wrapped_in_a_loss_scale_it_scales_once():
    joint = JointOptimizer([sgd(0.1, loss_scale_factor=8.0), sgd(0.05, loss_scale_factor=8.0)])
    model = tug(sgd(), sgd())
    joint.divide([player.variables for player in model.players()])
    wrapped = keras.optimizers.LossScaleOptimizer(joint, initial_scale=64.0)
    wrapped.build(model.trainable_variables)
    assert float(wrapped.scale_loss(tf.constant(1.0))) == 64.0
    expected = slopes(model)
    before = values(model.trainable_variables)
    wrapped.apply([64.0 * slope for each in expected for slope in each], model.trainable_variables)
    changes = [a - b for a, b in zip(values(model.trainable_variables), before, strict=True)]
    rates = [-0.1, -0.1, -0.05, -0.05]
    flat = [slope for each in expected for slope in each]
    assert_all_close(changes, [r * s for r, s in zip(rates, flat, strict=True)], atol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_half_precision_changes_weights_as_float32_does(jit_compile):
    expected = steps_of(tug(sgd(0.1), sgd(0.05)))
    with policy_of("mixed_float16"):
        model = tug(sgd(0.1), sgd(0.05), jit_compile=jit_compile)
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
        found = steps_of(model)
        assert_all_close(found, expected, rtol=0.02, atol=1e-3)
        model.optimizer.learning_rate = 0.4
        assert float(model.optimizer.inner_optimizer.members[1].learning_rate) == pytest.approx(0.2)


# Gradients that add up.


@pytest.mark.parametrize("jit_compile", [False, True])
def test_accumulated_gradients(jit_compile):
    """Two half batches change the weights as the whole one does, and the first of them nothing."""
    twice = {"gradient_accumulation_steps": 2}
    model = tug(sgd(0.1, **twice), sgd(0.05, **twice), jit_compile=jit_compile)
    before = values(model.trainable_variables)
    model.train_on_batch(IMAGES[:4])
    assert_all_close(values(model.trainable_variables), before, rtol=0)
    assert int(model.optimizer.iterations) == 0
    model.train_on_batch(IMAGES[4:])
    assert int(model.optimizer.iterations) == 1
    whole = tug(sgd(0.1), sgd(0.05))
    whole.train_on_batch(IMAGES)
    found, expected = values(model.trainable_variables), values(whole.trainable_variables)
    assert_all_close(found, expected, rtol=1e-4, atol=1e-6)


# What stays as it is.


def test_frozen_variables():
    """The steps go on being counted where a whole player is frozen, as seeds follow from them."""
    model = tug(sgd(0.1), sgd(0.05))
    model.left.trainable = False
    model.compile(JointOptimizer([sgd(0.1), sgd(0.05)]))
    left, right = values(model.left.weights), values(model.right.weights)
    model.train_on_batch(IMAGES)
    model.train_on_batch(IMAGES)
    assert_all_close(values(model.left.weights), left, rtol=0)
    assert all((a != b).any() for a, b in zip(values(model.right.weights), right, strict=True))
    assert int(model.optimizer.iterations) == 2


def test_variables_it_was_not_built_for_are_refused():
    model = tug(sgd(0.1), sgd(0.05))
    joint = model.optimizer
    model.left.trainable = False
    model.compile(JointOptimizer([sgd(0.1), sgd(0.05)]), run_eagerly=True)
    model.left.trainable = True
    with pytest.raises(ValueError, match="compile the model with new optimizers"):
        model.train_on_batch(IMAGES)
    model.compile(joint)  # which has all of them
    model.train_on_batch(IMAGES)


@pytest.mark.parametrize(
    ("optimizers", "sentence"),
    [
        (
            lambda: [sgd(loss_scale_factor=2.0), sgd()],
            r"All optimizers of a model must have the same `loss_scale_factor`. Received: \['2.0'",
        ),
        (
            lambda: [keras.optimizers.LossScaleOptimizer(sgd()), sgd()],
            "`optimizers` must not be LossScaleOptimizers",
        ),
    ],
)
def test_bad_optimizers(optimizers, sentence):
    with pytest.raises(ValueError, match=sentence):
        JointOptimizer(optimizers())


# Files.


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_both_optimizers_come_back(policy, tmp_path):
    with policy_of(policy):
        model = tug(adam(1e-3, beta_1=0.5), keras.optimizers.RMSprop(2e-3, momentum=0.3))
        model.fit(IMAGES, batch_size=4, epochs=2, verbose=0)
        model.optimizer.learning_rate = 0.0
        model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras")
        assert type(again.optimizer) is type(model.optimizer)
        assert again.get_compile_config() == model.get_compile_config()
        assert int(again.optimizer.iterations) == 4
        assert_all_close(
            values(again.optimizer.variables), values(model.optimizer.variables), rtol=0
        )
        for each in (model, again):
            each.optimizer.learning_rate = 1e-3  # the ratio has come back too
            each.fit(IMAGES, batch_size=4, epochs=1, shuffle=False, verbose=0)
        assert_all_close(values(again.weights), values(model.weights), rtol=0)


def test_a_checkpoint_brings_both_back(tmp_path):
    model, again = (tug(adam(0.01), adam(0.02)) for _ in range(2))
    model.train_on_batch(IMAGES)
    path = tf.train.Checkpoint(model=model, optimizer=model.optimizer).save(str(tmp_path / "c"))
    found = tf.train.Checkpoint(model=again, optimizer=again.optimizer).restore(path)
    found.assert_existing_objects_matched()
    assert_all_close(values(again.optimizer.variables), values(model.optimizer.variables), rtol=0)
    assert int(again.optimizer.iterations) == 1


def test_of_an_adversarial_mixture(tmp_path):
    model = AdversarialMixture((3,), 2, 2, hidden_units=(4,))
    model.compile(adam(1e-3, beta_1=0.5), keras.optimizers.RMSprop(2e-3), jit_compile=True)
    model.fit(IMAGES, batch_size=4, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.jit_compile
    assert again.optimizer.members[0].beta_1 == 0.5
    assert isinstance(again.optimizer.members[1], keras.optimizers.RMSprop)
    assert_all_close(values(again.optimizer.variables), values(model.optimizer.variables), rtol=0)
    assert again.get_compile_config() == model.get_compile_config()
