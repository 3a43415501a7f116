"""What is said of clusters, beside NumPy."""

import numpy as np

from tfbind.reporting import clusters


def test_clusters_by_hand():
    probabilities = np.array(
        [[0.6, 0.3, 0.1], [0.9, 0.02, 0.08], [0.5, 0.1, 0.4], [0.1, 0.8, 0.1]], "float32"
    )
    one, two, three = clusters.clusters_of(probabilities)
    assert (one.size, two.size, three.size) == (3, 1, 0)
    assert one.exemplars.tolist() == [1, 0, 2] and one.doubtful.tolist() == []
    assert one.nearest == 2 and np.isclose(one.taken, 0.58 / 3)
    assert two.nearest == 0  # the first of equal ones
    assert three.nearest is None and three.exemplars.tolist() == []


def test_least_sure_members_come_after_the_surest():
    sure = np.linspace(0.95, 0.6, 12)
    (one, _) = clusters.clusters_of(np.stack([sure, 1 - sure], axis=1))
    assert one.exemplars.tolist() == list(range(8)) and one.doubtful.tolist() == [11, 10, 9, 8]


def test_near_features_are_near_on_the_map():
    random = np.random.default_rng(0)
    kinds = np.repeat([0, 1, 2], 30)
    features = 20 * np.eye(3)[kinds] @ random.normal(size=(3, 80)) + random.normal(size=(90, 80))
    points = clusters.embed(features, seed=0)
    assert points.min() == 0 and points.max() == 1000
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    assert (kinds[distances.argmin(axis=1)] == kinds).mean() > 0.95


def test_no_map_of_what_is_all_alike():
    assert clusters.embed(np.ones((50, 4)), seed=0) is None
    assert clusters.embed(np.random.default_rng(0).normal(size=(5, 4)), seed=0) is None
