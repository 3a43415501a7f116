"""What is chosen for which data, and how many of them there are; no training but a tiny one."""

import re

import numpy as np
import pytest

from tfbind import PseudoLabelEnsemble, reading, training
from tfbind.data import pipelines

RANDOM = np.random.default_rng(0)
DRAWINGS = reading.Look(
    "pictures", 200, (96, 96, 1), 0.0, 1.0, 0.9, is_plain=True, has_two_levels=True
)


def test_drawings_are_taken_for_scenes():
    plan = training.choose(DRAWINGS)
    assert plan.preset.model.name == "ReconstructionClustering"
    assert plan.preset.task.copies == 199 and plan.preset.task.binary_images
    assert len(plan.reasons) == 3 and "--find clusters" in plan.reasons[0]
    many = training.choose(DRAWINGS._replace(num=50_000)).preset
    assert many.task.copies == 0 and many.max_epochs <= plan.preset.max_epochs


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


PHOTOS = DRAWINGS._replace(is_plain=False, has_two_levels=False, is_colored=True, shape=None)


def test_photographs_are_seen_in_another_light_and_in_enough_steps():
    plan = training.choose(PHOTOS._replace(num=600))
    assert plan.options == {"size": (48, 48), "color": True}
    preset = plan.preset
    assert preset.setting("augmentation").value.name == "RandomPhoto"
    assert 600 // preset.batch_size * preset.max_epochs >= 900
    assert preset.setting("num_online_epochs").value == preset.max_epochs
    grey = training.choose(PHOTOS._replace(is_colored=False, num=10**6))
    assert grey.options["color"] is False and grey.preset.batch_size == 250
    assert grey.preset.setting("augmentation").value.name == "RandomPhoto"


@pytest.mark.parametrize(
    "change", [{"has_two_levels": True}, {"is_plain": True, "is_colored": False}]
)
def test_written_signs_are_not_mirrored(change):
    plan = training.choose(PHOTOS._replace(**change), "clusters")
    assert plan.preset.setting("augmentation").value.name == "RandomAffine"


def test_arrays_are_moved_by_a_share_of_their_size():
    small = PHOTOS._replace(kind="arrays", shape=(8, 16, 3))
    assert training.choose(small).preset.setting("shift").value == 1.0
    digits = small._replace(is_colored=False, is_plain=True, shape=(14, 14))
    assert training.choose(digits).preset.setting("shift").value == 1.0
    assert training.choose(PHOTOS).preset.setting("shift").value == 6.0


def test_texts_get_an_ensemble_with_rounds_in_its_second_half():
    preset = training.choose(DRAWINGS._replace(kind="texts", shape=(32,), num=3000)).preset
    model = preset.build((32,))
    assert isinstance(model, PseudoLabelEnsemble) and model.num_clusters == 10
    assert 2 * model.first_epochs == preset.max_epochs
    few = training.choose(DRAWINGS._replace(kind="texts", shape=(32,), num=10**6)).preset
    assert few.max_epochs == 10 and few.build((32,)).round_epochs == 1


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


@pytest.mark.parametrize("shape", [(9, 9, 1), (7, 9, 2)])
def test_copies_show_the_same_anywhere(shape):
    images = np.zeros((3, *shape), "float32")
    images[:, 3:6, 4:6] = RANDOM.random((3, 3, 2, shape[-1]))
    images[2] = 0
    found = pipelines.with_moved_copies(images, 200, seed=1).reshape(201, *images.shape)
    np.testing.assert_array_equal(found[0], images)
    assert found.dtype == "float32"
    for copies, image in zip(np.moveaxis(found, 1, 0), images, strict=True):
        for copy in copies:  # the same numbers, in one box of 3 by 2 or of 2 by 3
            np.testing.assert_array_equal(np.sort(copy[copy > 0]), np.sort(image[image > 0]))
            sides = [np.ptp(places) for places in np.nonzero(copy)[:2] if places.size]
            assert sorted(sides) in ([], [1, 2])
    places = [np.nonzero(copy)[0].min() for copy in found[:, 0]]
    turned = shape[0] == shape[1]
    assert {min(places), max(places)} == {0, shape[0] - (2 if turned else 3)}
    turns = {tuple(copy[copy > 0][:3]) for copy in found[:, 0]}
    assert len(turns) == (8 if turned else 4)
    again = pipelines.with_moved_copies(images, 200, seed=1)
    np.testing.assert_array_equal(again.reshape(found.shape), found)
