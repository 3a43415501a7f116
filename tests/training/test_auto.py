"""What is chosen for which data, and how many of them there are; no training but a tiny one."""

import re

import numpy as np
import pytest

from tfbind import reading, training
from tfbind.data import pipelines

RANDOM = np.random.default_rng(0)
DRAWINGS = reading.Look(
    "pictures", 200, (96, 96, 1), 0.0, 1.0, 0.9, is_plain=True, has_two_levels=True
)


def test_drawings_are_taken_for_scenes():
    plan = training.choose(DRAWINGS)
    assert plan.preset.model.name == "ReconstructionClustering"
    assert plan.preset.task.copies == 19 and plan.preset.task.binary_images
    assert len(plan.reasons) == 3 and "--find clusters" in plan.reasons[0]
    many = training.choose(DRAWINGS._replace(num=50_000)).preset
    assert many.task.copies == 0 and many.max_epochs < plan.preset.max_epochs


@pytest.mark.parametrize(
    ("look", "find"),
    [
        (DRAWINGS, "clusters"),
        (DRAWINGS._replace(classes=("a", "b")), None),
        (DRAWINGS._replace(is_plain=False), None),
        (DRAWINGS._replace(kind="rows", shape=(5,)), None),
        (DRAWINGS._replace(kind="arrays", shape=(5,)), None),
    ],
)
def test_other_data_is_clustered(look, find):
    plan = training.choose(look, find)
    assert plan.preset.model.name == "SelfLabeling" and len(plan.reasons) == 3
    assert plan.preset.setting("num_clusters").value == (len(look.classes) or 10)
    assert plan.preset.build((8, 8, 1) if look.kind == "pictures" else (5,)).compiled


def test_rows_are_told_what_does_as_well():
    many = DRAWINGS._replace(num=5000)
    plan = training.choose(many._replace(kind="rows", shape=(5,)))
    assert "scikit-learn's mixture or k-means alone does as well" in plan.reasons[2]
    assert plan.preset.max_epochs < training.choose(many, "clusters").preset.max_epochs


def test_groups_need_pixels():
    rows = DRAWINGS._replace(kind="rows", shape=(5,))
    with pytest.raises(ValueError, match=re.escape("`find` must be 'clusters' for data without")):
        training.choose(rows, "groups")
    with pytest.raises(ValueError, match="`find` must be one of 'groups', 'clusters'"):
        training.choose(rows, "parts")


def test_clusters_of_unequal_size_are_counted():
    sizes, random = (500, 300, 150, 50), np.random.default_rng(3)
    rows = np.concatenate([random.normal(9 * i, 1, (n, 4)) for i, n in enumerate(sizes)])
    found = training.count_by_mixture(rows, range(2, 7))
    assert found == 4
    preset = training.choose(DRAWINGS._replace(kind="rows", shape=(4,))).preset
    counted = training.with_num_clusters(preset, np.float32(rows))
    assert counted.setting("num_clusters").value == 4
    assert counted.build((4,)).marginal == "learned"  # so any number of clusters will do
    assert counted.changed(num_clusters=7).build((4,)).num_clusters == 7
    kingdra = training.presets.get("kingdra-tiny")
    assert training.with_num_clusters(kingdra, np.float32(rows)) == kingdra.changed(num_clusters=4)


def test_moved_copies_show_the_same():
    images = np.zeros((3, 9, 9, 1), "float32")
    images[:, 3:6, 4:6] = RANDOM.random((3, 3, 2, 1))
    found = pipelines.with_moved_copies(images, 4, 2, seed=1).reshape(5, *images.shape)
    np.testing.assert_array_equal(found[0], images)
    np.testing.assert_allclose(found.sum(axis=(2, 3, 4)), np.tile(images.sum((1, 2, 3)), (5, 1)))
    assert len(np.unique(found.reshape(15, -1), axis=0)) > 9
    again = pipelines.with_moved_copies(images, 4, 2, seed=1)
    np.testing.assert_array_equal(again.reshape(found.shape), found)
