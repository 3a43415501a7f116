"""The server under load: requests a second and their times, beside calls without a server.

Clients are threads of a process of their own, which send prepared bytes and read the answer's
bytes: what a client does with numbers is its own affair. Direct calls are made by as many threads
of one process, through the same signature, to NumPy arrays and back.
"""

import concurrent.futures
import contextlib
import functools
import http.client
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from typing import NamedTuple

import grpc
import numpy as np
import orjson

import tfbind
from benchmarks._measure import progress
from tfbind import export, serving
from tfbind.serving import _codec, _wire

CLIENTS = (1, 8, 32)
ROWS = (1, 64)
_GOALS = {  # (interface, clients, rows): least share of the direct calls' throughput
    **{("grpc", clients, rows): 0.8 for clients in CLIENTS for rows in ROWS},
    **{("rest", clients, 1): 0.5 for clients in CLIENTS},
    **{("rest", clients, 64): 0.3 for clients in CLIENTS},
    ("grpc", 32, 1): 1.5,
}
_PREDICT = "/tensorflow.serving.PredictionService/Predict"
_MOST_P99 = 5.0  # times a lone request, at half load


class Load(NamedTuple):
    """What came of one load: sorted seconds of its requests, and requests a second."""

    seconds: list
    rate: float

    def at(self, share):
        """Returns the time that a share of the requests did not exceed."""
        return self.seconds[min(len(self.seconds) - 1, int(share * len(self.seconds)))]


def run(clients=CLIENTS, rows=ROWS, seconds=1.0, rounds=2, hidden_units=None):
    """Returns rows: each interface's share of the direct throughput, and p99 at half load.

    The model is `rc-shapes` of the box, or an autoencoder if `hidden_units` are given.
    """
    with tempfile.TemporaryDirectory() as directory:
        export.export_saved_model(_model(hidden_units), directory)
        with (
            _served(directory) as address,
            _Remote(*address) as remote,
            _Direct(directory) as direct,
        ):
            sides = {**remote.interfaces, "direct": direct}
            pairs = list(itertools.product(clients, rows))
            found = {pair: _loads(sides, *pair, seconds, rounds) for pair in pairs}
            paced = _at_half_load(sides, found, max(clients), seconds)
    return [
        _row(interface, *pair, loads)
        for pair, loads in found.items()
        for interface in ("grpc", "rest")
    ] + paced


def _model(hidden_units):
    if hidden_units is None:
        from tfbind import _models  # loads Keras, which the process of the clients can do without

        return _models.load("rc-shapes")[0]
    model = tfbind.DenoisingAutoencoder((4, 4, 1), hidden_units=hidden_units)
    model(np.zeros((1, 4, 4, 1), "float32"))
    return model


def _loads(sides, clients, rows, seconds, rounds):
    """Returns the loads with and without a server, the best of rounds that take turns."""
    progress(f"  {clients} clients, batches of {rows}")
    turns = [
        {kind: ask(clients, rows, seconds) for kind, ask in sides.items()} for _ in range(rounds)
    ]
    return {kind: max((turn[kind] for turn in turns), key=lambda load: load.rate) for kind in sides}


def _row(interface, clients, rows, loads):
    direct, served = loads["direct"], loads[interface]
    return {
        "name": f"serving_{interface}_{clients}_clients_{rows}_rows",
        "unit": "of direct calls",
        "value": served.rate / direct.rate,
        "goal": _GOALS.get((interface, clients, rows)),
        "direct_requests_per_second": direct.rate,
        "requests_per_second": served.rate,
        **_percentiles("direct_", direct),
        **_percentiles("", served),
    }


def _percentiles(prefix, load):
    return {
        f"{prefix}p50_milliseconds": 1e3 * load.at(0.5),
        f"{prefix}p99_milliseconds": 1e3 * load.at(0.99),
    }


def _at_half_load(sides, found, clients, seconds):
    """Returns rows of p99 where single rows come at half the highest rate, evenly."""
    rows = []
    for interface in ("grpc", "rest"):
        alone = found[min(found)][interface].at(0.5)
        rate = max(loads[interface].rate for (_, size), loads in found.items() if size == 1) / 2
        progress(f"  {interface} at half load, {rate:.0f} requests a second")
        load = sides[interface](clients, 1, seconds, rate)
        rows.append(
            {
                "name": f"serving_{interface}_p99_at_half_load",
                "unit": "times a lone request",
                "value": load.at(0.99) / alone,
                "goal": _MOST_P99,
                "at_most": True,
                "requests_per_second": load.rate,
                "alone_milliseconds": 1e3 * alone,
                **_percentiles("", load),
            }
        )
    return rows


class _Direct:
    """Calls without a server, in threads of this process."""

    def __init__(self, directory):
        self._runner = export.SavedModelRunner(directory)
        inputs = self._runner.signatures["serving_default"]["inputs"]
        ((self._name, info),) = inputs.items()
        self._shape = info["shape"][1:]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._runner.close()

    def __call__(self, clients, rows, seconds):
        inputs = {self._name: _images(rows, self._shape)}
        calls = [lambda: self._runner("serving_default", inputs)] * clients
        return _press(calls, seconds)


class _Remote:
    """Requests over both interfaces, from threads of a process of their own."""

    def __init__(self, *address):
        command = [sys.executable, "-m", "benchmarks.bench_serving", *address]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, **pipes)
        self.interfaces = {name: functools.partial(self._ask, name) for name in ("grpc", "rest")}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.communicate()

    def _ask(self, *load):
        print(json.dumps(load), file=self._process.stdin, flush=True)
        return Load(*json.loads(self._process.stdout.readline()))


@contextlib.contextmanager
def _served(directory):
    """Serves a folder as `tfbind serve` does; yields its addresses, and the input to send."""
    program = f"from tfbind import serving; serving.serve({directory!r}, 0, 0, 'model')"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline().split() for _ in range(5)]
        url, target = lines[2][1].removesuffix("/v1/models/model"), lines[3][1]
        with serving.RestClient(url, "model", 60.0) as client:
            ((name, info),) = client.metadata()["serving_default"].inputs.items()
        try:
            yield url, target, name, ",".join(map(str, info.shape[1:]))
        finally:
            process.terminate()


def _images(rows, shape):
    return np.random.default_rng(0).random((rows, *shape), "float32")


def _press(calls, seconds, rate=0.0):
    """Runs each call over and over in a thread of its own, as fast as it goes or at a `rate`.

    At a rate a request's time counts from when it was due: who waits for the one before it waits.
    """
    barrier = threading.Barrier(len(calls))

    def work(number):
        call = calls[number]
        call()
        barrier.wait()
        began, taken = time.perf_counter(), []
        for turn in itertools.count():
            due = began + (number + turn * len(calls)) / rate if rate else time.perf_counter()
            if due > began + seconds:
                return taken
            time.sleep(max(0.0, due - time.perf_counter()))
            call()
            taken.append(time.perf_counter() - due)
            if time.perf_counter() > began + seconds:
                return taken

    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as threads:
        taken = sorted(itertools.chain.from_iterable(threads.map(work, range(len(calls)))))
    return Load(taken, len(taken) / (time.perf_counter() - start))


def _clients(url, target, name, shape):
    """The process of the clients: for every load that it reads, prints what came of it."""
    for line in sys.stdin:
        interface, clients, rows, seconds, *rate = json.loads(line)
        images = _images(rows, [int(side) for side in shape.split(",")])
        make, address = {"rest": (_rest_calls, url), "grpc": (_grpc_calls, target)}[interface]
        with contextlib.ExitStack() as stack:
            calls = make(stack, address, name, images, clients)
            print(json.dumps(_press(calls, seconds, *rate)), flush=True)


def _rest_calls(stack, url, name, images, clients):
    option = orjson.OPT_SERIALIZE_NUMPY
    body = orjson.dumps({"inputs": {name: images}}, option=option)
    calls = []
    for _ in range(clients):
        connection = http.client.HTTPConnection(url.removeprefix("http://"))
        stack.callback(connection.close)

        def call(connection=connection):
            connection.request("POST", "/v1/models/model:predict", body)
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                raise RuntimeError(f"The server must answer. Received: HTTP {response.status}.")

        calls.append(call)
    return calls


def _grpc_calls(stack, target, name, images, clients):
    request = _wire.MESSAGES["PredictRequest"](model_spec={"name": "model"})
    _codec.encode_tensor(name, images, request.inputs[name])
    body = request.SerializeToString()
    channel = stack.enter_context(grpc.insecure_channel(target, options=_wire.UNLIMITED))
    predict = channel.unary_unary(_PREDICT)
    return [lambda: predict(body)] * clients


if __name__ == "__main__":
    _clients(*sys.argv[1:])
