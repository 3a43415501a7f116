"""The task of grouping: its data, its scores by hand, the likeliest of several starts."""

import numpy as np
import pytest
import sklearn.metrics

from tfbind.training import presets
from tfbind.training.tasks import Examples, Grouping

TASK = Grouping(dataset="simple_superposition", validation=0.25, fixed_batches=True)
LEVELS = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 1)).astype("uint8")


def batches_of(training_data):
    dataset, steps = training_data.stream(0)
    return np.stack(list(dataset.take(steps).as_numpy_iterator()))


@pytest.mark.parametrize("images", [LEVELS, (LEVELS / 255).astype("float32")], ids=["b", "f"])
@pytest.mark.parametrize("fixed_batches", [True, False])
def test_the_last_images_validate_and_the_others_train(images, fixed_batches):
    task = Grouping(dataset="simple_superposition", validation=0.25, fixed_batches=fixed_batches)
    found = task.training_data(Examples(images), batch_size=3, seed=1)
    floats = LEVELS / np.float32(255)
    np.testing.assert_allclose(found.validation[0], floats[6:], atol=1e-7)
    assert found.validation[0].dtype == np.float32
    assert found.event_shape == (4, 4, 1)
    seen = batches_of(found).reshape(6, -1)
    seen = seen[np.lexsort(seen.T)]
    expected = floats[:6].reshape(6, -1)
    np.testing.assert_allclose(seen, expected[np.lexsort(expected.T)], atol=1e-7)


def test_without_a_share_nothing_validates():
    task = Grouping(dataset="simple_superposition")
    assert task.training_data(Examples(LEVELS), batch_size=3, seed=1).validation is None


def test_images_of_two_values_are_made_from_grey_levels(tmp_path):
    grey = Grouping(dataset="simple_superposition")
    binary = Grouping(dataset="simple_superposition", binary_images=True)
    images, _, groups = binary.load("test", tmp_path)
    np.testing.assert_array_equal(images, grey.load("test", tmp_path).image)  # they are so already
    assert groups.shape == images.shape[:3]
    levels = binary.load("test", tmp_path, "uint8").image
    assert levels.dtype == np.uint8
    np.testing.assert_array_equal(levels, 255 * images)


def test_labels_that_are_given_are_groups():
    groups = np.ones((8, 4, 4), "uint8")
    given = TASK.given(LEVELS, groups)
    assert given.label is None and given.groups.dtype == np.int32
    assert TASK.given(LEVELS).groups is None
    assert TASK.given(LEVELS / 255).image.dtype == np.float32


def test_there_is_no_score_without_groups():
    with pytest.raises(ValueError, match="`labels` must be the true groups to score with"):
        TASK.score(None, Examples(LEVELS), seed=1)


def test_score_by_hand():
    """The mean over starts and images of scikit-learn's AMI, on a model that is not trained."""
    preset = presets.get("rc-tiny").changed(num_iterations=2)
    model = preset.build((8, 8, 1))
    random = np.random.default_rng(0)
    images = random.integers(0, 2, (5, 8, 8, 1)).astype("float32")
    groups = random.integers(0, 3, (5, 8, 8)).astype("int32")
    scores = preset.task.score(model, Examples(images, groups=groups), seed=1, num_starts=2)
    expected = []
    for start in (1, 2):
        assignments = model(
            {
                "image": images,
                "initial_assignments": model.initial_assignments(5, 1 + 1000 * start),
            }
        )["assignments"].numpy()
        expected += [
            sklearn.metrics.adjusted_mutual_info_score(
                true[true > 0], found.argmax(axis=0)[true > 0], average_method="max"
            )
            for true, found in zip(groups, assignments, strict=True)
        ]
    assert scores["ami"] == pytest.approx(np.mean(expected), abs=1e-5)


def test_of_several_starts_the_likeliest_counts():
    preset = presets.get("rc-tiny").changed(num_iterations=1, num_restarts=3)
    model = preset.build((8, 8, 1))
    random = np.random.default_rng(0)
    images = random.integers(0, 2, (5, 8, 8, 1)).astype("float32")
    groups = random.integers(0, 3, (5, 8, 8)).astype("int32")
    scores = preset.task.score(model, Examples(images, groups=groups), seed=1, num_starts=1)
    likelihoods = [
        model({"image": images, "initial_assignments": model.initial_assignments(5, 1001 + start)})
        for start in range(3)
    ]
    best = np.max([found["log_likelihood"] for found in likelihoods], axis=0)
    assert scores["log_likelihood"] == pytest.approx(best.mean(), rel=1e-5)
