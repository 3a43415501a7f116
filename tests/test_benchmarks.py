"""Every benchmark runs at tiny sizes and returns rows that can be judged; times are not tested."""

import functools
import importlib
import json
import math
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfbind.models import adversarial_networks

ROOT = pathlib.Path(__file__).resolve().parents[1]
TINY = {
    "adversarial_mixture": {
        "changes": {"dropout": 0.0}, "batch_size": 2, "rounds": 1,
    },
    "labeling": {
        "sizes": (60, 120), "target": 200, "num_members": 3, "num_pot": 50, "num_large": 200,
        "num_clusters": 4, "rounds": 1,
    },
    "gemm_share": {"names": ("rc-shapes",), "side": 8, "rounds": 1},
    "metrics": {},
    "pseudo_label_ensemble": {
        "forms": {
            "paper": ("kingdra-mnist", 4, 12), "views": ("kingdra-mnist-invariant", 4, 12),
        },
        "num_members": 2, "rounds": 1,
    },
    "precision": {"epochs": {"rc": 1}},
    "reconstruction_clustering": {
        "num_images": 20, "hidden_units": 20, "epochs": 1, "rounds": 2, "numpy_rounds": 1,
    },
    "scaling": {
        "sizes": {"side": (4, 6, 8), "num_groups": (2, 3, 4), "batch": (2, 3, 4)},
        "hidden_units": 4, "num_iterations": 1, "rounds": 1,
    },
    "serving": {"clients": (1, 2), "rows": (1,), "seconds": 0.2, "rounds": 1, "hidden_units": 4},
    "streaming": {
        "num_images": 40, "hidden_units": 4, "epochs": 1, "rounds": 1, "num_large": 300,
    },
    "tagger": {
        "units": (12, 8), "batch_size": 4, "rounds": 1, "growth_rounds": 1, "num_calls": 2,
        "sizes": {"batch": (2, 3)},
    },
    "tracing": {"names": ("rc-shapes",), "rounds": 1},
    "training": {
        "num_images": 200, "hidden_units": 20, "epochs": 1, "rounds": 1, "num_draws": 2,
    },
    "workers": {"batch": 4, "units": (4, 3, 2), "steps": 1, "rounds": 1},
    "untapped_vae": {
        "changes": {"classifier_units": (4,), "encoder_units": (4,), "decoder_units": (4,)},
        "batch_size": 4, "variants_batch_size": 2, "rounds": 1,
    },
}  # fmt: skip
SLOW = ("labeling", "scaling", "serving", "training")  # to trace and compile
LONG = (
    *("adversarial_mixture", "precision", "pseudo_label_ensemble", "streaming"),
    *("tagger", "untapped_vae", "workers"),
)
CURVE = {
    "name": "curve", "unit": "slope", "value": 1.0, "goal": 1.0, "at_most": True, "noise": 0.1,
    "intercept": 0.0, "sizes": [1, 2, 4], "times": [1.0, 2.0, 4.0], "axis": "N", "fixed": "K 3",
}  # fmt: skip


@pytest.fixture
def _eager():
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def measure():
    return importlib.import_module("benchmarks._measure")


@pytest.fixture
def command():
    return importlib.import_module("benchmarks.__main__")


def test_every_benchmark_is_listed_and_tried():
    modules = {path.stem.removeprefix("bench_") for path in ROOT.glob("benchmarks/bench_*.py")}
    assert set(importlib.import_module("benchmarks").NAMES) == modules == set(TINY)


def _speed(name):
    return [pytest.mark.long] * (name in LONG) + [pytest.mark.slow] * (name in SLOW)


@pytest.mark.parametrize("name", [pytest.param(name, marks=_speed(name)) for name in TINY])
def test_benchmark_returns_rows(name, measure, monkeypatch, request):
    module = importlib.import_module(f"benchmarks.bench_{name}")
    if name == "metrics":
        monkeypatch.setattr(module, "CASES", {"tiny": (4, 6, 2, 2, 20.0)})
        monkeypatch.setattr(module, "NUM_ROUNDS", 1)
    if name == "tagger":
        monkeypatch.setattr(module, "_has_bfloat16", lambda: True)  # slow without, but it works
    if name == "untapped_vae":  # XLA takes most of a minute for six steps
        step = functools.partial(module._step, jit_compile=False)
        monkeypatch.setattr(module, "_step", step)
    if name == "adversarial_mixture":  # to trace four steps takes half a minute
        request.getfixturevalue("_eager")
        shallow = adversarial_networks._MNIST._replace(convolutions=((2, 14, 14), (3, 2, 1)))
        monkeypatch.setattr(adversarial_networks, "_MNIST", shallow)
    rows = [measure.judged(row) for row in module.run(**TINY[name])]
    assert len({row["name"] for row in rows}) == len(rows) > 0
    assert json.loads(json.dumps(rows)) == json.loads(json.dumps(rows, allow_nan=False))
    for row in rows:
        assert set(row) == {"name", "unit", "value", "goal", "met", "details"}
        assert math.isfinite(row["value"])
        assert (row["goal"] is None) == (row["met"] is None)


def test_products_of_a_graph_and_of_its_gradient_are_counted():
    products = importlib.import_module("benchmarks._products")
    images, kernel, matrix = tf.zeros([2, 8, 8, 3]), tf.zeros([3, 3, 3, 5]), tf.zeros([45, 7])

    @tf.function(autograph=False)
    def step(images, kernel, matrix):
        with tf.GradientTape() as tape:
            tape.watch([images, kernel, matrix])
            rows = tf.reshape(tf.nn.conv2d(images, kernel, 2, "VALID"), [2, 45])
            value = tf.reduce_sum((rows @ matrix) ** 2)
        return tape.gradient(value, [images, kernel, matrix])

    graph = step.get_concrete_function(images, kernel, matrix).graph
    convolution, product = (2 * 3 * 3 * 5) * (3 * 3 * 3), 2 * 45 * 7
    assert products.gigaflops(graph) == pytest.approx(2e-9 * 3 * (convolution + product))


def test_a_disagreement_is_an_error(monkeypatch):
    module = importlib.import_module("benchmarks.bench_reconstruction_clustering")
    right = module.numpy_loop
    monkeypatch.setattr(module, "numpy_loop", lambda *args: 1 - right(*args))
    with pytest.raises(RuntimeError, match="agree on"):
        module.run(**TINY["reconstruction_clustering"])


def test_other_masks_are_an_error():
    module = importlib.import_module("benchmarks.bench_tagger")
    answers = {
        "predict": lambda x: {"assignments": x},
        "near": lambda x: {"assignments": x + 5e-5},
        "far": lambda x: {"assignments": x + 2e-4},
    }
    images = np.zeros((2, 3))
    with pytest.raises(RuntimeError, match="masks of far differ from Keras' by 2.0e-04"):
        module._differences(answers, images)
    del answers["far"]
    assert module._differences(answers, images) == {"predict": 0.0, "near": pytest.approx(5e-5)}


@pytest.mark.parametrize(
    "value, goal, extra, met",
    [
        (8.0, 8.0, {}, True),
        (7.9, 8.0, {}, False),
        (1.5, 1.5, {"at_most": True}, True),
        (1.6, 1.5, {"at_most": True}, False),
        (1.6, 1.5, {"at_most": True, "noise": 0.2}, True),
        (1.6, None, {}, None),
    ],
)
def test_verdict(measure, value, goal, extra, met):
    row = measure.judged({"name": "row", "unit": "ratio", "value": value, "goal": goal, **extra})
    assert row["met"] is met and row["details"] == extra


def test_sides_take_turns_and_the_fastest_round_counts(measure, monkeypatch):
    calls = []
    durations = iter([(5.0, 2.0), (1.0, 1.0), (4.0, 3.0), (2.0, 1.5)])
    monkeypatch.setattr(measure, "_timed", lambda side: (side(), next(durations))[1])
    sides = {name: lambda name=name: calls.append(name) for name in "ab"}
    times = measure.interleaved(sides, rounds=2)
    assert "".join(calls) == "ab" + "aabb" * 2  # once more untimed in every turn
    assert times["a"] == (4.0, 4.5, 2.0) and times["b"] == (1.0, 1.5, 1.0)
    row = measure.compare("row", times, "a", "b", goal=8.0)
    assert (row["value"], row["a_seconds"], row["b_seconds"], row["goal"]) == (4.0, 4.0, 1.0, 8.0)
    assert (row["ratio_of_medians"], row["ratio_of_cpu_time"]) == (3.0, 2.0)


def test_report(measure, command, monkeypatch, tmp_path, capsys):
    ratio = {"name": "quick", "unit": "ratio", "value": 9.0, "goal": 8.0, "slow_seconds": 9.0}
    rows = {"metrics": [measure.judged(ratio)], "scaling": [measure.judged(CURVE)]}
    monkeypatch.setattr(command, "_run", rows.get)
    command.main(["--out", str(tmp_path / "new"), "--only", "metrics", "--only", "scaling"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["quick", "9", "ratio", ">=", "8", "yes", "slow", "9", "s"]
    assert lines[2].split() == ["curve", "1", "slope", "<=", "1", "yes"]
    report = json.loads((tmp_path / "new" / "results.json").read_text())
    assert report["rows"] == rows["metrics"] + rows["scaling"]
    assert "tensorflow" in report["versions"]
    assert (tmp_path / "new" / "scaling.png").read_bytes().startswith(b"\x89PNG")


def test_json_goes_where_it_is_told(measure, command, monkeypatch, tmp_path):
    row = measure.judged({"name": "row", "unit": "ratio", "value": 1.0, "goal": None})
    monkeypatch.setattr(command, "_run", lambda name: [row])
    command.main(["--out", str(tmp_path), "--json", str(tmp_path / "x.json"), "--only", "metrics"])
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_process_prints_rows_and_peak_memory_only():
    script = """
import sys, types
from benchmarks import _measure
def run():
    print("noise")
    b"x" * (64 * 2**20)
    return [{"name": "row", "unit": "ratio", "value": 1.0, "goal": None}]
sys.modules["benchmarks.bench_fake"] = types.SimpleNamespace(run=run)
_measure.main("fake")
"""
    # Through a shell: a process inherits the peak of the one that starts it, and this one is large.
    command = ["sh", "-c", '"$0" -c "$1"; exit $?', sys.executable, script]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    row, memory = json.loads(finished.stdout)
    assert row["value"] == 1.0 and b"noise" in finished.stderr
    assert memory["name"] == "fake_peak_memory" and 60 < memory["value"] < 100


def test_a_failing_benchmark_is_named(command):
    with pytest.raises(SystemExit, match="The benchmark 'missing' failed with exit code 1"):
        command._run("missing")
