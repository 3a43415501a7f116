"""The training protocol: what a step adds up, logs and applies, in a model with two optimisers too.

Dicts of labelled and unlabelled images, and what is refused, are in test_batch.py.
"""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbind.models import _base, _batch, _endpoints
from tfbind.models._joint_optimizer import JointOptimizer

X = np.random.default_rng(0).random((12, 3)).astype("float32")


class Regression(_base.BaseModel):
    """Fits one number to the sums of rows, by three terms of which one is only logged."""

    term_weights = {"squares": 2.0, "mean_square": 0.5, "nothing": 0.0}

    def __init__(self, part=None):
        super().__init__((3,))
        self.part = part or keras.layers.Dense(1, kernel_initializer="ones")
        self.part.build((None, 3))
        self.trackers |= _base.means("squares", "mean_square", "noise")
        self.built = True

    def call(self, inputs):
        return {"sum": self.part(_batch.images_of(inputs, (3,)))}

    def loss_terms(self, batch, seed, training):
        found = self.part(batch["image"])[:, 0]
        noise = tf.cast(seed[0], tf.float32)
        squares = tf.square(found)
        return {"squares": squares, "mean_square": tf.reduce_mean(squares), "noise": noise}

    def serving_endpoints(self):
        inputs = (_endpoints.image_spec((3,)),)
        return {"serving_default": _endpoints.Endpoint(self.call, inputs, {"sum": ""}, {})}


def regression(optimizer="sgd", part=None, **settings):
    model = Regression(part)
    model.compile(optimizer, **settings)
    return model


def test_terms_are_weighted_and_averaged_and_all_are_logged():
    model = regression(keras.optimizers.SGD(0.0))
    squares = X.sum(axis=1) ** 2
    history = model.fit(X, batch_size=12, verbose=0).history
    assert history.keys() == {"loss", "squares", "mean_square", "noise"}
    assert history["loss"][0] == pytest.approx(2.5 * squares.mean(), rel=1e-5)
    assert history["squares"][0] == pytest.approx(squares.mean(), rel=1e-5)


def test_logs_are_means_over_examples_though_batches_differ_in_size():
    model = regression(keras.optimizers.SGD(0.0))
    expected = model.evaluate(X, batch_size=12, verbose=0, return_dict=True)
    found = model.evaluate(X, batch_size=5, verbose=0, return_dict=True)
    for name in ("loss", "squares", "mean_square"):
        assert found[name] == pytest.approx(expected[name], rel=1e-5)


def test_weights_of_examples():
    class Plain(Regression):
        term_weights = {"squares": 1.0}

    model = Plain()
    model.compile(keras.optimizers.SGD(0.0))
    weights = np.arange(12.0)
    expected = (weights * X.sum(axis=1) ** 2).mean()
    for x in (X, tf.data.Dataset.from_tensor_slices((X, None, weights.astype("float32")))):
        if isinstance(x, tf.data.Dataset):
            x = tf.data.Dataset.from_tensor_slices(
                {"image": X, "sample_weight": weights.astype("float32")}
            )
            found = model.evaluate(x.batch(12), verbose=0, return_dict=True)
        else:
            found = model.evaluate(x, sample_weight=weights, verbose=0, return_dict=True)
        assert found["loss"] == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match="`sample_weight` must be None: mean_square is of a batch"):
        regression().fit(X, sample_weight=weights, verbose=0)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_losses_that_layers_add_count(jit_compile):
    plain = regression().evaluate(X, verbose=0, return_dict=True)["loss"]
    layers = {
        "kernel": keras.layers.Dense(
            1, kernel_initializer="ones", kernel_regularizer=keras.regularizers.L2(10.0)
        ),
        "activity": keras.layers.Dense(
            1, kernel_initializer="ones", activity_regularizer=keras.regularizers.L2(1.0)
        ),
    }
    added = {"kernel": 30.0, "activity": (X.sum(axis=1) ** 2).mean()}
    for name, layer in layers.items():
        model = regression(part=layer, jit_compile=jit_compile)
        found = model.evaluate(X, batch_size=12, verbose=0, return_dict=True)["loss"]
        assert found == pytest.approx(plain + added[name], rel=1e-4), name
        model.fit(X, batch_size=12, verbose=0)
    assert layers["kernel"].kernel.numpy().sum() < 3.0


def test_networks_run_in_the_mode_of_the_step():
    normal = keras.layers.BatchNormalization(momentum=0.5)
    part = keras.Sequential([keras.layers.Input((3,)), normal, keras.layers.Dense(1)])
    model = regression(part=part)
    model.fit(X, batch_size=12, verbose=0)
    np.testing.assert_allclose(normal.moving_mean, 0.5 * X.mean(axis=0), rtol=1e-5)
    moved = normal.moving_mean.numpy()
    model.evaluate(X, verbose=0)
    model.predict(X, verbose=0)
    np.testing.assert_array_equal(normal.moving_mean, moved)


def test_noise_of_layers_follows_from_the_seed_and_the_step():
    def train(epochs, initial_epoch=0, saved=None):
        keras.utils.set_random_seed(1)
        part = keras.Sequential(
            [keras.layers.Input((3,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
        )
        model = regression("adam", part)
        if saved is not None:
            model.set_weights(saved[0])
            for mine, theirs in zip(model.optimizer.variables, saved[1], strict=True):
                mine.assign(theirs)
        settings = {"epochs": epochs, "initial_epoch": initial_epoch}
        losses = model.fit(X, batch_size=12, verbose=0, **settings).history["loss"]
        return losses, (model.get_weights(), [v.numpy() for v in model.optimizer.variables])

    straight, _ = train(4)
    first, saved = train(2)
    assert first + train(4, 2, saved)[0] == straight


class Game(Regression):
    """Two players: one pulls the first weight down, the other the second up."""

    def __init__(self):
        super().__init__()
        self.down = self.add_weight(shape=(), initializer="ones", name="down")
        self.up = self.add_weight(shape=(), initializer="ones", name="up")
        self.trackers |= _base.means("a", "b")

    def players(self):
        return [_base.Player({"a": 1.0}, [self.down]), _base.Player({"b": 3.0}, [self.up])]

    def loss_terms(self, batch, seed, training):
        return {"a": self.down * self.up, "b": -self.down * self.up}

    def compile(self, optimizer, **settings):
        optimizer.divide([player.variables for player in self.players()])
        super().compile(optimizer, **settings)


def test_players_minimise_their_own_terms_at_once():
    model = Game()
    model.built = True
    model.compile(JointOptimizer([keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1)]))
    model.fit(X, batch_size=12, verbose=0)
    assert float(model.down) == pytest.approx(1.0 - 0.1)
    assert float(model.up) == pytest.approx(1.0 + 0.1 * 3.0)


def test_export_writes_the_endpoints(tmp_path):
    model = regression()
    model.export(tmp_path / "model")
    served = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"]
    found = served(image=tf.constant(X))["sum"]
    np.testing.assert_allclose(found, model(X)["sum"], rtol=1e-6)
    with pytest.raises(ValueError, match="`format` must be 'tf_saved_model'"):
        model.export(tmp_path / "model.tflite", format="litert")


@pytest.mark.parametrize("name", ["loss", "loss_weights", "metrics", "weighted_metrics"])
def test_compile_refuses_what_it_would_ignore(name):
    sentence = f"`{name}` must be None: a Regression has a loss and metrics of its own. Received: "
    with pytest.raises(ValueError, match=re.escape(sentence)):
        Regression().compile("sgd", **{name: ["mae"]})


def test_what_fit_cannot_use_is_refused():
    model = regression()
    with pytest.raises(ValueError, match="`class_weight` must be None. Received: class_weight={0"):
        model.fit(X, class_weight={0: 1.0})
    with pytest.raises(ValueError, match="`y` must be None: there is nothing"):
        model.fit(X, np.ones(12))
    with pytest.raises(ValueError, match="`x` must be given"):
        model.fit()


def test_one_batch_is_predicted_without_a_pipeline(monkeypatch):
    model = regression()
    expected = model.predict(X, batch_size=5, verbose=0)["sum"]
    monkeypatch.setattr(tf.data.Dataset, "from_tensor_slices", None)
    np.testing.assert_allclose(model.predict(X, verbose=0)["sum"], expected, rtol=1e-6)
    np.testing.assert_allclose(model.predict(X, 12, 0)["sum"], expected, rtol=1e-6)


def test_validation_split():
    model = regression(keras.optimizers.SGD(0.0))
    history = model.fit(X, batch_size=12, validation_split=0.25, verbose=0).history
    assert history["squares"][0] == pytest.approx((X[:9].sum(axis=1) ** 2).mean(), rel=1e-5)
    assert history["val_squares"][0] == pytest.approx((X[9:].sum(axis=1) ** 2).mean(), rel=1e-5)
