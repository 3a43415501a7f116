"""Data on the disk trains the weights that the same data in memory does, in flat memory."""

import os
import subprocess
import sys

import keras
import numpy as np
import PIL.Image
import pyarrow as pa
import pytest
from pyarrow import parquet

from tfbind import reading, training
from tfbind._stored import Stored
from tfbind.training import presets

RANDOM = np.random.default_rng(0)
NUM = 70


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFBIND_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def all_on_disk(monkeypatch):
    """Afterwards nothing is small enough to be in memory."""
    return lambda: monkeypatch.setenv("TFBIND_MEMORY_LIMIT", "0")


def pictures(folder):
    for i in range(NUM):
        parent = folder / "ab"[i % 2]
        parent.mkdir(parents=True, exist_ok=True)
        pixels = 255 * (RANDOM.random((8, 8)) < 0.3).astype("uint8")
        PIL.Image.fromarray(pixels).save(parent / f"p{i}.png")
    (folder / "a" / "damaged.png").write_text("nothing")


def arrays(folder):
    folder.mkdir()
    for i, rows in enumerate(np.split(RANDOM.integers(0, 256, (NUM, 8, 8), "uint8"), [30, 31])):
        np.save(folder / f"shard-{i}.npy", rows)


def vectors(folder):
    folder.mkdir()
    for i, rows in enumerate(np.split(RANDOM.normal(3, 2, (NUM, 6)), [30, 31])):
        np.save(folder / f"shard-{i}.npy", rows)


def tables(folder):
    folder.mkdir()
    kinds = RANDOM.choice(["long", "short"], NUM)
    columns = {"x": RANDOM.normal(0, 5, NUM), "y": RANDOM.integers(0, 9, NUM), "kind": kinds}
    columns |= {"class": RANDOM.choice(["u", "v", "w"], NUM)}
    for i, start in enumerate((0, 40)):
        part = {name: x[start : start + 40] for name, x in columns.items()}
        parquet.write_table(pa.table(part), folder / f"part-{i}.parquet", row_group_size=15)


CASES = {
    "pictures": ("rc-tiny", pictures, reading.Options()),
    "arrays": ("sela-tiny", arrays, reading.Options()),
    "vectors": ("amm-tiny", vectors, reading.Options()),
    "tables": ("kingdra-tiny", tables, reading.Options(labels="class")),
}


def preset_of(name):
    preset = presets.get(name).changed(max_epochs=3, batch_size=16)
    return preset.changed(patience=None) if preset.patience else preset


@pytest.mark.parametrize("case", CASES)
def test_the_same_examples_as_in_memory(case, tmp_path, all_on_disk):
    name, write, options = CASES[case]
    write(tmp_path / "data")
    in_memory = training.own_data(preset_of(name), tmp_path / "data", options)
    all_on_disk()
    for on_disk in (  # the second time nothing is prepared
        training.own_data(preset_of(name), tmp_path / "data", options),
        training.own_data(preset_of(name), tmp_path / "data", options),
    ):
        assert isinstance(on_disk.array, Stored) and not isinstance(in_memory.array, Stored)
        np.testing.assert_array_equal(np.asarray(on_disk.array), in_memory.array)
        np.testing.assert_array_equal(on_disk.labels, in_memory.labels)
        assert on_disk.described() == in_memory.described()
        assert list(on_disk.names) == list(in_memory.names)
        assert list(on_disk.origins) == list(in_memory.origins)
        assert "stay on the disk" in on_disk.notes[0] and on_disk.notes[1:] == in_memory.notes


class Killed(BaseException):
    """Stands in for a signal: nothing in the library may catch it."""


class Kill(keras.callbacks.Callback):
    """Ends a training before its third epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise Killed


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # of so few examples
@pytest.mark.parametrize(
    "case", ["pictures", *(pytest.param(x, marks=pytest.mark.long) for x in [*CASES][1:])]
)
def test_killed_and_gone_on_with_it_ends_at_the_weights_of_memory(
    case, tmp_path, all_on_disk, monkeypatch
):
    name, write, options = CASES[case]
    write(tmp_path / "data")
    preset = preset_of(name)
    settings = {"verbose": 0, "checkpoint_interval": 0.0}
    data = training.own_data(preset, tmp_path / "data", options)
    in_memory = training.train(preset, tmp_path / "memory", data=data, **settings)
    all_on_disk()
    data = training.own_data(preset, tmp_path / "data", options)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(type(preset.task), "callbacks", lambda *arguments: (Kill(),))
        training.train(preset, tmp_path / "disk", data=data, **settings)
    on_disk = training.train(preset, tmp_path / "disk", data=data, **settings)
    for one, other in zip(in_memory.weights, on_disk.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)
    if data.labels is not None and "label" in preset.task.KEYS:
        scores = [training.evaluate(tmp_path / where) for where in ("memory", "disk")]
        assert scores[0] == scores[1]


PEAK = """
import resource, sys
from tfbind import reading
from tfbind.data import pipelines
data = reading.read_data(sys.argv[1], reading.Wanted((64, 64, 1)))
dataset, steps = pipelines.shuffled_epochs(data.array[data.training], 256, seed=0)
for batch in dataset.take(steps):
    pass
print(type(data.array).__name__, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def peak_megabytes(path, num_rows):
    """Returns the peak memory of a process that goes through so many images of 64 x 64 bytes."""
    with path.open("wb") as file:
        head = {"descr": "|u1", "fortran_order": False, "shape": (num_rows, 64, 64)}
        np.lib.format.write_array_header_1_0(file, head)
        file.truncate(file.tell() + num_rows * 64 * 64)
    environment = {**os.environ, "TFBIND_MEMORY_LIMIT": "16"}
    command = [sys.executable, "-c", PEAK, path]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    kind, peak = done.stdout.split()
    assert kind == "Stored"
    return int(peak)


@pytest.mark.slow
def test_memory_is_flat(tmp_path):
    few, many = (peak_megabytes(tmp_path / f"{n}.npy", n) for n in (4_000, 40_000))
    assert many < few + 100  # of 655 MB in float32, of which there were two or three copies
