"""The exported training step, run by jaxlib on the CPU, is the one that `fit` runs."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbind import export, layers, models, seeds
from tfbind.models._base import BaseModel

pytestmark = pytest.mark.stablehlo

ROOT = pathlib.Path(__file__).resolve().parents[2]
STEPS, BATCH = 20, 8
RANDOM = np.random.default_rng(0)
IMAGES = (RANDOM.random((STEPS * BATCH, 4, 4, 1)) < 0.3).astype("float32")
DATA = {
    "image": IMAGES,
    "label": IMAGES[:, 0, 0, 0].astype("int32"),
    "unlabeled_image": IMAGES[::-1].copy(),
}


def tagger(seed=1):
    keras.utils.set_random_seed(seed)
    model = models.Tagger(
        (4, 4, 1), num_groups=2, num_iterations=2, units=(16, 8), normalization="layer", seed=1
    )
    model.compile(keras.optimizers.Adam(0.01), jit_compile=True)
    return model, {"image": IMAGES}


def ladder_network(seed=1):
    keras.utils.set_random_seed(seed)
    model = models.LadderNetwork(
        (4, 4, 1), 2, hidden_units=(8,), denoising_weights=(10.0, 1.0, 0.1), seed=1
    )
    model.compile(keras.optimizers.Adam(0.01), jit_compile=True)
    return model, DATA


def denoising_autoencoder(seed=1):
    keras.utils.set_random_seed(seed)
    corruption = layers.SaltAndPepperNoise(0.3, seed=1)
    model = models.DenoisingAutoencoder((4, 4, 1), hidden_units=8, corruption=corruption)
    model.compile(keras.optimizers.SGD(0.3), jit_compile=True)
    return model, {"image": IMAGES}


def adversarial_mixture(seed=1):
    keras.utils.set_random_seed(seed)
    networks = models.adversarial_networks.convolutional_networks(
        (4, 4, 1), 2, 2, ((4, 2, 1), (5, 3, 1)), prior_units=(), units=4, joint_units=8
    )
    model = models.AdversarialMixture((4, 4, 1), 2, 2, **networks, seed=1)
    model.compile(keras.optimizers.Adam(1e-3, beta_1=0.5), jit_compile=True)
    return model, {"image": IMAGES}


def unpacked(data):
    """Returns what a step takes: images alone are no dict."""
    return data["image"] if set(data) == {"image"} else data


def exported(make, folder):
    model, data = make()
    first = {name: array[:BATCH] for name, array in data.items()}
    export.export_train_step(model, unpacked(first), folder)
    return model, data


def in_turn(data):
    order = np.arange(STEPS * BATCH).reshape(STEPS, BATCH)
    return dict.fromkeys(data, order)


def fitted(model, data):
    """Returns the logs of every step of one epoch of `fit`."""
    steps = []
    keep = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(logs))
    batches = tf.data.Dataset.from_tensor_slices(unpacked(data)).batch(BATCH, drop_remainder=True)
    model.fit(batches, shuffle=False, verbose=0, callbacks=[keep])
    return {name: np.array([step[name] for step in steps]) for name in steps[0]}


SLOW = [
    pytest.param(make, marks=pytest.mark.slow) for make in (ladder_network, adversarial_mixture)
]
MAKERS = [tagger, denoising_autoencoder, *SLOW]


@pytest.mark.parametrize("make", MAKERS)
def test_twenty_steps_are_those_of_fit(make, tmp_path):
    model, data = exported(make, tmp_path / "step")
    runner = export.TrainStepRunner(tmp_path / "step", "cpu")
    logs = runner.train(data, in_turn(data))
    runner.save(tmp_path / "weights.npz")
    expected = fitted(model, data)
    assert set(logs) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(logs[name], values, rtol=1e-6)
    if make is not adversarial_mixture:  # whose loss is that of a game
        assert logs["loss"][-1] < 0.95 * logs["loss"][0]
    # Back in Keras, in a model that was another before.
    other, _ = make(seed=2)
    assert _largest_difference(other.weights, model.weights) > 0.1
    export.restore_variables(other, tmp_path / "step", tmp_path / "weights.npz")
    assert _largest_difference(_compared(other), _compared(model)) < 2e-5
    for mine, theirs in zip(other.optimizers, model.optimizers, strict=True):
        assert mine.iterations == STEPS
        assert _largest_difference(mine.variables, theirs.variables) < 1e-6


@pytest.mark.slow
def test_the_rates_of_all_optimizers_are_set(tmp_path):
    _, data = exported(adversarial_mixture, tmp_path / "step")
    runner = export.TrainStepRunner(tmp_path / "step", "cpu")
    before = [np.array(variable) for variable in runner.variables]
    runner.set_learning_rate(0.0)
    runner.train(data, in_turn(data))
    runner.save(tmp_path / "weights.npz")
    other, _ = adversarial_mixture()
    export.restore_variables(other, tmp_path / "step", tmp_path / "weights.npz")
    for optimizer in other.optimizers:
        assert optimizer.learning_rate == 0
    after = [np.array(variable) for variable in runner.variables]
    trained = {id(weight) for weight in other.trainable_weights}
    for number, weight in enumerate(other.variables):
        if id(weight) in trained:
            np.testing.assert_array_equal(after[number], before[number])


def _compared(model):
    """Returns the weights that steps alone have made: `fit` sets population statistics anew."""
    return model.trainable_weights if model.needs_calibration else model.weights


def _largest_difference(variables, others):
    pairs = zip(variables, others, strict=True)
    return max(np.abs(mine.numpy() - theirs.numpy()).max() for mine, theirs in pairs)


class Draws(BaseModel):
    """Keeps what it drew in its last step."""

    term_weights = {}

    def __init__(self):
        super().__init__((1,))
        self.uniform = self.add_weight(shape=(1000,), trainable=False, name="uniform")
        self.normal = self.add_weight(shape=(1000,), trainable=False, name="normal")
        self.built = True

    def train_step(self, data):
        seed = seeds.step_seed(7, self.optimizer.iterations)
        self.uniform.assign(seeds.uniform([1000], seed))
        self.normal.assign(seeds.normal([1000], seed))
        self.optimizer.iterations.assign_add(1)
        return {"loss": tf.reduce_sum(data["image"])}


def test_noise_is_that_of_tensorflow(tmp_path):
    model, data = Draws(), np.zeros((3, 1), "float32")
    model.compile(keras.optimizers.SGD(), jit_compile=True)
    export.export_train_step(model, data, tmp_path / "step")
    runner = export.TrainStepRunner(tmp_path / "step", "cpu")
    runner.train({"image": data}, {"image": np.zeros((4, 3), int)})
    step = tf.function(model.train_step, jit_compile=True)
    for _ in range(4):
        step({"image": tf.constant(data)})
    uniform, normal = map(np.asarray, runner.variables[:2])
    np.testing.assert_array_equal(uniform, model.uniform.numpy())
    np.testing.assert_allclose(normal, model.normal.numpy(), rtol=1e-5, atol=1e-6)
    assert len(np.unique(uniform)) > 990


def test_another_model_is_refused(tmp_path):
    model, _ = exported(denoising_autoencoder, tmp_path / "step")
    wider = models.DenoisingAutoencoder((4, 4, 1), hidden_units=9)
    wider.compile(keras.optimizers.SGD(0.3))
    initial = tmp_path / "step" / "variables.npz"
    with pytest.raises(ValueError, match="`model` must have the .* variables"):
        export.restore_variables(wider, tmp_path / "step", initial)
    wider.compile(keras.optimizers.Adam(0.3))
    with pytest.raises(ValueError, match="`model` must have the .* variables"):
        export.restore_variables(wider, tmp_path / "step", initial)


def test_what_cannot_be_exported_or_run_is_refused(tmp_path):
    model = models.DenoisingAutoencoder((4, 4, 1), hidden_units=8)
    with pytest.raises(ValueError, match="`model` must be compiled"):
        export.export_train_step(model, IMAGES[:2], tmp_path / "step")
    exported(denoising_autoencoder, tmp_path / "step")
    with pytest.raises(ValueError, match="`folder` must be a new one"):
        exported(denoising_autoencoder, tmp_path / "step")
    with pytest.raises(ValueError, match="`folder` must be made by"):
        export.TrainStepRunner(tmp_path)
    for device in ("abacus", "cpu:7"):
        with pytest.raises(ValueError, match="`device` must be"):
            export.TrainStepRunner(tmp_path / "step", device)
    runner = export.TrainStepRunner(tmp_path / "step", "cpu")
    with pytest.raises(ValueError, match="`data` and `order` must have the keys"):
        runner.train({"x": IMAGES}, {"x": np.zeros((1, BATCH), int)})


def test_endpoints(tmp_path):
    """What a server answers comes from JAX too, of every endpoint, in batches of two."""
    keras.utils.set_random_seed(1)
    autoencoder = models.DenoisingAutoencoder((4, 4, 1), hidden_units=8)
    model = models.ReconstructionClustering(autoencoder, num_groups=2, num_iterations=3, seed=1)
    folder = export.export_stablehlo(model, tmp_path / "programs", batch_size=2)
    runner = export.StableHLORunner(folder, "cpu")
    card = export.build_card(model)
    assert set(runner.signatures) == set(card["endpoints"])
    for name, endpoint in model.serving_endpoints().items():
        inputs = export.sample_inputs(card["endpoints"][name], 2)
        answer = runner(name, inputs)
        assert answer.pop("valid").tolist() == [1, 1]
        expected = endpoint.function(*(inputs[spec.name] for spec in endpoint.inputs))
        assert answer.keys() == expected.keys()
        for key, array in answer.items():
            np.testing.assert_allclose(array, expected[key], rtol=1e-4, atol=1e-4)


def test_endpoints_refuse_another_batch_size(tmp_path):
    model = models.DenoisingAutoencoder((4,), hidden_units=8)
    folder = export.export_stablehlo(model, tmp_path / "programs", batch_size=2)
    with pytest.raises(ValueError, match=r"shape \(2, 4\). Received: shape \(1, 4\)."):
        export.StableHLORunner(folder, "cpu")(
            "serving_default", {"image": np.zeros((1, 4), "float32")}
        )
