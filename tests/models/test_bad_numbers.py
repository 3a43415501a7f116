"""Numbers that no model can learn from: a training stops where they are, and says so."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbind import distributions, models

ROWS = np.random.default_rng(0).random((32, 6)).astype("float32")
BAD = ROWS.copy()
BAD[20, 3] = np.nan


def raises(sentence):
    """Expects a ValueError with this sentence in its message."""
    return pytest.raises(ValueError, match=re.escape(sentence))


def autoencoder(learning_rate=0.001):
    model = models.DenoisingAutoencoder((6,), hidden_units=3)
    model.compile(keras.optimizers.SGD(learning_rate))
    return model


def ensemble():
    model = models.PseudoLabelEnsemble((6,), 3, 2, hidden_units=(8,))
    model.compile("adam")
    return model


def ladder():
    model = models.LadderNetwork((6,), 3, hidden_units=(8,), denoising_weights=(1.0, 1.0, 1.0))
    model.compile("adam")
    return model


def batches(rows=BAD):
    return tf.data.Dataset.from_tensor_slices(rows).batch(8)


class Sequence(keras.utils.PyDataset):
    """Batches of 8 rows, in Keras' own kind of data set."""

    def __init__(self, rows=BAD, wrap=lambda rows: rows, **settings):
        super().__init__(**settings)
        self.rows, self.wrap = rows, wrap

    def __len__(self):
        return len(self.rows) // 8

    def __getitem__(self, index):
        return (self.wrap(self.rows[8 * index : 8 * index + 8]),)


def generator(rows=BAD):
    while True:
        for start in range(0, len(rows), 8):
            yield (rows[start : start + 8],)


def test_a_dataset_names_the_batch():
    with raises("Received: values from nan to nan in batch 3; rescale them first."):
        autoencoder().fit(batches(), verbose=0)


@pytest.mark.parametrize("make", [Sequence, generator])
def test_what_keras_draws_by_itself_names_the_batch(make):
    sentence = "`images` must be finite. Received: NaN or infinity among its values in batch 3."
    with raises(sentence):
        autoencoder().fit(make(), steps_per_epoch=4, epochs=2, verbose=0)
    with raises(sentence):
        autoencoder().fit(ROWS, validation_data=make(), validation_steps=4, verbose=0)
    with raises(sentence):
        autoencoder().evaluate(make(), steps=4, verbose=0)
    with raises(sentence):
        autoencoder().predict(make(), steps=4, verbose=0)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (255 * ROWS, "`images` must lie in [0.0, 1.0]. Received: values from "),
        (ROWS[:, :5], "`images` must have shape (n, 6). Received: shape (8, 5) in batch 1."),
        (ROWS.astype(str), "`images` must be numeric. Received: dtype "),
    ],
)
def test_what_keras_draws_has_the_shape_and_range_of_arrays(rows, sentence):
    for make in (Sequence, generator):
        with raises(sentence) as info:
            autoencoder().fit(make(rows), steps_per_epoch=4, verbose=0)
        assert " in batch 1" in str(info.value)


def test_labels_that_keras_draws_are_checked_too():
    batches = Sequence(ROWS, lambda rows: {"image": rows, "label": np.arange(8)})
    model = models.UntappedVAE((6,), num_classes=3, classifier_units=(4,), encoder_units=(4,))
    model.compile("adam")
    with raises("`label` must hold integers from 0 to 2. Received: values from 0 to 7 in batch 1."):
        model.fit(batches, verbose=0)


def test_what_keras_draws_holds_its_own_truth():
    with raises("`y` and `sample_weight` must be None beside a dataset, which holds them."):
        autoencoder().fit(Sequence(ROWS), np.zeros(32), verbose=0)


def test_a_sequence_is_drawn_as_it_says():
    epochs = []

    class Noting(Sequence):
        def on_epoch_end(self):
            epochs.append(len(self))

    model = autoencoder()
    found = model.fit(Noting(ROWS, workers=2), epochs=2, shuffle=False, verbose=0).history
    assert epochs[:2] == [4, 4]
    model = autoencoder()
    expected = model.fit(Sequence(ROWS), epochs=2, shuffle=False, verbose=0).history
    assert len(found["loss"]) == len(expected["loss"]) == 2
    assert np.isfinite(found["loss"]).all()


def test_a_loss_that_explodes_stops_in_its_epoch():
    model = models.DenoisingAutoencoder((6,), hidden_units=3, likelihood="gaussian")
    model.compile(keras.optimizers.SGD(1e25))
    with raises("The loss must be finite. Received: "):
        model.fit(ROWS, batch_size=8, epochs=20, verbose=0)


def test_keras_own_callback_comes_first():
    model = models.DenoisingAutoencoder((6,), hidden_units=3, likelihood="gaussian")
    model.compile(keras.optimizers.SGD(1e25))
    stopping = keras.callbacks.TerminateOnNaN()
    history = model.fit(ROWS, batch_size=8, callbacks=[stopping], epochs=20, verbose=0).history
    assert len(history["loss"]) < 20


def test_a_sequence_is_no_array():
    found = autoencoder().predict(Sequence(ROWS), verbose=0)
    assert found["reconstruction"].shape == (32, 6)


@pytest.mark.parametrize("make", [Sequence, generator])
def test_a_model_that_labels_its_examples_needs_them_again(make):
    with raises("`x` must be arrays or a tf.data.Dataset for a model that labels all its examples"):
        ensemble().fit(make(ROWS), steps_per_epoch=4, verbose=0)


def test_a_model_that_takes_statistics_needs_its_examples_again():
    labelled = Sequence(
        ROWS, lambda rows: {"image": rows, "label": np.arange(8) % 3, "unlabeled_image": rows}
    )
    with raises("a model that takes the statistics of its examples when training ends. Received:"):
        ladder().fit(labelled, verbose=0)


@pytest.mark.parametrize("kind", ["array", "dataset"])
def test_equal_examples_have_no_deviation_to_divide_by(kind):
    equal = np.ones_like(ROWS)
    x = equal if kind == "array" else batches(equal)
    if kind == "dataset":
        x = x.map(lambda rows: {"image": rows, "index": tf.range(8)})
    received = "equal ones alone." if kind == "array" else "equal ones in batch 1."
    with raises(
        f"must differ in each batch, which is divided by its deviation. Received: {received}"
    ):
        ensemble().fit(x, verbose=0)


def test_equal_examples_are_learned_where_nothing_divides():
    model = autoencoder(0.1)
    losses = model.fit(np.ones_like(ROWS), batch_size=8, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2


def grouping():
    model = models.ReconstructionClustering(
        models.DenoisingAutoencoder((2, 2, 1), hidden_units=3), num_groups=6, seed=1
    )
    model.compile("adam")
    return model


def test_more_groups_than_pixels():
    images = ROWS[:, :4].reshape(-1, 2, 2, 1).round()
    model = grouping()
    model.fit(images, verbose=0)
    assignments = model.predict(images, verbose=0)["assignments"]
    np.testing.assert_allclose(assignments.sum(axis=1), 1.0, rtol=1e-5)


def test_large_group_ids_are_names_only():
    images = ROWS[:, :4].reshape(-1, 2, 2, 1).round()
    groups = np.random.default_rng(2).integers(0, 4, (32, 2, 2))
    model = grouping()
    expected = model.evaluate(images, groups, verbose=0, return_dict=True)
    names = np.array([0, 17, 2**31 - 5, 2**31 - 1])
    found = model.evaluate(images, names[groups], verbose=0, return_dict=True)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["array", "dataset"])
def test_group_ids_beyond_32_bits_are_refused(kind):
    images = ROWS[:, :4].reshape(-1, 2, 2, 1).round()
    groups = np.full((32, 2, 2), 2**32 + 1)
    data = (images, groups)
    if kind == "dataset":
        data = (tf.data.Dataset.from_tensor_slices(data).batch(8),)
    with raises(
        "`groups` must hold integers from 0 to 2147483647. Received: values from 4294967297"
    ):
        grouping().evaluate(*data, verbose=0)


@pytest.mark.parametrize(("low", "width"), [(-1.5, 3.0), (1e3, 1.0), (-1e6, 4.0)])
def test_a_box_far_from_zero(low, width):
    flow = distributions.LogisticFlow(low, low + width)
    walls = flow.inverse(tf.constant([low, low + width]))
    np.testing.assert_allclose(walls, [-13.8155, 13.8155], rtol=0.01)
    middle = flow.inverse(tf.constant(low + width / 2))
    np.testing.assert_allclose(middle, 0.0, atol=1e-6)
