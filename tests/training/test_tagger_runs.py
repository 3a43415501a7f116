"""What the training floor adds to Tagger: scores of every iteration, pictures, other groups."""

import importlib.util

import keras
import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score

from tfbind import models, training
from tfbind.training import callbacks

SHAPE = (6, 6, 1)


def make(**settings):
    keras.utils.set_random_seed(3)
    settings = {"normalization": "layer", "inference_iterations": 3, "seed": 1, **settings}
    model = models.Tagger(SHAPE, 3, 2, units=(16, 8), **settings)
    model.compile(keras.optimizers.Adam(0.01), jit_compile=True)
    return model


@pytest.fixture
def images():
    return (np.random.default_rng(0).random((12, *SHAPE)) < 0.4).astype("float32")


@pytest.fixture
def groups(images):
    return images[..., 0].astype(int) * np.random.default_rng(1).integers(1, 3, images.shape[:3])


@pytest.mark.parametrize("normalization", ["layer", pytest.param("batch", marks=pytest.mark.slow)])
def test_iteration_scores_are_those_of_the_model_after_the_epoch(images, groups, normalization):
    model = make(normalization=normalization)
    scores = callbacks.IterationScores(images, groups, seed=7)
    history = model.fit(images, batch_size=12, epochs=2, callbacks=[scores], verbose=0).history
    found = model.trace(images, model.initial_assignments(12, seed=7))["assignments"].numpy()
    for iteration in (1, 2, 3):
        labels = found[iteration].argmax(axis=1)
        expected = np.mean(
            [
                adjusted_mutual_info_score(true[true > 0], label[true > 0], average_method="max")
                for true, label in zip(groups, labels, strict=True)
            ]
        )
        assert history[f"val_ami_{iteration}"][-1] == pytest.approx(expected, abs=1e-4)
    costs = model.evaluate(images, return_dict=True, verbose=0)
    for iteration in (1, 2, 3):
        assert history[f"val_cost_{iteration}"][-1] == pytest.approx(
            costs[f"cost_{iteration}"], rel=1e-4
        )
    assert len(history["cost_2"]) == 2 and "cost_3" not in history  # T is 2 in training


@pytest.mark.slow
def test_regroup_keeps_the_weights_of_a_tagger(images):
    model = make()
    changed = training.regroup(model, num_groups=5, inference_iterations=4)
    assert changed.predict(images, verbose=0)["assignments"].shape == (12, 5, 6, 6)
    same = training.regroup(changed, num_groups=3, inference_iterations=3)
    before, after = (m.predict(images, verbose=0)["assignments"] for m in (model, same))
    np.testing.assert_array_equal(before, after)
    assert changed.compiled


@pytest.mark.slow
def test_a_batch_normalised_tagger_is_calibrated_for_other_groups(images):
    model = make(normalization="batch")
    model.calibrate(images)
    with pytest.raises(ValueError, match="`calibration_images` must be images"):
        training.regroup(model, num_groups=4)
    same = training.regroup(model, images)
    before, after = (m.predict(images, verbose=0)["assignments"] for m in (model, same))
    np.testing.assert_allclose(before, after, atol=1e-5)


def test_group_pictures_say_what_to_install(monkeypatch, images, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install tensorboard"):
        callbacks.GroupPictures(tmp_path, images)
