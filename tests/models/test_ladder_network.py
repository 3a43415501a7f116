"""The ladder network against NumPy: its costs, their gradient, its statistics, what it refuses."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbind import models, seeds

from . import numpy_ladder, steps

SHAPE, CLASSES, HIDDEN = (3, 2), 3, (7, 5)
WEIGHTS = (10.0, 1.0, 0.5, 2.0)  # of layers of 6, 7, 5 and 3 units
NOISE = (0.3, 0.2, 0.1, 0.4)


def make(test_seed=0, *, weights=WEIGHTS, noise=NOISE, **settings):
    """A small network whose weights are all away from where they start."""
    model = models.LadderNetwork(
        SHAPE,
        CLASSES,
        hidden_units=HIDDEN,
        denoising_weights=weights,
        noise=noise,
        seed=3,
        **settings,
    )
    random = np.random.default_rng(test_seed)
    for weight in model.trainable_variables:
        weight.assign_add(0.5 * random.standard_normal(weight.shape))
    return model


def batch(test_seed=0, labelled=9, unlabelled=11):
    random = np.random.default_rng(test_seed)
    return {
        "image": random.random((labelled, *SHAPE)).astype("float32"),
        "label": random.integers(0, CLASSES, labelled).astype("int32"),
        "unlabeled_image": random.random((unlabelled, *SHAPE)).astype("float32"),
    }


def flat(images):
    return np.reshape(images, (len(images), -1)).astype("float64")


def noise_of(model, rows, *salts):
    """Returns what the model adds to each layer of a path in its first step."""
    seed = seeds.step_seed(model.seed, 0)
    for salt in salts:
        seed = tf.random.fold_in(seed, salt, alg="philox")
    return [
        stddev * seeds.normal([rows, width], tf.random.fold_in(seed, i, alg="philox")).numpy()
        for i, (width, stddev) in enumerate(zip(model.ladder.units, NOISE, strict=True))
    ]


def numpy_losses(model, x, weights):
    """Returns cross-entropy and denoising costs as a function of NumPy weights."""
    labelled = noise_of(model, len(x["image"]))
    unlabelled = noise_of(model, len(x["unlabeled_image"]), len(model.ladder.units))
    stable = model.ladder.combinator == "gauss_stable_v"
    images, unlabeled = flat(x["image"]), flat(x["unlabeled_image"])

    def losses():
        return (
            numpy_ladder.cross_entropy(images, x["label"], weights, labelled),
            numpy_ladder.denoising_costs(
                unlabeled, weights, model.denoising_weights, unlabelled, stable
            ),
        )

    return losses


@pytest.mark.parametrize("combinator", ["gauss", "gauss_stable_v"])
@pytest.mark.parametrize("weights", [WEIGHTS, (0.0, 0.0, 0.5, 2.0), (5.0, 0.0, 0.0, 0.0)])
def test_loss(weights, combinator, test_seed):
    model, x = make(test_seed, weights=weights, combinator=combinator), batch(test_seed)
    reference = numpy_ladder.weights_of(model.ladder)
    cross_entropy, costs = numpy_losses(model, x, reference)()
    np.testing.assert_allclose(steps.loss(model, x), cross_entropy + sum(costs), rtol=1e-4)
    terms = steps.terms(model, x)
    for name, expected in (("classification_cost", cross_entropy), ("denoising_cost", sum(costs))):
        np.testing.assert_allclose(tf.reduce_mean(terms[name]), expected, rtol=1e-4)


def test_costs_are_of_reconstructions_in_units_of_the_clean_path(test_seed):
    """They are far from what they would be without."""
    model, x = make(test_seed), batch(test_seed)
    noise = noise_of(model, 11, len(model.ladder.units))
    reference, images = numpy_ladder.weights_of(model.ladder), flat(x["unlabeled_image"])
    with_, without = (
        numpy_ladder.denoising_costs(images, reference, WEIGHTS, noise, renormalize=renormalize)
        for renormalize in (True, False)
    )
    assert with_[0] == without[0]
    assert all(abs(a / b - 1) > 0.01 for a, b in zip(with_[1:], without[1:], strict=True))


@pytest.mark.parametrize("layer", range(4))
def test_costs_at_the_start(layer):
    """All is reconstructed as 0, in whatever units the clean path has."""
    weights = tuple(float(i == layer) for i in range(4))
    model = models.LadderNetwork(
        SHAPE, CLASSES, hidden_units=HIDDEN, denoising_weights=weights, noise=NOISE
    )
    x = batch()
    cost = tf.reduce_mean(steps.terms(model, x)["denoising_cost"])
    clean = numpy_ladder.Standardize("batch")
    weights = numpy_ladder.weights_of(model.ladder)
    path = numpy_ladder.encode(flat(x["unlabeled_image"]), weights, clean)
    expected = path.z[0]
    if layer > 0:
        mean, variance, _ = clean.seen["encoder", layer]
        expected = path.z[layer] + mean / np.sqrt(variance)
    np.testing.assert_allclose(cost, (expected**2).mean(), rtol=1e-4)


@pytest.mark.parametrize("combinator", ["gauss", "gauss_stable_v"])
def test_gradient_of_the_whole_loss(combinator, test_seed):
    """Against finite differences of NumPy: nothing is held still, the clean path least of all."""
    model, x = make(test_seed, combinator=combinator), batch(test_seed)
    with tf.GradientTape() as tape:
        loss = steps.loss(model, x)
    reference = numpy_ladder.weights_of(model.ladder)
    losses = numpy_losses(model, x, reference)
    pairs = [(model.ladder.gain, reference.gain)]
    for mine, theirs in (
        (model.ladder.encoder_kernels, reference.encoder),
        (model.ladder.biases, reference.biases),
        (model.ladder.decoder_kernels, reference.decoder),
        (model.ladder.combinators, reference.combinators),
    ):
        pairs += [(mine[layer], theirs[layer]) for layer in theirs]
    gradients = tape.gradient(loss, [variable.value for variable, _ in pairs])
    found, expected = [], []
    for gradient, (_, array) in zip(gradients, pairs, strict=True):
        place = np.unravel_index(np.abs(gradient).argmax(), array.shape)  # the steepest
        value, ends = array[place], []
        for step in (1e-6, -1e-6):
            array[place] = value + step
            cross_entropy, costs = losses()
            ends.append(cross_entropy + sum(costs))
        array[place] = value
        found.append(gradient.numpy()[place])
        expected.append((ends[0] - ends[1]) / 2e-6)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-4)
    assert np.count_nonzero(expected) > len(expected) // 2


def test_without_denoising_it_is_a_plain_network(test_seed):
    model, x = make(test_seed, weights=(0.0,) * 4), batch(test_seed)
    assert not [w for w in model.weights if "decoder" in w.path or "combinator" in w.path]
    reference = numpy_ladder.weights_of(model.ladder)
    noise = noise_of(model, len(x["image"]))
    expected = numpy_ladder.cross_entropy(flat(x["image"]), x["label"], reference, noise)
    np.testing.assert_allclose(steps.loss(model, x), expected, rtol=1e-5)
    np.testing.assert_array_equal(steps.terms(model, x)["denoising_cost"], 0)
    other = {**x, "unlabeled_image": batch(1)["unlabeled_image"]}
    np.testing.assert_array_equal(steps.loss(model, x), steps.loss(model, other))


def test_gamma_has_no_decoder_kernels():
    model = make(weights=(0.0, 0.0, 0.0, 1.0))
    assert not [weight.path for weight in model.weights if "decoder_kernel" in weight.path]
    assert [w.shape for w in model.weights if "combinator" in w.path] == [(10, CLASSES)]


def test_unlabelled_rows_do_not_touch_the_labelled_ones(test_seed):
    model, x = make(test_seed), batch(test_seed)
    costs = []
    for scale in (1.0, 30.0):
        terms = steps.terms(model, {**x, "unlabeled_image": scale * x["unlabeled_image"]})
        costs.append(terms["classification_cost"].numpy())
    np.testing.assert_array_equal(*costs)


@pytest.mark.parametrize("kind", ["array", "images", "dicts"])
def test_calibrate(kind, test_seed):
    """Averages of the clean path over batches, the variance with Bessel's correction."""
    model, x = make(test_seed), batch(test_seed, labelled=12)["image"]
    model.calibrate(-x)  # is forgotten
    data = {
        "array": x,
        "images": tf.data.Dataset.from_tensor_slices(x).batch(5),
        "dicts": tf.data.Dataset.from_tensor_slices({"image": x, "label": np.arange(12)}).batch(5),
    }[kind]
    model.calibrate(data, batch_size=5)
    assert_population(model, [x[:5], x[5:10], x[10:]])


def assert_population(model, batches):
    reference, seen = numpy_ladder.weights_of(model.ladder), []
    for images in batches:
        clean = numpy_ladder.Standardize("batch")
        numpy_ladder.encode(flat(images), reference, clean)
        seen.append(clean.seen)
    population = {}
    for layer, found in model.ladder.encoder_standardizations.items():
        name = "encoder", layer
        mean = np.mean([of[name][0] for of in seen], axis=0)
        corrected = [of[name][1] * of[name][2] / (of[name][2] - 1) for of in seen]
        population[name] = mean, np.mean(corrected, axis=0)
        np.testing.assert_allclose(found.mean, mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.variance, population[name][1], rtol=1e-4)
    images = np.concatenate(batches)
    path = numpy_ladder.encode(
        flat(images), reference, numpy_ladder.Standardize("batch", population)
    )
    outputs = model(images)
    np.testing.assert_allclose(outputs["probabilities"], path.h[-1], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(outputs["latent"], path.h[-2], rtol=1e-3, atol=1e-4)


def test_calibrate_averages_over_more_batches_than_the_moving_average_sees(test_seed):
    model = make(test_seed)
    x = np.random.default_rng(test_seed).random((520, *SHAPE)).astype("float32")
    x *= np.linspace(1, 3, 520)[:, None, None].astype("float32")  # the last are not like the first
    model.calibrate(x, batch_size=4)
    assert_population(model, x.reshape(130, 4, *SHAPE))


def test_training_moves_the_statistics_of_the_unlabelled(test_seed):
    model, x = make(test_seed), batch(test_seed)
    steps.loss(model, x)
    assert_population(model, [x["unlabeled_image"]])


def blobs(num_rows, seed):
    """Two long clouds side by side: which is whose, their middles do not tell."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, num_rows)
    along, across = random.uniform(-1, 1, num_rows), 0.06 * random.standard_normal(num_rows)
    points = np.stack([along, across + 0.35 * (2 * labels - 1)], axis=1)
    return np.tile(points, 3).astype("float32"), labels.astype("int32")


def test_fit_predict_evaluate_save(tmp_path):
    model = models.LadderNetwork(
        (6,), 2, hidden_units=(8,), denoising_weights=(1.0, 0.5, 0.5), noise=0.1, seed=0
    )
    model.compile(keras.optimizers.Adam(0.02))
    unlabeled, _ = blobs(200, 0)
    images, labels = blobs(20, 1)
    test_images, test_labels = blobs(200, 2)
    x = {"image": images, "label": labels, "unlabeled_image": unlabeled}
    history = model.fit(x, batch_size=20, epochs=6, verbose=0).history
    assert set(history) == {"loss", "classification_cost", "denoising_cost", "accuracy"}
    assert history["denoising_cost"][-1] < 0.8 * history["denoising_cost"][0]
    assert history["classification_cost"][-1] < history["classification_cost"][0]
    np.testing.assert_allclose(
        np.add(history["classification_cost"], history["denoising_cost"]),
        history["loss"],
        rtol=1e-4,
    )
    model.calibrate(images, batch_size=20)
    logs = model.evaluate({"image": test_images, "label": test_labels}, verbose=0, return_dict=True)
    p = model.predict(test_images, verbose=0)["probabilities"]
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    assert logs["accuracy"] == pytest.approx((p.argmax(axis=1) == test_labels).mean(), abs=1e-6)
    assert logs["accuracy"] > 0.9
    nats = -np.log(p[np.arange(200), test_labels]).mean()
    assert logs["loss"] == pytest.approx(nats, rel=1e-3)
    alone = np.concatenate([model(test_images[i : i + 1])["probabilities"] for i in range(3)])
    np.testing.assert_allclose(alone, p[:3], atol=1e-6)

    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.get_config() == model.get_config()
    for one, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)
    found = again({"image": test_images})["probabilities"]
    np.testing.assert_array_equal(found, model(test_images)["probabilities"])


GOOD = {"event_shape": SHAPE, "num_classes": CLASSES, "hidden_units": HIDDEN}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"num_classes": 1}, "`num_classes` must be an integer >= 2. Received: num_classes=1."),
        ({"event_shape": ()}, "`event_shape` must be a tuple of one integer or more. Received"),
        (
            {"hidden_units": ()},
            "`hidden_units` must be a tuple of one integer or more. Received: hidden_units=().",
        ),
        ({"hidden_units": 7}, "`hidden_units` must be a tuple of one integer or more. Received"),
        ({"hidden_units": (7, 0)}, "must be an integer >= 1. Received: "),
        (
            {"denoising_weights": (1.0, 1.0)},
            "`denoising_weights` must be a tuple of 4 numbers, one a layer, the input's first. "
            "Received: denoising_weights=(1.0, 1.0).",
        ),
        (
            {"denoising_weights": (1.0, 1.0, -1.0, 0.0)},
            "`denoising_weights` must be a number in [0, inf). Received: denoising_weights=-1.0.",
        ),
        ({"noise": (0.3, 0.3)}, "`noise` must be a number or one for each of the 4 layers."),
        ({"combinator": "mlp"}, "`combinator` must be one of 'gauss', 'gauss_stable_v'."),
    ],
)
def test_bad_arguments(settings, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        models.LadderNetwork(**{**GOOD, "denoising_weights": WEIGHTS, **settings})


def without(*keys):
    return {key: value for key, value in batch().items() if key not in keys}


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (batch()["image"], "`x` must have the key 'label' too. Received: 'image'."),
        (without("image"), "`x` must have the key 'image'."),
        (without("label"), "`x` must have the key 'label' too."),
        (without("unlabeled_image"), "`x` must have the key 'unlabeled_image' too."),
        (
            {**batch(), "labels": 1},
            "`x` must have keys among 'image', 'sample_weight', 'label', 'unlabeled_image'",
        ),
        (
            {**batch(), "label": np.eye(3, dtype="int32")[batch()["label"]]},
            "`label` must have shape (n,), one integer an example. Received: shape (9, 3)",
        ),
        (
            {**batch(), "sample_weight": np.ones(9)},
            "`sample_weight` must be None beside unlabeled_image, whose rows are other ones.",
        ),
        (
            {**batch(), "label": batch()["label"] + 1},
            "`label` must hold integers from 0 to 2. Received: values from 1 to 3.",
        ),
        (
            {**batch(), "unlabeled_image": batch()["image"][:, :2]},
            "`unlabeled_image` must have shape (n, 3, 2). Received: shape (9, 2, 2).",
        ),
    ],
)
def test_bad_data_for_fit(x, sentence):
    model = make()
    model.compile("sgd")
    with pytest.raises(ValueError, match=re.escape(sentence)):
        model.fit(x, verbose=0)


def test_labels_in_a_column_are_labels():
    x = batch()
    losses = []
    for labels in (x["label"], x["label"][:, None]):
        keras.utils.set_random_seed(0)
        model = make()
        model.compile(keras.optimizers.SGD(0.1))
        history = model.fit({**x, "label": labels}, batch_size=9, verbose=0).history
        scores = model.evaluate(x["image"], labels, verbose=0, return_dict=True)
        losses.append((history["loss"], scores))
    assert losses[0] == losses[1]


def test_fit_takes_the_statistics_of_the_labelled():
    model, x = make(), batch()
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(x, batch_size=9, verbose=0)
    assert_population(model, [x["image"]])


def test_one_row_is_no_batch():
    model, x = make(), batch()
    model.compile("sgd")
    with pytest.raises(ValueError, match="`batch_size` must be an integer >= 2. Received"):
        model.fit(x, batch_size=1, verbose=0)
    rows = {key: value[:9] for key, value in x.items()}
    dataset = tf.data.Dataset.from_tensor_slices(rows).batch(4)  # leaves one
    sentence = "A batch must hold 2 examples or more, .* Received: 1 in batch 3;"
    with pytest.raises(ValueError, match=sentence):
        model.fit(dataset, verbose=0)


def test_evaluate_needs_labels():
    model = make()
    model.compile("sgd")
    with pytest.raises(ValueError, match="`x` must have the key 'label' too. Received: 'image'"):
        model.evaluate(without("label", "unlabeled_image"), verbose=0)


def test_shape_of_images_in_a_call():
    sentence = "`images` must have shape (n, 3, 2). Received: shape (9, 2, 3)."
    with pytest.raises(ValueError, match=re.escape(sentence)):
        make()(batch()["image"].reshape(9, 2, 3))
