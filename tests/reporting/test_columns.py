"""Rows as they stood in the file."""

import numpy as np
import pytest

from tfbind import reading
from tfbind.reporting import columns

from .conftest import COLUMN


def test_rows_come_back_in_their_units(table):
    read = reading.read_table(table)
    own = reading.read_data(table, reading.Wanted(()))
    found = columns.table_of(own.array, own.preparation)
    assert found.names == [COLUMN, 'x & "y"', "kind"]
    np.testing.assert_allclose(found.elements[:, 0], read[COLUMN].to_numpy(), rtol=1e-4, atol=0.05)
    assert found.texts[:, 2].tolist() == read["kind"].to_pylist()
    assert found.labels == [COLUMN, 'x & "y"', "kind = a<b", "kind = b&c"]


def test_what_is_typical_is_far_from_the_mean():
    rows = np.zeros((10, 3))
    rows[:5, 1] = 2.0
    table = columns.table_of(rows, None)
    typical = table.typical(np.arange(10) < 5)
    assert typical == ["column 1 2 (mean of all rows 1)"]


def test_wide_tables_show_the_columns_that_tell_clusters_apart():
    random = np.random.default_rng(0)
    clusters = np.arange(100) % 2
    rows = random.normal(size=(100, 20))
    rows[:, [3, 17]] += 9 * clusters[:, None]
    told = columns.table_of(rows, None).telling(clusters, 2)
    assert len(told) == 8 and {3, 17} <= set(told) and told == sorted(told)


def test_texts_are_told_by_their_words():
    texts = ["tea  with\nmilk", "tea", "sea", "the sea " * 50]
    one = ((1.0,), (1.0,), (1.0,))
    preparation = reading.Texts(words=("milk", "sea", "tea"), weights=(1.0,) * 3, directions=one)
    table = columns.of_texts(texts, preparation)
    assert table.names == ["text"] and table.telling(np.array([0, 0, 1, 1]), 2) == [0]
    assert table.texts[0, 0] == "tea with milk" and table.texts[3, 0].endswith(" …")
    typical = table.typical(np.array([True, True, False, False]))
    assert typical == ["“tea” in 100% (of all 50%)", "“milk” in 50% (of all 25%)"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (41234.5, "41,234"), (0.5, "0.5"), (-12.3456, "-12.35"), (1e-7, "1.000e-07")],
)
def test_numbers(value, text):
    assert columns.number(value) == text
