"""Both clients: the same answers as a session, and one sentence when there is none."""

import concurrent.futures
import http.server
import json
import socket
import threading

import numpy as np
import pytest
import urllib3

from tfbind import serving

pytestmark = pytest.mark.serving

_RNG = np.random.default_rng(0)


def check_parity(client, direct, signature, inputs):
    expected = direct(signature, inputs)
    outputs = client.predict(inputs, signature)
    assert outputs.keys() == expected.keys()
    for name, array in outputs.items():
        assert array.dtype == np.asarray(expected[name]).dtype
        np.testing.assert_array_equal(array, expected[name])


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_parity_of_several_inputs_and_outputs(client, direct, batch):
    inputs = {
        "tag": np.array([f"tag {i} \u2713".encode() for i in range(batch)], object),
        "signal": _RNG.integers(-9, 9, (batch, 5), "int32"),
        "sensor": _RNG.normal(size=(batch, 2, 2)).astype("float32"),
    }
    check_parity(client, direct, "sensors", inputs)


def test_parity_of_a_single_output(client, direct):
    check_parity(client, direct, "serving_default", {"x": np.float32([1, -0.1, 1e-30, 3e38])})


def test_parity_of_values_that_are_not_finite(client, direct):
    check_parity(client, direct, "serving_default", {"x": np.float32([np.nan, np.inf, -np.inf])})


def test_parity_of_a_scalar_output(client, direct):
    check_parity(client, direct, "summary", {"x": np.float32([1, 2])})


def test_parity_of_every_dtype_at_its_limits(client, direct):
    inputs = {
        "float32": np.float32([[0.1, np.finfo("float32").tiny]]),
        "float64": np.array([[0.1, np.finfo("float64").max]]),
        "bool": np.array([[True, False]]),
        "string": np.array([[b"plain", b"\xff\x00"]], object),
    }
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        limits = np.iinfo(name)
        inputs[name] = np.array([[limits.min, limits.max]], name)
    check_parity(client, direct, "same", inputs)


def test_parity_of_float16_over_grpc(server, direct):
    with serving.GrpcClient(server.target, server.name) as client:
        check_parity(client, direct, "half", {"float16": np.float16([0.1, 65504, np.inf])})


def test_metadata_and_status(client):
    signature = client.metadata()["sensors"]
    assert signature.inputs == {
        "sensor": serving.TensorInfo("float32", (None, 2, 2)),
        "signal": serving.TensorInfo("int32", (None, 5)),
        "tag": serving.TensorInfo("string", (None,)),
    }
    assert signature.outputs["total"] == serving.TensorInfo("float32", (None,))
    assert client.metadata()["summary"].outputs["mean"].shape == ()
    assert "__saved_model_init_op" not in client.metadata()
    assert client.status() == {123: "AVAILABLE"}


def test_versions(two_versions):
    x = {"x": np.float32([1])}
    for version, expected in ((None, 4.5), (10, 4.5), (2, 3.5)):
        rest = serving.RestClient(two_versions.url, "toy", version=version)
        with serving.GrpcClient(two_versions.target, "toy", version=version) as grpc_client:
            assert rest.predict(x)["y"] == grpc_client.predict(x)["y"] == [expected]
            versions = {2, 10} if version is None else {version}
            assert rest.status().keys() == grpc_client.status().keys() == versions


def test_eight_threads_get_their_own_answers(server):
    rest = serving.RestClient(server.url, server.name)
    with serving.GrpcClient(server.target, server.name) as grpc_client:

        def ask(number):
            client = rest if number % 2 else grpc_client
            x = np.float32(number) + np.arange(100, dtype="float32")
            return np.array_equal(client.predict({"x": x})["y"], x / 2 + 3)

        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            assert all(threads.map(ask, range(80)))


@pytest.mark.parametrize(
    ("signature", "inputs", "message"),
    [
        ("serving_default", {"x": np.float32([[1]])}, r"`x` must have shape \(n,\). Received"),
        ("serving_default", {"y": np.float32([1])}, "missing 'x', unknown 'y'"),
        ("serving_default", {"x": np.array(["a"])}, "`x` must .* float32. Received"),
        ("gather", {"x": np.float32([1]), "index": np.float32([0.5])}, "`index` must .* int32"),
        ("double", {"x": np.float32([1])}, "must be one of .*. Received: signature.*='double'"),
    ],
)
def test_the_servers_sentence_reaches_the_caller(client, signature, inputs, message):
    with pytest.raises(ValueError, match=message):
        client.predict(inputs, signature)


def test_inputs_that_cannot_be_sent(client):
    with pytest.raises(TypeError, match="`inputs` must be a dict .* Received: ndarray"):
        client.predict(np.zeros(3))
    with pytest.raises(ValueError, match="`x` must be a rectangular array"):
        client.predict({"x": [[1.0], [1.0, 2.0]]})
    for value, received in (([b"a", None], "an item of type NoneType"), ([1j], "dtype complex128")):
        with pytest.raises(ValueError, match=f"`x` must hold real numbers.* {received}"):
            client.predict({"x": value})


def test_grpc_refuses_a_dtype_without_a_number(server):
    with serving.GrpcClient(server.target, server.name) as client:
        with pytest.raises(ValueError, match="`x` must have one of the dtypes .* float128"):
            client.predict({"x": np.array([1], np.longdouble)})


def test_unknown_model_and_version(server):
    x = {"x": np.float32([1])}
    for options, message in (
        ({"model": "other"}, "The model must be 'half_plus_three'"),
        ({"model": server.name, "version": 7}, "must be one of 123. Received: 7."),
    ):
        with pytest.raises(serving.ServingError, match=message):
            serving.RestClient(server.url, **options).predict(x)
        with serving.GrpcClient(server.target, **options) as client:
            with pytest.raises(serving.ServingError, match=message):
                client.predict(x)


def test_a_silent_server_runs_into_the_timeout():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(serving.ServingError, match="did not answer within 0.2 seconds"):
            serving.RestClient(f"http://{address}", "toy", timeout=0.2).status()
        with serving.GrpcClient(address, "toy", timeout=0.2) as client:
            with pytest.raises(serving.ServingError, match="did not answer within 0.2 seconds"):
                client.status()


def test_a_kept_connection_that_is_closed_as_it_is_used_is_replaced():
    """As where a server makes room for others."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            asked.append(self.client_address)
            if len(asked) == 2:
                self.close_connection = True
                return
            body = b'{"model_version_status": [{"version": "1", "state": "AVAILABLE"}]}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with serving.RestClient(f"http://127.0.0.1:{server.server_port}", "toy") as client:
            assert [client.status() for _ in range(2)] == 2 * [{1: "AVAILABLE"}]
        server.shutdown()
    assert len(asked) == 3 and asked[0] == asked[1] != asked[2]


def test_no_server():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(serving.ServingError, match=f"No server answers at http://{address}"):
        serving.RestClient(f"http://{address}", "toy").status()
    with serving.GrpcClient(address, "toy") as client:
        with pytest.raises(serving.ServingError, match=f"No server answers at {address}"):
            client.status()


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (502, b"<html>", "answered HTTP 502 Bad Gateway: b'<html>'"),
        (500, b'{"error": "out of memory"}', "^out of memory$"),
        (200, b"<html>", "something other than JSON: b'<html>'"),
        (200, b"[]", "answered without 'model_version_status'"),
    ],
)
def test_answers_that_are_not_tf_servings(stub, status, body, message):
    with pytest.raises(serving.ServingError, match=message):
        serving.RestClient(stub(status, body), "toy").status()


def test_arguments():
    with pytest.raises(ValueError, match="`url` must begin with http:// or https://"):
        serving.RestClient("127.0.0.1:8501", "toy")
    for client in (serving.RestClient, serving.GrpcClient):
        with pytest.raises(ValueError, match="`version` must be an integer >= 0"):
            client("http://127.0.0.1:8501", "toy", version="")
        with pytest.raises(ValueError, match="`timeout` must be a number"):
            client("http://127.0.0.1:8501", "toy", timeout=0)
        with pytest.raises(ValueError, match="`version` must be an integer >= 0"):
            client("http://127.0.0.1:8501", "toy", version=-1)


def test_rest_client_checks_the_signature_against_the_metadata(stub):
    metadata = {"metadata": {"signature_def": {"signature_def": {}}}}
    client = serving.RestClient(stub(200, json.dumps(metadata).encode()), "toy")
    with pytest.raises(ValueError, match="`signature` must be one of"):
        client.predict({"x": np.float32([1])})


def test_connections_are_kept(server, monkeypatch):
    opened = []
    connect = urllib3.connection.HTTPConnection.connect
    monkeypatch.setattr(
        urllib3.connection.HTTPConnection,
        "connect",
        lambda self: (opened.append(self), connect(self))[1],
    )
    with serving.RestClient(server.url, server.name) as client:
        for _ in range(5):
            client.predict({"x": np.float32([1])})
            with pytest.raises(serving.ServingError):
                client.predict({"y": np.float32([1])})
    assert len(opened) == 1
