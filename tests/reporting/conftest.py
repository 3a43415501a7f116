"""Runs that were never trained, which is all that a page about them needs."""

import numpy as np
import PIL.Image
import pytest

from tfbind import data, reading, training
from tfbind.training.source import Source

COLUMN = "<script>alert(1)</script>"


def finished(folder, preset, own=None, **notes):
    """Makes a run of a preset that has its first weights still; returns it."""
    run = training.Run(folder)
    given = Source(preset.task, None, None, own).described()
    shape = data.image_shape(preset.task.dataset) if own is None else own.array.shape[1:]
    history = [
        {"epoch": i, "loss": 4.0 - i, "val_loss": None if i == 2 else 5.0 + i, "seconds": 1.0}
        for i in (1, 2, 3)
    ]
    notes = {"epochs": 3, "loss": 1.0, "diagnosis": [], **notes}
    with run.claimed(preset, given):
        run.finish(preset.build(shape), history, notes)
    return run


@pytest.fixture
def table(tmp_path):
    """A table of numbers and kinds, with columns whose names are no friend of HTML."""
    random = np.random.default_rng(3)
    lines = [
        f"{1000 * x:.6g},{y:.6g},{'a<b' if x > 0 else 'b&c'}"
        for x, y in random.normal(3, 2, (60, 2))
    ]
    path = tmp_path / "my rows.csv"
    path.write_text("\n".join([f'{COLUMN},"x & ""y""",kind', *lines]))
    return path


@pytest.fixture
def rows_run(table, tmp_path):
    look = reading.open_data(table).look()
    preset = training.choose(look).preset.changed(num_clusters=3)
    return finished(tmp_path / "a run", preset, training.own_data(preset, table))


@pytest.fixture
def pictures_run(tmp_path):
    """A run of clusters on own pictures, two classes, one in a folder with a space."""
    random = np.random.default_rng(4)
    for kind in ("reds & co", "blues"):
        (tmp_path / "own" / kind).mkdir(parents=True)
        for i in range(15):
            pixels = random.integers(0, 256, (20, 30, 3), "uint8")
            pixels[..., 0 if kind == "blues" else 2] = 0
            PIL.Image.fromarray(pixels).save(tmp_path / "own" / kind / f"{kind[0]}{i}.png")
    preset = training.presets.get("sela-tiny").changed(num_clusters=3)
    own = training.own_data(preset, tmp_path / "own", reading.Options(color=True))
    return finished(tmp_path / "run of pictures", preset, own)


@pytest.fixture
def groups_run(tmp_path, data_dir):
    data.load("simple_superposition", "test", data_dir)
    return finished(tmp_path / "groups", training.presets.get("rc-tiny"))


@pytest.fixture
def classes_run(tmp_path, data_dir):
    data.load("digits", "test", data_dir, keys=("image", "label"))
    return finished(tmp_path / "classes", training.presets.get("untapped-tiny"))
