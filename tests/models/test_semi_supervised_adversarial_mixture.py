"""The adversarial mixture with labels: both games, the cross-entropy, the names of the classes."""

import dataclasses

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.datasets

from tfbind.layers._corruption import Corruption
from tfbind.models.semi_supervised_adversarial_mixture import SemiSupervisedAdversarialMixture

from .adversarial_toys import (
    BATCH,
    BRIGHTNESS,
    COMPONENTS,
    DARK,
    IMAGES,
    LABELS,
    LATENT,
    SHAPE,
    compiled,
    dull_decoder,
    inputs_of,
    linear_discriminator,
    make,
    network_to,
    softplus,
    terms_of,
)


@pytest.fixture(scope="module")
def semi_supervised():
    return compiled(make(SemiSupervisedAdversarialMixture))


def test_the_labelled_game_weighs_as_much_as_the_other():
    model = make(
        SemiSupervisedAdversarialMixture,
        decoder=dull_decoder(),
        discriminator=linear_discriminator(),
        gradient_penalty=2.0,
    )
    found = terms_of(model, BATCH, training=True)
    labeled, unlabeled = (BATCH[key] @ BRIGHTNESS + 0.4 for key in ("image", "unlabeled_image"))
    generated = DARK @ BRIGHTNESS + 0.4
    norm = np.sqrt((BRIGHTNESS**2).sum() + COMPONENTS * 0.7**2)
    expected = (softplus(-labeled).mean() + softplus(-unlabeled).mean()) / 2 + softplus(generated)
    assert found["discriminator_loss"] == pytest.approx(expected, rel=1e-5)
    assert found["gradient_penalty"] == pytest.approx((norm - 1) ** 2, rel=1e-5)
    expected = (softplus(labeled).mean() + softplus(unlabeled).mean()) / 2 + softplus(-generated)
    assert found["generator_loss"] == pytest.approx(expected, rel=1e-5)


class Halved(Corruption):
    """Half as bright, so that what was corrupted can be told."""

    def corrupt(self, inputs, seed):
        return 0.5 * inputs


def test_the_cross_entropy_of_labelled_examples():
    """That of the centre of h_y, in NumPy; of corrupted examples while training."""
    class_encoder = network_to(2 * COMPONENTS, 3)
    parts = {"decoder": dull_decoder(), "discriminator": linear_discriminator()}
    parts |= {"class_encoder": class_encoder, "gradient_penalty": 0.0}
    without = terms_of(make(SemiSupervisedAdversarialMixture, **parts), BATCH)
    model = make(
        SemiSupervisedAdversarialMixture, label_weight=3.0, corruption=Halved(seed=0), **parts
    )
    kernel, bias = (weight.numpy() for weight in class_encoder.weights)
    for training, image in ((False, BATCH["image"]), (True, 0.5 * BATCH["image"])):
        log_q = scipy.special.log_softmax((image @ kernel + bias)[:, :COMPONENTS], axis=1)
        expected = -log_q[np.arange(6), LABELS].mean()
        found = terms_of(model, BATCH, training)
        assert found["cross_entropy"] == pytest.approx(expected, rel=1e-4)
        assert found["loss"] - without["loss"] == pytest.approx(3.0 * expected, rel=1e-4)
        for name in ("generator_loss", "discriminator_loss"):
            assert found[name] == pytest.approx(without[name], rel=1e-5)
    unlabelled = terms_of(model, {"image": IMAGES})
    assert unlabelled["generator_loss"] == pytest.approx(
        softplus(IMAGES @ BRIGHTNESS + 0.4).mean() + softplus(-DARK @ BRIGHTNESS - 0.4), rel=1e-5
    )


@pytest.mark.parametrize("factorization", ["class_first", "latent_first", "independent"])
def test_the_cross_entropy_infers_no_latents_that_it_does_not_need(factorization):
    inferring = make(SemiSupervisedAdversarialMixture, factorization=factorization).inferring
    expected, _ = inferring.infer(IMAGES)
    if factorization != "latent_first":
        inferring = dataclasses.replace(inferring, latent_encoder=None)
    np.testing.assert_array_equal(inferring.class_logits(IMAGES), expected)


def showing_class_encoder():
    """One that shows a layer of its own, normalised by the batch, to the latent encoder."""
    image = keras.layers.Input(SHAPE)
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(5)(image))
    return keras.Model(image, [keras.layers.Dense(2 * COMPONENTS)(hidden), hidden])


def after_a_step(batch, factorization, shows):
    keras.utils.set_random_seed(2)
    parts = {}
    if shows:
        parts["class_encoder"] = showing_class_encoder()
        parts["latent_encoder"] = network_to(2 * LATENT, 3, COMPONENTS, 5)
    model = make(SemiSupervisedAdversarialMixture, factorization=factorization, **parts)
    compiled(model).train_on_batch(batch)
    return model


@pytest.mark.parametrize(
    ("factorization", "shows"),
    [("class_first", False), ("latent_first", False), ("class_first", True)],
)
def test_the_labelled_game_leaves_the_class_encoder_untouched(factorization, shows):
    changed = {**BATCH, "image": 1 - BATCH["image"], "label": LABELS[::-1].copy()}
    one, other = (after_a_step(batch, factorization, shows) for batch in (BATCH, changed))

    def same(part):
        pairs = zip(getattr(one, part).weights, getattr(other, part).weights, strict=True)
        return all((mine.numpy() == theirs.numpy()).all() for mine, theirs in pairs)

    assert same("class_encoder")
    assert not same("latent_encoder")
    assert not same("discriminator")
    assert same("decoder")  # as the generated triples are those of both games


def test_accuracy_of_labels(semi_supervised):
    found = np.argmax(semi_supervised(IMAGES)["probabilities"], axis=1)
    labels = np.where(np.arange(8) < 3, found, (found + 1) % COMPONENTS)
    scores = semi_supervised.evaluate(IMAGES, labels, batch_size=3, return_dict=True, verbose=0)
    assert scores["accuracy"] == pytest.approx(3 / 8)
    assert "accuracy" not in semi_supervised.evaluate(IMAGES, return_dict=True, verbose=0)


def test_own_networks_tell_the_cultivars_of_wine():
    """On a table, with means where the labelled examples of each class are: the names are known."""
    table, labels = sklearn.datasets.load_wine(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(table))
    table, labels = 1.5 * scipy.stats.zscore(table)[order].astype("float32"), labels[order]
    labeled = {"image": table[:30], "label": labels[:30]}
    size = table.shape[1]
    example, label, latent = inputs_of(size, 3, size)
    hidden = keras.layers.BatchNormalization(momentum=0.9)(keras.layers.Dense(32)(example))
    judged = keras.layers.Concatenate()([example, label, latent])
    for _ in range(2):
        judged = keras.layers.LeakyReLU(0.2)(keras.layers.Dense(32)(judged))
    certain = keras.layers.Rescaling(0.0, -20.0)(example)  # a log-variance
    model = SemiSupervisedAdversarialMixture(
        (size,),
        3,
        size,
        class_encoder=keras.Model(
            example, keras.layers.Dense(6)(keras.layers.LeakyReLU(0.2)(hidden))
        ),
        latent_encoder=keras.Model(example, keras.layers.Concatenate()([example, certain])),
        prior=[labeled["image"][labeled["label"] == k].mean(axis=0) for k in range(3)],
        decoder=keras.Model([label, latent], keras.layers.Identity()(latent)),
        discriminator=keras.Model([example, label, latent], keras.layers.Dense(1)(judged)),
        factorization="independent",
        gradient_penalty=1.0,
        output_activation="linear",
    )
    model.compile(keras.optimizers.Adam(2e-3, beta_1=0.5), jit_compile=False)
    model.fit({**labeled, "unlabeled_image": table}, batch_size=89, epochs=60, verbose=0)
    found = np.argmax(model(table)["probabilities"], axis=1)
    assert (found[30:] == labels[30:]).mean() > 0.8


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"label_weight": -1.0}, r"`label_weight` must be a number in \[0, inf\)."),
        ({"corruption": 3}, "`corruption` must be a noise layer of `tfbind.layers` or None."),
    ],
)
def test_bad_arguments_about_labels(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        make(SemiSupervisedAdversarialMixture, **settings)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"label": np.array([0, 1, 2, 3, 4, 1])},
            "`label` must hold integers from 0 to 3. Received: values from 0 to 4.",
        ),
        (
            {"label": np.full(6, 2)},
            "`label` must hold two classes or more, else the game has nothing to teach. "
            "Received: class 2 alone.",
        ),
        ({"label": np.linspace(0, 1, 6)}, "`label` must hold integers. Received: float64."),
        (
            {"label": LABELS[:5]},
            "`label` must hold one row for each of `image`. Received: 5 for 6 images.",
        ),
        ({"label": None}, "`x` must have the key 'label' too."),
        ({"unlabeled_image": None}, "`x` must have the key 'unlabeled_image' too."),
    ],
)
def test_bad_batches(changes, sentence, semi_supervised):
    batch = {key: value for key, value in {**BATCH, **changes}.items() if value is not None}
    with pytest.raises(ValueError, match=sentence):
        semi_supervised.fit(batch, verbose=0)
