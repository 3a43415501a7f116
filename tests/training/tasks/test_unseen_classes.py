"""The task of unseen classes: what is hidden, how outputs get names, and the scores by hand."""

import types

import numpy as np
import pytest
import tensorflow as tf

from tfbind.training.tasks import unseen_classes

IMAGES = np.arange(40.0)[:, None]
LABELS = np.arange(40) % 4


def test_only_seen_classes_keep_their_labels():
    found = unseen_classes.hide_classes(IMAGES, LABELS, 2, 1000, seed=0)
    np.testing.assert_array_equal(found["label"], LABELS[LABELS < 2])
    np.testing.assert_array_equal(found["image"], IMAGES[LABELS < 2])
    assert found["unfeatured_label"].tolist() == [0, 1, 2, 3]
    drawn = found["unlabeled_image"]
    assert drawn.shape == (1000, 1)
    assert set(drawn[:, 0]) == set(IMAGES[:, 0])  # all classes, each image some 25 times
    again = unseen_classes.hide_classes(IMAGES, LABELS, 2, 1000, seed=0)["unlabeled_image"]
    np.testing.assert_array_equal(again, drawn)
    other = unseen_classes.hide_classes(IMAGES, LABELS, 2, 1000, seed=1)["unlabeled_image"]
    assert np.any(other != drawn)


@pytest.mark.parametrize("permutation", [[2, 3, 4], [4, 2, 3], [3, 2, 4]])
def test_outputs_without_rivals_get_what_they_claim(permutation):
    claims = np.eye(5)[[0, 1, *permutation]] * 0.6 + 0.08
    assert unseen_classes.name_classes(claims, 2).tolist() == [0, 1, *permutation]


def test_rivals_claim_again():
    claims = np.array(
        [
            [1.0, 0.0, 0.0, 0.0],
            [0.0, 0.7, 0.2, 0.1],  # loses class 1 to output 2, and then class 2 to output 3
            [0.0, 0.8, 0.1, 0.1],
            [0.6, 0.1, 0.3, 0.0],  # class 0 is seen, and not to be had
        ]
    )
    assert unseen_classes.name_classes(claims, 1).tolist() == [0, 3, 1, 2]


def test_claims_without_rivals_come_before_second_claims():
    claims = np.array([[0.0, 0.9, 0.1], [0.0, 0.8, 0.2], [0.9, 0.0, 0.1]])
    assert unseen_classes.name_classes(claims[[2, 0, 1]], 1).tolist() == [0, 1, 2]


def test_scores():
    """Outputs 2 and 3 are swapped; one of four images is wrong."""
    probabilities = np.array(
        [[0.1, 0.1, 0.2, 0.6], [0.0, 0.0, 0.4, 0.6], [0.0, 0.1, 0.9, 0.0], [0.7, 0.1, 0.1, 0.1]]
    )
    labels = np.array([2, 2, 3, 3])
    swapped = np.eye(4)[[0, 1, 3, 2]]
    found = unseen_classes.score_unseen_classes(probabilities, labels, swapped, 2)
    expected = -np.mean(np.log([0.6, 0.6, 0.9, 0.1]))
    assert found["cross_entropy"] == pytest.approx(expected)
    assert found["num_owned"] == 2
    assert found["accuracy"] == pytest.approx(0.75)
    straight = unseen_classes.score_unseen_classes(probabilities, labels, np.eye(4), 2)
    assert straight["accuracy"] == 0.0
    assert straight["cross_entropy"] > expected
    assert straight["matched_accuracy"] == found["matched_accuracy"] == pytest.approx(0.75)


def test_chance_is_the_logarithm_of_the_number_of_classes():
    labels = np.array([5, 6, 7, 8, 9])
    found = unseen_classes.score_unseen_classes(np.full((5, 10), 0.1), labels, np.eye(10), 5)
    assert found["cross_entropy"] == pytest.approx(np.log(10))


def test_two_outputs_that_decode_alike_own_one_class():
    claims = np.eye(4)[[0, 1, 3, 3]] * 0.9 + 0.025
    found = unseen_classes.score_unseen_classes(np.full((2, 4), 0.25), np.array([2, 3]), claims, 2)
    assert found["num_owned"] == 1


def transparent(latent_dim):
    """A stand-in for a model: images are latents, and a decoded image tells label and latent."""
    return types.SimpleNamespace(
        num_classes=3,
        latent_dim=latent_dim,
        latent_range=(-1.0, 3.0),
        event_shape=(1 + latent_dim,),
        encode=lambda images, labels: tf.constant(images, tf.float32),
        decode=lambda labels, latent: tf.concat(
            [tf.cast(labels, tf.float32)[:, None], tf.cast(latent, tf.float32)], axis=1
        ),
    )


def test_classes_are_decoded_at_the_mean_latent():
    latents = np.array([[0.0, 2.0], [1.0, -1.0], [2.0, 2.0]])
    found = unseen_classes.decoded_classes(transparent(2), latents, np.array([0, 1, 1]))
    np.testing.assert_allclose(found, [[0, 1, 1], [1, 1, 1], [2, 1, 1]], atol=1e-6)


def test_the_grid_covers_the_box_in_the_two_dimensions_that_vary_most():
    latents = np.random.default_rng(0).uniform(-1, 1, (50, 4)) * [0.1, 0.9, 0.5, 0.7]
    found, dims = unseen_classes.decoded_grid(transparent(4), latents, np.zeros(50, int), size=4)
    assert dims == (1, 3) and found.shape == (3, 4, 4, 5)
    points = [-0.5, 0.5, 1.5, 2.5]  # the middles of four equal parts of [-1, 3]
    np.testing.assert_allclose(
        found[..., 0], np.broadcast_to(np.arange(3)[:, None, None], (3, 4, 4))
    )
    np.testing.assert_allclose(found[..., 2], np.broadcast_to(points, (3, 4, 4)))
    np.testing.assert_allclose(found[:, :, 0, 4], np.broadcast_to(points[::-1], (3, 4)))
    for dim in (0, 2):
        np.testing.assert_allclose(found[..., 1 + dim], latents[:, dim].mean(), rtol=1e-5)


def test_the_grid_of_a_single_dimension_is_a_row():
    found, dims = unseen_classes.decoded_grid(transparent(1), np.zeros((2, 1)), [0, 1], size=4)
    assert dims == (0,)
    np.testing.assert_allclose(found[1], [[[1, -0.5], [1, 0.5], [1, 1.5], [1, 2.5]]])


def test_the_naming_classifier_knows_its_images():
    random = np.random.default_rng(0)
    images = np.eye(3)[np.arange(90) % 3] + 0.1 * random.standard_normal((90, 3))
    classifier = unseen_classes.naming_classifier(images.reshape(90, 3, 1), np.arange(90) % 3)
    np.testing.assert_array_equal(classifier.predict(np.eye(3)), [0, 1, 2])
