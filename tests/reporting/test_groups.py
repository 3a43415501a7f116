"""Which pictures come first."""

import numpy as np

from tfbind import plots, reading
from tfbind.reporting import groups


def test_the_best_come_first_and_those_without_a_score_nowhere():
    scores = np.array([0.2, np.nan, 0.9, 0.5])
    assert groups.best_first(scores).tolist() == [2, 3, 0]


def test_agreement_of_the_same_groups_is_one():
    truth = np.array([[[1, 1, 0], [2, 2, 2]]])
    assignments = (np.arange(2)[:, None, None] == np.array([[1, 1, 1], [0, 0, 0]]))[None]
    assert np.isclose(groups.agreements(truth, assignments.astype("float32"))[0], 1)


def test_an_overlay_has_the_size_of_the_file():
    preparation = reading.Pictures(height=4, width=4, invert=True)
    picture = np.ones((8, 12, 1), "float32")
    picture[2:4, 3:6] = 0
    shares = np.stack([np.ones((4, 4)), np.zeros((4, 4))]).astype("float32")
    colored = groups.overlay_of(preparation, picture, shares)
    assert colored.shape == (8, 12, 3)
    assert (colored[0, 0] == 255).all()  # paper stays paper
    assert (colored[2, 3] == plots.tinted(np.zeros((1, 1)), np.ones((1, 1, 1)))[0, 0]).all()
