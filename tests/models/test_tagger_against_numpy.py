"""Tagger against NumPy: every iteration, the loss, its gradient and the population statistics."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfbind import models, seeds

from . import numpy_tagger

GROUPS = 3
SHAPES = {1: (2, 3, 1), 3: (2, 2, 3)}  # by the number of channels


def make(test_seed, *, channels=1, likelihood="bernoulli", units=(7, 5, 4), **settings):
    """A small Tagger whose weights are all away from where they start."""
    model = models.Tagger(
        SHAPES[channels],
        GROUPS,
        units=units,
        likelihood=likelihood,
        noise=0.2 if likelihood == "bernoulli" else 0.3,
        seed=5,
        **settings,
    )
    random = np.random.default_rng(test_seed)
    for weight in model.trainable_variables:
        weight.assign_add(0.4 * random.standard_normal(weight.shape))
    return model


def problem(test_seed, model, rows=4):
    """Returns clean and noisy pixels `[B, P, C]`, float64, and starting assignments."""
    random = np.random.default_rng(test_seed)
    shape = (rows, model.num_pixels, model.num_channels)
    if model.step.binary:
        clean = (random.random(shape) < 0.4).astype("float64")
        noisy = np.abs(clean - (random.random(shape) < 0.2))
    else:
        clean = random.standard_normal(shape)
        noisy = clean + 0.3 * random.standard_normal(shape)
    start = random.dirichlet(np.ones(GROUPS), (rows, model.num_pixels)).transpose(0, 2, 1)
    # What float32 holds, so that both see the same.
    return tuple(part.astype("float32").astype("float64") for part in (clean, noisy, start))


def first_step(model, images, **batch):
    """Returns the loss of the first training step, and its terms."""
    batch["image"] = single(images.reshape(-1, *model.event_shape))
    terms = model.loss_terms(batch, model.step_seed(training=True), training=True)
    means = [
        weight * tf.reduce_mean(terms[name])
        for name, weight in model.term_weights.items()
        if name in terms
    ]
    return tf.add_n(means), terms


def single(array):
    return tf.constant(array, tf.float32)


VARIANTS = [
    {"likelihood": "bernoulli"},
    {"likelihood": "gaussian"},
    {"likelihood": "gaussian", "equations": "paper"},
]
VARIANT = pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: "-".join(v.values()))
NORMALIZATION = pytest.mark.parametrize("normalization", ["batch", "layer"])


@pytest.mark.parametrize("channels", SHAPES)
@NORMALIZATION
@VARIANT
def test_one_step(variant, normalization, channels, test_seed):
    """Algorithm 2 and the costs of Algorithm 3, everything that comes out of them."""
    model = make(test_seed, channels=channels, normalization=normalization, **variant)
    reference = numpy_tagger.Tagger(model)
    clean, noisy, m = problem(test_seed, model)
    start, state = model.iterate(single(noisy), single(m), 1)
    (expected_start, expected), _ = reference.iterate(noisy, m, 1)

    delta = reference.modelling_error(noisy, expected_start.z, m)
    np.testing.assert_allclose(model.step.modelling_error(single(noisy), start), delta, atol=1e-5)
    ratio = reference.likelihood_ratio(noisy, expected_start.z)
    np.testing.assert_allclose(model.step.likelihood_ratio(single(noisy), start), ratio, atol=1e-5)
    for found, wanted in ((start, expected_start), (state, expected)):
        np.testing.assert_allclose(found.means, wanted.z, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found.fed, wanted.fed, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found.assignments, wanted.m, atol=1e-4)
        np.testing.assert_allclose(found.top, wanted.top, rtol=1e-4, atol=1e-4)
        cost = np.mean(model.denoising_cost(single(clean), found))
        np.testing.assert_allclose(cost, reference.cost(clean, wanted), rtol=1e-4)
    assert np.abs(expected.m - 1 / GROUPS).max() > 0.01  # it does not stand still


@VARIANT
def test_modelling_error_and_likelihood_where_groups_differ(variant, test_seed):
    """The first step sees equal groups; here they are not."""
    model = make(test_seed, channels=3, **variant)
    reference = numpy_tagger.Tagger(model)
    _, noisy, m = problem(test_seed, model)
    z = np.random.default_rng(test_seed).random((4, GROUPS, *noisy.shape[1:]))
    z = z.astype("float32").astype("float64")
    state = model.step.initial_state(single(noisy), single(m), 0.26)._replace(means=single(z))
    found = model.step.modelling_error(single(noisy), state)
    np.testing.assert_allclose(found, reference.modelling_error(noisy, z, m), rtol=1e-4, atol=1e-6)
    found = model.step.likelihood_ratio(single(noisy), state)
    expected = reference.likelihood_ratio(noisy, z)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(tf.reduce_sum(found, axis=1), 1, atol=1e-6)
    assert np.ptp(expected) > 0.01


@NORMALIZATION
@VARIANT
def test_three_steps(variant, normalization, test_seed):
    model = make(test_seed, normalization=normalization, **variant)
    clean, noisy, m = problem(test_seed, model)
    states = model.iterate(single(noisy), single(m), 3)
    expected, _ = numpy_tagger.Tagger(model).iterate(noisy, m, 3)
    for found, wanted in zip(states, expected, strict=True):
        np.testing.assert_allclose(found.means, wanted.z, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(found.assignments, wanted.m, atol=1e-3)


def training_draws(model, clean, *salts):
    """Returns noisy pixels and start that the model's first step draws."""
    seed = seeds.step_seed(model.seed, 0)
    for salt in salts:
        seed = tf.random.fold_in(seed, salt, alg="philox")
    noisy = model.corruption.corrupt(single(clean), seed)
    shape = [len(clean), GROUPS, model.num_pixels]
    noise = seeds.normal(shape, tf.random.fold_in(seed, 1, alg="philox"))
    return tuple(part.numpy().astype("float64") for part in (noisy, tf.nn.softmax(noise, axis=1)))


@pytest.mark.parametrize("num_iterations", [1, 3])
@NORMALIZATION
@VARIANT
def test_loss_is_the_mean_over_iterations(variant, normalization, num_iterations, test_seed):
    model = make(test_seed, normalization=normalization, num_iterations=num_iterations, **variant)
    reference = numpy_tagger.Tagger(model)
    clean, *_ = problem(test_seed, model, rows=6)
    noisy, m = training_draws(model, clean)
    assert (noisy != clean).any()
    loss, terms = first_step(model, clean)
    np.testing.assert_allclose(loss, reference.loss(clean, noisy, m, num_iterations), rtol=1e-3)
    states, _ = reference.iterate(noisy, m, num_iterations)
    costs = [reference.cost(clean, state) for state in states[1:]]
    found = [tf.reduce_mean(terms[f"cost_{t + 1}"]) for t in range(num_iterations)]
    np.testing.assert_allclose(found, costs, rtol=1e-3)


def differences(array, place, loss, step=1e-6):
    """The slope of `loss()` along one entry of `array`."""
    value, ends = array[place], []
    for end in (value + step, value - step):
        array[place] = end
        ends.append(loss())
    array[place] = value
    return (ends[0] - ends[1]) / (2 * step)


@NORMALIZATION
@VARIANT
def test_gradient_goes_through_all_iterations(variant, normalization, test_seed):
    """Against finite differences of the whole loss of three iterations, in NumPy."""
    model = make(test_seed, normalization=normalization, **variant)
    reference = numpy_tagger.Tagger(model)
    clean, *_ = problem(test_seed, model)
    noisy, m = training_draws(model, clean)
    with tf.GradientTape() as tape:
        loss, _ = first_step(model, clean)
    pairs = [(getattr(model.step, name), array) for name, array in reference.weights.items()]
    ladder = model.step.ladder
    pairs += [
        (ladder.encoder_kernels[1], reference.ladder.encoder[1]),
        (ladder.biases[2], reference.ladder.biases[2]),
        (ladder.gain, reference.ladder.gain),
        (ladder.decoder_kernels[0], reference.ladder.decoder[0]),
        (ladder.combinators[0], reference.ladder.combinators[0]),
        (ladder.combinators[2], reference.ladder.combinators[2]),
    ]
    gradients = tape.gradient(loss, [variable.value for variable, _ in pairs])
    found, expected = [], []
    for gradient, (_, array) in zip(gradients, pairs, strict=True):
        place = np.unravel_index(np.abs(gradient).argmax(), array.shape)  # the steepest
        found.append(gradient.numpy()[place])
        expected.append(differences(array, place, lambda: reference.loss(clean, noisy, m, 3)))
    np.testing.assert_allclose(found, expected, rtol=0.01, atol=1e-4)
    assert np.count_nonzero(np.abs(expected) > 1e-3) > len(expected) // 2


def test_what_classes_add(test_seed):
    """The class cost of the last iteration, on draws of its own, beside the denoising cost."""
    settings = {"units": (7, 5, 4), "num_classes": 3, "likelihood": "gaussian"}
    model = make(test_seed, class_weight=0.7, **settings)
    reference = numpy_tagger.Tagger(model)
    labelled, *_ = problem(test_seed, model)
    clean, *_ = problem(test_seed + 1, model)
    labels = np.array([[0, 1], [2, 2], [1, 0], [2, 0]])
    unlabeled = single(clean.reshape(4, *model.event_shape))
    found, _ = first_step(model, labelled, label=tf.constant(labels), unlabeled_image=unlabeled)
    denoising = reference.loss(clean, *training_draws(model, clean), 3)
    states, _ = reference.iterate(*training_draws(model, labelled, 2), 3)
    expected = denoising + 0.7 * reference.class_cost(labels, states[-1])
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert expected > 1.1 * denoising


def test_class_probabilities(test_seed):
    model = make(test_seed, num_classes=3)
    reference = numpy_tagger.Tagger(model)
    top = 3 * np.random.default_rng(test_seed).standard_normal((5, GROUPS, 4))
    state = reference.start(np.zeros((5, 6, 1)), np.zeros((5, GROUPS, 6)))._replace(top=top)
    found = np.exp(model.class_log_probabilities(state._replace(top=single(top))))
    np.testing.assert_allclose(found, reference.class_probabilities(state), rtol=1e-4)


@VARIANT
def test_population_statistics(variant, test_seed):
    """Averages over batches, one set for each iteration, which inference then uses."""
    model = make(test_seed, inference_iterations=2, **variant)
    reference = numpy_tagger.Tagger(model)
    clean, _, m = problem(test_seed, model, rows=12)
    model.iterate(single(-clean), single(m), 2, update=True)  # is forgotten
    model.reset_statistics()
    batches = [slice(0, 5), slice(5, 8), slice(8, 12)]
    for rows in batches:
        model.iterate(single(clean[rows]), single(m[rows]), 2, update=True)
    seen = [reference.iterate(clean[rows], m[rows], 2)[1] for rows in batches]

    layers = dict(model.step.standardizations)
    layers |= {("encoder", i): x for i, x in model.step.ladder.encoder_standardizations.items()}
    layers |= {("decoder", i): x for i, x in model.step.ladder.decoder_standardizations.items()}
    assert layers.keys() == seen[0][0].keys()
    populations = [{}, {}]
    for (name, layer), i in itertools.product(layers.items(), range(2)):
        of_batches = [batch[i][name] for batch in seen]
        mean = np.mean([mean for mean, _, _ in of_batches], axis=0)
        corrected = np.mean([var * n / (n - 1) for _, var, n in of_batches], axis=0)
        populations[i][name] = mean, corrected
        scale = np.sqrt(corrected).max()
        np.testing.assert_allclose(layer.mean[i], mean[0], rtol=1e-3, atol=1e-3 * scale)
        np.testing.assert_allclose(layer.variance[i], corrected[0], rtol=5e-3, atol=1e-6)

    outputs = model(
        {
            "image": single(clean.reshape(12, *model.event_shape)),
            "initial_assignments": single(m.reshape(12, GROUPS, *model.spatial_shape)),
        }
    )
    states, _ = reference.iterate(clean, m, 2, populations)
    found = outputs["assignments"].numpy().reshape(states[-1].m.shape)
    np.testing.assert_allclose(found, states[-1].m, atol=2e-3)
    log_p = reference.log_mixture(clean, states[-1])
    if not model.step.binary:
        log_p -= 0.5 * np.log(2 * np.pi) * clean[0].size
    np.testing.assert_allclose(outputs["log_likelihood"], log_p, rtol=2e-3)


def test_xla_computes_the_same(test_seed):
    model = make(test_seed)
    _, noisy, m = problem(test_seed, model)

    def run(noisy, m):
        return model.iterate(noisy, m, 3)[-1]

    expected = run(single(noisy), single(m))
    found = tf.function(run, jit_compile=True)(single(noisy), single(m))
    for name, one, other in zip(found._fields, found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3, err_msg=name)
