"""What a server refuses, whom it waits for, and what it says of itself."""

import concurrent.futures
import gzip
import http.client
import json
import resource
import socket
import subprocess
import threading
import time

import numpy as np
import pytest
import tensorflow as tf

from tfbind import serving
from tfbind.export import _layout
from tfbind.serving import _http, _version

from .test_rest_api import ask

pytestmark = pytest.mark.serving

_PATH = "/v1/models/half_plus_three:predict"
_PREDICT = f"POST {_PATH}"
_ONE = {"inputs": [1.0]}


@pytest.fixture(scope="module")
def small(directory):
    """A server that lets its clients have little."""
    limits = serving.Limits(body=1000, rows=3, requests=2, deadline=1.0)
    with serving.ReferenceServer(directory, limits=limits) as server:
        yield server


@pytest.fixture
def held(monkeypatch):
    """An event without which the models do not answer."""
    event, run = threading.Event(), _version.Version.__call__

    def wait(self, *arguments):
        event.wait(30)
        return run(self, *arguments)

    monkeypatch.setattr(_version.Version, "__call__", wait)
    yield event
    event.set()


def connect(server):
    return http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=20)


def refusal(server, x, **options):
    with serving.GrpcClient(server.target, server.name) as client:
        with pytest.raises(serving.ServingError) as caught:
            client.predict({"x": x}, **options)
    return caught.value.__cause__.code().name, str(caught.value)


def test_limits_are_checked():
    for name in ("body", "rows", "requests"):
        with pytest.raises(ValueError, match=f"`{name}` must be an integer >= 1"):
            serving.Limits(**{name: 0})
    with pytest.raises(ValueError, match="`deadline` must be a number"):
        serving.Limits(deadline=0)
    with pytest.raises(ValueError, match="`drain` must be a number"):
        serving.Limits(drain=-1)


def test_a_body_over_the_limit_is_refused_unread(small):
    sentence = "The body must have at most 1000 bytes. Received: more; send it in parts."
    assert ask(small, _PREDICT, b" " * 1001) == (413, {"error": sentence})
    with socket.create_connection(small.url.removeprefix("http://").split(":")) as stated:
        stated.sendall(
            f"POST {_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {10**11}\r\n\r\n".encode()
        )
        assert stated.recv(1000).startswith(b"HTTP/1.1 413 ")
    code, message = refusal(small, np.zeros(1000, "float32"))
    assert code == "RESOURCE_EXHAUSTED"
    assert "larger than max" in message


@pytest.mark.parametrize("body", [b" " * 2000, gzip.compress(b" " * 10**6)])
def test_a_body_without_a_length_is_no_way_around_it(small, body):
    connection = connect(small)
    headers = {"Content-Encoding": "gzip"} if body[0] != 32 else {}
    connection.request("POST", _PATH, iter([body]), headers, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_gzip_and_chunks_are_read(small):
    packed = gzip.compress(json.dumps(_ONE).encode())
    assert ask(small, _PREDICT, packed, {"Content-Encoding": "gzip"}) == (200, {"outputs": [3.5]})
    connection = connect(small)
    connection.request("POST", _PATH, iter([b'{"inputs": ', b"[1.0]}"]), encode_chunked=True)
    assert json.loads(connection.getresponse().read()) == {"outputs": [3.5]}
    connection.close()
    for body, message in ((packed[:-9], "complete gzip"), (b"{}", "The body must be gzip.")):
        status, answer = ask(small, _PREDICT, body, {"Content-Encoding": "gzip"})
        assert status == 400 and message in answer["error"]
    status, answer = ask(small, _PREDICT, packed, {"Content-Encoding": "br"})
    assert (status, answer["error"]) == (
        415,
        "The Content-Encoding must be gzip or identity. Received: 'br'.",
    )


def test_rows_over_the_limit(small):
    sentence = "`x` must have at most 3 rows. Received: 4 rows; send them in parts."
    assert ask(small, _PREDICT, {"instances": [0.0] * 4}) == (400, {"error": sentence})
    assert refusal(small, np.zeros(4, "float32")) == ("INVALID_ARGUMENT", sentence)


def test_more_requests_than_may_run(small, held):
    sentence = "The server runs at most 2 requests at a time; come again."
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        running = [threads.submit(ask, small, _PREDICT, _ONE) for _ in range(2)]
        time.sleep(0.3)
        assert ask(small, _PREDICT, _ONE) == (503, {"error": sentence})
        code, message = refusal(small, np.zeros(1, "float32"))
        assert code == "UNAVAILABLE" and sentence in message
        assert ask(small, "GET /v1/models/half_plus_three")[0] == 200
        held.set()
        assert [each.result() for each in running] == [(200, {"outputs": [3.5]})] * 2


def test_the_deadline(small, held):
    status, answer = ask(small, _PREDICT, _ONE)
    assert status == 504
    assert answer["error"] == "The request must be answered within 1 seconds, and was not."
    held.set()
    time.sleep(0.2)
    assert ask(small, _PREDICT, _ONE)[0] == 200


def test_a_body_that_does_not_come(small):
    with socket.create_connection(small.url.removeprefix("http://").split(":")) as slow:
        slow.sendall(f"POST {_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{{".encode())
        assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_what_runs_is_finished_and_what_comes_is_refused(directory, held):
    server = serving.ReferenceServer(directory)
    kept = connect(server)
    kept.request("GET", "/readyz")
    assert kept.getresponse().read() == b'{"status":"ready"}'
    with concurrent.futures.ThreadPoolExecutor(3) as threads:
        with serving.GrpcClient(server.target, server.name) as client:
            running = threads.submit(ask, server, _PREDICT, _ONE)
            other = threads.submit(client.predict, {"x": np.float32([1])})
            time.sleep(0.5)
            closing = threads.submit(server.close)
            time.sleep(0.3)
            for method, path in (("POST", _PATH), ("GET", "/readyz")):
                kept.request(method, path, json.dumps(_ONE))
                response = kept.getresponse()
                sentence = json.loads(response.read())["error"]
                assert (response.status, response.headers["Retry-After"]) == (503, "1")
                assert sentence == "The server is shutting down; ask another."
            assert refusal(server, np.float32([1]))[0] == "UNAVAILABLE"
            assert ask(server, "GET /healthz") == (200, {"status": "alive"})
            held.set()
            assert running.result() == (200, {"outputs": [3.5]})
            assert other.result()["y"] == [3.5]
            closing.result()
    kept.close()
    server.close()  # once more does no harm


def test_waiting_for_what_runs_has_an_end(directory, held):
    server = serving.ReferenceServer(directory, limits=serving.Limits(drain=0.2))
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        running = threads.submit(refusal, server, np.float32([1]))
        time.sleep(0.3)
        began = time.monotonic()
        server.close()
        assert time.monotonic() - began < 10
        assert running.result()[0] in ("UNAVAILABLE", "CANCELLED")


def test_heads_that_do_not_come_and_heads_without_end(monkeypatch, directory):
    monkeypatch.setattr(_http, "_SECONDS_TO_ASK", 0.3)
    with serving.ReferenceServer(directory) as server:
        address = server.url.removeprefix("http://").split(":")
        for start in (b"", b"GET / HTTP/1.1\r\nHost:", b"GET /healthz HTTP/1.1\r\n\r\nGET"):
            with socket.create_connection(address, timeout=10) as half_open:
                half_open.sendall(start)
                answer = b"".join(iter(lambda: _received(half_open), b""))  # until it is closed
                assert answer.startswith(b"HTTP/1.1 200" if start.endswith(b"GET") else b"")
        with socket.create_connection(address, timeout=10) as endless:
            endless.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 2**17)
            assert endless.recv(1000).startswith(b"HTTP/1.1 400 Bad Request\r\ncontent-type: app")


def _received(connection):
    try:
        return connection.recv(1000)
    except ConnectionResetError:
        return b""


def test_half_open_connections_by_the_hundred(server):
    address = server.url.removeprefix("http://").split(":")
    sockets = [socket.create_connection(address) for _ in range(300)]
    for number, half_open in enumerate(sockets):
        if number % 2:
            half_open.sendall(f"POST {_PATH} HTTP/1.1\r\nContent-Length: 99\r\n\r\n{{".encode())
    assert ask(server, _PREDICT, _ONE) == (200, {"outputs": [3.5]})
    with serving.GrpcClient(server.target, server.name) as client:
        assert client.predict({"x": np.float32([1])})["y"] == [3.5]
    for half_open in sockets:
        half_open.close()


def test_a_lack_of_file_descriptors_passes(monkeypatch, directory):
    monkeypatch.setattr(_http, "_SECONDS_TO_ASK", 1.0)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving.ReferenceServer(directory) as server:
        address = server.url.removeprefix("http://").split(":")
        spare = [socket.socket() for _ in range(40)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(s.fileno() for s in spare) + 1, before[1]))
        try:
            for half_open in spare:
                half_open.connect(
                    tuple([address[0], int(address[1])])
                )  # the server can accept none
            time.sleep(0.5)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert ask(server, _PREDICT, _ONE) == (200, {"outputs": [3.5]})
        for half_open in spare:
            half_open.close()


def test_clients_that_go_leave_no_word(directory, held, capfd):
    with serving.ReferenceServer(directory) as server:
        connection = connect(server)
        connection.request("POST", _PATH, json.dumps(_ONE))
        time.sleep(0.2)
        connection.close()
        held.set()
        with socket.create_connection(server.url.removeprefix("http://").split(":")) as half:
            half.sendall(f"POST {_PATH} HTTP/1.1\r\nContent-Length: 99\r\n\r\n{{".encode())
        assert ask(server, _PREDICT, _ONE)[0] == 200
    output = capfd.readouterr()
    assert "Traceback" not in output.err and output.out == ""


def test_metrics_are_where_tf_serving_has_them(server):
    for body in (_ONE, {}):
        ask(server, _PREDICT, body)
    ask(server, "POST /v1/models/made-up:predict", _ONE)
    connection = connect(server)
    connection.request("GET", "/monitoring/prometheus/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    for status in ("OK", "INVALID_ARGUMENT"):
        labels = f'model_name="half_plus_three",status="{status}"'
        assert f":tensorflow:serving:request_count_total{{{labels}}}" in text
    labels = 'API="Predict",entrypoint="REST",model_name="half_plus_three"'
    assert f":tensorflow:serving:request_latency_count{{{labels}}}" in text
    assert "made-up" not in text


def test_the_request_log_has_a_line_of_json_for_each(directory, capfd):
    with serving.ReferenceServer(directory, request_log=True) as server:
        ask(server, _PREDICT, {"instances": [1.0, 2.0]})
        ask(server, _PREDICT, {})
        with serving.GrpcClient(server.target, server.name) as client:
            client.predict({"x": np.float32([1])})
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line[0] == "{"]
    assert [(line["api"], line["status"]) for line in lines] == [
        ("REST", "OK"),
        ("REST", "INVALID_ARGUMENT"),
        ("GRPC", "OK"),
    ]
    assert (
        lines[0].items()
        >= {
            "method": "Predict",
            "model": "half_plus_three",
            "version": 123,
            "signature": "serving_default",
            "rows": 2,
        }.items()
    )
    assert "must have one of 'instances'" in lines[1]["error"]
    assert all(line["ms"] > 0 and line["time"] > 1e9 for line in lines)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A certificate for this machine, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    files = ["-keyout", folder / "key.pem", "-out", folder / "certificate.pem"]
    try:
        subprocess.run([*command.split(), names, *files], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl")
    return folder / "certificate.pem", folder / "key.pem"


def test_tls_on_both_ports(directory, pair):
    certificate, key = pair
    with serving.ReferenceServer(directory, certificate=certificate, key=key) as server:
        assert server.url.startswith("https://")
        known = {"certificate": certificate}
        with serving.RestClient(server.url, server.name, **known) as client:
            assert client.predict({"x": np.float32([1])})["y"] == [3.5]
        with serving.GrpcClient(server.target, server.name, **known) as client:
            assert client.predict({"x": np.float32([1])})["y"] == [3.5]
        with serving.RestClient(server.url, server.name) as client:
            with pytest.raises(serving.ServingError, match="(?i)certificate verify failed"):
                client.status()


def test_a_certificate_needs_its_key(directory, pair):
    with pytest.raises(ValueError, match="`certificate` and `key` must be given together"):
        serving.ReferenceServer(directory, certificate=pair[0])
    with pytest.raises(ValueError, match="must be PEM files that belong together"):
        serving.ReferenceServer(directory, certificate=pair[1], key=pair[0])


def test_other_addresses_of_this_machine(directory):
    with serving.ReferenceServer(directory, host="0.0.0.0") as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert ask(server, "GET /readyz") == (200, {"status": "ready"})
    with pytest.raises(ValueError, match="`port` must be a free port of 203.0.113.1"):
        serving.ReferenceServer(directory, host="203.0.113.1")


def test_sentences_stay_short_whatever_they_quote(server):
    for request, body in (
        (f"POST /v1/models/{'x' * 5000}:predict", _ONE),
        (_PREDICT, {"inputs": {"x" * 5000: [1.0]}}),
        (_PREDICT, {"signature_name": "x" * 5000, "inputs": [1.0]}),
    ):
        status, answer = ask(server, request, body)
        assert status in (400, 404)
        assert len(answer["error"]) == 1000 and answer["error"].endswith("x...")
    with serving.GrpcClient(server.target, "x" * 5000) as client:
        with pytest.raises(serving.ServingError, match="The model must be .*xxx[.]{3}$"):
            client.status()


@pytest.mark.parametrize("carded", [True, False])
def test_strangers_in_one_batch(tmp_path, carded):
    """A request on which the model fails is refused alone, whoever shares its batch."""

    @tf.function(input_signature=[tf.TensorSpec((None,), "float32", name="x")])
    def small(x):
        with tf.control_dependencies([tf.debugging.assert_less(x, 10.0)]):
            return {"rows": tf.fill(tf.shape(x), tf.size(x)), "y": 2.0 * x}

    tf.saved_model.save(tf.Module(), str(tmp_path / "m" / "1"), {"serving_default": small})
    if carded:  # without our card nothing is known of the rows, and each request runs alone
        card = _layout.card_path(tmp_path / "m" / "1")
        card.parent.mkdir(exist_ok=True)
        card.touch()
    with serving.ReferenceServer(tmp_path / "m") as server:

        def double(x):
            return ask(server, "POST /v1/models/m:predict", {"inputs": [x]})

        with concurrent.futures.ThreadPoolExecutor(16) as threads:
            answers = list(threads.map(double, [1.0, 2.0, 3.0, 70.0] * 40))
    for number, (status, answer) in enumerate(answers):
        assert status == (400 if number % 4 == 3 else 200)
        assert number % 4 == 3 or answer["outputs"]["y"] == [2.0 * (number % 4 + 1)]
    most = max(answer["outputs"]["rows"][0] for status, answer in answers if status == 200)
    assert most > 1 if carded else most == 1


def test_grpc_says_when_the_clients_own_time_is_up(server, held):
    with serving.GrpcClient(server.target, server.name, timeout=0.2) as client:
        with pytest.raises(serving.ServingError, match="did not answer within 0.2 seconds"):
            client.predict({"x": np.float32([1])})
    held.set()
