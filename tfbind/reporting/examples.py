"""The examples that a report is of, and how each of them is shown."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tfbind import reading
from tfbind.reporting import columns, embedded
from tfbind.training import Run
from tfbind.training.source import Source
from tfbind.training.tasks import Examples

_MOST = 5000  # examples that are looked at
_LONGEST = 160  # pixels of a picture on the page
_SMALL = 64  # pixels


class Shown(NamedTuple):
    """The examples that a report is of.

    `examples` are as the model takes them; `rows` their places in the data, `names` what each is
    called, `classes` the names of the true classes; `origin` says where they are from.
    """

    examples: Examples
    rows: np.ndarray
    names: Sequence[str]
    classes: Sequence[str]
    origin: str
    own: reading.OwnData | None

    def drawn(self, place: int) -> dict[str, Any]:
        """Returns what the page says of an example, with its picture if it has pixels."""
        return {"name": self.names[place], "picture": self.picture(place)}

    def picture(self, place: int) -> str | None:
        """Returns an example's picture, of own files the file's; None if it has no pixels."""
        image = self.examples.image[place]
        if not embedded.has_pixels(image.shape):
            return None
        original = None if self.own is None else self.own.original(int(self.rows[place]))
        return embedded.picture_uri(
            embedded.pixels_of(image if original is None else original), _LONGEST
        )

    @property
    def is_small(self) -> bool:
        """Whether pictures are so small that their pixels are to be seen."""
        own = None if self.own is None else self.own.original(int(self.rows[0]))
        shape = self.examples.image.shape[1:] if own is None else own.shape
        return embedded.has_pixels(shape) and max(shape[:2]) < _SMALL

    def class_of(self, label: int) -> str:
        """Returns the name of a true class."""
        return self.classes[label] if label < len(self.classes) else str(label)

    @property
    def is_table(self) -> bool:
        """Whether examples are rows of a person's own table, which have numbers for names."""
        return self.own is not None and isinstance(self.own.preparation, reading.Rows)

    @property
    def table(self) -> columns.Table | None:
        """The examples as rows of a table in the units of the file; None if they have pixels."""
        image = self.examples.image
        if embedded.has_pixels(image.shape[1:]):
            return None
        preparation = None if self.own is None else self.own.preparation
        if self.own is not None and isinstance(preparation, reading.Texts):
            texts = [self.own.texts[int(i)] for i in self.rows]
            return columns.of_texts(texts, preparation)
        return columns.table_of(image.reshape(len(image), -1), preparation)


def shown_of(run: Run, source: Source) -> Shown:
    """Returns the examples for a report: all own ones, or those to score on; at most 5000.

    Raises:
        ValueError: If the data is not there any more.
    """
    found, own = source.shown(), source.own
    count = len(found.image)
    rows = np.arange(count)
    if count > _MOST:
        rows = np.sort(np.random.default_rng(run.preset.seed).permutation(count)[:_MOST])
    names = [f"example {i}" for i in rows] if own is None else [own.names[int(i)] for i in rows]
    classes = () if own is None else own.look.classes
    return Shown(found.take(rows), rows, names, classes, _origin(run, source, count), own)


def _origin(run: Run, source: Source, count: int) -> str:
    if source.own is not None:
        where = "all of the data, those kept from training among them"
    elif source.examples is not None:
        where = "the examples that were given"
    else:
        where = f"the split “{run.preset.task.test_split}” of {run.preset.task.dataset}"
    return f"{count} examples, {where}" if count <= _MOST else f"{_MOST} of {count}, from {where}"
