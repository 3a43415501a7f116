"""Tagger: what must hold whatever its weights are, and what it refuses.

`test_tagger_against_numpy.py` has the numbers.
"""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbind import models
from tfbind.metrics import set_error

SHAPE, GROUPS, CLASSES = (3, 4, 1), 3, 3
SMALL = {"num_groups": GROUPS, "units": (9, 6, 4), "seed": 5}
COSTS = ["denoising_cost", "classification_cost", "cost_1", "cost_2", "cost_3", "cost_4"]


def make(shape=SHAPE, test_seed=0, **settings):
    """A small Tagger whose weights are all away from where they start."""
    model = models.Tagger(shape, **{**SMALL, **settings})
    random = np.random.default_rng(test_seed)
    for weight in model.trainable_variables:
        weight.assign_add(0.4 * random.standard_normal(weight.shape))
    return model


def images(rows=6, shape=SHAPE, seed=0):
    return (np.random.default_rng(seed).random((rows, *shape)) < 0.4).astype("float32")


def pixels(array):
    return tf.reshape(array, [len(array), 12, -1])


@pytest.mark.parametrize("mean", [0.26, 0.5])
def test_cost_at_the_start_of_binary_data(mean):
    """That of guessing the same chance for every pixel."""
    model, x = make(initial_mean=mean), images()
    state = model.step.initial_state(pixels(x), model.initial_assignments(6, 0), mean)
    guess = np.where(x == 1, mean, 1 - mean) * (1 - 2e-4) + 1e-4
    expected = -np.log(guess).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(model.denoising_cost(pixels(x), state), expected, rtol=1e-5)
    np.testing.assert_allclose(model.trace(x)["costs"][0], expected, rtol=1e-5)


def test_cost_at_the_start_of_real_data():
    """K equal Gaussians of variance v."""
    model = models.Tagger(SHAPE, likelihood="gaussian", initial_mean=0.3, **SMALL)
    x = np.random.default_rng(0).standard_normal((6, *SHAPE)).astype("float32")
    v = 1 + np.sqrt(2)
    half_square = 0.5 * (np.log(v) + (x - 0.3) ** 2 / v).mean(axis=(1, 2, 3))
    expected = half_square - np.log(1 + GROUPS * 1e-5)
    np.testing.assert_allclose(model.trace(x)["costs"][0], expected, rtol=1e-4)


@pytest.mark.parametrize("normalization", ["batch", "layer"])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_groups_are_exchangeable(likelihood, normalization, test_seed):
    """Permuting the start permutes every output, whatever the statistics."""
    model = make(likelihood=likelihood, normalization=normalization, num_classes=CLASSES)
    x, start = images(seed=test_seed), model.initial_assignments(6, test_seed)
    order = [2, 0, 1]
    for statistics in ({}, {"population": True}):
        expected = model.iterate(pixels(x), start, 3, **statistics)[-1]
        found = model.iterate(pixels(x), start[:, order], 3, **statistics)[-1]
        for name, one, other in zip(found._fields, found, expected, strict=True):
            other = tf.gather(other, order, axis=1)
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4, err_msg=name)
    expected, found = (
        model({"image": x, "initial_assignments": m}) for m in (start, start[:, order])
    )
    for key, value in expected.items():
        value = tf.gather(value, order, axis=1) if value.ndim > 3 else value
        np.testing.assert_allclose(found[key], value, rtol=1e-3, atol=1e-4, err_msg=key)


def test_classes_share_what_none_leaves():
    """Shares of all groups are normalised together: half a group counts half."""
    model = make(num_classes=CLASSES)
    half = np.log([0.5, 1e-9, 1e-9, 0.5])
    only = {name: 40.0 * np.eye(4)[i] for i, name in enumerate(("a", "b", "c", "none"))}
    top = [
        [only["a"], only["none"], only["none"]],
        [only["a"], only["b"], only["none"]],
        [only["b"], only["b"], only["c"]],
        [half, only["b"], only["none"]],
    ]
    x = pixels(images(4))
    state = model.step.initial_state(x, model.initial_assignments(4, 0), 0.26)
    state = state._replace(top=tf.constant(top, tf.float32))
    expected = [[1, 0, 0], [1 / 2, 1 / 2, 0], [0, 2 / 3, 1 / 3], [1 / 3, 2 / 3, 0]]
    found = np.exp(model.class_log_probabilities(state))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def cost_of(model, image, label):
    """The classification cost of the first training step, `[B]`."""
    batch = {"image": tf.constant(image), "label": tf.constant(label)}
    seed = model.step_seed(training=True)
    return model.loss_terms(batch, seed, training=True)["classification_cost"].numpy()


def test_labels_are_sets(test_seed):
    """Their order does not count, and a label given twice is that label alone."""
    model, x = make(num_classes=CLASSES), images(seed=test_seed)

    def cost(labels):
        return cost_of(model, x, labels)

    np.testing.assert_array_equal(cost([[0, 1]] * 6), cost([[1, 0]] * 6))
    for same in ([[2, 2]] * 6, [[2]] * 6):
        np.testing.assert_array_equal(cost(same), cost([2] * 6))
    expected = (cost([0] * 6) + cost([1] * 6)) / 2
    np.testing.assert_allclose(cost([[0, 1]] * 6), expected, rtol=1e-5)
    assert (cost([0] * 6) != cost([1] * 6)).all()


@pytest.mark.parametrize("asked", ["fit", "evaluate"])
def test_labels_are_refused_where_there_are_no_classes(asked):
    model = make()
    model.compile("sgd")
    with pytest.raises(ValueError, match="`x` must have keys among 'image', 'sample_weight'"):
        getattr(model, asked)({"image": images(), "label": np.zeros(6, int)}, verbose=0)


def test_y_is_labels_in_fit_and_groups_in_evaluate():
    model = make(num_classes=CLASSES, normalization="layer")
    flat, labels = images(), np.arange(6) % CLASSES
    groups = np.random.default_rng(0).integers(0, 3, (6, *SHAPE[:2]))
    model.compile("sgd")
    logs = [
        model.fit(x, y, verbose=0).history
        for x, y in ((flat, labels), ({"image": flat, "label": labels[:, None]}, None))
    ]
    assert logs[0].keys() == logs[1].keys() == {*COSTS[2:5], "loss", *COSTS[:2]}
    assert model.evaluate(flat, groups, verbose=0, return_dict=True).keys() == {
        *("loss", "denoising_cost", *COSTS[2:5]),
        *("ami", "ari", "confidence", "log_likelihood"),
    }


@pytest.mark.parametrize("of", ["arrays", "dataset"])
@pytest.mark.parametrize("asked", ["fit", "evaluate"])
def test_one_hot_labels_are_refused(asked, of):
    model = make(num_classes=5, units=(9, 6, 6))
    model.compile("sgd")
    x = {"image": images(), "label": np.eye(5, dtype=int)[np.arange(6) % 5]}
    if of == "dataset":
        x = tf.data.Dataset.from_tensor_slices(x).batch(3)
    sentence = "with at most 3 objects, one for each group. Received: shape .* take their argmax"
    with pytest.raises(ValueError, match=sentence):
        getattr(model, asked)(x, verbose=0)


def test_sample_weights_count_in_both_costs(test_seed):
    """An example of weight zero is as if it were not there, but for the mean's denominator."""
    model, x, labels = make(num_classes=CLASSES, normalization="layer"), images(), np.zeros(6, int)
    weights = np.array([0, 1, 0, 2, 0, 0.5], "float32")
    model.compile("sgd")
    batch = {"image": tf.constant(x), "label": tf.constant(labels)}
    terms = model.loss_terms(batch, model.step_seed(training=True), training=True)
    total = terms["denoising_cost"] + model.class_weight * terms["classification_cost"]
    arguments = {"sample_weight": weights, "return_dict": True}
    logs = model.train_on_batch(x, labels, **arguments)
    assert logs["loss"] == pytest.approx(float(np.mean(weights * total)), rel=1e-5)


@pytest.mark.parametrize("normalization", ["batch", "layer"])
def test_trace_ends_where_the_call_does(normalization, test_seed):
    model = make(normalization=normalization, num_iterations=1, inference_iterations=4)
    x = images(seed=test_seed)
    for start in (None, model.initial_assignments(6, test_seed)):
        trace = model.trace(x, start)
        inputs = x if start is None else {"image": x, "initial_assignments": start}
        outputs = model(inputs)
        for key in ("assignments", "reconstructions"):
            assert trace[key].shape[0] == 5
            np.testing.assert_allclose(trace[key][-1], outputs[key], atol=1e-5)
        np.testing.assert_allclose(-12 * trace["costs"][-1], outputs["log_likelihood"], rtol=1e-4)
        if start is not None:
            np.testing.assert_allclose(trace["assignments"][0], start)


def test_flat_examples_and_images_are_the_same_to_it(test_seed):
    model, flat = make(), make((12,))
    flat.set_weights(model.get_weights())
    x = images(seed=test_seed)
    expected, found = model(x), flat(x.reshape(6, 12))
    for key, value in expected.items():
        np.testing.assert_allclose(np.reshape(found[key], value.shape), value, atol=1e-5)


@pytest.mark.parametrize("normalization", ["batch", "layer"])
@pytest.mark.parametrize("everywhere", [False, True])
def test_mixed_precision_multiplies_in_bfloat16_alone(everywhere, normalization, test_seed):
    exact, x = make(normalization=normalization), images(seed=test_seed)
    policy = keras.config.dtype_policy()
    if everywhere:
        keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        settings = {} if everywhere else {"dtype": "mixed_bfloat16"}
        mixed = make(normalization=normalization, **settings)
        mixed.set_weights(exact.get_weights())
        assert {weight.dtype for weight in mixed.weights} == {"float32"}
        outputs = mixed(x)
        mixed.iterate(pixels(x), mixed.initial_assignments(6, 0), 3, update=True)
        mixed(x)
    finally:
        keras.config.set_dtype_policy(policy)
    assert {value.dtype for value in outputs.values()} == {tf.float32}
    error = np.abs(exact(x)["assignments"] - outputs["assignments"])
    assert 1e-6 < error.mean() < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_mixed_precision_trains_alike(likelihood, policy, test_seed):
    losses, x = {}, images(32, seed=test_seed)
    for dtype in ("float32", policy):
        keras.utils.set_random_seed(test_seed)
        model = make(likelihood=likelihood, normalization="layer", dtype=dtype)
        model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
        losses[dtype] = [model.train_on_batch(x, return_dict=True)["loss"] for _ in range(5)]
    assert losses["float32"][-1] < losses["float32"][0]
    np.testing.assert_allclose(losses[policy], losses["float32"], rtol=0.05)


class Trained:
    """A batch-normalised Tagger with classes, trained on half as many iterations as it infers."""

    def __init__(self):
        keras.utils.set_random_seed(0)
        self.model = models.Tagger(
            SHAPE, num_iterations=2, inference_iterations=4, num_classes=CLASSES, **SMALL
        )
        self.model.compile(keras.optimizers.Adam(0.01))
        self.images, self.labels = images(48), np.arange(96).reshape(48, 2) % CLASSES
        x = {"image": self.images[:16], "label": self.labels[:16], "unlabeled_image": self.images}
        self.history = self.model.fit(x, batch_size=16, epochs=3, verbose=0).history


@pytest.fixture(scope="module")
def trained():
    return Trained()


def statistics(model):
    """Returns names and values of all population statistics, `[T, N]` each."""
    layers = [
        *model.step.standardizations.values(),
        *model.step.ladder.encoder_standardizations.values(),
        *model.step.ladder.decoder_standardizations.values(),
    ]
    return [weight.numpy() for layer in layers for weight in (layer.mean, layer.variance)]


def test_fit(trained):
    assert set(trained.history) == {"loss", *COSTS[:4]}
    assert trained.history["loss"][-1] < trained.history["loss"][0]


def test_fit_calibrates_once_from_the_unlabelled_images(trained, tmp_path):
    again = keras.saving.load_model(save(trained.model, tmp_path))
    again.calibrate(trained.images)
    for one, other in zip(statistics(trained.model), statistics(again), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    counts = [layer.count.numpy() for layer in trained.model.step.standardizations.values()]
    np.testing.assert_array_equal(counts, np.ones((3, 4)))  # one batch, in every iteration


def test_evaluate_with_labels(trained):
    groups = np.random.default_rng(0).integers(0, 3, (48, *SHAPE[:2]))
    x = {"image": trained.images, "label": trained.labels}
    logs = trained.model.evaluate(x, groups, verbose=0, return_dict=True)
    costs = {"loss", "denoising_cost", *COSTS[2:]}
    assert {*costs, "ami", "ari", "confidence", "log_likelihood", "error"} == set(logs)
    assert logs["loss"] == pytest.approx(np.mean([logs[cost] for cost in COSTS[2:]]), rel=1e-4)
    outputs = trained.model(trained.images)
    expected = np.mean(set_error(trained.labels, outputs["probabilities"]))
    assert logs["error"] == pytest.approx(expected, abs=1e-6)
    np.testing.assert_allclose(tf.reduce_sum(outputs["probabilities"], axis=1), 1, atol=1e-5)


def test_an_image_alone_and_in_a_batch(trained):
    together = trained.model.predict(trained.images, batch_size=48, verbose=0)
    for rows in (slice(0, 1), slice(5, 8)):
        alone = trained.model(trained.images[rows])
        for key, value in together.items():
            np.testing.assert_allclose(alone[key], value[rows], rtol=1e-4, atol=1e-4, err_msg=key)


def test_every_iteration_has_statistics_of_its_own(trained):
    for values in statistics(trained.model):
        for i in range(3):
            assert np.abs(values[i] - values[i + 1]).max() > 1e-6


def test_calibrate_repeats_itself_and_forgets(trained, tmp_path):
    model = keras.saving.load_model(save(trained.model, tmp_path))
    model.calibrate(trained.images)
    expected = statistics(model)
    model.calibrate(images(20, seed=1))
    assert any((a != b).any() for a, b in zip(expected, statistics(model), strict=True))
    model.calibrate(trained.images)
    for one, other in zip(expected, statistics(model), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def save(model, tmp_path):
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def test_keras_file(trained, tmp_path):
    model = trained.model
    again = keras.saving.load_model(save(model, tmp_path))
    assert again.get_config() == model.get_config()
    for one, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)
    expected, found = model(trained.images), again(trained.images)
    for key in expected:
        np.testing.assert_array_equal(found[key], expected[key], err_msg=key)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"event_shape": 3}, "`event_shape` must be a tuple of one integer or more."),
        ({"num_groups": 1}, "`num_groups` must be an integer >= 2. Received: num_groups=1."),
        ({"num_iterations": 0}, "`num_iterations` must be an integer >= 1. Received: num_iter"),
        ({"inference_iterations": 0}, "`inference_iterations` must be an integer >= 1. Received"),
        ({"noise": 0}, "`noise` must be a number in (0, inf). Received: noise=0."),
        ({"initial_mean": "half"}, "`initial_mean` must be a number in (-inf, inf). Received"),
        ({"num_classes": 1}, "`num_classes` must be an integer >= 2. Received: num_classes=1."),
        (
            {"num_classes": 4},
            "The last of `units` must be num_classes + 1, one for a group without an object. "
            "Received: units=(9, 6, 4), num_classes=4.",
        ),
        ({"class_weight": -1}, "`class_weight` must be a number in [0, inf). Received"),
    ],
)
def test_bad_arguments(settings, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        models.Tagger(**{"event_shape": SHAPE, **SMALL, **settings})


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (images() + 0.5, "`images` must lie in [0.0, 1.0]. Received: values from 0.5 to 1.5"),
        (images()[:, :2], "`images` must have shape (n, 3, 4, 1). Received: shape (6, 2, 4, 1)."),
        ({"image": images(), "label": np.full(6, 3)}, "`label` must hold integers from 0 to 2."),
        ({"image": images(), "labels": np.zeros(6)}, "`x` must have keys among 'image',"),
        ({"image": images(), "unlabeled_image": images()}, "must have the key 'label' too."),
        (
            {**dict.fromkeys(("image", "unlabeled_image"), images()), "sample_weight": np.ones(6)},
            "`sample_weight` must be None beside unlabeled_image, whose rows are other ones.",
        ),
    ],
)
def test_bad_data(x, sentence):
    model = make(num_classes=CLASSES)
    model.compile("sgd")
    with pytest.raises(ValueError, match=re.escape(sentence)):
        model.fit(x, verbose=0)
