"""Training on data that stays on the disk against the same data in memory, and what each needs."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from benchmarks import _measure
from tfbind import reading
from tfbind._stored import Shard, Shards, Stored
from tfbind.data import pipelines
from tfbind.reading import array_files
from tfbind.training import presets

_PEAK = """
import resource, sys
from tfbind import reading
from tfbind.data import pipelines
data = reading.read_data(sys.argv[1], reading.Wanted((28, 28, 1)))
dataset, steps = pipelines.shuffled_epochs(data.array[data.training], 100, seed=0)
for batch in dataset.take(steps):
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def run(num_images=9000, hidden_units=500, epochs=3, rounds=5, num_large=200_000):
    """Returns the rows: `fit` on prepared examples and on a .npy file, and the peaks of memory.

    The files are in the cache of the system, as they are from the second epoch on where there is
    room; a disk that is slower than the training is not measured here.
    """
    preset = presets.get("rc-shapes").changed(hidden_units=hidden_units)
    levels = (np.random.default_rng(0).random((num_images, 28, 28)) < 0.2).astype("uint8")
    images = levels[..., None].astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        sides = {
            "memory": images,
            "disk": _prepared(pathlib.Path(folder, "prepared"), images),
            "array_file": _array_file(pathlib.Path(folder, "images.npy"), 255 * levels),
        }
        fits = {name: _fit(preset, array, epochs) for name, array in sides.items()}
        times = _measure.interleaved(fits, rounds)
        peaks = _peaks(pathlib.Path(folder, "large.npy"), num_large)
    more = {"goal": 1.1, "at_most": True, "noise": 0.02}
    return [
        _measure.compare("streaming_disk_over_memory", times, "disk", "memory", **more),
        _measure.compare("streaming_array_file_over_memory", times, "array_file", "memory", **more),
        {
            "name": "streaming_peak_memory_over_in_memory",
            "unit": "ratio",
            "value": peaks["disk"] / peaks["memory"],
            "goal": None,
            "examples_megabytes": 4 * 784 * num_large / 2**20,
            **{f"{name}_peak_megabytes": peak for name, peak in peaks.items()},
        },
    ]


def _prepared(path, images):
    """Returns examples as pictures and Parquet files are kept."""
    path.write_bytes(images.data)
    return Stored(Shards([Shard(path, 0, len(images))], images.shape[1:], "float32"))


def _array_file(path, levels):
    """Returns examples of a .npy file of bytes, which are prepared when they are read."""
    np.save(path, levels)
    shards = array_files.opened_shards([path])
    preparation = reading.Arrays(shape=(28, 28, 1), scale=255.0)
    return Stored(shards, preparation.apply, preparation.event_shape)


def _fit(preset, images, epochs):
    """Returns a function that trains as `tfbind.training.run` does: one execution an epoch."""
    model = preset.build((28, 28, 1)).autoencoder
    model.compile(preset.optimizer.make(), jit_compile=True)
    dataset, steps = pipelines.shuffled_epochs(images, preset.batch_size, preset.seed)
    model.steps_per_execution = steps
    return lambda: model.fit(
        dataset, epochs=epochs, steps_per_epoch=steps, shuffle=False, verbose=0
    )


def _peaks(path, num_rows):
    """Returns the peak memory of processes that go through an epoch of a file, in either way."""
    np.save(path, np.zeros((num_rows, 28, 28), "uint8"))
    peaks = {}
    for name, limit in (("memory", 2**20), ("disk", 0)):
        _measure.progress(f"  an epoch, {name}")
        environment = {**os.environ, "TFBIND_MEMORY_LIMIT": str(limit)}
        command = [sys.executable, "-c", _PEAK, path]
        found = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True)
        peaks[name] = int(found.stdout)
    return peaks


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
