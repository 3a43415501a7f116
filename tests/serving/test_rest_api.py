"""The REST interface, against TF Serving's documentation and against bad requests."""

import http.client
import json
import math
import pathlib

import pytest

pytestmark = pytest.mark.serving

_GOLDEN = json.loads((pathlib.Path(__file__).parent / "api_rest_golden.json").read_text())
_PREDICT = "POST /v1/models/half_plus_three:predict"


def ask(server, request, body=None, headers=()):
    """Returns the status and JSON answer; `body` is JSON, or bytes to send as they are."""
    method, path = request.split(" ", 1)
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, path, data, dict(headers))
        response = connection.getresponse()
        assert response.headers["Content-Type"] == "application/json"
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@pytest.mark.parametrize("case", _GOLDEN, ids=lambda case: case["what"])
def test_documented_requests(server, case):
    status, answer = ask(server, case["request"], case.get("body"))
    assert (status, answer) == (case["status"], case["response"])


def test_metadata_has_the_form_of_tf_serving(server):
    status, answer = ask(server, "GET /v1/models/half_plus_three/metadata")
    assert status == 200
    assert answer["model_spec"] == {
        "name": "half_plus_three",
        "signature_name": "",
        "version": "123",
    }
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    signature = signatures["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert signature["inputs"]["x"].pop("name")
    assert signature["inputs"]["x"] == {
        "dtype": "DT_FLOAT",
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
    }


def test_one_version(two_versions):
    assert ask(two_versions, "GET /v1/models/toy/versions/2")[1]["model_version_status"] == [
        {
            "version": "2",
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
    ]
    assert ask(two_versions, "GET /v1/models/toy/metadata")[1]["model_spec"]["version"] == "10"
    for url, expected in (("", 4.5), ("/versions/10", 4.5), ("/versions/2", 3.5)):
        answer = ask(two_versions, f"POST /v1/models/toy{url}:predict", {"instances": [1.0]})
        assert answer == (200, {"predictions": [expected]})


def test_nan_and_infinity_are_bare_tokens(server):
    status, answer = ask(server, _PREDICT, b'{"instances": [NaN, Infinity, -Infinity, 0.4]}')
    assert status == 200
    assert math.isnan(answer["predictions"][0])
    assert answer["predictions"][1:] == [math.inf, -math.inf, 3.2]  # 3.2, not 3.200000047683716


def test_bytes_that_are_no_utf8_come_back_as_base64(server):
    rows = [{"tag": {"b64": "/w=="}, "signal": [0] * 5, "sensor": [[0, 0], [0, 0]]}]
    answer = ask(server, _PREDICT, {"signature_name": "sensors", "instances": rows})[1]
    assert answer["predictions"][0]["tag"] == {"b64": "/w=="}


def test_a_connection_is_kept_after_an_error(server):
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
    path = _PREDICT.removeprefix("POST ")
    for body, status in ((b"{", 400), (b'{"inputs": [1]}', 200)):
        connection.request("POST", path, body)
        response = connection.getresponse()
        response.read()
        assert response.status == status
    connection.close()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The body must be JSON. Received: Expecting value: line 1 column 1"),
        (b'{"instances": [1.0', "The body must be JSON. Received: Expecting ',' delimiter"),
        (b"\xff\xfe\xfd", "The body must be JSON."),
        (b"[" * 100_000, "The body must be JSON. Received: maximum recursion depth"),
        ([1.0], 'must be a JSON object, such as {"instances": [...]}. Received: list.'),
        ({}, "one of 'instances' (rows) and 'inputs' (columns). Received: neither."),
        ({"instances": [1.0], "inputs": [1.0]}, "Received: 'instances', 'inputs'."),
        ({"instances": []}, "'instances' must be a list of at least one row. Received: []."),
        ({"instances": 1.0}, "'instances' must be a list of at least one row. Received: 1.0."),
        ({"instances": ["a"]}, "`x` must hold numbers that fit float32. Received: 'a'."),
        ({"instances": [None]}, "`x` must hold numbers that fit float32. Received: None."),
        ({"instances": [True]}, "`x` must hold numbers that fit float32. Received: True."),
        ({"inputs": [1e39]}, "`x` must hold numbers that fit float32. Received: 1e+39."),
        ({"inputs": [2**24 + 1]}, "must hold numbers that fit float32. Received: 16777217."),
        ({"inputs": [10**400]}, "`x` must hold numbers that fit float32. Received: 1000000"),
        ({"inputs": [[1.0], [2.0, 3.0]]}, "`x` must be a rectangular array. Received: lists of"),
        ({"inputs": [1.0, [2.0]]}, "`x` must be a rectangular array. Received: lists of"),
        ({"inputs": [[1.0]]}, "`x` must have shape (n,). Received: shape (1, 1)."),
        ({"inputs": 1.0}, "`x` must have shape (n,). Received: shape ()."),
        ({"instances": [1.0, {"x": 1.0}]}, "names, 'x'. Received: row 0 with a bare value."),
        ({"instances": [{"x": 1.0}, {"y": 1.0}]}, "names, 'x'. Received: row 1 with 'y'."),
        (
            {"inputs": {"y": [1.0]}},
            "The inputs of signature 'serving_default' must be 'x'. "
            "Received: 'y'; missing 'x', unknown 'y'.",
        ),
        (
            {"inputs": {"x": [1.0], "y": [1.0]}},
            "must be 'x'. Received: 'x', 'y'; unknown 'y'.",
        ),
        (
            {"signature_name": "sensors", "instances": [1.0]},
            "must be given by name, 'sensor', 'signal', 'tag', as there are several.",
        ),
        (
            {"signature_name": "sensors", "instances": [{"tag": "a", "signal": [1] * 5}]},
            "Received: 'signal', 'tag'; missing 'sensor'.",
        ),
        (
            {"signature_name": "gather", "inputs": {"x": [1.0], "index": [1.5]}},
            "`index` must hold whole numbers that fit int32. Received: 1.5.",
        ),
        (
            {"signature_name": "gather", "inputs": {"x": [1.0], "index": [2**31]}},
            "`index` must hold whole numbers that fit int32. Received: 2147483648.",
        ),
        (
            {"signature_name": "gather", "inputs": {"x": [1.0], "index": [7]}},
            "The model cannot run on these inputs: ",
        ),
        (
            {"signature_name": "copy", "inputs": [{"b64": "not base64"}]},
            "`image_bytes` must hold valid base64.",
        ),
        (
            {"signature_name": "copy", "inputs": [1]},
            '`image_bytes` must hold strings, or {"b64": ...} objects. Received: 1.',
        ),
        (
            {"signature_name": "half", "inputs": [1.0]},
            "`float16` has dtype float16, which JSON cannot carry; use gRPC.",
        ),
        (
            {"signature_name": "summary", "instances": [1.0, 2.0]},
            "output 'mean' of shape (); send 'inputs' instead.",
        ),
        (
            {"signature_name": "double", "instances": [1.0]},
            "`signature_name` must be one of 'copy', 'gather', 'half', 'same', 'sensors', "
            "'serving_default', 'summary'. Received: signature_name='double'.",
        ),
        ({"signature_name": 3, "instances": [1.0]}, "`signature_name` must be text."),
    ],
)
def test_bad_requests(server, body, message):
    status, answer = ask(server, _PREDICT, body)
    assert status == 400
    assert list(answer) == ["error"]
    assert message in answer["error"]
    assert "\n" not in answer["error"]


@pytest.mark.parametrize(
    ("request_line", "message"),
    [
        ("GET /v1/models/other", "The model must be 'half_plus_three'"),
        ("GET /v1/models/other/metadata", "The model must be 'half_plus_three'"),
        (
            "GET /v1/models/half_plus_three/versions/7",
            "The version of model 'half_plus_three' must be one of 123. Received: 7.",
        ),
        ("POST /v1/models/half_plus_three/versions/7:predict", "must be one of 123. Received: 7."),
        ("POST /v1/models/half_plus_three:classify", "The URL must be one of"),
        ("GET /", "The URL must be one of"),
    ],
)
def test_unknown_things_are_404(server, request_line, message):
    status, answer = ask(server, request_line)
    assert status == 404
    assert message in answer["error"]


@pytest.mark.parametrize(
    ("request_line", "allowed"),
    [
        ("GET /v1/models/half_plus_three:predict", "POST"),
        ("DELETE /v1/models/half_plus_three:predict", "POST"),
        ("POST /v1/models/half_plus_three", "GET, HEAD"),
        ("POST /readyz", "GET, HEAD"),
    ],
)
def test_other_methods_are_405(server, request_line, allowed):
    status, answer = ask(server, request_line)
    assert status == 405
    assert answer["error"].startswith("The method must be one of ")
    assert set(allowed.split(", ")) == set(
        answer["error"].removeprefix("The method must be one of ").split(" here.")[0].split(", ")
    )


def test_what_is_no_http_is_refused(server):
    status, answer = ask(server, _PREDICT, b"", {"Content-Length": "many"})
    assert status == 400
    assert answer == {"error": "Invalid HTTP request received."}
