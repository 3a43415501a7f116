"""How much faster two workers, each with a thread of its own, train than one with one thread.

    python -m benchmarks.bench_workers '{"batch": 512, ...}'

is one of them; `run` starts three: one alone, and two together.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

_ROOT = pathlib.Path(__file__).resolve().parents[1]


def run(batch=2048, units=(784, 1000, 500, 250, 10), steps=20, rounds=3):
    """Returns the scaling efficiency of a ladder's step, from one worker to two.

    The batch of all workers is the same, so that 1 is half the time; the sides take turns, and the
    shortest of a side's rounds counts. `load_average` says what else the machine did.
    """
    settings = {"batch": batch, "units": units, "steps": steps}
    sides = [(_alone(settings), _together(settings)) for _ in range(rounds)]
    alone, together = map(min, zip(*sides, strict=True))
    return [
        {
            "name": "efficiency_of_two_workers",
            "unit": "of two",
            "value": alone / (2 * together),
            "goal": None,
            "batch": batch,
            "rounds": rounds,
            "load_average": os.getloadavg()[0],
            "one_worker_seconds": alone,
            "two_workers_seconds": together,
        }
    ]


def _alone(settings):
    return _seconds(_start(settings))


def _together(settings):
    cluster = {"worker": free_addresses(2)}
    tasks = [{"cluster": cluster, "task": {"type": "worker", "index": i}} for i in range(2)]
    workers = [_start(settings, TF_CONFIG=json.dumps(task)) for task in tasks]
    return max(map(_seconds, workers))


def free_addresses(number):
    """Returns addresses on this machine that nobody listens at."""
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def _start(settings, **environment):
    threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    environment = {**os.environ, **threads, **environment}
    command = [sys.executable, "-m", "benchmarks.bench_workers", json.dumps(settings)]
    return subprocess.Popen(command, cwd=_ROOT, env=environment, stdout=subprocess.PIPE)


def _seconds(process):
    """Returns the seconds of a step that a worker tells."""
    told, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"A worker ended with exit status {process.returncode}; see above.")
    return float(told)


def main(settings):
    """Trains as the worker of `TF_CONFIG`, or alone, and prints the seconds of a step."""
    import keras
    import numpy as np
    import tensorflow as tf

    import tfbind

    together = "TF_CONFIG" in os.environ
    strategy = (
        tf.distribute.MultiWorkerMirroredStrategy() if together else tf.distribute.get_strategy()
    )
    first, *hidden, classes = settings["units"]
    with strategy.scope():
        weights = [1.0] * len(settings["units"])
        model = tfbind.LadderNetwork(
            (first,), classes, hidden_units=hidden, denoising_weights=weights, seed=1
        )
        model.compile(keras.optimizers.Adam(0.002), jit_compile=False)
    model.needs_calibration = False
    random = np.random.default_rng(0)
    images = random.random((settings["batch"], first), "float32")
    data = {"image": images, "label": np.arange(len(images)) % classes, "unlabeled_image": images}
    dataset = tf.data.Dataset.from_tensors(data).repeat()
    fit = {"steps_per_epoch": settings["steps"], "verbose": 0, "shuffle": False}
    model.fit(dataset, **{**fit, "steps_per_epoch": 2})
    start = time.monotonic()
    model.fit(dataset, **fit)
    print((time.monotonic() - start) / settings["steps"])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
