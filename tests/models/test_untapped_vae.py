"""The untapped VAE: what its loss is made of, what it learns, what it draws and refuses."""

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from tfbind import layers, seeds
from tfbind.models.untapped_vae import UntappedVAE

SHAPE, CLASSES = (12,), 4
PATTERNS = np.kron(np.eye(CLASSES), np.ones(3)).astype("float32")  # each class lights a third


def data(num_rows=64, seed=0, classes=CLASSES):
    """Patterns with a tenth of the bits flipped, and their classes."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, num_rows)
    flips = random.random((num_rows, *SHAPE)) < 0.1
    return np.abs(PATTERNS[labels] - flips).astype("float32"), labels


def batch(num_rows=64):
    images, labels = data(num_rows, classes=2)
    return {
        "image": images,
        "label": labels,
        "unlabeled_image": data(num_rows, 1)[0],
        "unfeatured_label": np.arange(num_rows) % CLASSES,
    }


def make(seed=0, **settings):
    keras.utils.set_random_seed(seed)
    return UntappedVAE(SHAPE, CLASSES, seed=3, **settings)


def loss_of(model, x, training=True):
    """The loss of the first step, from its terms."""
    tensors = {key: tf.constant(value) for key, value in x.items()}
    terms = model.loss_terms(tensors, seeds.step_seed(3, 0), training)
    weights = model.term_weights
    return sum(weights[key] * float(tf.reduce_mean(terms[key])) for key in weights if key in terms)


def compiled(model, learning_rate=0.0):
    model.compile(keras.optimizers.SGD(learning_rate))
    return model


def logits_of(model, images):
    return np.asarray(model.classifier(images), "float64")


def test_the_label_term_is_the_cross_entropy():
    x = batch()
    log_q = scipy.special.log_softmax(logits_of(make(), x["image"]), axis=1)
    expected = -log_q[np.arange(64), x["label"]].mean()
    found = loss_of(make(label_weight=7.0), x) - loss_of(make(label_weight=0.0), x)
    assert found == pytest.approx(7 * expected, rel=1e-4)


def test_the_reconstruction_term_is_the_distance():
    """An encoder of no spread and no means: z is the middle of the box."""
    x = batch()
    models = [make(reconstruction_weight=weight) for weight in (2.0, 0.0)]
    for model in models:
        for weight in model.encoder.weights:
            weight.assign(tf.zeros_like(weight))
        weight.assign([-30.0, -30.0])  # the last bias: the standard deviations before softplus
    means = models[0].decode(x["label"], np.zeros((64, 2), "float32"))
    expected = np.linalg.norm(means - x["image"], axis=1).mean()
    found = loss_of(models[0], x, training=False) - loss_of(models[1], x, training=False)
    assert found == pytest.approx(2 * expected, rel=1e-3)


def test_the_marginal_reverse_term_is_the_likelihood_of_the_labels():
    x = batch()
    q = scipy.special.softmax(logits_of(make(), x["unlabeled_image"]), axis=1).mean(axis=0)
    expected = -np.log(q[x["unfeatured_label"]]).mean()
    found = loss_of(make(reverse="marginal", reverse_weight=5.0), x)
    found -= loss_of(make(reverse=False), x)
    assert found == pytest.approx(5 * expected, rel=1e-3)


def test_without_the_reverse_model_labels_alone_change_nothing():
    x = batch()
    others = {**x, "unfeatured_label": np.zeros(64, "int64")}
    assert loss_of(make(reverse=False), x) == loss_of(make(reverse=False), others)
    assert loss_of(make(), x) != loss_of(make(), others)


@pytest.mark.parametrize("reverse", ["bound", "marginal", False])
@pytest.mark.parametrize("marginalize", [False, True])
def test_the_loss_is_the_sum_of_what_is_logged(reverse, marginalize):
    model = compiled(make(marginalize=marginalize, reverse=reverse, reverse_weight=3.0))
    logs = model.train_on_batch(batch(), return_dict=True)
    assert set(logs) == {"loss", "accuracy", *model.term_weights}
    assert ("reverse_bound" in logs) == bool(reverse)
    expected = (
        *(-logs["labeled_bound"], 10 * logs["cross_entropy"]),
        *(0.1 * logs["reconstruction_distance"], -logs["unlabeled_bound"]),
        -3 * logs.get("reverse_bound", 0),
    )
    assert logs["loss"] == pytest.approx(sum(expected), rel=1e-5)


def test_evaluate_says_what_the_images_tell():
    model, x = compiled(make()), batch()
    labeled = model.evaluate(x["image"], x["label"], 64, return_dict=True, verbose=0)
    unlabeled = model.evaluate(x["unlabeled_image"], batch_size=64, return_dict=True, verbose=0)
    terms = {"labeled_bound", "cross_entropy", "reconstruction_distance"}
    assert set(labeled) == {"loss", "accuracy", *terms}
    assert set(unlabeled) == {"loss", "unlabeled_bound"}
    assert unlabeled["loss"] == pytest.approx(-unlabeled["unlabeled_bound"], rel=1e-5)
    total = sum(model.term_weights[key] * labeled[key] for key in terms)
    assert labeled["loss"] == pytest.approx(total, rel=1e-5)
    found = model.predict(x["image"], verbose=0)["probabilities"].argmax(axis=1)
    assert labeled["accuracy"] == pytest.approx((found == x["label"]).mean())


def test_the_accuracy_in_training_is_that_of_clean_images():
    model, x = compiled(make(corruption=layers.BitFlipNoise(0.5))), batch()
    found = model.train_on_batch(x, return_dict=True)["accuracy"]
    best = logits_of(model, x["image"]).argmax(axis=1)
    assert found == pytest.approx((best == x["label"]).mean())


def test_sample_weights_in_evaluation():
    x, weights = batch(), np.linspace(0, 2, 64).astype("float32")
    model = compiled(make(label_weight=0.0, reconstruction_weight=0.0))
    halves = [
        model.evaluate(x["image"], x["label"], batch_size=64, sample_weight=part, verbose=0)[0]
        for part in (weights, 2 - weights)
    ]
    whole = model.evaluate(x["image"], x["label"], batch_size=64, verbose=0)[0]
    assert sum(halves) == pytest.approx(2 * whole, rel=1e-4)


@pytest.mark.parametrize("straight_through", [False, True])
def test_what_the_reverse_bound_trains(straight_through):
    model = make(straight_through=straight_through)
    labels = tf.one_hot(np.arange(64) % CLASSES, CLASSES)
    with tf.GradientTape() as tape:
        bound = tf.reduce_mean(model.reverse_bound(labels, tf.zeros([64, 2]), seeds.fold(0)))
    parts = model.classifier, model.encoder, model.decoder
    gradients = tape.gradient(bound, [part.trainable_variables[0].value for part in parts])
    trained = [part is not None and bool(tf.reduce_any(part != 0)) for part in gradients]
    assert trained == [True, True, straight_through]


def test_the_straight_through_gradient_raises_the_bound():
    """A step along it, averaged over draws, is uphill for the decoder."""
    model = make(straight_through=True, marginalize=True)
    labels = tf.one_hot(np.arange(2000) % CLASSES, CLASSES)

    def bound(seed):
        return tf.reduce_mean(model.reverse_bound(labels, tf.zeros([2000, 2]), seeds.fold(seed)))

    weights = [weight.value for weight in model.decoder.trainable_variables]
    before = np.mean([bound(seed) for seed in range(10)])
    for seed in range(20, 40):
        with tf.GradientTape() as tape:
            value = bound(seed)
        for weight, slope in zip(weights, tape.gradient(value, weights), strict=True):
            weight.assign_add(0.01 * slope)
    assert np.mean([bound(seed) for seed in range(10)]) > before + 0.1


def test_only_training_corrupts():
    model = make(corruption=layers.BitFlipNoise(0.5))
    assert loss_of(model, batch(), training=False) == loss_of(make(), batch(), training=False)
    assert loss_of(model, batch()) != loss_of(make(), batch())


def test_every_step_has_noise_of_its_own():
    model, x = make(), batch()
    model.compile(keras.optimizers.SGD(0.0), jit_compile=True)
    losses = [float(np.ravel(model.train_on_batch(x))[0]) for _ in range(3)]
    assert len(set(losses)) == 3


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_it_names_classes_that_have_no_labelled_image(likelihood):
    """Two of four classes are labelled, and that the others are as frequent is all it is told."""
    images, _ = data(400, classes=2)
    x = {
        "image": images,
        "label": data(400, classes=2)[1],
        "unlabeled_image": data(400, 1)[0],
        "unfeatured_label": np.arange(400) % CLASSES,
    }
    model = make(1, latent_dim=1, marginalize=True, reverse="marginal", likelihood=likelihood)
    model.compile(keras.optimizers.Adam(0.01), jit_compile=True)
    model.fit(x, batch_size=100, epochs=60, verbose=0)
    images, labels = data(500, 2)
    found = model.predict(images, verbose=0)["probabilities"].argmax(axis=1)
    seen = labels < 2
    assert (found[seen] == labels[seen]).mean() > 0.95
    shares = [np.bincount(found[labels == label], minlength=CLASSES) for label in (2, 3)]
    owners = [int(share.argmax()) for share in shares]
    assert sorted(owners) == [2, 3]
    assert all(share.max() / share.sum() > 0.95 for share in shares)


def test_encode_moves_the_median_by_the_noise():
    model, (images, labels) = make(), data(20)
    q = model.posterior(images, tf.one_hot(labels, CLASSES))
    median = model.encode(images, labels)
    np.testing.assert_allclose(median, model.encode(images, labels, np.zeros((20, 2), "float32")))
    noise = np.random.default_rng(0).standard_normal((20, 2)).astype("float32")
    before = scipy.special.logit((model.encode(images, labels, noise).numpy() + 1.5) / 3)
    normal = q.distribution.distribution
    np.testing.assert_allclose(before, normal.loc + normal.scale * noise, rtol=1e-3, atol=1e-4)


def test_samples_have_the_decoders_means():
    model = make(latent_range=(-1e-3, 1e-3))  # a box so small that z hardly matters
    labels = np.repeat([1, 3], 5000)
    images = model.sample(labels, seed=5).numpy()
    assert set(np.unique(images)) == {0.0, 1.0}
    for label, part in ((1, images[:5000]), (3, images[5000:])):
        expected = model.decode([label], np.zeros((1, 2), "float32"))[0]
        np.testing.assert_allclose(part.mean(axis=0), expected, atol=0.03)
    np.testing.assert_array_equal(images, model.sample(labels, seed=5))
    assert np.any(images != model.sample(labels, seed=6))


def test_call_tells_about_the_most_probable_class():
    model, (images, _) = make(), data(10)
    outputs = model(images)
    best = outputs["probabilities"].numpy().argmax(axis=1)
    np.testing.assert_array_equal(outputs["latent"], model.encode(images, best))
    np.testing.assert_array_equal(outputs["reconstruction"], model.decode(best, outputs["latent"]))


def test_networks_of_ones_own_come_back_from_a_file(tmp_path):
    def mlp(*inputs, units):
        joined = keras.layers.Concatenate()(inputs) if len(inputs) > 1 else inputs[0]
        return keras.Model(list(inputs) if len(inputs) > 1 else inputs[0], _dense(joined, units))

    def _dense(tensor, units):
        return keras.layers.Dense(units)(keras.layers.Dense(7, "relu")(tensor))

    image, label, latent = (keras.layers.Input((size,)) for size in (12, 4, 3))
    model = UntappedVAE(
        SHAPE,
        CLASSES,
        latent_dim=3,
        classifier=mlp(image, units=4),
        encoder=mlp(image, label, units=6),
        decoder=mlp(label, latent, units=12),
        corruption=layers.BitFlipNoise(0.1, seed=1),
        reverse="marginal",
        marginalize=True,
        latent_range=(-2, 1),
    )
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    networks = {"classifier", "encoder", "decoder"}
    found, expected = again.get_config(), model.get_config()
    assert found.keys() == expected.keys()
    assert {key for key in found if found[key] != expected[key]} <= networks
    images, labels = data(5)
    np.testing.assert_array_equal(again(images)["reconstruction"], model(images)["reconstruction"])
    np.testing.assert_array_equal(
        again.log_prob(images, labels, 3), model.log_prob(images, labels, 3)
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_classes": 1}, "`num_classes` must be an integer >= 2"),
        ({"latent_dim": 0}, "`latent_dim` must be an integer >= 1"),
        ({"temperature": 0.0}, r"`temperature` must be a number in \(0, inf\)"),
        ({"temperature": -1.0}, "`temperature` must be"),
        ({"reverse": True}, "`reverse` must be one of 'bound', 'marginal', False"),
        ({"likelihood": "poisson"}, "`likelihood` must be one of"),
        ({"latent_range": (1.0, 1.0)}, r"`latent_range\[1\]` must be a number in \(1.0, inf"),
        ({"latent_range": 1.5}, r"`latent_range` must be a pair of numbers, \(low, high\)"),
        ({"label_weight": -1}, "`label_weight` must be"),
        ({"reverse_weight": -1}, "`reverse_weight` must be"),
        ({"reconstruction_weight": -1}, "`reconstruction_weight` must be"),
        ({"corruption": keras.layers.Dense(3)}, "`corruption` must be a noise layer"),
    ],
)
def test_refused_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        UntappedVAE(**{"event_shape": SHAPE, "num_classes": CLASSES, **settings})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": np.full(64, 4)}, "`label` must hold integers from 0 to 3"),
        ({"label": np.full(64, -1)}, "`label` must hold integers from 0 to 3"),
        ({"label": np.zeros(64)}, "`label` must hold integers"),
        ({"unfeatured_label": np.full(64, 4)}, "`unfeatured_label` must hold integers from 0 to 3"),
        ({"unfeatured_label": None}, "`x` must have the key 'unfeatured_label' too"),
        (
            {"label": None},
            "`x` must have the key 'label' too. Received: 'image', 'unlabeled_image'",
        ),
        ({"unlabeled_image": None}, "`x` must have the key 'unlabeled_image' too"),
        ({"unlabeled_image": np.ones((3, 5))}, "`unlabeled_image` must have shape"),
        ({"image": np.full((64, 12), 2.0)}, "`images` must lie in"),
    ],
)
def test_refused_batches(changes, message):
    model = make()
    model.compile("sgd")
    x = {key: value for key, value in (batch() | changes).items() if value is not None}
    with pytest.raises(ValueError, match=message):
        model.fit(x, verbose=0)


@pytest.mark.parametrize("as_dataset", [False, True])
@pytest.mark.parametrize(
    ("missing", "more"),
    [
        ("label", ""),
        ("unlabeled_image", ""),
        ("unfeatured_label", ", or the model reverse=False"),
    ],
)
def test_training_without_what_it_learns_from(missing, more, as_dataset):
    x = {key: tf.constant(value) for key, value in batch().items() if key != missing}
    x = tf.data.Dataset.from_tensors(x) if as_dataset else x
    message = f"`x` must have the key '{missing}' too{more}. Received: 'image'"
    with pytest.raises(ValueError, match=message):
        compiled(make()).fit(x, shuffle=False, verbose=0)


def test_images_and_labels_alone_are_not_enough():
    images, labels = data()
    with pytest.raises(ValueError, match="must have the key 'unlabeled_image' too"):
        compiled(make(reverse=False)).fit(images, labels, verbose=0)


def test_streams_have_no_sample_weights():
    model = compiled(make())
    with pytest.raises(ValueError, match="`sample_weight` must be None beside unlabeled_image"):
        model.fit(batch(), sample_weight=np.ones(64), verbose=0)
    with pytest.raises(ValueError, match="must have keys among 'image', 'sample_weight', 'label'"):
        model.evaluate(batch(), verbose=0)


@pytest.mark.parametrize("as_dataset", [False, True])
def test_labels_in_a_column_are_labels(as_dataset):
    x = batch()
    columns = {key: value[:, None] if "label" in key[-5:] else value for key, value in x.items()}
    feeds = x, columns
    if as_dataset:
        feeds = [tf.data.Dataset.from_tensors(each) for each in feeds]
    losses = [
        compiled(make()).fit(each, shuffle=False, verbose=0).history["loss"] for each in feeds
    ]
    assert losses[0] == losses[1]


def test_one_hot_labels_are_refused():
    x = {**batch(), "label": np.eye(CLASSES, dtype=int)[batch()["label"]]}
    with pytest.raises(ValueError, match="if these are one-hot, take their argmax first"):
        compiled(make()).fit(x, verbose=0)


def test_m2_needs_no_labels_without_images():
    model, x = make(reverse=False), batch()
    model.compile("sgd")
    del x["unfeatured_label"]
    assert np.isfinite(model.fit(x, verbose=0).history["loss"][0])


def test_refused_labels_and_latents():
    model, (images, _) = make(), data(3)
    model.compile("sgd")
    for call in (
        lambda: model.fit(images, np.full(3, 4), verbose=0),
        lambda: model.evaluate(images, np.full(3, 4), verbose=0),
        lambda: model.sample([4]),
        lambda: model.encode(images, [0, 1, 4]),
        lambda: model.decode([-1], np.zeros((1, 2), "float32")),
        lambda: model.log_prob(images, np.full(3, 4)),
    ):
        with pytest.raises(ValueError, match="`label` must hold integers from 0 to 3"):
            call()
    outside = np.float32([[0.0, 1.6]])
    labels = tf.one_hot([1], CLASSES)
    for call in (
        lambda: model.decode([1], outside),
        lambda: model.reverse_bound(labels, outside, seeds.fold(0)),
    ):
        with pytest.raises(ValueError, match=r"`latent` must lie in \[-1.5, 1.5\]"):
            call()
