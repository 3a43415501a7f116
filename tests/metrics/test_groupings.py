"""The per-image scores agree with scikit-learn, image by image."""

import numpy as np
import pytest
import sklearn.metrics
import tensorflow as tf

from tfbind.metrics import adjusted_mutual_information, adjusted_rand_index


def random_groups(seed, num_images, shape, num_true, num_pred, agreement):
    """Random blobs of unequal sizes; a share `agreement` of pixels copies the true group."""
    rng = np.random.default_rng(seed)
    sizes = rng.dirichlet(np.full(num_true + 1, 0.5), size=num_images)
    groups_true = np.stack([rng.choice(num_true + 1, size=shape, p=p) for p in sizes])
    noise = rng.integers(0, num_pred, groups_true.shape)
    copied = np.where(groups_true > 0, (groups_true - 1) % num_pred, 0)
    groups_pred = np.where(rng.random(groups_true.shape) < agreement, copied, noise)
    return groups_true.astype("int32"), groups_pred.astype("int32")


def oracle(function, groups_true, groups_pred, **kwargs):
    scored = [true != 0 for true in groups_true]
    return np.array(
        [
            function(true[mask], pred[mask], **kwargs) if mask.any() else np.nan
            for true, pred, mask in zip(groups_true, groups_pred, scored, strict=True)
        ]
    )


CASES = [  # seed, images, event shape, true groups, predicted groups, agreement
    (0, 40, (28, 28), 3, 3, 0.9),
    (1, 40, (28, 28), 3, 5, 0.0),
    (2, 20, (20, 20), 12, 12, 0.7),
    (3, 8, (48, 48), 3, 2, 0.5),
    (4, 40, (7,), 2, 3, 0.5),
    (5, 40, (3, 2, 1), 6, 6, 0.8),
    (6, 20, (28, 28), 1, 4, 0.3),
    (7, 20, (28, 28), 4, 1, 0.3),
    (8, 2, (100, 120), 5, 5, 0.2),
]


@pytest.mark.parametrize("average_method", ["max", "arithmetic"])
@pytest.mark.parametrize("case", CASES)
def test_ami_equals_scikit_learn(case, average_method):
    true, pred = random_groups(*case)
    score = adjusted_mutual_information(true, pred, case[3], case[4], average_method)
    expected = oracle(
        sklearn.metrics.adjusted_mutual_info_score, true, pred, average_method=average_method
    )
    assert score.dtype == tf.float32
    np.testing.assert_allclose(score, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_ari_equals_scikit_learn(case):
    true, pred = random_groups(*case)
    score = adjusted_rand_index(true, pred, case[3], case[4])
    expected = oracle(sklearn.metrics.adjusted_rand_score, true, pred)
    assert score.dtype == tf.float32
    np.testing.assert_allclose(score, expected, rtol=0, atol=1e-6)


CORNERS = {
    "one group on both sides": ([1, 1, 1, 1], [2, 2, 2, 2]),
    "one true group": ([1, 1, 1, 1], [0, 0, 1, 2]),
    "one predicted group": ([1, 2, 2, 3], [1, 1, 1, 1]),
    "equal up to the ids": ([1, 1, 3, 2], [2, 2, 0, 3]),
    "single pixels on both sides": ([1, 2, 3, 4], [3, 1, 0, 2]),
    "single pixels against pairs": ([1, 2, 3, 4], [0, 0, 1, 1]),
    "one scored pixel": ([0, 0, 3, 0], [0, 1, 2, 3]),
    "two scored pixels that differ": ([0, 2, 3, 0], [0, 1, 2, 3]),
    "worse than chance": ([1, 1, 2, 2], [0, 1, 0, 1]),
    "one pixel apart": ([1, 1, 1, 2], [0, 0, 1, 1]),
    "background only": ([0, 0, 0, 0], [0, 1, 2, 3]),
}


@pytest.mark.parametrize("corner", CORNERS)
def test_corner_cases_equal_scikit_learn(corner):
    true, pred = (np.array([ids]) for ids in CORNERS[corner])
    for average_method in ("max", "arithmetic"):
        np.testing.assert_allclose(
            adjusted_mutual_information(true, pred, 4, 4, average_method),
            oracle(
                sklearn.metrics.adjusted_mutual_info_score,
                true,
                pred,
                average_method=average_method,
            ),
            rtol=0,
            atol=1e-6,
        )
    np.testing.assert_allclose(
        adjusted_rand_index(true, pred, 4, 4),
        oracle(sklearn.metrics.adjusted_rand_score, true, pred),
        rtol=0,
        atol=1e-6,
    )


def test_large_counts_keep_their_digits():
    rng = np.random.default_rng(9)
    true = rng.integers(1, 11, (1, 70_000))
    pred = np.where(rng.random(true.shape) < 0.02, true - 1, rng.integers(0, 10, true.shape))
    expected_ami = oracle(
        sklearn.metrics.adjusted_mutual_info_score, true, pred, average_method="max"
    )
    expected_ari = oracle(sklearn.metrics.adjusted_rand_score, true, pred)
    ami = adjusted_mutual_information(true, pred, 10, 10)
    np.testing.assert_allclose(ami, expected_ami, rtol=1e-5)
    np.testing.assert_allclose(adjusted_rand_index(true, pred, 10, 10), expected_ari, rtol=1e-5)


@pytest.mark.parametrize("function", [adjusted_mutual_information, adjusted_rand_index])
def test_ids_and_batch_neighbours_do_not_matter(function):
    true, pred = random_groups(10, 30, (12, 12), 4, 5, 0.6)
    score = function(true, pred, 4, 5).numpy()
    rng = np.random.default_rng(11)
    renamed_true = np.append(0, 1 + rng.permutation(4))[true]
    renamed_pred = rng.permutation(5)[pred]
    np.testing.assert_allclose(function(renamed_true, renamed_pred, 4, 5), score, atol=1e-6)
    # More ids than are in use leave rows and columns of the table empty.
    np.testing.assert_allclose(function(true, pred, 9, 7), score, atol=1e-6)
    one_by_one = [function(true[i : i + 1], pred[i : i + 1], 4, 5)[0] for i in range(30)]
    np.testing.assert_allclose(one_by_one, score, atol=1e-6)


@pytest.mark.parametrize("function", [adjusted_mutual_information, adjusted_rand_index])
def test_predictions_on_the_background_do_not_matter(function):
    true, pred = random_groups(12, 10, (12, 12), 3, 3, 0.6)
    np.testing.assert_array_equal(
        function(true, np.where(true == 0, -1, pred), 3, 3), function(true, pred, 3, 3)
    )


@pytest.mark.parametrize("jit_compile", [True, False])
@pytest.mark.parametrize("function", [adjusted_mutual_information, adjusted_rand_index])
def test_compiled_equals_eager(function, jit_compile):
    compiled = tf.function(lambda true, pred: function(true, pred, 4, 5), jit_compile=jit_compile)
    true, pred = random_groups(13, 20, (14, 14), 4, 5, 0.6)
    true[3] = 0
    np.testing.assert_allclose(compiled(true, pred), function(true, pred, 4, 5), atol=1e-6)


def test_graph_accepts_any_batch_size():
    signature = [tf.TensorSpec([None, 6, 6], tf.int32)] * 2
    compiled = tf.function(
        lambda true, pred: adjusted_mutual_information(true, pred, 3, 3), input_signature=signature
    )
    true, pred = random_groups(14, 8, (6, 6), 3, 3, 0.6)
    score = adjusted_mutual_information(true, pred, 3, 3)
    np.testing.assert_allclose(compiled(true, pred), score, atol=1e-6)
    np.testing.assert_allclose(compiled(true[:1], pred[:1]), score[:1], atol=1e-6)


@pytest.mark.parametrize("jit_compile", [True, False])
@pytest.mark.parametrize("function", [adjusted_mutual_information, adjusted_rand_index])
def test_ids_out_of_range_are_never_dropped(function, jit_compile):
    true = np.array([[1, 1, 3, 3], [1, 1, 2, 2], [1, 1, 2, 2], [1, 1, -1, 2]])
    pred = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 2, 1], [0, 0, 1, 1]])
    with pytest.raises(
        ValueError, match="`groups_true` must hold ids from 0 to 2. Received: num_t"
    ):
        function(true, pred, 2, 2)
    with pytest.raises(ValueError, match=r"`groups_pred` must hold ids from 0 to 1.*the id 2\."):
        function(true[1:3], pred[1:3], 2, 2)
    score = tf.function(function, jit_compile=jit_compile)(
        tf.constant(true), tf.constant(pred), 2, 2
    )
    np.testing.assert_array_equal(score, [np.nan, 1.0, np.nan, np.nan])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((1, 4), "float32"), np.ones((1, 4), int), 2, 2), "integer ids.*dtype float32"),
        ((np.ones(4, int), np.ones(4, int), 2, 2), r"a batch axis .* Received: shape \(4,\)"),
        ((np.ones((1, 4), int), np.ones((1, 5), int), 2, 2), "must have the same shape"),
        ((np.ones((1, 4), int), np.ones((1, 4), int), 0, 2), "`num_true` must be an integer >= 1"),
        ((np.ones((1, 4), int), np.ones((1, 4), int), 2, 1.5), "`num_pred` must be an integer"),
    ],
)
def test_bad_arguments(arguments, message):
    for function in (adjusted_mutual_information, adjusted_rand_index):
        with pytest.raises(ValueError, match=message):
            function(*arguments)


def test_bad_average_method():
    ones = np.ones((1, 4), int)
    with pytest.raises(ValueError, match="`average_method` must be one of 'max', 'arithmetic'"):
        adjusted_mutual_information(ones, ones, 2, 2, average_method="min")
