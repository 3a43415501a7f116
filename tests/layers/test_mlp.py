"""Dense networks: what they compute, and the initial weights of the models that used others."""

import functools

import keras
import numpy as np
import pytest

from tfbind import layers, models
from tfbind.models import adversarial_networks

SHAPE, CLASSES, LATENT = (3, 2), 4, 5
IMAGE, LABEL, LATENTS = {"image": SHAPE}, {"label": (CLASSES,)}, {"latent": (LATENT,)}


def uniform(scale):
    return functools.partial(
        keras.initializers.VarianceScaling, scale, mode="fan_avg", distribution="uniform"
    )


def assert_same(network, expected, rtol=0.0):
    """Same weights in the same order, and so the same outputs."""
    for one, other in zip(network.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    random = np.random.default_rng(0)
    shapes = [tensor.shape[1:] for tensor in network.inputs]
    x = [random.standard_normal((6, *shape)).astype("float32") for shape in shapes]
    x = x if len(x) > 1 else x[0]
    np.testing.assert_array_equal(network(x), expected(x))


def test_against_numpy(test_seed):
    network = layers.mlp(IMAGE | LABEL, (7,), (2, 3), activation="tanh", output_activation="relu")
    random = np.random.default_rng(test_seed)
    weights = [random.standard_normal(w.shape) for w in network.get_weights()]
    network.set_weights(weights)
    image, label = random.random((9, *SHAPE)), random.random((9, CLASSES))
    seen = np.concatenate([image.reshape(9, -1), label], axis=1)
    hidden = np.tanh(seen @ weights[0] + weights[1])
    expected = np.maximum(hidden @ weights[2] + weights[3], 0).reshape(9, 2, 3)
    np.testing.assert_allclose(network([image, label]), expected, rtol=1e-4, atol=1e-5)


def test_normalization_comes_before_the_activation_and_instead_of_a_bias(test_seed):
    network = layers.mlp(IMAGE, (7,), lambda h: h, normalization=layers.Standardization)
    assert [weight.shape for weight in network.trainable_weights] == [(6, 7)]
    x = np.random.default_rng(test_seed).random((9, *SHAPE)).astype("float32")
    a = x.reshape(9, -1) @ network.get_weights()[0]
    expected = np.maximum((a - a.mean(axis=0)) / a.std(axis=0), 0)
    np.testing.assert_allclose(network(x), expected, atol=1e-4)


def test_every_layer_draws_anew():
    network = layers.mlp({"x": (6,)}, (6, 6), (6,))
    kernels = network.get_weights()[::2]
    assert len(kernels) == 3
    assert len({kernel.tobytes() for kernel in kernels}) == 3


def test_the_name_and_those_of_the_inputs():
    network = layers.mlp(IMAGE | LABEL, (), (2,), name="encoder")
    assert network.name == "encoder"
    assert [tensor.name for tensor in network.inputs] == ["image", "label"]


def test_a_network_can_be_saved(tmp_path):
    normalization = keras.layers.BatchNormalization
    network = layers.mlp(IMAGE, (7,), SHAPE, activation="leaky_relu", normalization=normalization)
    network.save(tmp_path / "network.keras")
    assert_same(keras.saving.load_model(tmp_path / "network.keras"), network)


def test_parts_of_the_untapped_vae(test_seed):
    build = functools.partial(layers.mlp, activation="tanh", kernel_initializer=uniform(2.0))

    def moments(hidden):
        scale = keras.layers.Dense(LATENT, kernel_initializer="zeros")(hidden)
        mean = keras.layers.Dense(LATENT, kernel_initializer=uniform(2.0)())(hidden)
        return keras.layers.Concatenate()([mean, scale])

    model = models.UntappedVAE(
        SHAPE,
        CLASSES,
        LATENT,
        classifier_units=(7,),
        encoder_units=(8, 6),
        decoder_units=(9,),
        activation="tanh",
        seed=0,
    )
    keras.utils.set_random_seed(test_seed)
    assert_same(build(IMAGE, (7,), (CLASSES,)), model.classifier)
    assert_same(build(IMAGE | LABEL, (8, 6), moments), model.encoder)
    assert_same(build(LABEL | LATENTS, (9,), SHAPE), model.decoder)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_parts_of_the_denoising_autoencoder(activation, test_seed):
    scale = {"relu": 2.0, "tanh": 1.0, "sigmoid": 16.0}[activation]
    biases = functools.partial(keras.initializers.RandomNormal, stddev=0.1)
    build = functools.partial(layers.mlp, bias_initializer=biases)
    model = models.DenoisingAutoencoder(SHAPE, hidden_units=7, activation=activation)
    keras.utils.set_random_seed(test_seed)
    encoder = build(
        IMAGE, (), (7,), kernel_initializer=uniform(scale), output_activation=activation
    )
    assert_same(encoder, model.encoder)
    decoder = build({"code": (7,)}, (), SHAPE, kernel_initializer=uniform(1 / 6))
    assert_same(decoder, model.decoder)


def test_parts_of_the_adversarial_mixture(test_seed):
    """Whose output layers are made before all others."""
    expected = adversarial_networks.dense_networks(SHAPE, CLASSES, LATENT, hidden_units=(7, 6))
    batch = functools.partial(keras.layers.BatchNormalization, momentum=0.9, epsilon=1e-5)
    build = functools.partial(layers.mlp, units=(7, 6), activation="leaky_relu")
    keras.utils.set_random_seed(test_seed)
    shapes = {
        "class_encoder": IMAGE,
        "latent_encoder": IMAGE | LABEL,
        "decoder": LABEL | LATENTS,
        "discriminator": IMAGE | LABEL | LATENTS,
    }
    sizes, activations = (2 * CLASSES, 2 * LATENT, 6, 1), (None, None, "sigmoid", None)
    outputs = list(map(keras.layers.Dense, sizes, activations))
    for (name, inputs), output in zip(shapes.items(), outputs, strict=True):
        normalization = None if name == "discriminator" else batch
        last = (
            keras.Sequential([output, keras.layers.Reshape(SHAPE)]) if name == "decoder" else output
        )
        network = build(inputs, outputs=last, normalization=normalization)
        assert_same(network, expected[name])
