"""Tables: CSV and Parquet files as vectors, by what each column holds."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from tfbind._validation import check_choice
from tfbind.reading import storing
from tfbind.reading.preparation import Preparation

SUFFIXES = frozenset({".csv", ".tsv", ".parquet"})
_MOST_KINDS = 30  # different texts of a column, above which they are names rather than kinds
_FEWEST_WORDS = 3  # of free texts, on average; names have fewer
_MISSING = ("refuse", "fill")
_PART = 2**16  # rows of a large table that are read at a time


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

    def apply(self, table: pa.Table, first: int = 0) -> np.ndarray:
        """Returns the rows of a table as float32 `[n, D]`, of which `first` is the number."""
        names = [column.name for column in self.numbers]
        check_columns(table, names + [column.name for column in self.kinds])
        columns = [self._scaled(table, column, first)[:, None] for column in self.numbers]
        columns += [self._encoded(table, column, first) for column in self.kinds]
        return np.concatenate(columns, axis=1).astype("float32")

    def _scaled(self, table: pa.Table, column: Number, first: int) -> np.ndarray:
        values = _numbers(table[column.name], column.name)
        self._check_whole(column.name, np.isnan(values), first)
        values = np.where(np.isnan(values), column.fill, values)
        scaled = (values - column.offset) / column.scale
        return scaled.clip(0, 1) if self.unit else scaled

    def _encoded(self, table: pa.Table, column: Kinds, first: int) -> np.ndarray:
        texts = _texts(table[column.name])
        self._check_whole(column.name, texts == "", first)
        return texts[:, None] == np.array(column.kinds)

    def _check_whole(self, name: str, gaps: np.ndarray, first: int) -> None:
        if self.missing == "refuse" and gaps.any():
            raise ValueError(
                f"Column {name!r} must have a value in every row. Received: {gaps.sum()} missing, "
                f"the first in row {first + int(gaps.argmax()) + 1}; pass --missing fill, or leave "
                "the column out."
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
            delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
            tab = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
            texts = csv.ConvertOptions(strings_can_be_null=True)
            table = csv.read_csv(path, parse_options=tab, convert_options=texts)
    except pa.ArrowException as error:
        raise _no_table(path, error) from error
    if table.num_rows == 0:
        raise ValueError(f"`{path}` must have at least one row below its names. Received: none.")
    return table


class LargeTable:
    """Parquet files with the same columns as one table, of which a column or a part is read.

    It is asked for columns as a `pyarrow.Table` is.

    Args:
        files: Paths.
        left_out: Names of columns that it has not.
    """

    def __init__(self, files: Sequence[pathlib.Path], left_out: Sequence[str] = ()) -> None:
        self._files, self._left_out = tuple(files), tuple(left_out)
        self._opened = [_opened(path) for path in files]
        names = self._opened[0].schema_arrow.names
        self.column_names = [name for name in names if name not in left_out]
        self.num_rows = sum(file.metadata.num_rows for file in self._opened)

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        return pa.concat_tables([file.read([name]) for file in self._opened])[name]

    def drop_columns(self, names: Sequence[str]) -> "LargeTable":
        """Returns the table without some columns."""
        return LargeTable(self._files, (*self._left_out, *names))

    def check_same(self) -> None:
        """Raises ValueError if files differ in their columns."""
        schemas = [file.schema_arrow.remove_metadata() for file in self._opened]
        for path, schema in zip(self._files, schemas, strict=True):
            if schema != schemas[0]:
                raise ValueError(
                    f"`{path}` must have the columns of `{self._files[0]}`, "
                    f"{', '.join(map(str, schemas[0]))}. Received: {', '.join(map(str, schema))}."
                )

    def parts(self, watch: Callable[[Sequence], Iterable] = iter) -> Iterator[pa.Table]:
        """Yields all rows, some at a time; `watch` is called with the files."""
        for file in watch(self._opened):
            for batch in file.iter_batches(_PART, columns=self.column_names):
                yield pa.Table.from_batches([batch])

    def first(self) -> pa.Table:
        """Returns the first rows, to look at."""
        return next(self.parts())


def open_tables(files: Sequence[pathlib.Path]) -> pa.Table | LargeTable:
    """Reads a CSV file, or Parquet files; of these, if they are large, nothing but their heads.

    Raises:
        ValueError: As `read_table` does, or if files differ in their columns.
    """
    if any(path.suffix.lower() != ".parquet" for path in files):
        return read_table(files[0])
    large = LargeTable(files)
    large.check_same()
    if storing.is_large(large.num_rows, (len(large.column_names),)):
        return large
    return pa.concat_tables([read_table(path) for path in files])


def _opened(path: pathlib.Path) -> parquet.ParquetFile:
    try:
        return parquet.ParquetFile(path)
    except pa.ArrowException as error:
        raise _no_table(path, error) from error


def _no_table(path: pathlib.Path, error: Exception) -> ValueError:
    return ValueError(
        f"`{path}` must be a table with one line a row and names in the first. Received: "
        f"{' '.join(str(error).split())}"
    )


def check_columns(table: pa.Table | LargeTable, wanted: Sequence[str]) -> None:
    """Raises ValueError unless a table has the columns `wanted`."""
    lost = [name for name in wanted if name not in table.column_names]
    if lost:
        raise ValueError(
            f"The table must have the columns {', '.join(map(repr, wanted))}. Received: a table "
            f"without {', '.join(map(repr, lost))}."
        )


def fit_rows(table: pa.Table | LargeTable, *, missing: str, unit: bool = False) -> FittedRows:
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


def classes_of(table: pa.Table | LargeTable, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns the labels in a column, int32 `[n]`, and the classes that they number, sorted."""
    check_columns(table, [name])
    encoded = _filled(table[name]).combine_chunks().dictionary_encode()
    texts = np.array(encoded.dictionary.to_pylist(), dtype=object)
    places = np.argsort(np.argsort(texts))  # of each text among the sorted ones
    return places[encoded.indices.to_numpy()].astype("int32"), tuple(sorted(texts.tolist()))


def only_texts(table: pa.Table) -> str | None:
    """Returns the one column of different texts; None if there is none, or others say something."""
    names = table.column_names
    free = [name for name in names if _is_free(table[name])]
    if len(free) != 1:
        return None
    is_silent = all(isinstance(_fitted(name, table[name], unit=False), str) for name in names)
    return free[0] if is_silent else None


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
    kinds = sorted(set(pc.unique(_filled(column)).to_pylist()) - {""})
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
    return np.array(_filled(column).to_pylist(), object)  # of any length, each its own


def _filled(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(pc.cast(column, pa.string()), "")


def _is_free(column: pa.ChunkedArray) -> bool:
    """Whether a column holds texts of several words, most of them different."""
    if not _is_text(column.type):
        return False
    texts = _texts(column)
    words = sum(len(text.split()) for text in texts) / len(texts)
    return words >= _FEWEST_WORDS and len(set(texts.tolist())) > len(texts) / 2


def _is_number(kind: pa.DataType) -> bool:
    numeric = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
    return any(check(kind) for check in numeric)


def _is_text(kind: pa.DataType) -> bool:
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_dictionary)
    return any(check(kind) for check in texts)
