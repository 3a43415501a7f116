"""The untapped VAE with networks of the user's own, as Keras users know them."""

import keras
import numpy as np
import pytest

from tests.models.test_untapped_vae import CLASSES, SHAPE, batch, compiled, data, make
from tfbind import layers
from tfbind.models.untapped_vae import UntappedVAE


def classifier(*layers):
    return keras.Sequential([keras.layers.Input(SHAPE), *layers, keras.layers.Dense(CLASSES)])


def test_batch_normalization_learns_its_statistics_from_what_it_sees():
    """Without the reverse model the classifier sees labelled images, then unlabelled ones."""
    normalization = keras.layers.BatchNormalization(momentum=0.9)
    model = compiled(make(classifier=classifier(normalization), reverse=False))
    x = batch()
    model.train_on_batch({key: x[key] for key in ("image", "label", "unlabeled_image")})
    expected = 0.1 * (0.9 * x["image"].mean(axis=0) + x["unlabeled_image"].mean(axis=0))
    np.testing.assert_allclose(normalization.moving_mean, expected, rtol=1e-4)
    model.evaluate(x["image"], x["label"], verbose=0)
    np.testing.assert_allclose(normalization.moving_mean, expected, rtol=1e-4)


def test_dropout_drops_in_training_only():
    model = compiled(make(classifier=classifier(keras.layers.Dropout(0.5, seed=1))))
    x = batch()
    clean = model.evaluate(x["image"], x["label"], 64, return_dict=True, verbose=0)
    assert clean == model.evaluate(x["image"], x["label"], 64, return_dict=True, verbose=0)
    noisy = [model.train_on_batch(x, return_dict=True)["cross_entropy"] for _ in range(2)]
    assert len({clean["cross_entropy"], *map(float, noisy)}) == 3


def test_a_regularizer_is_part_of_the_loss():
    losses = []
    for strength in (0.0, 0.5):
        keras.utils.set_random_seed(0)
        hidden = keras.layers.Dense(5, kernel_regularizer=keras.regularizers.L2(strength))
        model = compiled(UntappedVAE(SHAPE, CLASSES, seed=3, classifier=classifier(hidden)))
        losses.append(float(model.train_on_batch(batch(), return_dict=True)["loss"]))
    expected = 0.5 * np.sum(np.square(hidden.kernel))
    assert losses[1] - losses[0] == pytest.approx(expected, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"marginalize": True, "reverse": "marginal"}])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_dtype_policies_train_alike(policy, settings):
    first, last = {}, {}
    for each in ("float32", policy):
        keras.config.set_dtype_policy(each)
        try:
            model = make(**settings)
            model.compile(keras.optimizers.Adam(0.01))
            first[each] = model.train_on_batch(batch(), return_dict=True)["loss"]
            last[each] = model.fit(batch(), epochs=20, verbose=0).history["loss"][-1]
            outputs = model.predict(data(5)[0], verbose=0)
        finally:
            keras.config.set_dtype_policy("float32")
    assert first[policy] == pytest.approx(first["float32"], rel=0.01)
    # Loss scaling skips the first steps.
    assert abs(last[policy] - last["float32"]) < 0.05 * first["float32"]
    assert last["float32"] < 0.3 * first["float32"]
    assert {value.dtype.name for value in outputs.values()} == {"float32"}


def test_the_summary_knows_every_part():
    lines = []
    model = UntappedVAE((8, 8, 1), CLASSES, corruption=layers.RandomAffine(1.0))
    model.summary(print_fn=lines.append)
    assert "unbuilt" not in "\n".join(lines)
