"""Our table of messages and our tensor codec, against the official stubs and TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import any_pb2, wrappers_pb2
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    predict_pb2,
)

from tfbind.serving import _wire
from tfbind.serving._codec import decode_tensor, encode_tensor

pytestmark = pytest.mark.serving

_OFFICIAL = {
    "Any": any_pb2.Any,
    "Int64Value": wrappers_pb2.Int64Value,
    "Dim": tensor_shape_pb2.TensorShapeProto.Dim,
    "TensorShapeProto": tensor_shape_pb2.TensorShapeProto,
    "TensorProto": tensor_pb2.TensorProto,
    "TensorInfo": meta_graph_pb2.TensorInfo,
    "SignatureDef": meta_graph_pb2.SignatureDef,
    "SignatureDefMap": get_model_metadata_pb2.SignatureDefMap,
    "ModelSpec": model_pb2.ModelSpec,
    "PredictRequest": predict_pb2.PredictRequest,
    "PredictResponse": predict_pb2.PredictResponse,
    "GetModelMetadataRequest": get_model_metadata_pb2.GetModelMetadataRequest,
    "GetModelMetadataResponse": get_model_metadata_pb2.GetModelMetadataResponse,
    "GetModelStatusRequest": get_model_status_pb2.GetModelStatusRequest,
    "ModelVersionStatus": get_model_status_pb2.ModelVersionStatus,
    "GetModelStatusResponse": get_model_status_pb2.GetModelStatusResponse,
}
_HEALTH = {"HealthCheckRequest", "HealthCheckResponse"}  # no stubs installed; bytes tested


def _describe(field):
    kind = field.message_type or field.enum_type
    name = None
    if kind is not None and not kind.name.endswith("Entry"):
        name = kind.name
    return field.number, field.type, field.is_repeated, name


@pytest.mark.parametrize("name", sorted(_wire.MESSAGES.keys() - _HEALTH))
def test_messages_match_the_official_ones(name):
    official = _OFFICIAL[name].DESCRIPTOR
    for field in _wire.MESSAGES[name].DESCRIPTOR.fields:
        assert _describe(field) == _describe(official.fields_by_name[field.name])


def test_enums_match_the_official_ones():
    for enum, official in (
        ("DataType", types_pb2.DataType),
        ("State", get_model_status_pb2.ModelVersionStatus.State),
    ):
        for name, number in _wire.ENUMS[enum].items():
            assert official.Value(name) == number


_ARRAYS = [
    np.float32([[1.5, np.nan], [-np.inf, 1e-40]]),
    np.float64([0.1, 1e300]),
    np.float16([0.1, -65504]),
    np.int8([-128, 127]),
    np.int16([-5, 5]),
    np.int32([-(2**31), 7]),
    np.int64([-(2**63), 2**63 - 1]),
    np.uint8([0, 255]),
    np.uint16([65535, 1]),
    np.uint32([2**32 - 1, 1]),
    np.uint64([2**64 - 1, 1]),
    np.array([True, False]),
    np.array([b"", b"\xff"], object),
    np.float32(3.0),
    np.zeros((0, 4), "float32"),
    np.asfortranarray(np.arange(6, dtype="int32").reshape(2, 3)),
    np.arange(4, dtype=">i4"),
]


@pytest.mark.parametrize("array", _ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_tensors_agree_with_tensorflow_both_ways(array):
    array = np.asarray(array)
    for kind in (_wire.MESSAGES["TensorProto"], tensor_pb2.TensorProto):
        ours = kind()
        encode_tensor("x", array, ours)
        back = tf.make_ndarray(tensor_pb2.TensorProto.FromString(ours.SerializeToString()))
        np.testing.assert_array_equal(back, array)

    theirs = tf.make_tensor_proto(array.astype(array.dtype.newbyteorder("=")))
    decoded = decode_tensor(
        "x", _wire.MESSAGES["TensorProto"].FromString(theirs.SerializeToString())
    )
    assert decoded.dtype == tf.make_ndarray(theirs).dtype
    assert decoded.shape == array.shape
    np.testing.assert_array_equal(decoded, array)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"dtype": "DT_FLOAT", "float_val": [1.5, 2.0]}, np.float32([1.5, 2.0, 2.0])),
        ({"dtype": "DT_DOUBLE", "double_val": [0.1]}, np.float64([0.1, 0.1, 0.1])),
        ({"dtype": "DT_UINT8", "int_val": [255, 1, 2]}, np.uint8([255, 1, 2])),
        ({"dtype": "DT_HALF", "half_val": [0x3C00, 0x4000]}, np.float16([1, 2, 2])),
        ({"dtype": "DT_BOOL", "bool_val": [True]}, np.array([True] * 3)),
        ({"dtype": "DT_INT64"}, np.zeros(3, "int64")),
        ({"dtype": "DT_STRING", "string_val": [b"a", b"b"]}, np.array([b"a", b"b", b"b"], object)),
    ],
    ids=lambda value: value.get("dtype") if isinstance(value, dict) else "",
)
def test_values_that_are_not_packed(fields, expected):
    """TF Serving answers in this form; the last value stands for all that follow."""
    shape = {"dim": [{"size": 3}]}
    proto = _wire.MESSAGES["TensorProto"](tensor_shape=shape, **fields)
    decoded = decode_tensor("x", proto)
    assert decoded.dtype == expected.dtype
    np.testing.assert_array_equal(decoded, expected)
    theirs = tf.make_ndarray(tensor_pb2.TensorProto.FromString(proto.SerializeToString()))
    np.testing.assert_array_equal(decoded, theirs)


def test_a_dtype_we_do_not_know():
    proto = _wire.MESSAGES["TensorProto"].FromString(
        tf.make_tensor_proto(1j, "complex64").SerializeToString()
    )
    with pytest.raises(ValueError, match="`y` must have one of the dtypes .* number 8"):
        decode_tensor("y", proto)


@pytest.mark.parametrize(
    ("fields", "sizes"),
    [
        ({"dtype": "DT_FLOAT", "float_val": [1.0]}, [2**31]),  # 8 GB in 30 bytes
        ({"dtype": "DT_STRING"}, [2**20, 2**20]),
        ({"dtype": "DT_FLOAT"}, [2**62, 2**62]),
        ({"dtype": "DT_FLOAT"}, [0, 2**62]),
        ({"dtype": "DT_FLOAT"}, [-1]),
        ({"dtype": "DT_FLOAT"}, [1] * 65),
        ({"dtype": "DT_FLOAT", "float_val": [1.0, 2.0]}, [1]),
        ({"dtype": "DT_FLOAT", "tensor_content": b"123"}, [1]),
        ({"dtype": "DT_FLOAT", "tensor_content": b"1234"}, [2]),
        ({"dtype": "DT_STRING", "tensor_content": b"1234"}, [4]),
        ({"dtype": "DT_UINT8", "int_val": [300, 1]}, [2]),
        ({"dtype": "DT_HALF", "half_val": [70000]}, [1]),
    ],
)
def test_sizes_that_the_content_does_not_have(fields, sizes):
    shape = {"dim": [{"size": size} for size in sizes]}
    with pytest.raises(ValueError):
        decode_tensor("x", _wire.MESSAGES["TensorProto"](tensor_shape=shape, **fields))
