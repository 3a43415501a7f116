"""What every model inherits: dicts of labelled and unlabelled images, checked and cycled through.

The stand-in classifier is linear, and its loss counts what it is fed.
"""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbind.models import _base

EVENT_SHAPE = (2, 3)
NUM_CLASSES = 4
RANDOM = np.random.default_rng(0)
X = {
    "image": RANDOM.random((7, *EVENT_SHAPE)),
    "label": np.arange(7) % NUM_CLASSES,
    "unlabeled_image": RANDOM.random((20, *EVENT_SHAPE)).astype("float32"),
    "unfeatured_label": np.arange(3, dtype="uint8"),
}


class Classifier(_base.EventModel):
    value_range = (0.0, 1.0)
    num_classes = NUM_CLASSES

    def __init__(self, seed=0):
        super().__init__(EVENT_SHAPE)
        self.seed = seed
        self.dense = keras.layers.Dense(NUM_CLASSES)
        self.dense.build((None, int(np.prod(EVENT_SHAPE))))
        self.built = True
        self.fed = []

    def call(self, inputs):
        images = inputs["image"] if isinstance(inputs, dict) else inputs
        return {"probabilities": tf.nn.softmax(self.dense(tf.reshape(images, [-1, 6])))}

    def serving_endpoints(self):
        names = ("image", "temperature")
        inputs = tuple(tf.TensorSpec([None], name=name) for name in names)
        return {"serving_default": _base.Endpoint(self.call, inputs, {}, {})}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if tf.executing_eagerly():
            self.fed.append({key: value.numpy() for key, value in x.items()})
        return keras.ops.mean(
            keras.losses.sparse_categorical_crossentropy(x["label"], y_pred["probabilities"])
        )


def classifier(**settings):
    model = Classifier(**settings)
    model.compile("sgd", run_eagerly=True)
    return model


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


def test_what_an_endpoint_takes_is_no_wrong_key():
    x = {**X, "temperature": np.ones(7)}
    np.testing.assert_array_equal(classifier().check_inputs(x)["temperature"], x["temperature"])


def test_labelled_images_alone_are_keras_business():
    model = classifier()
    model.fit(without("unlabeled_image", "unfeatured_label"), batch_size=7, verbose=0)
    assert [sorted(batch["label"]) for batch in model.fed] == [sorted(X["label"])]


def test_dtypes_of_what_is_checked():
    found = classifier().check_inputs(X)
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
        "`x` must have keys among 'image', 'unlabeled_image', 'label', 'unfeatured_label', "
        "'temperature'. Received: 'image', 'unlabeled_image', 'unfeatured_label', 'labels'.",
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
        "`label` must hold one label for each of `image`. Received: 6 for 7 images.",
    ),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_bad_arrays(case, method):
    x, sentence = BAD[case]
    with raises(sentence):
        getattr(classifier(), method)(x, verbose=0)


@pytest.mark.parametrize("case", ["no image", "wrong keys", "shape", "floats"])
def test_bad_datasets(case):
    x, sentence = BAD[case]
    x = {key: value[:3] for key, value in x.items()}
    dataset = tf.data.Dataset.from_tensor_slices(
        {key: value.astype("float32") if "image" in key else value for key, value in x.items()}
    )
    with raises(re.sub(r" Received: shape.*", "", sentence)):
        classifier().fit(dataset.batch(3), verbose=0)


@pytest.mark.parametrize("missing", ["label", "unlabeled_image"])
def test_streams_that_fit_needs(missing):
    with raises(f"`x` must have the key {missing!r} too. Received: 'image', "):
        classifier().fit(without(missing), verbose=0)


def test_a_dataset_of_dicts_is_taken_as_it_is():
    model = classifier()
    x = {key: value[:3] for key, value in model.check_inputs(X).items()}
    model.fit(tf.data.Dataset.from_tensor_slices(x).batch(3), shuffle=False, verbose=0)
    (fed,) = model.fed
    for key in X:
        np.testing.assert_array_equal(fed[key], x[key])
