"""Batch jobs: what a model finds in any number of examples, part by part, here or on a cluster.

A job is a list of parts, each of which becomes one Parquet file. Whoever answers a part writes it
under another name and renames it: a part is there as a whole or not at all, and what is there is
not done again.
"""

import contextlib
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from tfbind import _data_options, _files, _models, plots
from tfbind._inputs import Reader
from tfbind.reading import array_files, listing, storing, tables

_NUMBERS = 2**24  # of a part, about: 64 MiB in float32
_FEWEST, _MOST = 100, 100_000  # examples of a part
_BATCH = 250, 10_000  # examples that a model is given at a time, of many numbers and of few
_ROWS = listing.ARRAYS | tables.SUFFIXES
_LEFT_OUT = b"tfbind.left_out"
_ABOUT, _LOCK = "job.json", ".lock"


class Part(NamedTuple):
    """What one Parquet file of the answers is of: some files, or of one its rows.

    `start` and `stop` are rows of an array, or row groups of a Parquet file.
    """

    number: int
    files: tuple[pathlib.Path, ...]
    start: int = 0
    stop: int | None = None

    def to_json(self) -> str:
        """Returns what `from_json` takes."""
        return json.dumps(self, default=str)

    @classmethod
    def from_json(cls, text: str) -> "Part":
        number, files, *span = json.loads(text)
        return cls(number, tuple(map(pathlib.Path, files)), *span)


class Job(NamedTuple):
    """What is to be done, so that another process can do a part of it.

    Attributes:
        verb: "cluster" or "group".
        model: Path of a run or a Keras file.
        changes: `num_groups` and `num_iterations`, or None for the run's.
        told: How files are read, as far as the user tells.
        data_dir: Where TFDS keeps its data, or None for TFDS' default.
        out: Folder of the answers.
        parts: What there is to answer.
    """

    verb: str
    model: pathlib.Path
    changes: dict[str, Any]
    told: dict[str, Any]
    data_dir: str | None
    out: pathlib.Path
    parts: tuple[Part, ...]

    def path(self, number: int) -> pathlib.Path:
        """Returns the file of a part."""
        return self.out / f"part-{number:05d}.parquet"

    @property
    def missing(self) -> list[Part]:
        """The parts that are not there yet."""
        return [part for part in self.parts if not self.path(part.number).exists()]

    @contextlib.contextmanager
    def claimed(self, loaded: _models.Loaded) -> Iterator[None]:
        """Makes the folder this job's, and no other's while the body runs.

        Raises:
            ValueError: If it is another job's, or one is at work there.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        files = [path for part in self.parts for path in part.files]
        about = [self.verb, self.changes, loaded.preparation.to_json(), len(self.parts)]
        key = storing.key_of([loaded.source, *dict.fromkeys(files)], *about)
        taken = f"`--out` must be a folder where no other job is at work. Received: `{self.out}`."
        with _files.claiming(self.out / _LOCK, taken):
            self._check(key)
            yield

    def _check(self, key: str) -> None:
        path = self.out / _ABOUT
        others = {each for each in self.out.iterdir() if each.name != _LOCK}
        if others and (not path.exists() or json.loads(path.read_text())["key"] != key):
            raise ValueError(
                "`--out` must be a new folder, or that of the same job. Received: "
                f"`{self.out}`, which holds something else, or answers of another model or to "
                "other files; choose another."
            )
        with _files.replacing(path) as partial:
            partial.write_text(json.dumps({"key": key, "num_parts": len(self.parts)}))


class Worker:
    """Answers the parts of a job, one after the other, with one model.

    Args:
        job: A `Job`.
        loaded: Its model, where that is loaded already.
    """

    def __init__(self, job: Job, loaded: _models.Loaded | None = None) -> None:
        self.job = job
        if loaded is None:
            loaded = _models.load(job.model, job.data_dir, **job.changes)
            adapted = _data_options.adapted(loaded.preparation, job.told)
            loaded = loaded._replace(preparation=adapted)
        self.model, self.preparation = loaded.model, loaded.preparation
        numbers = int(np.prod(self.model.event_shape))
        self._batch = int(np.clip(2**20 // numbers, *_BATCH))

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Answers the part in a row, a dict as Ray Data has it, and returns its number."""
        part = Part.from_json(row["part"])
        with _files.replacing(self.job.path(part.number)) as partial:
            parquet.write_table(self.answer(part), partial)
        return {"number": part.number}

    def answer(self, part: Part) -> pa.Table:
        """Returns what the model finds in a part, a row an example, in the order of the files."""
        files, rows, array, errors = self._read(part)
        if not len(array):  # an empty part has the columns of the others
            array = np.zeros((1, *self.model.event_shape), "float32")
        outputs = self.model.predict(array, batch_size=self._batch, verbose=0)
        found = pa.table(_ANSWERS[self.job.verb](array, outputs)).slice(0, len(rows))
        names = pa.array(files, pa.string()).dictionary_encode()
        found = found.add_column(0, "row", [rows]).add_column(0, "file", names)
        left_out = json.dumps([" ".join(str(error).split()) for error in errors])
        return found.replace_schema_metadata({_LEFT_OUT: left_out})

    def _read(self, part: Part) -> tuple[Sequence[str], np.ndarray, np.ndarray, list[Exception]]:
        """Returns file, row and array of each example, and why files were left out."""
        path = part.files[0]
        if part.stop is not None:
            is_table = path.suffix.lower() == ".parquet"
            first, array = (_row_groups if is_table else _rows)(self._reader(path), part)
            rows = np.arange(first, first + len(array))
            return [str(path)] * len(array), rows, array, []
        items: list[tuple[int, Any]] = []
        errors: list[Exception] = []
        for file in part.files:
            try:
                items += list(enumerate(self._reader(file).read(file)))
            except (ValueError, OSError) as error:
                errors.append(error)
        rows = np.array([row for row, _ in items], "int64")
        array = np.array([item.array for _, item in items])
        return [str(item.file) for _, item in items], rows, array, errors

    def _reader(self, file: pathlib.Path) -> Reader:
        return Reader(self.model, self.preparation, [file])


def _rows(reader: Reader, part: Part) -> tuple[int, np.ndarray]:
    shards = array_files.opened_shards(part.files)
    return part.start, reader.of_array(part.files[0], shards.read(np.arange(part.start, part.stop)))


def _row_groups(reader: Reader, part: Part) -> tuple[int, np.ndarray]:
    path, groups = part.files[0], range(part.start, part.stop or 0)
    with parquet.ParquetFile(path) as file:
        first = sum(file.metadata.row_group(i).num_rows for i in range(part.start))
        return first, reader.of_table(path, file.read_row_groups(list(groups)), first)


def _clusters(images: np.ndarray, outputs: dict[str, np.ndarray]) -> dict[str, Any]:
    found = outputs["probabilities"]
    return {"label": found.argmax(axis=-1).astype("int32"), "probability": found.max(axis=-1)}


def _groups(images: np.ndarray, outputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """Returns the most probable group of every pixel, from 1 on; 0 where there is nothing."""
    pairs = zip(images, outputs["assignments"], strict=True)
    maps = np.stack([plots.label_map(image, found) for image, found in pairs])
    return {
        "log_likelihood": outputs["log_likelihood"],
        "confidence": outputs["confidence"],
        "groups": pa.FixedSizeListArray.from_arrays(maps.reshape(-1), maps[0].size),
    }


_ANSWERS = {"cluster": _clusters, "group": _groups}


def parts_of(files: Sequence[pathlib.Path], event_shape: Sequence[int]) -> tuple[Part, ...]:
    """Divides files into parts of about 64 MiB of examples, and of 100,000 at most."""
    size = int(np.clip(_NUMBERS // int(np.prod(event_shape)), _FEWEST, _MOST))
    pictures = [path for path in files if path.suffix.lower() not in _ROWS]
    starts = range(0, len(pictures), size)
    parts: list[tuple] = [(tuple(pictures[start : start + size]),) for start in starts]
    parts += [((path,), *span) for path in files for span in _spans(path, size)]
    return tuple(Part(number, *each) for number, each in enumerate(parts))


def _spans(path: pathlib.Path, size: int) -> Iterable[tuple[int, ...]]:
    """Yields the parts of one file of rows: spans of them, or nothing for all of it at once."""
    suffix = path.suffix.lower()
    if suffix == ".npy":
        count = len(array_files.opened_shards([path]))
        yield from ((start, min(start + size, count)) for start in range(0, count, size))
    elif suffix == ".parquet":
        yield from _spans_of_groups(path, size)
    elif suffix in _ROWS:
        yield ()


def _spans_of_groups(path: pathlib.Path, size: int) -> Iterator[tuple[int, int]]:
    """Yields spans of row groups, as many as have `size` rows."""
    with parquet.ParquetFile(path) as file:
        counts = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    start, rows = 0, 0
    for group, count in enumerate(counts, start=1):
        rows += count
        if rows >= size or group == len(counts):
            yield start, group
            start, rows = group, 0


def run_here(job: Job, loaded: _models.Loaded, watch: Callable[[Sequence], Iterable]) -> None:
    """Answers what is missing in this process, one part after the other."""
    worker = Worker(job, loaded)
    for part in watch(job.missing):
        worker({"part": part.to_json()})


def run_on_ray(job: Job, loaded: _models.Loaded, watch: Callable[[Sequence], Iterable]) -> None:
    """Answers what is missing on the Ray cluster of `$RAY_ADDRESS`, or on this machine's cores.

    Every core, or GPU where there are any, has a worker with a model of its own. A part whose
    worker is lost is answered again by another one.

    Raises:
        ImportError: If Ray is not installed.
    """
    ray = _ray()
    missing = job.missing
    if not missing:
        return
    rows = [{"part": part.to_json()} for part in missing]
    data = ray.data.from_items(rows, override_num_blocks=len(rows))
    resources = ray.cluster_resources()
    kind = "GPU" if resources.get("GPU") else "CPU"
    most = max(1, min(int(resources[kind]), len(rows)))
    answered = data.map(
        Worker,
        fn_constructor_args=(job._replace(parts=()),),
        concurrency=(1, most),
        **{f"num_{kind.lower()}s": 1},
    )
    for _ in zip(watch(missing), answered.iter_rows(), strict=True):
        pass


def _ray() -> Any:
    """Returns Ray, connected."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ImportError(
            "`--runner ray` needs Ray Data; install it with pip install 'tfbind[ray]'."
        ) from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    quiet = {
        "TF_NUM_INTRAOP_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    ray.init(
        ignore_reinit_error=True,
        runtime_env={"env_vars": quiet},
        log_to_driver=False,
        logging_level="ERROR",
    )
    return ray


RUNNERS = {"local": run_here, "ray": run_on_ray}


class Done(NamedTuple):
    """What a job has written: `parts`, of which `found` were there before, and `rows`.

    `left_out` are sentences on files that could not be read.
    """

    parts: int
    found: int
    rows: int
    left_out: list[str]


def run(
    job: Job, loaded: _models.Loaded, runner: str, watch: Callable[[Sequence], Iterable]
) -> Done:
    """Does what is missing of a job.

    Args:
        job: A `Job`.
        loaded: Its model.
        runner: "local" or "ray".
        watch: Called with the missing parts, and gone through beside them: a progress bar.
    """
    with job.claimed(loaded):
        found = len(job.parts) - len(job.missing)
        RUNNERS[runner](job, loaded, watch)
    rows, left_out = 0, []
    for part in job.parts:
        about = parquet.read_metadata(job.path(part.number))
        rows += about.num_rows
        left_out += json.loads(about.metadata[_LEFT_OUT])
    return Done(len(job.parts), found, rows, left_out)
