"""Tables of classes and clusters against counting; matchings against trying them all."""

import itertools

import numpy as np
import pytest

from tfbind.metrics import best_matching, class_table


def test_each_cell_counts_the_examples_of_both():
    random = np.random.default_rng(0)
    labels_true = np.array([-4, 2, 9])[random.integers(0, 3, 50)]
    labels_pred = np.array([1, 5, 6, 30])[random.integers(0, 4, 50)]
    classes, clusters, table = class_table(labels_true, labels_pred)
    assert classes.tolist() == [-4, 2, 9] and clusters.tolist() == [1, 5, 6, 30]
    assert table.shape == (3, 4) and table.dtype == np.int64
    for (row, column), count in np.ndenumerate(table):
        both = (labels_true == classes[row]) & (labels_pred == clusters[column])
        assert count == both.sum()


@pytest.mark.parametrize("size", [(4, 4), (3, 5), (5, 2), (1, 3)])
def test_no_other_matching_holds_more(size):
    table = np.random.default_rng(0).uniform(size=size)
    rows, columns = best_matching(table)
    assert len(rows) == len(set(columns)) == min(size)
    assert rows.tolist() == sorted(set(rows))
    short, long = sorted(size)
    wide = table if size[0] == short else table.T
    best = max(
        wide[range(short), chosen].sum() for chosen in itertools.permutations(range(long), short)
    )
    assert table[rows, columns].sum() == pytest.approx(best)
