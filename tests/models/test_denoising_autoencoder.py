"""The autoencoder's loss by hand, its initialisation, and what it learns."""

import keras
import numpy as np
import pytest
import scipy.stats

from tfbind import layers, models, seeds

KAPPA = {"relu": np.sqrt(12), "tanh": np.sqrt(6), "sigmoid": 4 * np.sqrt(6)}


def images(seed=0, num_images=10, event_shape=(6, 5, 1)):
    return np.random.default_rng(seed).random((num_images, *event_shape)).astype("float32")


def bernoulli_loss(inputs, targets, weights):
    """Returns -log p(target | input), nats per example, for a net of tanh units."""
    w1, b1, w2, b2 = weights
    logits = np.tanh(inputs.reshape(len(inputs), -1) @ w1 + b1) @ w2 + b2
    p, x = 1 / (1 + np.exp(-logits)), targets.reshape(len(targets), -1)
    return -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=1)


def make(**settings):
    return models.DenoisingAutoencoder((6, 5, 1), hidden_units=8, activation="tanh", **settings)


def loss_of(model, *args, **kwargs):
    return model.evaluate(*args, verbose=0, return_dict=True, **kwargs)["loss"]


def test_loss_without_noise():
    x, model = images(), make()
    model.compile()
    expected = bernoulli_loss(x, x, model.get_weights())
    assert loss_of(model, x) == pytest.approx(expected.mean(), rel=1e-5)
    weights = np.linspace(0, 2, len(x)).astype("float32")
    found = loss_of(model, x, sample_weight=weights)
    assert found == pytest.approx((weights * expected).mean(), rel=1e-5)


def test_gaussian_loss_without_noise():
    x, model = images() * 4 - 2, make(likelihood="gaussian")
    model.compile()
    mean = model(x)["reconstruction"]
    expected = -scipy.stats.norm.logpdf(x, mean, np.log(2)).sum(axis=(1, 2, 3)).mean()
    assert loss_of(model, x) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_every_step_of_training_has_noise_of_its_own(jit_compile):
    """With a learning rate of 0, the loss of a step tells which noise it drew."""
    x, corruption = images().round(), layers.SaltAndPepperNoise(0.5, seed=7)
    model = make(corruption=corruption)
    model.compile(keras.optimizers.SGD(0.0), jit_compile=jit_compile)
    found = [model.train_on_batch(x)[0] for _ in range(3)]
    expected = [
        bernoulli_loss(
            corruption.corrupt(x, seeds.fold(7, step)).numpy(), x, model.get_weights()
        ).mean()
        for step in range(3)
    ]
    assert len(set(expected)) == 3
    if jit_compile:  # XLA may draw other numbers, of the same distribution
        assert np.mean(found) == pytest.approx(np.mean(expected), rel=0.1)
        assert len(set(map(float, found))) == 3
    else:
        assert found == pytest.approx(expected, rel=1e-5)


def test_evaluation_is_noisy_too_and_the_same_every_time():
    x = images().round()
    model = make(corruption=layers.SaltAndPepperNoise(0.5, seed=7))
    model.compile("sgd")
    clean = bernoulli_loss(x, x, model.get_weights()).mean()
    first = loss_of(model, x, batch_size=5)
    assert first == loss_of(model, x, batch_size=5)
    assert abs(first - clean) > 1e-3
    # Each batch has noise of its own: the same rows twice do not give the same loss twice.
    assert loss_of(model, np.concatenate([x, x]), batch_size=len(x)) != pytest.approx(
        loss_of(model, x, batch_size=len(x)), rel=1e-6
    )


def test_targets_of_ones_own():
    x, y = images(seed=0), images(seed=1)
    model = make()
    model.compile()
    expected = bernoulli_loss(x, y, model.get_weights()).mean()
    assert loss_of(model, x, y) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match=r"`target` must have shape \(n, 6, 5, 1\). Received: sha"):
        model.fit(x, np.arange(len(x)), verbose=0)


def test_call_does_not_corrupt():
    x, model = images(), make(corruption=layers.SaltAndPepperNoise(1.0))
    w1, b1, w2, b2 = model.get_weights()
    code = np.tanh(x.reshape(len(x), -1) @ w1 + b1)
    outputs = model(x, training=True)
    np.testing.assert_allclose(outputs["code"], code, atol=1e-5)
    expected = 1 / (1 + np.exp(-(code @ w2 + b2)))
    np.testing.assert_allclose(outputs["reconstruction"], expected.reshape(x.shape), atol=1e-5)


@pytest.mark.parametrize("activation", KAPPA)
def test_initialisation(activation):
    """Uniform(+-kappa / sqrt(fan_in + fan_out)) and biases Normal(0, 0.1)."""
    model = models.DenoisingAutoencoder((20, 20), hidden_units=300, activation=activation)
    hidden_kernel, hidden_bias, kernel, bias = model.get_weights()
    for weights, kappa in ((hidden_kernel, KAPPA[activation]), (kernel, 1.0)):
        bound = kappa / np.sqrt(700)
        uniform = scipy.stats.uniform(-bound, 2 * bound)
        assert scipy.stats.kstest(weights.ravel()[:2000], uniform.cdf).pvalue > 1e-4
        assert np.abs(weights).max() <= bound * (1 + 1e-6)
    for biases in (hidden_bias, bias):
        assert scipy.stats.kstest(biases, scipy.stats.norm(0, 0.1).cdf).pvalue > 1e-4


def test_the_learned_scale_is_the_residual_of_principal_components():
    """A linear autoencoder at its optimum leaves what PCA leaves."""
    random = np.random.default_rng(0)
    factors = random.standard_normal((400, 2)) @ random.standard_normal((2, 10))
    data = (factors + 0.3 * random.standard_normal(factors.shape)).astype("float32")
    data -= data.mean(axis=0)
    residual = np.linalg.svd(data, compute_uv=False)[2:]
    expected = np.sqrt((residual**2).sum() / data.size)
    keras.utils.set_random_seed(0)
    encoder = keras.Sequential([keras.layers.Input((10,)), keras.layers.Dense(2)])
    decoder = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(10)])
    model = models.DenoisingAutoencoder(
        (10,), encoder=encoder, decoder=decoder, likelihood="gaussian"
    )
    model.compile(keras.optimizers.Adam(0.02), steps_per_execution=100)
    model.fit(np.tile(data, (200, 1)), batch_size=100, verbose=0)
    scale = np.log1p(np.exp(model.observation.untransformed_scale.numpy()))
    assert scale == pytest.approx(expected, rel=0.05)
    assert loss_of(model, data) == pytest.approx(
        10 * (0.5 * np.log(2 * np.pi * expected**2) + 0.5), abs=0.1
    )


def test_own_convolutional_halves(tmp_path):
    """Any encoder and decoder: the code may have any rank; both come back from a file."""
    encoder = keras.Sequential(
        [keras.layers.Input((6, 4, 2)), keras.layers.Conv2D(3, 3, strides=2, padding="same")]
    )
    decoder = keras.Sequential(
        [keras.layers.Input((3, 2, 3)), keras.layers.Conv2DTranspose(2, 3, 2, padding="same")]
    )
    model = models.DenoisingAutoencoder((6, 4, 2), encoder=encoder, decoder=decoder)
    x = images(event_shape=(6, 4, 2))
    outputs = model(x)
    logits = decoder(encoder(x)).numpy()
    np.testing.assert_allclose(outputs["reconstruction"], 1 / (1 + np.exp(-logits)), atol=1e-6)
    clustering = models.ReconstructionClustering(model, 2, 2)
    clustering.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(x)["assignments"], clustering(x)["assignments"])
