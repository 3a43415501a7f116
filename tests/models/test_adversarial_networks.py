"""The published networks: weights counted from the tables, and wiring against plain TensorFlow."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbind.models import adversarial_networks as networks
from tfbind.models._quick_layers import Dropout, EveryClass, Mixture, PixelConv2DTranspose

# From an image to a single pixel: inputs, channels and kernel width of every convolution.
MNIST_LAYERS = [(1, 16, 2), (16, 32, 3), (32, 64, 3), (64, 64, 3), (64, 128, 4)]
SVHN_LAYERS = [(3, 16, 2), (16, 128, 3), (128, 128, 3), (128, 256, 3), (256, 256, 3), (256, 512, 4)]
MNIST_DECODER = [(128, 64, 4), (64, 64, 3), (64, 32, 3), (32, 16, 3), (16, 1, 2)]
SVHN_DECODER = [
    *((512, 256, 4), (256, 256, 3), (256, 128, 3)),
    *((128, 128, 3), (128, 16, 3), (16, 3, 2)),
]


@functools.cache
def mnist(factorization):
    """As published, for reading: a test that sets weights sets those of a copy."""
    return networks.mnist_networks(10, 64, factorization)


@functools.cache
def svhn():
    return networks.svhn_networks(18, 32, "latent_first")


def convolutions(layers):
    """Kernels and biases; transposed convolutions have as many."""
    return sum(width**2 * inputs * outputs + outputs for inputs, outputs, width in layers)


def normalizations(*channels):
    """Scale, shift and two moving statistics a channel."""
    return 4 * sum(channels)


def path(layers, size):
    """An encoder's path: convolutions, a normalisation after each, two heads of 1x1."""
    channels = [outputs for _, outputs, _ in layers]
    return convolutions([*layers, (channels[-1], 2 * size, 1)]) + normalizations(*channels)


def decoder(layers, num_clusters, latent_dim):
    """Two paths, of which that of z is normalised before every convolution but the first."""
    top = layers[0][0]
    label, latent = [(num_clusters, top, 1), *layers], [(latent_dim, top, 1), *layers]
    inputs = [inputs for inputs, _, _ in layers]
    return convolutions(label) + convolutions(latent) + normalizations(*inputs)


def discriminator(layers, units, joint, num_clusters, latent_dim):
    """The path of x, two layers on y, two on z, two on all of them, and the logit."""
    y, z = [(num_clusters, units, 1)], [(latent_dim, units, 1)]
    together = [(layers[-1][1] + 2 * units, joint, 1), (joint, joint, 1), (joint, 1, 1)]
    return convolutions([*layers, *y, *z, *2 * [(units, units, 1)], *together])


def counts(parts):
    return {name: network.count_params() for name, network in parts.items()}


@pytest.mark.parametrize("factorization", networks.FACTORIZATIONS)
def test_weights_of_mnist(factorization):
    z_takes_y = 10 * 128 + 128 if factorization == "class_first" else 0
    assert counts(mnist(factorization)) == {
        "class_encoder": path(MNIST_LAYERS, 10),
        "latent_encoder": path(MNIST_LAYERS, 64) + z_takes_y,
        "prior": convolutions([(10, 64, 1), (64, 64, 1), (64, 64, 1)]) + normalizations(64, 64),
        "decoder": decoder(MNIST_DECODER, 10, 64),
        "discriminator": discriminator(MNIST_LAYERS, 64, 256, 10, 64),
    }


def test_weights_of_svhn():
    assert counts(svhn()) == {
        "class_encoder": path(SVHN_LAYERS, 18),
        "latent_encoder": path(SVHN_LAYERS, 32),
        "prior": 18 * 32 + 32,
        "decoder": decoder(SVHN_DECODER, 18, 32),
        "discriminator": discriminator(SVHN_LAYERS, 512, 1024, 18, 32),
    }


def test_convolutional_networks_are_those_of_mnist_where_the_convolutions_are():
    wanted = ((16, 2, 1), (32, 3, 2), (64, 3, 2), (64, 3, 1), (128, 4, 1))
    parts = networks.convolutional_networks((28, 28, 1), 10, 64, wanted, "latent_first")
    assert counts(parts) == counts(mnist("latent_first"))
    smaller = networks.convolutional_networks(
        (9, 9, 3), 4, 2, ((6, 3, 2), (5, 4, 1)), prior_units=(), units=7, joint_units=8
    )
    layers = [(3, 6, 3), (6, 5, 4)]
    found = counts(smaller)
    assert found["class_encoder"] == path(layers, 4)
    assert found["prior"] == 4 * 2 + 2
    assert found["discriminator"] == discriminator(layers, 7, 8, 4, 2)
    assert smaller["decoder"].output_shape == (None, 9, 9, 3)


def test_weights_in_numbers():
    """Those of MNIST once more, added up with pencil and paper."""
    convolved = 80 + 4640 + 18_496 + 36_928 + 131_200
    normalized = 64 + 128 + 256 + 256 + 512
    back = 131_136 + 36_928 + 18_464 + 4_624 + 65
    assert counts(mnist("latent_first")) == {
        "class_encoder": convolved + normalized + 2_580,
        "latent_encoder": convolved + normalized + 16_512,
        "prior": 704 + 256 + 4_160 + 256 + 4_160,
        "decoder": 1_408 + 8_320 + 2 * back + 512 + 256 + 256 + 128 + 64,
        "discriminator": convolved + (704 + 4_160) + (4_160 + 4_160) + 65_792 + 65_792 + 257,
    }


@pytest.mark.parametrize(
    ("make", "sides", "channels"),
    [
        (lambda: mnist("latent_first"), [28, 27, 13, 6, 4, 1], 1),
        (svhn, [32, 31, 15, 13, 6, 4, 1], 3),
    ],
)
def test_images_shrink_to_a_pixel_and_grow_back(make, sides, channels):
    parts = make()
    _, *shown = parts["latent_encoder"].output_shape
    found = [shape[1] if len(shape) == 4 else 1 for shape in shown]
    assert found == sides[1:]
    grown = [
        layer.output.shape[1]
        for layer in parts["decoder"].layers
        if isinstance(layer, keras.layers.Conv2DTranspose)
    ]
    assert sorted(set(grown)) == sorted(sides)[1:]
    image = (sides[0], sides[0], channels)
    assert parts["latent_encoder"].input_shape[1:] == parts["decoder"].output_shape[1:] == image


def randomized(network):
    """Returns a copy in which every weight, statistics too, has a value that makes it count."""
    network = keras.models.clone_model(network)
    for weight in network.weights:
        low, scale = (0.5, 1.0) if "variance" in weight.path else (-0.2, 0.4)
        weight.assign(low + scale * np.random.random_sample(weight.shape))
    return network


def layers_of(network, *kinds):
    return [layer for layer in network.layers if isinstance(layer, kinds)]


def normalized(layer, x):
    """Batch normalisation by the moving statistics, then a leaky ReLU."""
    x = (x - layer.moving_mean) / np.sqrt(layer.moving_variance + 1e-5)
    x = layer.gamma * x + layer.beta
    return np.where(x > 0, x, 0.2 * x)


def convolved(layer, x, stride):
    """A convolution without padding; at the end one with a kernel as large as its input."""
    side = x.shape[1]
    kernel = np.reshape(layer.kernel, (side, side, x.shape[-1], -1)) if stride is None else None
    kernel = layer.kernel if kernel is None else kernel
    return np.asarray(tf.nn.conv2d(x, kernel, stride or 1, "VALID") + layer.bias)


def test_the_encoders_are_those_of_the_tables():
    parts = mnist("latent_first")
    latent_encoder, class_encoder = (
        randomized(parts[name]) for name in ("latent_encoder", "class_encoder")
    )
    image = tf.constant(np.random.random_sample((2, 28, 28, 1)), tf.float32)
    kinds = (keras.layers.Conv2D, keras.layers.Dense)
    (*z_layers, z_head), (*y_layers, y_head) = (
        layers_of(net, *kinds) for net in (latent_encoder, class_encoder)
    )
    z_norms, y_norms = (
        layers_of(net, keras.layers.BatchNormalization) for net in (latent_encoder, class_encoder)
    )
    z = y = image
    shown = []
    for i, stride in enumerate((1, 2, 2, 1, None)):
        y = convolved(y_layers[i], y, stride)
        z = convolved(z_layers[i], z, stride)
        shown.append(z)
        y, z = normalized(y_norms[i], z + y), normalized(z_norms[i], z)
    found, *features = latent_encoder(image)
    np.testing.assert_allclose(found, z_head(z[:, 0, 0]), rtol=1e-4, atol=1e-3)
    for feature, expected in zip(features, shown, strict=True):
        np.testing.assert_allclose(
            tf.reshape(feature, expected.shape), expected, rtol=1e-4, atol=1e-3
        )
    found = class_encoder([image, tf.zeros([2, 64]), *features])
    np.testing.assert_allclose(found, y_head(y[:, 0, 0]), rtol=1e-4, atol=1e-3)


def test_where_y_comes_first_the_path_of_z_takes_it():
    parts = mnist("class_first")
    latent_encoder = randomized(parts["latent_encoder"])
    image = tf.constant(np.random.random_sample((2, 28, 28, 1)), tf.float32)
    _, *shown = parts["class_encoder"](image)
    logits = tf.eye(10)[:2]
    first, second = (latent_encoder([image, y, *shown]) for y in (logits, 2 * logits))
    assert (np.abs(first - second) > 1e-4).mean() > 0.9


def test_the_decoders_path_of_y_is_linear():
    """With the last layer of the path of z silent, the logits are affine in y and free of z."""
    decoder = randomized(mnist("class_first")["decoder"])
    (silenced,) = (
        layer
        for layer in layers_of(decoder, keras.layers.Conv2DTranspose)
        if layer.filters == 1
        and isinstance(layer.input._keras_history.operation, keras.layers.LeakyReLU)
    )
    logits = keras.Model(decoder.inputs, decoder.layers[-1].input)  # before the logistic
    y = tf.constant(np.random.dirichlet(np.ones(10), 2), tf.float32)
    z = tf.random.stateless_normal([2, 64], [1, 2])
    assert (np.asarray(logits([y, z])) != np.asarray(logits([y, -z]))).mean() > 0.9
    silenced.kernel.assign(tf.zeros_like(silenced.kernel))
    np.testing.assert_array_equal(logits([y, z]), logits([y, -z]))
    between = logits([0.3 * y + 0.7 * y[::-1], z])
    expected = 0.3 * logits([y, z]) + 0.7 * logits([y[::-1], z])
    np.testing.assert_allclose(between, expected, atol=1e-4 * np.std(expected))


def by_examples(decoder):
    """Returns `decoder` with the same layers, but for those through which y goes by classes."""
    swapped = {
        EveryClass: keras.layers.Identity,
        Mixture: lambda: keras.layers.Lambda(lambda pair: pair[1]),
    }
    return keras.models.clone_model(
        decoder, clone_function=lambda layer: swapped.get(type(layer), lambda: layer)()
    )


def test_the_path_of_y_by_classes_is_that_by_examples():
    """Values, and the gradient of y and of every weight."""
    decoder = networks.mnist_networks(10, 6, dropout=0.0)["decoder"]
    random = np.random.default_rng(0)
    for weight in decoder.weights:
        weight.assign(0.3 * random.random(weight.shape) - 0.1)
    y = tf.constant(random.dirichlet(np.ones(10), 4), tf.float32)
    z = tf.constant(random.standard_normal((4, 6)), tf.float32)
    found = []
    for network in (decoder, by_examples(decoder)):
        with tf.GradientTape() as tape:
            tape.watch(y)
            images = network([y, z], training=False)
            loss = tf.reduce_sum(tf.sin(images))
        by_y, *gradients = tape.gradient(loss, [y, *(w.value for w in decoder.trainable_weights)])
        by_y -= tf.reduce_mean(by_y, axis=-1, keepdims=True)  # along the simplex
        found.append([images, by_y, *gradients])
    for value, other in zip(*found, strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-3, atol=1e-4 * np.abs(other).max())


def test_the_transposed_convolution_of_a_pixel():
    layer = PixelConv2DTranspose(5, 4)
    pixel = np.random.standard_normal((3, 1, 1, 7)).astype("float32")
    found = layer(pixel)
    layer.bias.assign(np.arange(5.0))
    expected = keras.layers.Conv2DTranspose.call(layer, pixel)
    np.testing.assert_allclose(layer(pixel), expected, atol=1e-5)
    assert found.shape == expected.shape == (3, 4, 4, 5)


def test_initial_weights():
    """Kernels Normal(0, 0.02^2), biases 0."""
    for network in (*mnist("latent_first").values(), *svhn().values()):
        for layer in layers_of(network, keras.layers.Conv2D, keras.layers.Dense):
            kernel = np.asarray(layer.kernel)
            assert abs(kernel.std() - 0.02) < 0.02 * 4 / np.sqrt(2 * kernel.size)
            assert abs(kernel.mean()) < 0.02 * 5 / np.sqrt(kernel.size)
            assert (np.asarray(layer.bias) == 0).all()


CONVOLUTIONS = ((16, 4, 2), (32, 3, 2), (128, 6, 1))


@pytest.mark.parametrize(
    "make",
    [
        networks.mnist_networks,
        lambda *sizes, **settings: networks.convolutional_networks(
            (28, 28, 1), *sizes, CONVOLUTIONS, **settings
        ),
    ],
)
def test_other_initial_weights_of_the_discriminator(make):
    """He's, with which an answer changes with y by tenths from the start, not by millionths."""
    parts = make(10, 16, dropout=0.0, discriminator_initializer="he_normal")
    encoder = layers_of(parts["class_encoder"], keras.layers.Conv2D, keras.layers.Dense)
    assert np.asarray(encoder[0].kernel).std() < 0.03
    judge = parts["discriminator"]
    for layer in layers_of(judge, keras.layers.Conv2D, keras.layers.Dense):
        kernel = np.asarray(layer.kernel)
        wanted = np.sqrt(2 / np.prod(kernel.shape[:-1]))
        assert abs(kernel.std() - wanted) < wanted * 4 / np.sqrt(2 * kernel.size)
        assert (np.asarray(layer.bias) == 0).all()
    random = np.random.default_rng(0)
    images = random.random((50, 28, 28, 1)).astype("float32")
    labels = np.eye(10, dtype="float32")[random.integers(10, size=50)]
    latents = random.standard_normal((50, 16)).astype("float32")
    logits = np.asarray(judge([images, labels, latents]))
    other_label = np.asarray(judge([images, labels[::-1], latents]))
    assert abs(other_label - logits).mean() > 0.03


def test_the_discriminator_has_no_batch_normalization():
    for parts in (mnist("class_first"), svhn(), networks.dense_networks((4,), 3, 2)):
        assert parts["discriminator"].non_trainable_weights == []


@pytest.mark.parametrize("jit_compile", [False, True])
def test_dropout(jit_compile, test_seed):
    layer = Dropout(0.2)
    x = tf.ones([101, 99])
    corrupt = tf.function(layer.corrupt, jit_compile=jit_compile)
    first, again, other = (
        np.asarray(corrupt(x, tf.constant([test_seed, salt]))) for salt in (1, 1, 2)
    )
    assert set(np.unique(first)) == {0.0, np.float32(65536 / (65536 - 13107))}
    assert abs((first == 0).mean() - 0.2) < 4 * np.sqrt(0.2 * 0.8 / first.size)
    np.testing.assert_array_equal(first, again)
    assert abs((first == other).mean() - (0.2**2 + 0.8**2)) < 0.02
    rows = (first == 0).mean(axis=0)  # neither rows nor columns nor neighbours share a fate
    assert abs(rows.std() - np.sqrt(0.2 * 0.8 / 101)) < 0.01
    neighbours = np.corrcoef(first[:, 1:].ravel(), first[:, :-1].ravel())[0, 1]
    assert abs(neighbours) < 4 / np.sqrt(first.size)


def test_dropout_at_inference_and_its_gradient():
    layer = Dropout(0.5)
    x = tf.ones([4, 5])
    np.testing.assert_array_equal(layer(x), x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        dropped = layer(x, training=True)
    np.testing.assert_array_equal(tape.gradient(dropped, x), dropped)


def test_dropout_comes_after_the_convolutions_but_not_on_the_image():
    decoder = mnist("class_first")["decoder"]
    shapes = [layer.output.shape[1:] for layer in layers_of(decoder, Dropout)]
    assert sorted(set(shapes)) == [(4, 4, 64), (6, 6, 64), (13, 13, 32), (27, 27, 16)]
    assert len(shapes) == 8
    for name, network in svhn().items():
        assert layers_of(network, Dropout) == [], name


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: networks.mnist_networks(1, 64), "`num_clusters` must be an integer >= 2."),
        (lambda: networks.svhn_networks(10, 0), "`latent_dim` must be an integer >= 1."),
        (
            lambda: networks.dense_networks((3,), 2, 2, "z_first"),
            "`factorization` must be one of 'class_first', 'latent_first', 'independent'. "
            "Received: factorization='z_first'.",
        ),
        (
            lambda: networks.convolutional_networks((28, 28, 1), 10, 2, ((8, 4, 2), (8, 5, 1))),
            "`convolutions` must bring a square image to a single pixel, and leave no pixel over. "
            r"Received: convolutions=\(\(8, 4, 2\), \(8, 5, 1\)\) for 28 x 28 pixels.",
        ),
        (
            lambda: networks.convolutional_networks((9, 9, 1), 10, 2, ((8, 2, 2), (8, 4, 1))),
            "`convolutions` must bring a square image to a single pixel, and leave no pixel over.",
        ),
        (
            lambda: networks.mnist_networks(10, 64, dropout=1.0),
            r"`dropout` must be a number in \[0, 0.9\]. Received: dropout=1.0.",
        ),
    ],
)
def test_bad_arguments(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
