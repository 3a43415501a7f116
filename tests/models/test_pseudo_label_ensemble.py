"""Kingdra's ensemble: its losses against NumPy, its members alone, its rounds, what it refuses."""

import re

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfbind import layers, losses, metrics, models, seeds

from . import numpy_pseudo_labels, steps

SHAPE, CLUSTERS, HIDDEN = (3, 2), 4, (7, 5)
WEIGHTS, NOISE = (10.0, 1.0, 0.5, 2.0), (0.3, 0.2, 0.1, 0.4)
ROWS = 12
LABELS = np.array([0, 1, 2, 3, 0, 0, -1, 1, -1, 2, 3, -1])


def make(**settings):
    settings = {
        "num_members": 3,
        "hidden_units": HIDDEN,
        "denoising_weights": WEIGHTS,
        "noise": NOISE,
        "seed": 3,
        "confidence_threshold": 0.9,
        "first_epochs": 2,
        "round_epochs": 3,
        **settings,
    }
    return models.PseudoLabelEnsemble(SHAPE, CLUSTERS, **settings)


def images(rows=ROWS):
    return np.random.default_rng(0).random((rows, *SHAPE)).astype("float32")


def away_from_start(model):
    """A model amid its training, with pseudo-labels."""
    random = np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign_add(0.5 * random.standard_normal(weight.shape))
    model.row_labels.resize(ROWS)
    heads = model.row_labels.num_heads - 1
    named = [np.where(LABELS < 0, -1, (LABELS + head) % CLUSTERS) for head in range(heads)]
    model.row_labels.assign([*named, LABELS])
    model.class_weights.assign(random.uniform(0.5, 2.0, (heads, CLUSTERS)))
    return model


def batch():
    index = np.array([4, 6, 1, 0, 9, 11, 3])
    return {"image": images()[index], "index": index.astype("int32")}


@pytest.mark.parametrize("mapping", ["common", "member"])
@pytest.mark.parametrize("batched", [False, True])
def test_losses(mapping, batched):
    model, x = away_from_start(make(mapping=mapping, batched=batched)), batch()
    expected = [member_terms(model, x, member) for member in range(3)]
    found = steps.terms(model, x)
    for name in expected[0]:
        mean = np.mean([terms[name] for terms in expected])
        np.testing.assert_allclose(tf.reduce_mean(found[name]), mean, rtol=1e-4, err_msg=name)
    weights = {"information_cost": 0.1}
    total = sum(weights.get(name, 1.0) * terms[name] for terms in expected for name in terms)
    np.testing.assert_allclose(steps.loss(model, x), total, rtol=1e-4)
    assert float(tf.reduce_mean(found["pseudo_labelled"])) == pytest.approx(5 / 7)


def member_terms(model, x, member):
    """Returns what NumPy makes of a member's losses."""
    head = 0 if model.mapping == "common" else member
    labels = model.row_labels.labels.numpy()[head, x["index"]]
    targets = np.append(np.eye(CLUSTERS), np.zeros((1, CLUSTERS)), axis=0)[labels]
    seed = seeds.split(seeds.step_seed(model.seed, 0), 3)[member]
    noise = [
        stddev * seeds.normal([7, width], tf.random.fold_in(seed, layer, alg="philox")).numpy()
        for layer, (width, stddev) in enumerate(zip(model.ladder.units, NOISE, strict=True))
    ]
    return numpy_pseudo_labels.terms(
        x["image"].reshape(7, -1).astype("float64"),
        numpy_pseudo_labels.weights_of(model.ladder, member),
        noise,
        WEIGHTS,
        4.0,
        targets * model.class_weights.numpy()[head],
    )


def test_dot_products_instead_of_information():
    model = away_from_start(make(information="dot_product", top_normalization=True, noise=0.0))
    x = batch()
    found = steps.terms(model, x)["information_cost"]
    p = model.ladder.encode(x["image"].reshape(7, -1)).activations[-1].numpy()
    rows = p / np.linalg.norm(p, axis=-1, keepdims=True)
    costs = [np.mean((each @ each.T - np.eye(7)) ** 2) for each in rows]
    np.testing.assert_allclose(found, 2 * np.mean(costs), rtol=1e-4)
    logits = model.ladder.encode(x["image"].reshape(7, -1)).logits - model.ladder.biases[3][:, None]
    np.testing.assert_allclose(tf.math.reduce_std(logits, axis=1), 1.0, rtol=1e-3)


def test_a_member_learns_as_if_it_were_alone():
    model, x = away_from_start(make(mapping="member")), batch()
    together = gradients(model, x)
    for member in range(3):
        before = [weight.numpy() for weight in model.trainable_variables]
        for weight in model.trainable_variables:  # the others' are zero
            keep = np.arange(3) == member
            weight.assign(weight * keep.reshape(3, *[1] * (len(weight.shape) - 1)))
        alone = gradients(model, x)
        for one, other in zip(together, alone, strict=True):
            np.testing.assert_allclose(other[member], one[member], rtol=1e-4, atol=1e-5)
        for weight, value in zip(model.trainable_variables, before, strict=True):
            weight.assign(value)


def gradients(model, x):
    with tf.GradientTape() as tape:
        loss = steps.loss(model, x)
    return [each.numpy() for each in tape.gradient(loss, model.trainable_variables)]


def test_members_are_single_ladders():
    model = make()
    model.calibrate(images())
    single = layers.Ladder(
        model.ladder.units,
        top_gain=False,
        top_normalization=False,
        kernel_initializer="glorot_normal",
        decoder_top_input="logits",
    )
    single.build()
    for member in range(3):
        for one, many in zip(single.weights, model.ladder.weights, strict=True):
            one.assign(many[member])
        found = model.predict(images(), verbose=0)["member_probabilities"][:, member]
        np.testing.assert_allclose(found, single(images().reshape(ROWS, -1)), rtol=1e-5)


# Views.

NO_DECODER = {"denoising_weights": (0.0, 0.0, 0.0, 0.0), "noise": 0.0}


def test_the_noisy_path_sees_views():
    """Of its own for each member: a member learns from them as from its own images."""
    augmentation = layers.RandomAffine(rotation=90.0, shift=1.0, seed=0)
    shape = (3, 2, 1)
    model = models.PseudoLabelEnsemble(
        shape, CLUSTERS, 3, hidden_units=HIDDEN, augmentation=augmentation, seed=3, **NO_DECODER
    )
    x = {"image": images()[..., None]}
    seed = model.step_seed(True)
    views = augmentation.corrupt(tf.tile(x["image"], [3, 1, 1, 1]), seed)
    views = tf.reshape(views, [3, ROWS, -1])
    assert not np.allclose(views[0], views[1])
    clean = model.ladder.encode(tf.reshape(x["image"], [ROWS, -1]))
    noisy = model.ladder.encode(views)
    expected = losses.divergence(clean.logits, noisy.logits)
    found = steps.terms(model, x)
    np.testing.assert_allclose(
        found["noise_divergence"], tf.reduce_mean(expected, axis=0), rtol=1e-4, atol=1e-7
    )
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    assert restored.augmentation.get_config() == augmentation.get_config()


def test_the_worst_noise_is_worse_than_others_in_the_mean():
    model = away_from_start(make(adversarial_weight=2.0, adversarial_radius=0.3, **NO_DECODER))
    found = steps.terms(model, batch())["adversarial_divergence"]
    assert found.shape == (7,)
    x = batch()["image"].reshape(7, -1)
    clean = model.ladder.encode(x).logits
    others = []
    for draw in range(20):
        noise = np.random.default_rng(draw).normal(size=(3, *x.shape)).astype("float32")
        noise *= 0.3 / np.linalg.norm(noise, axis=-1, keepdims=True)
        others.append(losses.divergence(clean, model.ladder.encode(x + noise).logits))
    assert 1.2 * np.mean(others) < np.mean(found)


def test_without_denoising_there_is_no_decoder():
    model = make(**NO_DECODER)
    assert not model.ladder.decoder_kernels
    assert not model.ladder.combinators
    assert not tf.reduce_any(steps.terms(model, batch())["denoising_cost"] != 0.0)


def test_a_small_top_finds_all_clusters_equally_probable():
    model = make(top_kernel_scale=1e-6)
    p = model.predict(images(), verbose=0)["member_probabilities"]
    np.testing.assert_allclose(p, 1 / CLUSTERS, atol=1e-4)


# Rounds.


def answer(model, monkeypatch, clusters, confidence=0.95):
    """Makes the members say what cluster each example is in, `[N, M]`."""
    p = np.where(np.eye(CLUSTERS)[clusters] > 0, confidence, (1 - confidence) / (CLUSTERS - 1))
    monkeypatch.setattr(model, "calibrate", lambda images: None)
    monkeypatch.setattr(model, "predict", lambda *_, **__: {"member_probabilities": p})


TRUTH = np.repeat(np.arange(CLUSTERS), [2, 3, 4, 5])
SAYINGS = np.stack([TRUTH, (TRUTH + 1) % CLUSTERS, 3 - TRUTH], axis=1)  # numbers of their own


@pytest.fixture
def model():
    model = make()
    model.compile("sgd")
    model.prepare_labels(len(TRUTH))
    return model


def test_all_learn_the_numbers_of_the_last_member(model, monkeypatch):
    answer(model, monkeypatch, SAYINGS)
    assert model.shares.numpy().tolist() == [0.0, 0.0, 1.0]
    model.relabel(images(len(TRUTH)))
    np.testing.assert_array_equal(model.row_labels(np.arange(len(TRUTH)))[0], SAYINGS[:, 2])
    np.testing.assert_allclose(model.class_weights[0], 14 / (4 * np.array([5, 4, 3, 2])))
    np.testing.assert_allclose(model.shares, 1 / 3)


def test_or_each_keeps_its_own(monkeypatch):
    model = make(mapping="member")
    model.compile("sgd")
    model.prepare_labels(len(TRUTH))
    answer(model, monkeypatch, SAYINGS)
    model.relabel(images(len(TRUTH)))
    np.testing.assert_array_equal(model.row_labels.labels[:-1], SAYINGS.T)
    assert model.shares.numpy().tolist() == [1.0, 0.0, 0.0]
    p = model(images(5))
    np.testing.assert_array_equal(p["probabilities"], p["member_probabilities"][:, 0])


def test_what_members_differ_on_has_no_label(model, monkeypatch):
    sayings = SAYINGS.copy()
    sayings[-1, 0] = 0
    answer(model, monkeypatch, sayings)
    model.relabel(images(len(TRUTH)))
    assert model.row_labels.labels.numpy()[0, -1] == -1
    assert (model.row_labels.labels.numpy()[0, :-1] >= 0).all()


def test_nothing_is_supervised_before_all_clusters_have_labels(model, monkeypatch):
    answer(model, monkeypatch, SAYINGS[np.where(TRUTH == 3, 0, np.arange(len(TRUTH)))])
    with pytest.warns(UserWarning, match="agree on 3 of 4 pseudo-classes, so that there are none"):
        model.relabel(images(len(TRUTH)))
    assert not model.class_weights.numpy().any()
    assert float(model.shares[-1]) == 1.0
    answer(model, monkeypatch, SAYINGS, confidence=0.85)
    with pytest.warns(UserWarning, match="agree on 0 of 4"):
        model.relabel(images(len(TRUTH)))


def test_the_fullest_buckets_are_taken_again(model, monkeypatch):
    x = images(len(TRUTH))
    fuller = np.tile(np.arange(14)[:, None] * CLUSTERS // 14, 3)
    for sayings in (fuller, SAYINGS):
        answer(model, monkeypatch, sayings)
        model.relabel(x)
    np.testing.assert_array_equal(model.row_labels.labels[0], SAYINGS[:, 2])
    merged = np.tile(np.minimum(fuller[:, :1], 2), 3)
    answer(model, monkeypatch, merged)
    with pytest.warns(UserWarning, match="those of an earlier round stay"):
        model.relabel(x)
    found = model.row_labels.labels.numpy()[0]
    assert metrics.clustering_accuracy(fuller[:, 0], found) == 1.0


def test_what_is_noted_of_a_round(model, monkeypatch):
    sayings = SAYINGS.copy()
    sayings[-1, 0] = 0
    answer(model, monkeypatch, sayings)
    model.relabel(images(len(TRUTH)))
    model.score_labels(TRUTH)
    (found,) = model.rounds
    shares = np.array([[3, 3, 4, 4], [2, 3, 4, 5], [2, 3, 4, 5]]) / 14
    p = 0.95 * shares + (1 - shares) * 0.05 / 3
    np.testing.assert_allclose(found.pop("member_entropies"), scipy.stats.entropy(p, axis=1))
    assert found == {
        "num_found": 4,
        "coverage": 13 / 14,
        "class_sizes": [4, 4, 3, 2],
        "agreement": [0, 1 / 14, 13 / 14],
        "merged": [0, 0, 0],
        "precision": 1.0,
    }


def test_a_member_that_has_merged_two_is_named_and_left_out(monkeypatch):
    sayings = SAYINGS.copy()
    sayings[TRUTH == 3, 2] = sayings[TRUTH == 2, 2][0]
    found = {}
    for leave_out in (False, True):
        model = make(leave_out_merged=leave_out)
        model.prepare_labels(len(TRUTH))
        answer(model, monkeypatch, sayings)
        with pytest.warns(UserWarning, match="Members 2 use their clusters so much less evenly"):
            model.relabel(images(len(TRUTH)))
        found[leave_out] = model.row_labels.labels.numpy()[0]
        assert model.rounds[0]["merged"] == [0, 0, 1]
    np.testing.assert_array_equal(found[True], SAYINGS[:, 1])  # of the last one that is asked
    np.testing.assert_array_equal(found[False][TRUTH < 2], SAYINGS[TRUTH < 2, 2])


def test_two_are_asked_at_least(monkeypatch):
    sayings = SAYINGS.copy()
    sayings[TRUTH == 3, 1] = sayings[TRUTH == 2, 1][0]
    sayings[TRUTH >= 2, 2] = sayings[TRUTH == 1, 2][0]
    model = make(leave_out_merged=True)
    model.prepare_labels(len(TRUTH))
    answer(model, monkeypatch, sayings)
    with pytest.warns(UserWarning, match="Members 1, 2 use"):
        model.relabel(images(len(TRUTH)))
    assert model.rounds[0]["num_found"] == 4


def test_the_later_weight_of_information(model, monkeypatch):
    later = make(later_information_weight=0.02)
    later.prepare_labels(len(TRUTH))
    for each, expected in ((model, 0.1), (later, 0.02)):
        assert float(each.term_weights["information_cost"]) == pytest.approx(3 * 0.1)
        answer(each, monkeypatch, SAYINGS)
        each.relabel(images(len(TRUTH)))
        assert float(each.term_weights["information_cost"]) == pytest.approx(3 * expected)


def test_the_schedule():
    rounds = [epoch for epoch in range(12) if make().relabels_before(epoch)]
    assert rounds == [2, 5, 8, 11]


def test_another_training_set_gets_labels_at_once(model, monkeypatch):
    answer(model, monkeypatch, SAYINGS)
    model.relabel(images(len(TRUTH)))
    assert model.class_weights.numpy().any()
    model.has_new_rows = False  # as the callback leaves it
    model.prepare_labels(len(TRUTH))
    assert not model.relabels_now(1)
    model.prepare_labels(20)
    assert model.relabels_now(1)
    assert (model.row_labels.labels.numpy() == -1).all()


# Trainings.

MIDDLES = np.eye(3, 8) * 3
TRUE = np.repeat([0, 1, 2], [34, 33, 33])
X = MIDDLES[TRUE] + 0.2 * np.random.default_rng(0).standard_normal((100, 8))
X = X.astype("float32")


def small(jit_compile=True):
    keras.utils.set_random_seed(1)
    model = models.PseudoLabelEnsemble(
        (8,),
        3,
        num_members=2,
        hidden_units=(16,),
        noise=0.3,
        denoising_weights=(1.0, 0.1, 0.1),
        information_weight=1.0,
        confidence_threshold=0.0,
        first_epochs=6,
        round_epochs=4,
        seed=1,
    )
    model.compile(keras.optimizers.Adam(0.01), jit_compile=jit_compile)
    return model


def test_blobs():
    model = small()
    history = model.fit(X, batch_size=20, epochs=14, verbose=0).history
    scores = model.evaluate(X, TRUE, verbose=0, return_dict=True)
    assert scores["accuracy"] == 1.0
    assert history["pseudo_labelled"][5] == 0.0
    assert history["pseudo_labelled"][-1] > 0.9
    assert history["pseudo_cost"][-1] < history["pseudo_cost"][6]
    model.end_training()
    np.testing.assert_array_equal(model.cluster(X), model.cluster(X, batch_size=7))


@pytest.mark.slow
def test_kill_and_resume_amid_a_round(tmp_path):
    settings = {"batch_size": 20, "shuffle": False, "verbose": 0}
    straight = small(jit_compile=False)
    straight.fit(X, epochs=8, **settings)
    killed = small(jit_compile=False)
    killed.fit(X, epochs=7, **settings)
    assert killed.class_weights.numpy().any()
    assert killed.rounds
    killed.save(tmp_path / "model.keras")
    resumed = small(jit_compile=False)
    resumed.restore_from(keras.saving.load_model(tmp_path / "model.keras"))
    resumed.fit(X, epochs=8, initial_epoch=7, **settings)
    assert resumed.rounds == straight.rounds
    for one, other in zip(resumed.weights, straight.weights, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"num_members": 1}, "`num_members` must be an integer >= 2. Received: num_members=1."),
        ({"strong_agreement": 3}, "`strong_agreement` must be an integer <= 2, since more members"),
        ({"weak_agreement": 3}, "`strong_agreement` must be an integer >= 3."),
        ({"confidence_threshold": 1.0}, "`confidence_threshold` must be less than 1, since no"),
        ({"information": "much"}, "`information` must be one of 'mutual', 'dot_product'."),
        ({"later_information_weight": -1}, "`later_information_weight` must be a number in [0,"),
        ({"adversarial_radius": 0}, "`adversarial_radius` must be a number in (0, inf)."),
        ({"augmentation": 3}, "`augmentation` must be a noise layer of `tfbind.layers` or None."),
        ({"mapping": "first"}, "`mapping` must be one of 'common', 'member'."),
        ({"denoising_weights": (1.0,)}, "`denoising_weights` must be a tuple of 4 numbers"),
        ({"hidden_units": ()}, "`hidden_units` must be a tuple of one integer or more."),
        ({"first_epochs": 0}, "`first_epochs` must be an integer >= 1."),
    ],
)
def test_what_is_out_of_range(settings, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        make(**settings)


def test_fewer_examples_than_clusters():
    model = make()
    model.compile("sgd")
    with pytest.raises(ValueError, match="`images` must hold 4 examples or more, one for each"):
        model.fit(images(3), verbose=0)


@pytest.mark.parametrize(
    "shape, settings, units, noise, weights, information",
    [
        ((6,), {}, (6, 64, 64, 3), 1.0, (1.0, 0.1, 0.1, 0.1), 1.0),
        ((6,), {"hidden_units": (5,), "noise": 0.0}, (6, 5, 3), 0.0, (1.0, 0.1, 0.1), 1.0),
        ((6,), {"information_weight": 0.0}, (6, 64, 64, 3), 1.0, (1.0, 0.1, 0.1, 0.1), 0.0),
        ((2, 3), {}, (6, 1200, 1200, 3), 0.3, (1000.0, 10.0, 0.1, 0.1), 0.1),
    ],
)
def test_vectors_get_defaults_of_their_own(shape, settings, units, noise, weights, information):
    model = models.PseudoLabelEnsemble(shape, 3, 2, **settings)
    assert (model.ladder.units, model.denoising_weights) == (units, weights)
    assert model.information_weight == information
    assert model.ladder.noise == (noise,) * len(units)
