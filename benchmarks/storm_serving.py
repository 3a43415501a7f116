"""Ten thousand requests to a small server, a tenth of them bad, and a new version half-way.

`python -m benchmarks.storm_serving` prints what came of it as JSON, and fails unless every good
request got its answer and every bad one a sentence. The server may open few files, and hundreds of
half-open connections come on top.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import functools
import http.client
import itertools
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

import grpc
import keras
import numpy as np

import tfbind
from benchmarks._measure import progress
from tfbind import export, serving
from tfbind.serving import _codec, _wire

LIMITS = serving.Limits(body=8 * 2**20, deadline=60.0)
_FILES = 200  # that the server may have open
_HALF_OPEN = 300
_CLIENTS = 16
_SHAPE = (28, 28, 1)
_LARGE = 100 * 2**20
_EVERY = 10  # the one request that is bad
_TOLERANCE = 1e-5  # sums of another batch size are rounded another way
_PREDICT = "/tensorflow.serving.PredictionService/Predict"
_SERVER = """
import resource, sys
from tfbind import serving
resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))
with serving.ReferenceServer({directory!r}, limits=serving.{limits!r}, poll=0.2) as server:
    print(server.url, server.target, flush=True)
    sys.stdin.read()
"""


def run(requests=10_000, hidden_units=64):
    """Returns what came of a storm, a dict; raises RuntimeError where the server was at fault."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        images = np.random.default_rng(0).random((32, *_SHAPE), "float32")
        truth = [_exported(folder / str(seed), hidden_units, images, seed) for seed in (1, 2)]
        (folder / "model").mkdir()
        (folder / "1" / "1").rename(folder / "model" / "1")
        with _served(folder / "model") as (process, url, target):
            storm = _Storm(url, target, images, truth)
            return storm.blow(requests, process, folder)


def _exported(path, hidden_units, images, seed):
    """Exports a model; returns its answers."""
    keras.utils.set_random_seed(seed)
    model = tfbind.DenoisingAutoencoder(_SHAPE, hidden_units=hidden_units)
    model(images)
    export.export_saved_model(model, path)
    runner = export.SavedModelRunner(path)
    answer = runner("serving_default", {"image": images})["reconstruction"]
    runner.close()
    return answer


@contextlib.contextmanager
def _served(directory):
    program = _SERVER.format(directory=str(directory), limits=LIMITS, files=_FILES)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", program], **pipes) as process:
        yield process, *process.stdout.readline().split()
        process.stdin.close()


class _Memory(threading.Thread):
    """Watches the resident memory of a process, in MB."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self._status = pathlib.Path(f"/proc/{pid}/status")
        self.seen = [self.now()]
        self.start()

    def now(self):
        lines = self._status.read_text().splitlines()
        line = next(line for line in lines if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def run(self):
        with contextlib.suppress(OSError, StopIteration):  # until the process is gone
            while True:
                self.seen.append(self.now())
                time.sleep(0.05)


class _Storm:
    def __init__(self, url, target, images, truth):
        self._url, self._target = url.removeprefix("http://"), target
        self._images, self._truth = images, truth
        self._rest = serving.RestClient(url, "model", timeout=90.0)
        self._grpc = serving.GrpcClient(target, "model", timeout=90.0)
        self._channel = grpc.insecure_channel(target, options=_wire.UNLIMITED)
        self._bad = [*self._bad_rest(), *self._bad_grpc()]
        self.counts = collections.Counter()
        self.faults = []

    def blow(self, requests, process, folder):
        for number in range(200):  # threads, batches and caches that stay
            self._good(number)
        self.counts.clear()
        memory = _Memory(process.pid)
        idle, began = memory.now(), time.monotonic()
        marks = []
        with concurrent.futures.ThreadPoolExecutor(_CLIENTS) as threads, _half_open(self._url):
            for part in range(4):
                progress(f"  {part * requests // 4} of {requests} requests")
                numbers = range(part * requests // 4, (part + 1) * requests // 4)
                if part == 2:
                    (folder / "2" / "1").rename(folder / "model" / "2")
                collections.deque(threads.map(self._one, numbers), 0)
                marks.append(memory.now())
        seconds = time.monotonic() - began
        self._check_swapped()
        return self._verdict(seconds, idle, marks, memory.seen)

    def _check_swapped(self):
        deadline = time.monotonic() + 60
        while self._grpc.status() != {2: "AVAILABLE"}:
            if time.monotonic() > deadline:
                self.faults.append(f"versions {self._grpc.status()}")
                return
            time.sleep(0.2)
        answer = self._rest.predict({"image": self._images})["reconstruction"]
        self.counts["after_swap"] += int(np.allclose(answer, self._truth[1], atol=_TOLERANCE))

    def _verdict(self, seconds, idle, marks, seen):
        most = 1.5 * idle + LIMITS.body / 2**20
        if max(seen) > most:
            self.faults.append(f"{max(seen):.0f} MB at the peak, of at most {most:.0f}")
        if self.faults:
            raise RuntimeError(
                f"The server must answer right. Received: {len(self.faults)} faults, "
                f"{'; '.join(self.faults[:5])}."
            )
        return {
            "seconds": round(seconds, 1),
            "idle_megabytes": round(idle),
            "peak_megabytes": round(max(seen)),
            "most_megabytes": round(most),
            "megabytes_after_each_quarter": [round(mark) for mark in marks],
            **dict(sorted(self.counts.items())),
        }

    def _one(self, number):
        turn, bad = divmod(number, _EVERY)
        try:
            if bad:
                self._good(number)
            else:
                name, ask = self._bad[turn % len(self._bad)]
                self._judge(name, *ask())
        except Exception as error:  # whatever it was, it is the server's fault here
            self.faults.append(f"request {number}: {error!r}")

    def _good(self, number):
        rows = slice(number % 24, number % 24 + 1 + number % 8)
        kind, client = (("rest", self._rest), ("grpc", self._grpc))[number % 2]
        answer = client.predict({"image": self._images[rows]})["reconstruction"]
        right = [np.allclose(answer, truth[rows], atol=_TOLERANCE) for truth in self._truth]
        if not any(right):
            raise RuntimeError("a wrong answer")
        self.counts[f"good_{kind}_of_version_{1 + right.index(True)}"] += 1

    def _judge(self, name, code, sentence):
        refused = code in ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED") or code in range(400, 500)
        if not refused or not sentence or "\n" in sentence:
            self.faults.append(f"{name}: {code} {sentence!r}")
        self.counts[f"bad_{name}"] += 1

    def _bad_rest(self):
        row = self._images[0].tolist()
        texts = {
            "shape": json.dumps({"inputs": [row[:9]]}),
            "dtype": json.dumps({"inputs": ["text"]}),
            "key": json.dumps({"inputs": {"picture": [row]}}),
            "truncated": json.dumps({"inputs": [row]})[:-9],
            "nan": json.dumps({"inputs": [np.full(_SHAPE, np.nan).tolist()]}),
            "no_json": "\x00",
        }
        for name, text in texts.items():
            yield f"rest_{name}", functools.partial(self._post, text.encode())
        yield "rest_large", lambda: self._post(itertools.repeat(bytes(2**20), 100), _LARGE)

    def _post(self, body, length=None):
        connection = http.client.HTTPConnection(self._url, timeout=90)
        headers = {} if length is None else {"Content-Length": str(length)}
        with contextlib.closing(connection):
            with contextlib.suppress(BrokenPipeError):  # refused while it was sent
                connection.request("POST", "/v1/models/model:predict", body, headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        return _marked(response.status, answer)

    def _bad_grpc(self):
        image = self._images[:1]
        requests = {
            "shape": _request(image=image[:, :9]),
            "dtype": _request(image=image.astype("float64")),
            "key": _request(picture=image),
            "huge": _request(image=np.zeros((1, 1, 1, 1), "float32"), sizes=(2**31,)),
        }
        messages = {name: request.SerializeToString() for name, request in requests.items()}
        messages |= {"no_message": b"\xff" * 99, "large": b"\x0a" + bytes(_LARGE)}
        for name, message in messages.items():
            yield f"grpc_{name}", functools.partial(self._call, message)

    def _call(self, message):
        try:
            self._channel.unary_unary(_PREDICT)(message, timeout=90, wait_for_ready=True)
        except grpc.RpcError as error:
            return error.code().name, error.details()
        return "OK", ""


def _marked(status, answer):
    """Takes an answer that says itself that its only row is bad for a refusal."""
    outputs = answer.get("outputs", {})
    if status == 200 and (outputs.get("valid") == [0] or np.isnan(outputs["code"]).all()):
        return 400, "marked as bad in the answer"
    return status, answer.get("error", "")


def _request(sizes=(), **inputs):
    request = _wire.MESSAGES["PredictRequest"](model_spec={"name": "model"})
    for name, array in inputs.items():
        _codec.encode_tensor(name, array, request.inputs[name])
        for size in sizes:
            request.inputs[name].tensor_content = b""
            request.inputs[name].tensor_shape.dim[0].size = size
    return request


@contextlib.contextmanager
def _half_open(url):
    """Holds connections open that ask for nothing, or for half of something."""
    host, port = url.split(":")
    with contextlib.ExitStack() as stack:
        for number in range(_HALF_OPEN):
            connection = stack.enter_context(socket.create_connection((host, int(port))))
            if number % 3 == 1:
                connection.sendall(b"POST /v1/models/model:pre")
            if number % 3 == 2:
                head = b"POST /v1/models/model:predict HTTP/1.1\r\nContent-Length: 99\r\n\r\n{"
                connection.sendall(head)
        yield


def main():
    """Prints what came of a storm as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.storm_serving", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    print(json.dumps(run(parser.parse_args().requests), indent=2))


if __name__ == "__main__":
    main()
