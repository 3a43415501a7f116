"""The gRPC interface, asked through TF Serving's official stubs."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tfbind import serving

pytestmark = pytest.mark.serving


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server.target) as channel:
        yield channel


@pytest.fixture(scope="module")
def prediction(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def make_request(name="half_plus_three", signature="", version=None, outputs=(), **inputs):
    request = predict_pb2.PredictRequest(output_filter=outputs)
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    for key, array in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(array))
    return request


def refusal(call, request):
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=10)
    return caught.value.code().name, caught.value.details()


def test_predict_names_the_effective_model(prediction):
    response = prediction.Predict(make_request(x=np.float32([1, 2, 5])), timeout=10)
    np.testing.assert_array_equal(tf.make_ndarray(response.outputs["y"]), [3.5, 4.0, 5.5])
    spec = response.model_spec
    assert (spec.name, spec.version.value) == ("half_plus_three", 123)
    assert spec.signature_name == "serving_default"


def test_output_filter_chooses_outputs(prediction):
    request = make_request(signature="summary", outputs=["mean"], x=np.float32([1, 3]))
    response = prediction.Predict(request, timeout=10)
    assert list(response.outputs) == ["mean"]
    assert tf.make_ndarray(response.outputs["mean"]) == 2.0


def test_a_version_can_be_asked_for(two_versions):
    with grpc.insecure_channel(two_versions.target) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        for version, effective, expected in ((None, 10, 4.5), (2, 2, 3.5), (10, 10, 4.5)):
            request = make_request("toy", version=version, x=np.float32([1]))
            response = stub.Predict(request, timeout=10)
            assert tf.make_ndarray(response.outputs["y"]) == [expected]
            assert response.model_spec.version.value == effective


def test_metadata_holds_the_signatures(prediction):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "half_plus_three"
    response = prediction.GetModelMetadata(request, timeout=10)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert signatures.signature_def["sensors"].inputs["signal"].dtype == tf.int32.as_datatype_enum
    assert response.model_spec.version.value == 123

    request.metadata_field[:] = ["weights"]
    assert refusal(prediction.GetModelMetadata, request) == (
        "INVALID_ARGUMENT",
        "`metadata_field` must be ['signature_def']. Received: metadata_field=['weights'].",
    )


def test_status_lists_the_versions_latest_first(two_versions):
    with grpc.insecure_channel(two_versions.target) as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = "toy"
        response = stub.GetModelStatus(request, timeout=10)
        assert [status.version for status in response.model_version_status] == [10, 2]
        available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
        assert {status.state for status in response.model_version_status} == {available}
        request.model_spec.version.value = 7
        assert refusal(stub.GetModelStatus, request) == (
            "NOT_FOUND",
            "The version of model 'toy' must be one of 2, 10. Received: 7.",
        )


@pytest.mark.parametrize("service", ["", "ModelService", "tensorflow.serving.PredictionService"])
def test_health(channel, service):
    check = channel.unary_unary("/grpc.health.v1.Health/Check")  # bytes in, bytes out
    request = b"\x0a" + bytes([len(service)]) + service.encode() if service else b""
    assert check(request, timeout=10) == b"\x08\x01"  # field 1 is SERVING


def test_health_of_an_unknown_service(channel):
    check = channel.unary_unary("/grpc.health.v1.Health/Check")
    assert refusal(check, b"\x0a\x05other")[0] == "NOT_FOUND"


def test_health_can_be_watched_until_the_server_goes(directory):
    server = serving.ReferenceServer(directory)
    with grpc.insecure_channel(server.target) as channel:
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")
        states = watch(b"", timeout=20)
        assert next(states) == b"\x08\x01"
        server.close()
        assert next(states) == b"\x08\x02"  # NOT_SERVING


def test_large_messages_pass(directory):
    x = np.arange(3_000_000, dtype="float32")  # 12 MB; gRPC's own limit is 4 MiB
    with serving.ReferenceServer(directory, limits=serving.Limits(rows=len(x))) as server:
        with grpc.insecure_channel(
            server.target, options=[("grpc.max_receive_message_length", -1)]
        ) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            response = stub.Predict(make_request(x=x), timeout=30)
    np.testing.assert_array_equal(tf.make_ndarray(response.outputs["y"]), x / 2 + 3)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ({"name": "other"}, "NOT_FOUND", "The model must be 'half_plus_three'"),
        ({"version": 7}, "NOT_FOUND", "must be one of 123. Received: 7."),
        ({"signature": "double"}, "INVALID_ARGUMENT", "Received: signature_name='double'."),
        ({"y": np.float32([1])}, "INVALID_ARGUMENT", "missing 'x', unknown 'y'."),
        ({}, "INVALID_ARGUMENT", "must be 'x'. Received: none; missing 'x'."),
        (
            {"x": np.float64([1])},
            "INVALID_ARGUMENT",
            "`x` must have dtype float32. Received: dtype float64; convert it first.",
        ),
        ({"x": np.array([b"a"])}, "INVALID_ARGUMENT", "Received: dtype string; convert it first."),
        (
            {"x": np.float32([[1, 2]])},
            "INVALID_ARGUMENT",
            "`x` must have shape (n,). Received: shape (1, 2).",
        ),
        (
            {"x": np.float32([1]), "outputs": ["z"]},
            "INVALID_ARGUMENT",
            "`output_filter` must name outputs of signature 'serving_default' once each, "
            "from 'y'. Received: 'z'.",
        ),
        (
            {"x": np.float32([1]), "outputs": ["y", "y"]},
            "INVALID_ARGUMENT",
            "once each, from 'y'. Received: 'y', 'y'.",
        ),
        (
            {"signature": "gather", "x": np.float32([1]), "index": np.int32([7])},
            "INVALID_ARGUMENT",
            "The model cannot run on these inputs: ",
        ),
    ],
)
def test_bad_requests(prediction, arguments, code, message):
    received, details = refusal(prediction.Predict, make_request(**arguments))
    assert received == code
    assert message in details
    assert "\n" not in details


def test_a_damaged_tensor_is_refused(prediction):
    request = make_request(x=np.float32([1, 2]))
    request.inputs["x"].tensor_content = b"123"
    code, details = refusal(prediction.Predict, request)
    assert code == "INVALID_ARGUMENT"
    assert "`x` must be a complete TensorProto. Received: " in details


def test_a_label_names_a_version(two_versions, prediction):
    with grpc.insecure_channel(two_versions.target) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        request = make_request("toy", x=np.float32([1]))
        request.model_spec.version_label = "stable"
        assert stub.Predict(request, timeout=10).model_spec.version.value == 2
    request.model_spec.name = "half_plus_three"
    assert refusal(prediction.Predict, request) == (
        "NOT_FOUND",
        "The label of model 'half_plus_three' must be one of none, as it has no labels. "
        "Received: 'stable'.",
    )


def test_bytes_that_are_no_message(channel):
    predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    code, details = refusal(predict, b"\xff\xff\xff")
    assert code == "INVALID_ARGUMENT"
    assert details.startswith("The message must be a PredictRequest. Received: ")


@pytest.mark.parametrize(("rows", "columns"), [(2**31, ()), (2**20, (2**20,)), (-1, ())])
def test_a_small_message_that_asks_for_a_large_tensor(prediction, rows, columns):
    request = make_request(x=np.float32([1]))
    del request.inputs["x"].tensor_shape.dim[:]
    for size in (rows, *columns):
        request.inputs["x"].tensor_shape.dim.add(size=size)
    assert refusal(prediction.Predict, request)[0] == "INVALID_ARGUMENT"
    request.inputs["unknown"].CopyFrom(request.inputs.pop("x"))
    code, details = refusal(prediction.Predict, request)
    assert code == "INVALID_ARGUMENT"
