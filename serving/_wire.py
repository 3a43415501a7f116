"""The messages of TF Serving's gRPC interface that a client needs, without TensorFlow.

The official stubs import all of TensorFlow. A message on the wire is only its field numbers and
types, so this table of them is enough; a test compares it with the official stubs.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

ENUMS = {
    "DataType": {
        "DT_INVALID": 0,
        "DT_FLOAT": 1,
        "DT_DOUBLE": 2,
        "DT_INT32": 3,
        "DT_UINT8": 4,
        "DT_INT16": 5,
        "DT_INT8": 6,
        "DT_STRING": 7,
        "DT_INT64": 9,
        "DT_BOOL": 10,
        "DT_BFLOAT16": 14,
        "DT_UINT16": 17,
        "DT_HALF": 19,
        "DT_UINT32": 22,
        "DT_UINT64": 23,
    },
    "State": {
        "UNKNOWN": 0,
        "START": 10,
        "LOADING": 20,
        "AVAILABLE": 30,
        "UNLOADING": 40,
        "END": 50,
    },
    "ServingStatus": {"SERVING_UNKNOWN": 0, "SERVING": 1, "NOT_SERVING": 2},
}

# Message -> field -> (number, type). "*" is a repeated field, "%" a map from string.
_MESSAGES = {
    "Any": {"type_url": (1, "string"), "value": (2, "bytes")},
    "Int64Value": {"value": (1, "int64")},
    "Dim": {"size": (1, "int64"), "name": (2, "string")},
    "TensorShapeProto": {"dim": (2, "*Dim"), "unknown_rank": (3, "bool")},
    "TensorProto": {
        "dtype": (1, "DataType"),
        "tensor_shape": (2, "TensorShapeProto"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "*float"),
        "double_val": (6, "*double"),
        "int_val": (7, "*int32"),
        "string_val": (8, "*bytes"),
        "int64_val": (10, "*int64"),
        "bool_val": (11, "*bool"),
        "half_val": (13, "*int32"),
        "uint32_val": (16, "*uint32"),
        "uint64_val": (17, "*uint64"),
    },
    "TensorInfo": {
        "name": (1, "string"),
        "dtype": (2, "DataType"),
        "tensor_shape": (3, "TensorShapeProto"),
    },
    "SignatureDef": {
        "inputs": (1, "%TensorInfo"),
        "outputs": (2, "%TensorInfo"),
        "method_name": (3, "string"),
    },
    "SignatureDefMap": {"signature_def": (1, "%SignatureDef")},
    "ModelSpec": {
        "name": (1, "string"),
        "version": (2, "Int64Value"),
        "signature_name": (3, "string"),
        "version_label": (4, "string"),
    },
    "PredictRequest": {
        "model_spec": (1, "ModelSpec"),
        "inputs": (2, "%TensorProto"),
        "output_filter": (3, "*string"),
    },
    "PredictResponse": {"outputs": (1, "%TensorProto"), "model_spec": (2, "ModelSpec")},
    "GetModelMetadataRequest": {
        "model_spec": (1, "ModelSpec"),
        "metadata_field": (2, "*string"),
    },
    "GetModelMetadataResponse": {"model_spec": (1, "ModelSpec"), "metadata": (2, "%Any")},
    "GetModelStatusRequest": {"model_spec": (1, "ModelSpec")},
    "ModelVersionStatus": {"version": (1, "int64"), "state": (2, "State")},
    "GetModelStatusResponse": {"model_version_status": (1, "*ModelVersionStatus")},
    "HealthCheckRequest": {"service": (1, "string")},
    "HealthCheckResponse": {"status": (1, "ServingStatus")},
}

# As TF Serving's, for gRPC's own limit of 4 MiB is a few hundred images.
UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))

_FIELD = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "tfbind.wire"


def _add_field(message, name, number, kind):
    label = _FIELD.LABEL_REPEATED if kind[0] in "*%" else _FIELD.LABEL_OPTIONAL
    field = message.field.add(name=name, number=number, label=label)
    base = kind.lstrip("*%")
    if kind[0] == "%":
        entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", 1, "string")
        _add_field(entry, "value", 2, base)
        field.type, field.type_name = (
            _FIELD.TYPE_MESSAGE,
            f".{_PACKAGE}.{message.name}.{entry.name}",
        )
    elif base in _MESSAGES:
        field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.{base}"
    elif base in ENUMS:
        field.type, field.type_name = _FIELD.TYPE_ENUM, f".{_PACKAGE}.{base}"
    else:
        field.type = _FIELD.Type.Value(f"TYPE_{base.upper()}")


def _build_classes():
    file = descriptor_pb2.FileDescriptorProto(
        name="tfbind/wire.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, values in ENUMS.items():
        enum = file.enum_type.add(name=name)
        for key, number in values.items():
            enum.value.add(name=key, number=number)
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add_field(message, field, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


MESSAGES = _build_classes()
"""Message classes by name."""
