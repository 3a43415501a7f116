"""The mixture of Gaussians that labels begin with, on clusters whose sizes are known."""

import numpy as np
import pytest
from scipy import sparse

from tfbind import labeling, metrics
from tfbind.labeling.mixture import mixture_labels

RANDOM = np.random.default_rng(4)
SIZES = (300, 100, 40)
TRUTH = np.repeat(range(3), SIZES)
ROWS = (6 * np.eye(3, 4)[TRUTH] + RANDOM.normal(size=(440, 4))).astype("float32")


def test_clusters_of_unequal_size_are_found():
    found = mixture_labels(ROWS, 3, num_heads=2)
    assert found["labels"].shape == (2, 440) and found["labels"].dtype == np.int32
    np.testing.assert_array_equal(*found["labels"])
    assert metrics.clustering_accuracy(TRUTH, found["labels"][0]) > 0.99
    shares = np.sort(found["shares"][1])[::-1]
    np.testing.assert_allclose(shares, np.array(SIZES) / 440, atol=0.01)
    np.testing.assert_allclose(found["head_losses"], np.log(3), rtol=1e-6)


def test_other_forms_of_the_same_rows():
    expected = labeling.fit_mixture(ROWS, 3).means_
    again = labeling.fit_mixture(ROWS.reshape(-1, 2, 2, 1), 3).means_
    np.testing.assert_array_equal(again, expected)
    np.testing.assert_array_equal(labeling.fit_mixture(sparse.csr_matrix(ROWS), 3).means_, expected)


def test_a_sample_of_many_rows_is_enough(monkeypatch):
    monkeypatch.setattr("tfbind.labeling.mixture._ROWS", 200)
    assert metrics.clustering_accuracy(TRUTH, mixture_labels(ROWS, 3, 1)["labels"][0]) > 0.99


def test_a_mixture_needs_two_clusters():
    with pytest.raises(ValueError, match="`num_clusters` must be"):
        labeling.fit_mixture(ROWS, 1)
