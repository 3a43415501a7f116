"""Picking the number of groups."""

import keras
import numpy as np
import pytest

import tfbind
from tfbind import training
from tfbind.training import selection


@pytest.fixture(scope="module")
def model():
    """Groups rows of 6 pixels; its autoencoder remembers the six rows and nothing else.

    It is made, not trained: the code is how much the image looks like each row (a softmax), the
    reconstruction the row that it looks like most.
    """
    rows = np.repeat(np.eye(6), 6, axis=1).astype("float32")  # [6 rows, 36 pixels]
    encoder = keras.Sequential(
        [
            keras.layers.Input((6, 6, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(6, "softmax", use_bias=False),
        ]
    )
    encoder.set_weights([4 * rows.T])
    decoder = keras.Sequential(
        [
            keras.layers.Input((6,)),
            keras.layers.Dense(36),
            keras.layers.Reshape((6, 6, 1)),
        ]
    )
    decoder.set_weights([8 * rows, np.full(36, -4.0)])
    autoencoder = tfbind.DenoisingAutoencoder((6, 6, 1), encoder=encoder, decoder=decoder)
    return tfbind.ReconstructionClustering(autoencoder, num_groups=2, seed=1)


def images_of_three_rows(num_images):
    random = np.random.default_rng(0)
    images = np.zeros((num_images, 6, 6, 1), "float32")
    for image in images:
        image[random.choice(6, 3, replace=False)] = 1
    return images


def test_it_finds_as_many_groups_as_there_are_objects(model):
    found = training.select_num_groups(model, images_of_three_rows(64), (2, 3, 4))
    assert found.best == 3


def test_it_is_the_mean_log_likelihood_over_all_batches(model, monkeypatch):
    monkeypatch.setattr(selection, "_BATCH", 3)
    images = images_of_three_rows(8)
    found = training.select_num_groups(model, images, [2, 5])
    for num_groups, value in zip(found.candidates, found.log_likelihoods, strict=True):
        regrouped = training.regroup(model, num_groups=num_groups)
        expected = regrouped.predict(images, verbose=0)["log_likelihood"].mean()
        np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_regroup_changes_what_it_is_told_to_and_nothing_else():
    autoencoder = tfbind.DenoisingAutoencoder((8,), hidden_units=3)
    settings = {
        "num_groups": 4,
        "num_iterations": 7,
        "assignment": "hard",
        "initialization": "uniform",
        "estimate_weights": True,
        "num_restarts": 2,
        "seed": 5,
    }
    model = tfbind.ReconstructionClustering(autoencoder, **settings)
    regrouped = training.regroup(model, num_groups=6)
    assert regrouped.autoencoder is autoencoder
    before, after = model.get_config(), regrouped.get_config()
    assert {key for key in before if before[key] != after[key]} == {"num_groups"}
    assert settings.keys() < before.keys()


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ((), "`candidates` must hold at least one number of groups. Received: none."),
        ((3, 1), "`candidates` must be an integer >= 2. Received: candidates=1."),
    ],
)
def test_bad_candidates(model, candidates, message):
    with pytest.raises(ValueError, match=message):
        training.select_num_groups(model, images_of_three_rows(1), candidates)


def test_bad_images(model):
    with pytest.raises(ValueError, match=r"`images` must have shape \(n, 6, 6, 1\)"):
        training.select_num_groups(model, np.ones((2, 5, 6, 1)))
