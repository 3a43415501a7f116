"""Examples that are rows, in the units of the file that they are from."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tfbind import reading

_MOST = 8  # columns of a table on the page
_TYPICAL = 4  # columns that a cluster is told by
_LEAST = 0.5  # deviations that the mean of such a column is from that of all rows
_LEAST_OF_WORDS = 0.25  # likewise, of words, which are rare everywhere
_LONGEST = 160  # characters of a text
_NO_KIND = "–"


class Table(NamedTuple):
    """Rows as a person knows them: `texts` `[n, C]` under `names`.

    `elements` are the same rows as numbers `[n, D]` in units of the file, under `labels`, where a
    column of kinds has one element a kind, 1 for the row's.
    """

    names: list[str]
    texts: np.ndarray
    labels: list[str]
    elements: np.ndarray
    is_kind: np.ndarray
    column_of: np.ndarray  # [D], of an element, the column that it is of
    least: float = _LEAST  # deviations from the mean of all that are worth telling

    def telling(self, clusters: np.ndarray, num_clusters: int) -> list[int]:
        """Returns the columns that tell clusters apart best, as they stand in the table."""
        if len(self.names) <= _MOST:
            return list(range(len(self.names)))
        spread = np.zeros(self.elements.shape[1])
        scaled = self._scaled()
        for k in range(num_clusters):
            members = scaled[clusters == k]
            spread += len(members) * members.mean(axis=0) ** 2 if len(members) else 0
        best = np.zeros(len(self.names))
        np.maximum.at(best, self.column_of, spread)
        return sorted(np.argsort(-best, kind="stable")[:_MOST].tolist())

    def typical(self, members: np.ndarray) -> list[str]:
        """Returns in words what sets some rows, a mask `[n]`, apart from all."""
        away = self._scaled()[members].mean(axis=0)
        away[self.is_kind & (away < 0)] = 0  # the kind that it has says it
        places = np.argsort(-np.abs(away), kind="stable")[:_TYPICAL]
        return [self._told(i, members) for i in places if abs(away[i]) >= self.least]

    def _told(self, i: int, members: np.ndarray) -> str:
        here, all_rows = self.elements[members, i].mean(), self.elements[:, i].mean()
        if self.is_kind[i]:
            return f"{self.labels[i]} in {here:.0%} (of all {all_rows:.0%})"
        return f"{self.labels[i]} {number(here)} (mean of all rows {number(all_rows)})"

    def _scaled(self) -> np.ndarray:
        spread = self.elements.std(axis=0)
        return (self.elements - self.elements.mean(axis=0)) / np.where(spread == 0, 1, spread)


def table_of(rows: np.ndarray, preparation: reading.Preparation | None) -> Table:
    """Returns prepared rows, float `[n, D]`, as they stood in the file, as far as that is known."""
    if isinstance(preparation, reading.Rows):
        return _of_rows(rows, preparation)
    if isinstance(preparation, reading.Arrays):
        rows = rows * np.asarray(preparation.scale) + np.asarray(preparation.offset)
    names = [f"column {i}" for i in range(rows.shape[1])]
    texts = np.array([[number(x) for x in row] for row in rows], object)
    plain = np.zeros(rows.shape[1], bool)
    return Table(names, texts, names, rows, plain, np.arange(rows.shape[1]))


def of_texts(texts: Sequence[str], preparation: reading.Texts) -> Table:
    """Returns texts, told by the words they hold."""
    shown = np.array([_shortened(text) for text in texts], object)[:, None]
    labels = [f"“{word}”" for word in preparation.words]
    elements = (preparation.weighed(texts) > 0).toarray().astype("float32")
    plain = np.zeros(len(labels), int)
    return Table(["text"], shown, labels, elements, plain == 0, plain, _LEAST_OF_WORDS)


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def number(value: float) -> str:
    """Returns a number as it reads well in a table: four digits, and no powers of ten."""
    if value == 0 or 1e-3 <= abs(value) < 1e3:
        return f"{value:.4g}"
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:.3e}"


def _of_rows(rows: np.ndarray, preparation: reading.Rows) -> Table:
    numbers, kinds = preparation.numbers, preparation.kinds
    values = np.stack(
        [rows[:, i] * x.scale + x.offset for i, x in enumerate(numbers)] or [rows[:, :0].sum(1)],
        axis=1,
    )[:, : len(numbers)]
    labels, owners = [x.name for x in numbers], list(range(len(numbers)))
    texts = [[number(x) for x in column] for column in values.T]
    for place, column in enumerate(kinds, start=len(numbers)):
        texts.append(_kinds(rows[:, len(labels) : len(labels) + len(column.kinds)], column.kinds))
        labels += [f"{column.name} = {kind}" for kind in column.kinds]
        owners += [place] * len(column.kinds)
    elements = np.concatenate([values, rows[:, len(numbers) :]], axis=1)
    is_kind = np.arange(len(labels)) >= len(numbers)
    names = [x.name for x in numbers] + [x.name for x in kinds]
    return Table(names, np.array(texts, object).T, labels, elements, is_kind, np.array(owners))


def _kinds(encoded: np.ndarray, kinds: Sequence[str]) -> list[str]:
    return [kinds[int(row.argmax())] if row.any() else _NO_KIND for row in encoded]
