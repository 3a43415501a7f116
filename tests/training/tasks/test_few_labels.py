"""The task of few labels: which labels are kept, and the scores by hand."""

import types

import numpy as np
import pytest

from tfbind.training import presets
from tfbind.training.callbacks import ClassificationErrors, IterationScores
from tfbind.training.tasks import Examples, FewLabeledScenes, FewLabels

IMAGES = np.arange(12, dtype="float32")[:, None]
LABELS = np.arange(12, dtype="int32") % 3


def task(num_labels, kind=FewLabels):
    return kind(dataset="mnist", num_labels=num_labels, num_classes=3)


def batches_of(task, examples, num_epochs=1):
    dataset, steps = task.training_data(examples, batch_size=4, seed=1).stream(0)
    found = list(dataset.take(num_epochs * steps).as_numpy_iterator())
    return {key: np.concatenate([batch[key] for batch in found]) for key in found[0]}


def test_as_many_labels_of_each_class_are_kept():
    found = batches_of(task(6), Examples(IMAGES, LABELS), num_epochs=3)
    kept = set(zip(found["image"][:, 0], found["label"], strict=True))
    assert len(kept) == 6
    assert sorted(label for _, label in kept) == [0, 0, 1, 1, 2, 2]
    assert all(label == image % 3 for image, label in kept)
    assert set(found["unlabeled_image"][:, 0]) == set(range(12))  # the labelled among them


def test_all_labels_are_kept():
    found = batches_of(task(None), Examples(IMAGES, LABELS))
    assert sorted(found["image"][:, 0]) == list(range(12))


def test_several_labels_an_image_are_balanced_by_the_first():
    labels = np.stack([LABELS, 2 - LABELS], axis=1)
    found = batches_of(task(3, FewLabeledScenes), Examples(IMAGES, labels))
    kept = set(zip(found["image"][:, 0], found["label"][:, 0], strict=True))
    assert sorted(label for _, label in kept) == [0, 1, 2]
    assert found["label"].shape == (12, 2)


def test_scores_by_hand():
    probabilities = np.float32([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.5, 0.25, 0.25]])
    model = types.SimpleNamespace(predict=lambda *_, **__: {"probabilities": probabilities})
    found = task(None).score(model, Examples(IMAGES[:3], np.int32([0, 1, 2])), seed=1)
    assert found == {
        "error": pytest.approx(1 / 3),
        "cross_entropy": pytest.approx(np.log([2, 1, 4]).mean()),
        "num_images": 3,
    }
    (errors,) = task(None).callbacks(model, Examples(IMAGES[:3], np.int32([0, 1, 2])), seed=1)
    assert isinstance(errors, ClassificationErrors)
    errors.set_model(model)
    logs = {}
    errors.on_epoch_end(0, logs)
    assert logs == {"val_error": pytest.approx(1 / 3)}


def test_labels_are_needed():
    with pytest.raises(ValueError, match="`labels` must be the classes of the images"):
        task(3).training_data(Examples(IMAGES), 4, seed=1)
    with pytest.raises(ValueError, match="`num_labels` must be an integer >= 1."):
        task(0)


@pytest.mark.slow
def test_scenes_have_an_error_and_groups():
    preset = presets.get("tagger-textured-mnist-2-labels-1000").changed(
        units=(16, 8, 11), normalization="layer", initial_run=None
    )
    model = preset.build((6, 6, 1))
    random = np.random.default_rng(0)
    images = random.random((8, 6, 6, 1)).astype("float32")
    labels = random.integers(0, 10, (8, 2)).astype("int32")
    groups = random.integers(0, 3, (8, 6, 6)).astype("int32")
    found = preset.task.score(model, Examples(images, labels, groups), seed=1, num_starts=1)
    assert 0 <= found["error"] <= 1 and found["num_images"] == 8 and "ami" in found
    without = preset.task.score(model, Examples(images, labels), seed=1)
    assert without == {"error": pytest.approx(found["error"]), "num_images": 8}
    (scores,) = preset.task.callbacks(model, Examples(images, labels, groups), seed=1)
    assert isinstance(scores, IterationScores)
