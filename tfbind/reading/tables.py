"""Tables: CSV and Parquet files as vectors, by what each column holds."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from tfbind._validation import check_choice
from tfbind.reading.preparation import Preparation

SUFFIXES = frozenset({".csv", ".tsv", ".parquet"})
_MOST_KINDS = 30  # different texts of a column, above which they are names rather than kinds
_FEWEST_WORDS = 3  # of free texts, on average; names have fewer
_MISSING = ("refuse", "fill")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Number:
    """A column of numbers: `(x - offset) / scale`, of `fill` where one is missing."""

    name: str
    offset: float
    scale: float
    fill: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kinds:
    """A column of texts: one element a kind, 1 for the row's; all zero for other texts."""

    name: str
    kinds: tuple[str, ...]


Column = Number | Kinds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rows(Preparation):
    """Rows of a table as vectors: numbers scaled, texts as kinds.

    Attributes:
        numbers: Columns of numbers, which come first.
        kinds: Columns of texts.
        missing: "refuse", or "fill": a number by its column's mean, a text by no kind.
        unit: Whether what is outside [0, 1] is moved to its ends.
    """

    KIND = "rows"

    numbers: tuple[Number, ...]
    kinds: tuple[Kinds, ...]
    missing: str = "refuse"
    unit: bool = False

    def __post_init__(self) -> None:
        check_choice("missing", self.missing, _MISSING)

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (len(self.numbers) + sum(len(column.kinds) for column in self.kinds),)

    def apply(self, table: pa.Table) -> np.ndarray:
        """Returns the rows of a table as float32 `[n, D]`."""
        names = [column.name for column in self.numbers]
        check_columns(table, names + [column.name for column in self.kinds])
        columns = [self._scaled(table, column)[:, None] for column in self.numbers]
        columns += [self._encoded(table, column) for column in self.kinds]
        return np.concatenate(columns, axis=1).astype("float32")

    def _scaled(self, table: pa.Table, column: Number) -> np.ndarray:
        values = _numbers(table[column.name], column.name)
        self._check_whole(column.name, np.isnan(values))
        values = np.where(np.isnan(values), column.fill, values)
        scaled = (values - column.offset) / column.scale
        return scaled.clip(0, 1) if self.unit else scaled

    def _encoded(self, table: pa.Table, column: Kinds) -> np.ndarray:
        texts = _texts(table[column.name])
        self._check_whole(column.name, texts == "")
        return texts[:, None] == np.array(column.kinds)

    def _check_whole(self, name: str, gaps: np.ndarray) -> None:
        if self.missing == "refuse" and gaps.any():
            raise ValueError(
                f"Column {name!r} must have a value in every row. Received: {gaps.sum()} missing, "
                f"the first in row {int(gaps.argmax()) + 1}; pass --missing fill, or leave the "
                "column out."
            )

    @classmethod
    def decoded(cls, fields: Mapping[str, Any]) -> "Rows":
        numbers = tuple(Number(**column) for column in fields["numbers"])
        kinds = tuple(
            Kinds(name=column["name"], kinds=tuple(column["kinds"])) for column in fields["kinds"]
        )
        return cls(**{**fields, "numbers": numbers, "kinds": kinds})


class FittedRows(NamedTuple):
    """What `fit_rows` finds: the preparation, and a sentence on each column that it leaves out."""

    preparation: Rows
    notes: tuple[str, ...]


def read_table(path: str | os.PathLike) -> pa.Table:
    """Reads a CSV (or tab-separated) or Parquet file.

    Raises:
        ValueError: If it is none, or damaged, or has no rows.
    """
    path = pathlib.Path(path)
    try:
        if path.suffix.lower() == ".parquet":
            table = parquet.read_table(path)
        else:
            tab = csv.ParseOptions(delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
            texts = csv.ConvertOptions(strings_can_be_null=True)
            table = csv.read_csv(path, parse_options=tab, convert_options=texts)
    except pa.ArrowException as error:
        raise ValueError(
            f"`{path}` must be a table with one line a row and names in the first. Received: "
            f"{' '.join(str(error).split())}"
        ) from error
    if table.num_rows == 0:
        raise ValueError(f"`{path}` must have at least one row below its names. Received: none.")
    return table


def check_columns(table: pa.Table, wanted: Sequence[str]) -> None:
    """Raises ValueError unless a table has the columns `wanted`."""
    lost = [name for name in wanted if name not in table.column_names]
    if lost:
        raise ValueError(
            f"The table must have the columns {', '.join(map(repr, wanted))}. Received: a table "
            f"without {', '.join(map(repr, lost))}."
        )


def fit_rows(table: pa.Table, *, missing: str, unit: bool = False) -> FittedRows:
    """Finds out how to prepare the rows of a table.

    Numbers are scaled to mean 0 and deviation 1, or with `unit` from their range to [0, 1]. Texts
    of few different kinds are encoded. Columns that say nothing of a row's kind are left out: one
    value throughout, numbers that count the rows, texts that are all different, dates.
    """
    numbers: list[Number] = []
    kinds: list[Kinds] = []
    notes: list[str] = []
    for name in table.column_names:
        column = _fitted(name, table[name], unit)
        if isinstance(column, str):
            notes.append(f"Column {name!r} is left out: {column}.")
        else:
            numbers += [column] if isinstance(column, Number) else []
            kinds += [column] if isinstance(column, Kinds) else []
    if not numbers and not kinds:
        raise ValueError(
            "The table must have a column of numbers or of kinds. Received: "
            f"{' '.join(notes) or 'no column.'}"
        )
    rows = Rows(numbers=tuple(numbers), kinds=tuple(kinds), missing=missing, unit=unit)
    return FittedRows(rows, tuple(notes))


def classes_of(table: pa.Table, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns the labels in a column, int32 `[n]`, and the classes that they number, sorted."""
    check_columns(table, [name])
    classes, labels = np.unique(_texts(table[name]), return_inverse=True)
    return labels.astype("int32"), tuple(map(str, classes))


def only_texts(table: pa.Table) -> str | None:
    """Returns the one column of different texts; None if there is none, or others say something."""
    names = table.column_names
    free = [name for name in names if _is_free(table[name])]
    is_silent = all(isinstance(_fitted(name, table[name], unit=False), str) for name in names)
    return free[0] if len(free) == 1 and is_silent else None


def texts_of(table: pa.Table, name: str) -> list[str]:
    """Returns the texts in a column, "" where one is missing.

    Raises:
        ValueError: If there is no such column, or it holds other things.
    """
    check_columns(table, [name])
    if not _is_text(table[name].type):
        raise ValueError(f"Column {name!r} must hold texts. Received: {table[name].type}.")
    return _texts(table[name]).tolist()


def _fitted(name: str, column: pa.ChunkedArray, unit: bool) -> Column | str:
    """Returns how a column is prepared, or why it is not."""
    if column.null_count == len(column):
        return "it is empty"
    if _is_number(column.type):
        return _fitted_number(name, _numbers(column, name), unit)
    if pa.types.is_temporal(column.type):
        return "it holds dates or times; turn them into numbers first"
    if not _is_text(column.type):
        return f"it holds neither numbers nor texts, but {column.type}"
    kinds = sorted(set(_texts(column).tolist()) - {""})
    if len(kinds) == 1:
        return f"it is {kinds[0]!r} throughout"
    if len(kinds) > max(2, min(_MOST_KINDS, len(column) // 2)):
        hint = f"; pass --text {name} to go by their words" if _is_free(column) else ""
        return f"it holds {len(kinds)} different texts{hint}"
    return Kinds(name=name, kinds=tuple(kinds))


def _fitted_number(name: str, values: np.ndarray, unit: bool) -> Number | str:
    known = values[~np.isnan(values)]
    if np.ptp(known) == 0:
        return f"it is {known[0]:g} throughout"
    if len(values) > 2 and np.all(np.diff(values) == 1):
        return "it counts the rows"
    mean = float(known.mean())
    if unit:
        return Number(name=name, offset=float(known.min()), scale=float(np.ptp(known)), fill=mean)
    return Number(name=name, offset=mean, scale=float(known.std()), fill=mean)


def _numbers(column: pa.ChunkedArray, name: str) -> np.ndarray:
    """Returns float64 `[n]`, NaN where a number is missing."""
    if not _is_number(column.type):
        raise ValueError(
            f"Column {name!r} must hold numbers, as it did in training. Received: {column.type}."
        )
    values = pc.cast(column, pa.float64(), safe=False).to_numpy()
    if np.isinf(values).any():
        raise ValueError(f"Column {name!r} must be finite. Received: infinity among its values.")
    return values


def _texts(column: pa.ChunkedArray) -> np.ndarray:
    """Returns texts `[n]`, "" where one is missing."""
    texts = pc.fill_null(pc.cast(column, pa.string()), "")
    return np.array(texts.to_pylist())


def _is_free(column: pa.ChunkedArray) -> bool:
    """Whether a column holds texts of several words, most of them different."""
    if not _is_text(column.type):
        return False
    texts = _texts(column)
    words = np.mean([len(text.split()) for text in texts])
    return words >= _FEWEST_WORDS and len(set(texts.tolist())) > len(texts) / 2


def _is_number(kind: pa.DataType) -> bool:
    numeric = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
    return any(check(kind) for check in numeric)


def _is_text(kind: pa.DataType) -> bool:
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_dictionary)
    return any(check(kind) for check in texts)
