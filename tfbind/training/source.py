"""Where the examples of a run come from: its task's data set, its caller, or files of his own."""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tfbind._stored import SCORED, Stored
from tfbind.reading import OwnData
from tfbind.training.tasks import Examples, Task

_NUM_WATCHED = 500  # of examples that the caller gave

Given = Mapping[str, Any] | None  # what a run remembers of data that its caller gave


class Source(NamedTuple):
    """Where the examples of a run come from: its task's data set, its caller, or his files."""

    task: Task
    data_dir: str | None
    examples: Examples | None  # those that the caller gave
    own: OwnData | None = None  # those of his files

    @classmethod
    def of(
        cls,
        task: Task,
        data_dir: str | None,
        images: np.ndarray | None,
        labels: np.ndarray | None = None,
    ) -> "Source":
        return cls(task, data_dir, None if images is None else task.given(images, labels))

    def training(self) -> Examples:
        if self.own is not None:
            return self._of_own(self.own, self.own.training)
        return self.examples or self.task.load(self.task.train_split, self.data_dir, "uint8")

    def watched(self) -> Examples | None:
        given = self.examples if self.own is None else self.test()
        if given is not None:
            known = any(truth is not None for truth in given[1:])
            return given.take(slice(_NUM_WATCHED)).floats() if known else None
        split = self.task.watched_split
        return None if split is None else self.task.load(split, self.data_dir)

    def test(self, split: str | None = None) -> Examples:
        if self.own is not None:
            stays = isinstance(self.own.array, Stored)
            rows = self.own.held_out[: SCORED if stays else None]
            return self._of_own(self.own, rows).take(slice(None))
        if self.examples is not None:
            return self.examples.floats()
        return self.task.load(split or self.task.test_split, self.data_dir)

    def shown(self) -> Examples:
        """Returns the examples that a report is of: all of his files, else those to score on."""
        if self.own is not None:
            return self._of_own(self.own, np.arange(len(self.own.array)))
        return self.test()

    def described(self) -> Given:
        """Returns what `preset.json` remembers of the caller's data, or None."""
        if self.own is not None:
            return self.own.described()
        if self.examples is None:
            return None
        digest = hashlib.sha256()
        for array in self.examples:
            if array is not None:
                digest.update(f"{array.dtype}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        shape = list(self.examples.image.shape)
        return {"data": "images given by the caller", "shape": shape, "sha256": digest.hexdigest()}

    def _of_own(self, own: OwnData, rows: np.ndarray) -> Examples:
        """Returns some examples of his files, with their classes if the task has any."""
        labels = own.labels if "label" in self.task.KEYS else None
        return self.task.given(own.array[rows], None if labels is None else labels[rows])
