"""What `fit`, `evaluate` and `predict` take: checked, and gone through stream by stream.

The stand-in classifier is linear, and its loss counts what it is fed.
"""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbind.models import _base, _batch

EVENT_SHAPE = (2, 3)
NUM_CLASSES = 4
RANDOM = np.random.default_rng(0)
X = {
    "image": RANDOM.random((7, *EVENT_SHAPE)),
    "label": np.arange(7) % NUM_CLASSES,
    "unlabeled_image": RANDOM.random((20, *EVENT_SHAPE)).astype("float32"),
    "unfeatured_label": np.arange(3, dtype="uint8"),
}


class Classifier(_base.BaseModel):
    value_range = (0.0, 1.0)
    learns_from = "label"
    scored_by = ("label",)
    term_weights = {"cross_entropy": 1.0}

    def __init__(self, seed=0):
        super().__init__(EVENT_SHAPE)
        self.seed = seed
        self.dense = keras.layers.Dense(NUM_CLASSES)
        self.dense.build((None, int(np.prod(EVENT_SHAPE))))
        self.trackers |= _base.means("cross_entropy")
        self.built = True
        self.fed = []

    def fields(self, training):
        fields = super().fields(training)
        labels = _batch.semi_supervised_fields(fields["image"], NUM_CLASSES)
        unfeatured = labels["label"]._replace(title="unfeatured_label", paired=False)
        return {**fields, **labels, "unfeatured_label": unfeatured}

    def check_training_keys(self, keys):
        _batch.require_keys(keys, ("label",))
        if keys.keys() & {"unlabeled_image", "unfeatured_label"}:
            _batch.require_keys(keys, ("unlabeled_image",))

    def call(self, inputs):
        images = _batch.images_of(inputs, EVENT_SHAPE)
        return {"probabilities": tf.nn.softmax(self.dense(tf.reshape(images, [-1, 6])))}

    def loss_terms(self, batch, seed, training):
        if tf.executing_eagerly():
            self.fed.append({key: value.numpy() for key, value in batch.items()})
        probabilities = self.call(batch)["probabilities"]
        loss = keras.losses.sparse_categorical_crossentropy(batch["label"], probabilities)
        return {"cross_entropy": loss}


def classifier(**settings):
    model = Classifier(**settings)
    model.compile("sgd", run_eagerly=True)
    return model


def checked(x):
    return _batch.check_arrays(x, Classifier().fields(training=True))


def raises(sentence):
    return pytest.raises(ValueError, match=re.escape(sentence))


def without(*keys):
    return {key: value for key, value in X.items() if key not in keys}


def test_fit_goes_through_arrays_of_different_lengths():
    model = classifier()
    history = model.fit(X, batch_size=5, epochs=2, verbose=0)
    assert len(history.epoch) == 2
    assert len(model.fed) == 2 * 4
    for epoch in (model.fed[:4], model.fed[4:]):
        found = {key: np.concatenate([batch[key] for batch in epoch]) for key in X}
        unlabeled = X["unlabeled_image"][:, 0, 0]
        np.testing.assert_array_equal(
            np.sort(found["unlabeled_image"][:, 0, 0]), np.sort(unlabeled)
        )
        rows = [
            list(X["image"][:, 0, 0].astype("float32")).index(x) for x in found["image"][:, 0, 0]
        ]
        np.testing.assert_array_equal(X["label"][rows], found["label"])
        assert set(np.bincount(rows)) == {2, 3}  # 20 of 7
        assert set(np.bincount(found["unfeatured_label"])) == {6, 7}  # 20 of 3


def test_the_order_is_the_models_and_a_later_epoch_has_its_own():
    first, again, other, later = (
        classifier(),
        classifier(),
        classifier(seed=1),
        classifier(),
    )
    first.fit(X, batch_size=5, epochs=2, verbose=0)
    again.fit(X, batch_size=5, epochs=2, verbose=0)
    other.fit(X, batch_size=5, epochs=2, verbose=0)
    later.fit(X, batch_size=5, epochs=2, initial_epoch=1, verbose=0)

    def order(model):
        return np.stack([batch["unlabeled_image"] for batch in model.fed])

    np.testing.assert_array_equal(order(first), order(again))
    np.testing.assert_array_equal(order(later), order(first)[4:])
    assert (order(first) != order(other)).any()


def test_labelled_images_alone_are_keras_business():
    model = classifier()
    model.fit(without("unlabeled_image", "unfeatured_label"), batch_size=7, verbose=0)
    assert [sorted(batch["label"]) for batch in model.fed] == [sorted(X["label"])]


def test_dtypes_of_what_is_checked():
    found = checked(X)
    assert {key: value.dtype.name for key, value in found.items()} == {
        "image": "float32",
        "label": "int32",
        "unlabeled_image": "float32",
        "unfeatured_label": "int32",
    }


BAD = {
    "no image": (without("image"), "`x` must have the key 'image'. Received: 'label', 'unl"),
    "wrong keys": (
        {**without("label"), "labels": X["label"]},
        "`x` must have keys among 'image', 'sample_weight', 'label', 'unlabeled_image', "
        "'unfeatured_label'. Received: 'image', 'unlabeled_image', 'unfeatured_label', 'labels'.",
    ),
    "shape": (
        {**X, "unlabeled_image": X["unlabeled_image"][:, :1]},
        "`unlabeled_image` must have shape (n, 2, 3). Received: shape (20, 1, 3).",
    ),
    "range": ({**X, "unlabeled_image": 2 + X["unlabeled_image"]}, "must lie in [0.0, 1.0]."),
    "too large": (
        {**X, "label": X["label"] + 1},
        "`label` must hold integers from 0 to 3. Received: values from 1 to 4.",
    ),
    "negative": (
        {**X, "unfeatured_label": np.array([0, -1])},
        "`unfeatured_label` must hold integers from 0 to 3. Received: values from -1 to 0.",
    ),
    "none": (
        {**X, "unfeatured_label": np.array([], int)},
        "`unfeatured_label` must hold integers from 0 to 3. Received: none.",
    ),
    "floats": (
        {**X, "label": X["label"].astype("float32")},
        "`label` must hold integers. Received: float32.",
    ),
    "too few": (
        {**X, "label": X["label"][:6]},
        "`label` must hold one row for each of `image`. Received: 6 for 7 images.",
    ),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_bad_arrays(case, method):
    x, sentence = BAD[case]
    with raises(sentence):
        getattr(classifier(), method)(x, verbose=0)


def dataset_of(x, rows=3):
    """Returns a dataset of the first rows, in the dtypes that datasets must have."""
    x = {key: value[:rows] for key, value in x.items()}
    cast = {key: value.astype("float32") if "image" in key else value for key, value in x.items()}
    return tf.data.Dataset.from_tensor_slices(cast).batch(rows)


@pytest.mark.parametrize("case", ["no image", "wrong keys", "shape", "floats"])
@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_bad_datasets(case, method):
    x, sentence = BAD[case]
    with raises(re.sub(r" Received: shape.*", "", sentence)):
        getattr(classifier(), method)(dataset_of(x), verbose=0)


BAD_VALUES = {
    "bytes": ({"image": 255 * X["image"]}, "`images` must lie in [0.0, 1.0]. Received: values fr"),
    "nan": ({"image": X["image"] * np.nan}, "`images` must lie in [0.0, 1.0]. Received: values fr"),
    "label": ({"label": X["label"] + 3}, "`label` must hold integers from 0 to 3. Received: value"),
    "negative": ({"label": X["label"] - 1}, "`label` must hold integers from 0 to 3. Received: v"),
    "weight": ({"sample_weight": -np.ones(7, "float32")}, "`sample_weight` must lie in [0.0, inf]"),
}


@pytest.mark.parametrize("case", BAD_VALUES)
@pytest.mark.parametrize("eagerly", [True, False])
@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_values_are_checked_batch_by_batch(case, eagerly, method):
    bad, sentence = BAD_VALUES[case]
    model = classifier()
    model.run_eagerly = eagerly
    x = {**without("unlabeled_image", "unfeatured_label"), **bad}
    with raises(sentence):
        getattr(model, method)(dataset_of(x, 7), verbose=0)


def test_a_bad_batch_later_on_is_found_too():
    images = X["image"].astype("float32")
    images[6] = 7.0
    dataset = tf.data.Dataset.from_tensor_slices((images, X["label"])).batch(2)
    with raises(
        "`images` must lie in [0.0, 1.0]. Received: values from 7 to 7 in batch 4; rescale them"
    ):
        classifier().fit(dataset, verbose=0)
    model = classifier()
    validation = tf.data.Dataset.from_tensor_slices((images, X["label"])).batch(2)
    with raises(
        "`images` must lie in [0.0, 1.0]. Received: values from 7 to 7 in batch 4; rescale them"
    ):
        model.fit(dataset.take(3), validation_data=validation, verbose=0)


def test_pairs_and_columns_in_a_dataset():
    dataset = tf.data.Dataset.from_tensor_slices(
        (X["image"].astype("float32"), X["label"][:, None], np.ones(7, "float32"))
    )
    model = classifier()
    model.fit(dataset.batch(7), verbose=0)
    np.testing.assert_array_equal(model.fed[0]["label"], X["label"])


def test_a_dataset_that_does_not_tell_its_shapes():
    def generate():
        yield X["image"].astype("float32")

    spec = tf.TensorSpec(None, tf.float32)
    dataset = tf.data.Dataset.from_generator(generate, output_signature=spec)
    with raises("`images` must have a known number of axes. Received: a dataset that does not tel"):
        classifier().predict(dataset, verbose=0)
    with raises("`images` must come in batches"):
        classifier().predict(tf.data.Dataset.from_tensor_slices(np.ones(3, "float32")), verbose=0)


def test_labels_go_under_y_too():
    model = classifier()
    model.fit(X["image"], X["label"], batch_size=7, shuffle=False, verbose=0)
    np.testing.assert_array_equal(model.fed[0]["label"], X["label"])
    with raises("`y` and `sample_weight` must be None beside a dataset, which holds them."):
        model.evaluate(dataset_of(without("unlabeled_image")), X["label"])


def test_weights_are_weights_without_y():
    model = classifier()
    x = without("unlabeled_image", "unfeatured_label")
    model.fit(x, sample_weight=np.arange(7), batch_size=7, shuffle=False, verbose=0)
    np.testing.assert_array_equal(model.fed[0]["sample_weight"], np.arange(7))


@pytest.mark.parametrize("missing", ["label", "unlabeled_image"])
def test_streams_that_fit_needs(missing):
    with raises(f"`x` must have the key {missing!r} too. Received: 'image', "):
        classifier().fit(without(missing), verbose=0)


def test_a_dataset_of_dicts_is_taken_as_it_is():
    model = classifier()
    x = {key: value[:3] for key, value in checked(X).items()}
    model.fit(tf.data.Dataset.from_tensor_slices(x).batch(3), shuffle=False, verbose=0)
    (fed,) = model.fed
    for key in X:
        np.testing.assert_array_equal(fed[key], x[key])
