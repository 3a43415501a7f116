"""Tables become vectors that a model can learn from, and say what they leave out."""

import json
import re

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tfbind import reading

TABLE = pa.table(
    {
        "id": [1, 2, 3, 4],
        "width": [1.0, 3.0, 5.0, 7.0],
        "color": ["red", "blue", "red", "blue"],
        "flag": [True, False, True, True],
        "site": ["lab"] * 4,
        "note": ["a", "b", "c", "d"],
    }
)


def raises(sentence):
    return pytest.raises(ValueError, match=re.escape(sentence))


def test_columns_are_scaled_encoded_or_left_out():
    found = reading.fit_rows(TABLE, missing="refuse")
    assert [column.name for column in found.preparation.numbers] == ["width", "flag"]
    assert [column.kinds for column in found.preparation.kinds] == [("blue", "red")]
    assert found.notes == (
        "Column 'id' is left out: it counts the rows.",
        "Column 'site' is left out: it is 'lab' throughout.",
        "Column 'note' is left out: it holds 4 different texts.",
    )
    rows = found.preparation.apply(TABLE)
    np.testing.assert_allclose(rows[:, 0], (np.array([1, 3, 5, 7]) - 4) / np.sqrt(5), rtol=1e-6)
    np.testing.assert_allclose(rows[:, :2].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_array_equal(rows[:, 2:], [[0, 1], [1, 0], [0, 1], [1, 0]])


def test_unit_scale_keeps_new_rows_in_the_range():
    preparation = reading.fit_rows(TABLE, missing="refuse", unit=True).preparation
    np.testing.assert_allclose(preparation.apply(TABLE)[:, 0], [0, 1 / 3, 2 / 3, 1], rtol=1e-6)
    wide = TABLE.set_column(1, "width", pa.array([-10.0, 100.0, 4.0, 1.0]))
    np.testing.assert_allclose(preparation.apply(wide)[:, 0], [0, 1, 0.5, 0], rtol=1e-6)


def test_gaps_are_refused_or_filled():
    gaps = pa.table({"x": [1.0, None, 3.0], "kind": ["a", "b", None]})
    with raises("Column 'x' must have a value in every row. Received: 1 missing, the first in row"):
        reading.fit_rows(gaps, missing="refuse").preparation.apply(gaps)
    rows = reading.fit_rows(gaps, missing="fill").preparation.apply(gaps)
    np.testing.assert_allclose(rows, [[-1, 1, 0], [0, 0, 1], [1, 0, 0]], atol=1e-6)


def test_other_tables_are_refused():
    preparation = reading.fit_rows(TABLE, missing="refuse").preparation
    with raises("Received: a table without 'color'."):
        preparation.apply(TABLE.drop_columns(["color"]))
    with raises("Column 'width' must hold numbers, as it did in training. Received: string."):
        preparation.apply(TABLE.set_column(1, "width", pa.array(["a", "b", "c", "d"])))
    with raises("The table must have a column of numbers or of kinds. Received: Column 'id'"):
        reading.fit_rows(TABLE.select(["id"]), missing="refuse")


def test_a_preparation_survives_json():
    preparation = reading.fit_rows(TABLE, missing="fill").preparation
    again = reading.preparation_of(json.loads(json.dumps(preparation.to_json())))
    assert again == preparation


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet"])
def test_files(kind, tmp_path):
    path = tmp_path / f"table.{kind}"
    if kind == "parquet":
        parquet.write_table(TABLE, path)
    else:
        comma = "," if kind == "csv" else "\t"
        names = TABLE.column_names
        rows = [names, *([str(row[name]) for name in names] for row in TABLE.to_pylist())]
        path.write_text("".join(f"{comma.join(row)}\n" for row in rows))
    data = reading.read_data(
        path, reading.Wanted(()), reading.Options(labels="color", held_out=0.3)
    )
    assert data.array.shape == (4, 2)
    assert data.labels.tolist() == [1, 0, 1, 0] and data.look.classes == ("blue", "red")
    assert (len(data.training), len(data.held_out)) == (3, 1)
    assert sorted([*data.training, *data.held_out]) == [0, 1, 2, 3]
    assert data.look.lines()[0].startswith("4 rows")


def test_files_that_are_no_tables(tmp_path):
    (tmp_path / "bad.csv").write_text("a,b\n1,2,3\n")
    with raises(f"`{tmp_path / 'bad.csv'}` must be a table with one line a row and names"):
        reading.read_table(tmp_path / "bad.csv")
    (tmp_path / "none.csv").write_text("a,b\n")
    with raises("must have at least one row below its names"):
        reading.read_table(tmp_path / "none.csv")
    (tmp_path / "bad.parquet").write_text("a,b\n")
    with raises("must be a table"):
        reading.read_table(tmp_path / "bad.parquet")
