"""Pseudo-labels from agreement, against the graph of all pairs of examples."""

import numpy as np
import pytest

from tfbind import labeling


def pairwise_buckets(clusters, confident, num_buckets, strong, weak):
    """The authors' algorithm: N x N, one list of friends an example."""
    agreement = (clusters[:, None] == clusters[None]).sum(axis=-1)
    friends = [
        set(np.flatnonzero(agreement[i] > strong)) if confident[i] else set()
        for i in range(len(clusters))
    ]
    buckets = np.full(len(clusters), -1)
    for bucket in range(num_buckets):
        sizes = [len(each) for each in friends]
        if max(sizes) == 0:
            break
        chosen = sorted(friends[int(np.argmax(sizes))])
        buckets[chosen] = bucket
        emptied = set()
        for i in chosen:
            emptied |= set(np.flatnonzero(agreement[i] > weak))
        friends = [set() if i in emptied else each - emptied for i, each in enumerate(friends)]
    return buckets


@pytest.mark.parametrize(
    ("num_members", "strong", "weak"),
    [(2, 1, 1), (2, 1, 0), (3, 2, 1), (3, 1, 0), (5, 4, 1), (5, 3, 1), (5, 2, 2), (6, 3, 0)],
)
def test_tuples_do_what_pairs_do(num_members, strong, weak):
    for seed in range(25):
        random = np.random.default_rng(seed)
        num_clusters, num_rows = random.integers(2, 6), random.integers(1, 60)
        truth = random.integers(0, num_clusters, num_rows)
        noise = random.integers(0, num_clusters, (num_rows, num_members))
        wrong = random.random(noise.shape) < random.uniform(0.05, 0.6)
        clusters = np.where(wrong, noise, truth[:, None])
        confident = random.random(num_rows) < random.uniform(0.2, 1.0)
        found = labeling.agreement_buckets(
            clusters,
            confident,
            num_buckets=num_clusters,
            strong_agreement=strong,
            weak_agreement=weak,
        )
        expected = pairwise_buckets(clusters, confident, num_clusters, strong, weak)
        np.testing.assert_array_equal(found, expected)


def test_unanimous_clusters_come_back():
    random = np.random.default_rng(0)
    truth = random.permutation(np.repeat(np.arange(4), [40, 30, 20, 10]))
    clusters = np.stack([random.permutation(4)[truth] for _ in range(10)], axis=1)
    found = labeling.agreement_buckets(clusters, num_buckets=4)
    np.testing.assert_array_equal(found, truth)  # found in the order of their sizes
    last = clusters[:, -1]
    np.testing.assert_array_equal(labeling.name_buckets(found, last, 4), last)


def test_a_bucket_needs_one_confident_example_only():
    clusters = np.array([[0, 0], [0, 0], [1, 1], [1, 1]])
    confident = np.array([False, True, False, False])
    found = labeling.agreement_buckets(clusters, confident, num_buckets=2)
    assert found.tolist() == [0, 0, -1, -1]


def test_seventy_thousand_rows_need_no_pairs():
    random = np.random.default_rng(0)
    truth = random.integers(0, 10, 70_000)
    noise = random.integers(0, 10, (70_000, 10))
    clusters = np.where(random.random(noise.shape) < 0.1, noise, truth[:, None])
    for strong in (9, 8):
        found = labeling.agreement_buckets(clusters, num_buckets=10, strong_agreement=strong)
        assert len(np.unique(found)) == 11
        chosen = found >= 0
        assert len(np.unique(np.stack([found, truth], axis=1)[chosen], axis=0)) == 10


def test_names_are_one_to_one():
    buckets = np.repeat([0, 1, 2, -1], 5)
    clusters = np.repeat([1, 1, 0, 2], 5)
    clusters[9] = 2  # so that the second bucket, which loses 1, gets 2
    assert labeling.name_buckets(buckets, clusters, 3).tolist() == sum(
        ([name] * 5 for name in (1, 2, 0, -1)), []
    )


def test_weights_are_those_of_a_round_robin():
    random = np.random.default_rng(0)
    labels = random.permutation(np.repeat([0, 1, 2, -1], [2, 3, 8, 7]))
    losses = random.random(20)
    rows = [np.flatnonzero(labels == k) for k in range(3)]
    in_turns = [rows[n % 3][n // 3 % len(rows[n % 3])] for n in range(3 * 2 * 3 * 8)]
    weights = np.append(labeling.balancing_weights(labels, 3), 0.0)
    np.testing.assert_allclose(
        np.mean(weights[labels] * losses), losses[in_turns].mean(), rtol=1e-6
    )
    assert not labeling.balancing_weights([0, 2], 3).any()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"strong_agreement": 2}, "must be an integer <= 1, since more members than that have to"),
        ({"strong_agreement": 0}, "must be an integer >= 1. Received: strong_agreement=0."),
        ({"weak_agreement": -1}, "must be an integer >= 0. Received: weak_agreement=-1."),
        ({"num_buckets": 0}, "must be an integer >= 1. Received: num_buckets=0."),
    ],
)
def test_what_is_out_of_range(settings, sentence):
    (name,) = settings
    with pytest.raises(ValueError, match=f"`{name}` {sentence}"):
        labeling.agreement_buckets([[0, 1]], **{"num_buckets": 2, **settings})


def test_clusters_have_one_shape():
    with pytest.raises(ValueError, match="`clusters` must hold integers of shape"):
        labeling.agreement_buckets([0, 1], num_buckets=2)
