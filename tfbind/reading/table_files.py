"""Own data of a second kind: rows of a table, or of a table in many files."""

import dataclasses
import functools
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfbind.reading import storing, tables
from tfbind.reading.data_files import DataFiles, Loaded, Made, Watch
from tfbind.reading.looking import Look
from tfbind.reading.options import Options, Wanted


class TableFiles(DataFiles):
    """Rows of a CSV file, or of Parquet files.

    Args:
        files: A table each, with the same columns; of CSV one.
        options: How they are read.
    """

    def __init__(self, files: Sequence[pathlib.Path], options: Options) -> None:
        self.files, self.options = tuple(files), options
        self.table = tables.open_tables(self.files)
        self._features = self.table
        self._labels: np.ndarray | None = None
        self._classes: tuple[str, ...] = ()
        if options.labels is not None:
            self._labels, self._classes = tables.classes_of(self.table, options.labels)
            self._features = self.table.drop_columns([options.labels])

    def look(self) -> Look:
        """Returns what the table looks like, a large one by its first rows."""
        found = self._fitted("fill", False)
        sample = self._features
        if isinstance(sample, tables.LargeTable):
            sample = sample.first()
        rows = dataclasses.replace(found.preparation, missing="fill").apply(sample)
        columns = [(len(found.preparation.numbers), "numbers")]
        columns += [(len(found.preparation.kinds), "kinds")]
        kept = " and ".join(f"{count} of {what}" for count, what in columns if count)
        return Look(
            kind="rows",
            num=self.table.num_rows,
            shape=(len(self._features.column_names),),
            low=float(rows.min()),
            high=float(rows.max()),
            sparsity=float((rows == 0).mean()),
            classes=self._classes,
            notes=(f"Columns used: {kept}.", *found.notes),
        )

    def prepared_for(self, wanted: Wanted) -> tables.Rows:
        """Returns how the rows become what a model wants."""
        return self._fitted(self.options.missing, wanted.unit).preparation

    def _fitted(self, missing: str, unit: bool) -> tables.FittedRows:
        """Returns what `fit_rows` finds, of a large table once and for all."""
        find = functools.partial(tables.fit_rows, self._features, missing=missing, unit=unit)
        if not isinstance(self._features, tables.LargeTable):
            return find()

        def found():
            preparation, notes = find()
            return [preparation.to_json(), notes]

        key = storing.key_of(self.files, "fitted", missing, unit, self.options.labels)
        preparation, notes = storing.remembered(key, found)
        fields = {name: value for name, value in preparation.items() if name != "kind"}
        return tables.FittedRows(tables.Rows.decoded(fields), tuple(notes))

    def load(self, preparation: Any, watch: Watch = iter) -> Loaded:
        """Returns all rows, named by their numbers from 1."""
        names = Made(self.table.num_rows, _row_name)
        if not isinstance(self._features, tables.LargeTable):
            return Loaded(preparation.apply(self._features), names, self._labels)
        key = storing.key_of(self.files, preparation.to_json())
        store = storing.Store(key).filled(lambda _: self._parts(preparation, watch))
        where = storing.said(store.array, store.path)
        return Loaded(store.array, names, self._labels, (where,))

    def _parts(
        self, preparation: tables.Rows, watch: Watch
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        first = 0
        for part in self._features.parts(watch):
            yield preparation.apply(part, first), np.zeros((part.num_rows, 0))
            first += part.num_rows


def _row_name(place: int) -> str:
    return str(place + 1)
