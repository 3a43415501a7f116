"""The published placements, against what the paper says of them."""

import itertools

import numpy as np
import pytest

from tfbind import distributions


def test_the_grid():
    means = distributions.grid_means(32)
    assert means.shape == (18, 32)
    expected = set(itertools.product([-6, 0, 6], [-6, 0, 6], [-3, 3]))
    assert {tuple(mean) for mean in means[:, :3]} == expected
    assert not means[:, 3:].any()


def test_the_corners():
    """Table 3, column by column."""
    columns = [
        [-3, -3, -3, 3, -3, 3, 3, -3, 3, -3],
        [3, -3, 3, -3, -3, -3, 3, 3, 3, -3],
        [-3, 3, 3, -3, 3, 3, 3, 3, -3, -3],
        [-3, 3, -3, -3, -3, -3, -3, 3, -3, -3],
    ]
    means = distributions.corner_means(64)
    np.testing.assert_array_equal(means[:, :4], np.transpose(columns))
    assert means.shape == (10, 64)
    assert not means[:, 4:].any()
    assert len(np.unique(means, axis=0)) == 10


@pytest.mark.parametrize(
    ("make", "least"), [(distributions.grid_means, 3), (distributions.corner_means, 4)]
)
def test_too_few_dimensions(make, least):
    assert make(least).shape[1] == least
    with pytest.raises(ValueError, match=f"`latent_dim` must be an integer >= {least}. Received"):
        make(least - 1)
