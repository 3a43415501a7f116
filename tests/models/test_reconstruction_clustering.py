"""What must be true of Reconstruction Clustering, whatever its weights, and of a trained one."""

import keras
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
import tensorflow as tf

from tfbind import layers, models

SIZE = 8
EVENT_SHAPE = (SIZE, SIZE, 1)
BARS = np.concatenate(
    [np.repeat(np.eye(SIZE)[:, :, None], SIZE, 2), np.repeat(np.eye(SIZE)[:, None], SIZE, 1)]
)  # [16, 8, 8]: every row, then every column


def crossed_bars(num_images, seed):
    """Returns images of one row and one column, and their groups, 0 where the two cross."""
    rows, columns = np.random.default_rng(seed).integers(SIZE, size=(2, num_images))
    first, second = BARS[rows] > 0, BARS[SIZE + columns] > 0
    images = (first | second)[..., None].astype("float32")
    return images, np.where(first & second, 0, first + 2 * second).astype("int32")


def random_images(num_images, seed):
    return (np.random.default_rng(seed).random((num_images, *EVENT_SHAPE)) < 0.4).astype("float32")


def make(seed=5, **settings):
    """Makes a model with random weights of a size that gives neither flat nor sure answers."""
    keras.utils.set_random_seed(seed)
    autoencoder = models.DenoisingAutoencoder(EVENT_SHAPE, hidden_units=20)
    settings = {"num_groups": 3, "num_iterations": 4, **settings}
    model = models.ReconstructionClustering(autoencoder, **settings)
    model.set_weights([5 * weight for weight in model.get_weights()])
    return model


def with_fixed_reconstruction(logits, **settings):
    """Makes a model whose autoencoder gives the same `logits` [P] whatever it sees."""
    model = make(**settings)
    hidden_kernel, hidden_bias, kernel, _ = model.get_weights()
    model.set_weights([hidden_kernel, hidden_bias, 0 * kernel, np.asarray(logits, "float32")])
    return model


@pytest.fixture(scope="module")
def images():
    return random_images(12, seed=1)


# The E-step and the loop


@pytest.mark.parametrize("estimate_weights", [False, True])
def test_soft_assignments_are_distributions_over_groups(images, estimate_weights):
    model = make(estimate_weights=estimate_weights)
    assignments = model.trace(images)["assignments"]
    np.testing.assert_allclose(tf.reduce_sum(assignments, axis=2), 1, atol=1e-5)
    assert float(tf.reduce_min(assignments)) >= 0


def test_hard_assignments_are_zeros_and_ones(images):
    assignments = make(assignment="hard").trace(images)["assignments"][1:]
    assert set(np.unique(assignments)) == {0.0, 1.0}
    assert (tf.reduce_sum(assignments, axis=2).numpy() >= 1).all()


@pytest.mark.parametrize("assignment", ["soft", "hard"])
def test_permuting_the_groups_of_the_start_permutes_the_answer(images, assignment):
    model, order = make(assignment=assignment), [2, 0, 1]
    start = model.initial_assignments(len(images), seed=3)
    outputs = model({"image": images, "initial_assignments": start})
    permuted = model({"image": images, "initial_assignments": start[:, order]})
    for key in ("assignments", "reconstructions"):
        expected = tf.gather(outputs[key], order, axis=1)
        np.testing.assert_allclose(permuted[key], expected, atol=1e-5)
    for key in ("log_likelihood", "confidence"):
        np.testing.assert_allclose(permuted[key], outputs[key], rtol=1e-5)


def test_groups_that_start_alike_stay_alike(images):
    model = make()
    start = np.full((len(images), 3, SIZE, SIZE), 1 / 3, "float32")
    outputs = model({"image": images, "initial_assignments": start})
    np.testing.assert_allclose(outputs["assignments"], 1 / 3, atol=1e-6)
    np.testing.assert_allclose(outputs["confidence"], 1 / 3, atol=1e-6)


@pytest.mark.parametrize("assignment", ["soft", "hard"])
def test_a_perfect_autoencoder_finds_the_bars(assignment):
    """An encoder that names the best bar, a decoder that draws it: every start must succeed.

    The clusters share out the two bars of an image, so that the one with more than half of the
    row's weight leaves the other with more than half of the column's, or the other way round.
    """
    flat = BARS.reshape(len(BARS), -1).T.astype("float32")  # [P, 16]
    encoder = keras.Sequential(
        [
            keras.layers.Input(EVENT_SHAPE),
            keras.layers.Flatten(),
            keras.layers.Dense(len(BARS), "softmax", use_bias=False),
        ]
    )
    decoder = keras.Sequential(
        [
            keras.layers.Input((len(BARS),)),
            keras.layers.Dense(SIZE * SIZE),
            keras.layers.Reshape(EVENT_SHAPE),
        ]
    )
    encoder.set_weights([100 * flat])
    decoder.set_weights([20 * flat.T, np.full(SIZE * SIZE, -10, "float32")])
    autoencoder = models.DenoisingAutoencoder(EVENT_SHAPE, encoder=encoder, decoder=decoder)
    model = models.ReconstructionClustering(autoencoder, 2, 5, assignment=assignment)
    model.compile()
    images, groups = crossed_bars(100, seed=2)
    start = model.initial_assignments(100, seed=4)
    inputs = {"image": images, "initial_assignments": start}
    scores = model.evaluate(inputs, groups, verbose=0, return_dict=True)
    assert scores["ami"] == pytest.approx(1)
    assert scores["ari"] == pytest.approx(1)
    assert scores["confidence"] == pytest.approx(1, abs=1e-3)


def test_a_hard_tie_gives_the_pixel_to_every_group_in_it(images):
    outputs = with_fixed_reconstruction(np.zeros(SIZE * SIZE), assignment="hard")(images)
    np.testing.assert_array_equal(outputs["assignments"], 1)


@pytest.mark.parametrize("assignment", ["soft", "hard"])
def test_pixels_that_no_group_explains_stay_finite(assignment):
    """Where every Y is exactly 0 at a set pixel the paper divides 0 by 0."""
    model = with_fixed_reconstruction(np.full(SIZE * SIZE, -200.0), assignment=assignment)
    outputs = model(np.ones((2, *EVENT_SHAPE), "float32"))
    assert float(tf.reduce_max(outputs["reconstructions"])) == 0
    expected = 1 / 3 if assignment == "soft" else 1
    np.testing.assert_allclose(outputs["assignments"], expected, rtol=1e-6)
    pixels = SIZE * SIZE * (1 if assignment == "soft" else 3)
    np.testing.assert_allclose(outputs["log_likelihood"], pixels * np.log(1e-6), rtol=1e-5)


def test_colour_channels_vote_together():
    """With fixed logits the posterior of a pixel is the product over its channels, by hand."""
    keras.utils.set_random_seed(0)
    autoencoder = models.DenoisingAutoencoder((4, 5, 3), hidden_units=7)
    model = models.ReconstructionClustering(autoencoder, 2, 1)
    model.set_weights([3 * weight for weight in model.get_weights()])
    images = np.random.default_rng(0).random((3, 4, 5, 3)).astype("float32")
    outputs = model(images)
    x, y = images[:, None], np.asarray(outputs["reconstructions"])
    product = np.prod(x * y + (1 - x) * (1 - y), axis=-1)
    expected = product / product.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(outputs["assignments"], expected, atol=1e-5)


# The start


def test_the_normal_start_has_the_distribution_of_the_paper():
    start = make(num_groups=2).initial_assignments(200, seed=1)
    np.testing.assert_allclose(start.sum(axis=1), 1, rtol=1e-6)
    # |a| / (|a| + |b|) <= t where the Cauchy variable |a| / |b| is <= t / (1 - t).
    result = scipy.stats.kstest(start[:, 0].ravel(), lambda t: 2 / np.pi * np.arctan2(t, 1 - t))
    assert result.pvalue > 1e-3


def test_the_uniform_start_is_bounded():
    start = make(initialization="uniform").initial_assignments(50, seed=1)
    np.testing.assert_allclose(start.sum(axis=1), 1, rtol=1e-6)
    assert 0.25 / 1.75 <= start.min() < 0.2
    assert 0.5 < start.max() <= 0.75 / 1.25


def test_the_spatial_start_is_two_ramps_and_what_is_left():
    start = make(initialization="spatial").initial_assignments(2)
    ramp = 0.5 * np.arange(SIZE) / (SIZE - 1)
    rows, columns = np.broadcast_arrays(ramp[:, None], ramp[None])
    for image in start:
        np.testing.assert_allclose(image, [rows, columns, 1 - rows - columns], atol=1e-6)


def test_starts_differ_by_seed_and_by_image():
    model = make()
    first, again = model.initial_assignments(4, seed=1), model.initial_assignments(4, seed=1)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - model.initial_assignments(4, seed=2)).min(axis=(1, 2, 3)).max() > 0
    assert len(np.unique(first.reshape(4, -1), axis=0)) == 4


def test_the_seed_of_the_model_decides_its_own_start(images):
    weights, found = make().get_weights(), []
    for seed in (1, 1, 2):
        model = models.ReconstructionClustering(
            models.DenoisingAutoencoder(EVENT_SHAPE, hidden_units=20), 3, 4, seed=seed
        )
        model.set_weights(weights)
        found.append(model(images)["assignments"].numpy())
    np.testing.assert_array_equal(found[0], found[1])
    assert np.abs(found[0] - found[2]).max() > 0.1


def test_restarts_keep_the_likeliest_of_their_starts(images):
    model = make(num_restarts=4, seed=3)
    outputs = model(images)
    tries = [
        model({"image": images, "initial_assignments": np.stack([start] * len(images))})
        for start in model.default_start
    ]
    likelihoods = np.stack([each["log_likelihood"] for each in tries])  # [R, B]
    best = likelihoods.argmax(axis=0)
    assert len(set(best)) > 1
    for key in outputs:
        expected = np.stack([each[key] for each in tries])[best, np.arange(len(images))]
        np.testing.assert_allclose(outputs[key], expected, rtol=1e-4, atol=1e-5)


# Outputs and scores


def test_trace_ends_where_call_does(images):
    model = make(num_restarts=2)
    trace = model.trace(images)
    start = np.stack([model.default_start[0]] * len(images))
    outputs = model({"image": images, "initial_assignments": start})
    np.testing.assert_allclose(trace["assignments"][0], start, atol=1e-7)
    np.testing.assert_allclose(trace["assignments"][-1], outputs["assignments"], atol=1e-5)
    np.testing.assert_allclose(trace["reconstructions"][-1], outputs["reconstructions"], atol=1e-5)
    assert trace["assignments"].shape == (5, 12, 3, SIZE, SIZE)
    assert trace["reconstructions"].shape == (4, 12, 3, *EVENT_SHAPE)
    # At the start every reconstruction is 0.5, so that every pixel costs log 2.
    np.testing.assert_allclose(trace["log_likelihoods"][0], SIZE**2 * np.log(0.5), rtol=1e-5)


def test_confidence_is_the_mean_over_lit_pixels(images):
    images = images.copy()
    images[0] = 0
    outputs = make()(images)
    largest = np.asarray(outputs["assignments"]).max(axis=1)
    expected = [top[x != 0].mean() for top, x in zip(largest[1:], images[1:, ..., 0], strict=True)]
    np.testing.assert_allclose(outputs["confidence"], [0, *expected], rtol=1e-5)


def test_scores_are_those_of_scikit_learn(images):
    model = make()
    model.compile()
    groups = np.random.default_rng(4).integers(0, 4, images.shape[:-1])
    scores = model.evaluate(images, groups, batch_size=5, verbose=0, return_dict=True)
    outputs = model.predict(images, verbose=0)
    found = outputs["assignments"].argmax(axis=1)
    confidence = outputs["assignments"].max(axis=1)
    pairs = [(true[true > 0], each[true > 0]) for true, each in zip(groups, found, strict=True)]
    ami = [
        sklearn.metrics.adjusted_mutual_info_score(*pair, average_method="max") for pair in pairs
    ]
    ari = [sklearn.metrics.adjusted_rand_score(*pair) for pair in pairs]
    assert scores["ami"] == pytest.approx(np.mean(ami), abs=1e-5)
    assert scores["ari"] == pytest.approx(np.mean(ari), abs=1e-5)
    expected = [top[true > 0].mean() for top, true in zip(confidence, groups, strict=True)]
    assert scores["confidence"] == pytest.approx(np.mean(expected), abs=1e-5)
    assert scores["log_likelihood"] == pytest.approx(outputs["log_likelihood"].mean(), rel=1e-5)


def test_without_groups_nothing_is_scored(images):
    model = make()
    model.compile("sgd")
    assert set(model.evaluate(images, verbose=0, return_dict=True)) == {"loss", "denoising_loss"}
    assert set(model.fit(images, verbose=0).history) == {"loss", "denoising_loss"}


def test_scores_with_more_true_groups_than_usual(images):
    model = make()
    model.compile()
    groups = np.random.default_rng(4).integers(1, 21, images.shape[:-1])
    many = model.evaluate(images, groups, verbose=0, return_dict=True)
    outputs = model.predict(images, verbose=0)["assignments"].argmax(axis=1)
    expected = [
        sklearn.metrics.adjusted_mutual_info_score(a.ravel(), b.ravel(), average_method="max")
        for a, b in zip(groups, outputs, strict=True)
    ]
    assert many["ami"] == pytest.approx(np.mean(expected), abs=1e-5)


def test_its_loss_is_the_autoencoders(images):
    corruption = layers.SaltAndPepperNoise(0.3, seed=1)
    autoencoder = models.DenoisingAutoencoder(EVENT_SHAPE, hidden_units=20, corruption=corruption)
    model = models.ReconstructionClustering(autoencoder, 2, 1)
    for each in (autoencoder, model):
        each.compile()
    assert model.evaluate(images, verbose=0, return_dict=True)["loss"] == pytest.approx(
        autoencoder.evaluate(images, verbose=0)[0], rel=1e-6
    )


# A trained one


@pytest.fixture(scope="module")
def trained():
    """The paper's autoencoder, small and trained on single bars, with K = 2."""
    keras.utils.set_random_seed(0)
    autoencoder = models.DenoisingAutoencoder(
        EVENT_SHAPE, hidden_units=30, corruption=layers.SaltAndPepperNoise(0.1, seed=0)
    )
    model = models.ReconstructionClustering(autoencoder, 2, 10, seed=0)
    model.compile(keras.optimizers.Adam(0.02), steps_per_execution=100)
    images = BARS[..., None].astype("float32")
    model.fit(np.tile(images, (300, 1, 1, 1)), batch_size=len(images), verbose=0)
    return model


def test_training_on_single_objects_groups_several(trained):
    images, groups = crossed_bars(100, seed=2)
    scores = trained.evaluate(images, groups, batch_size=100, verbose=0, return_dict=True)
    assert scores["ami"] > 0.9
    assert scores["confidence"] > 0.9


def test_likelihood_rises_over_the_iterations(trained):
    images, _ = crossed_bars(100, seed=2)
    history = np.asarray(trained.trace(images)["log_likelihoods"]).mean(axis=1)
    after_e_steps = history[2::2]
    assert (np.diff(after_e_steps) > -0.01 * abs(after_e_steps[-1])).all()
    assert after_e_steps[-1] > after_e_steps[0] + 1
    assert (history[2::2] > history[1::2] - 1e-3).all()  # an E-step raises it by itself
