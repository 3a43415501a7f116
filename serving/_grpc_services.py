"""The gRPC side of the reference server: TF Serving's services on `grpc.aio`, and health."""

import functools
from collections.abc import Callable

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

from tfbind._validation import check_shape
from tfbind.serving._answers import choose_signature, signature_def_map, status_of
from tfbind.serving._codec import decode_tensor, dtype_and_shape, encode_tensor
from tfbind.serving._limits import Limits, Refusal, check_rows
from tfbind.serving._models import Models
from tfbind.serving._service import Record, Service

_PACKAGE = "tensorflow.serving"
_SERVICES = ("ModelService", "PredictionService")
_HEALTHY = ("", *_SERVICES, *(f"{_PACKAGE}.{name}" for name in _SERVICES))
_INTERFACE = "GRPC"


def predict(models: Models, limits: Limits, message: bytes, record: Record) -> bytes:
    """Answers a `PredictRequest`."""
    request = _parse(predict_pb2.PredictRequest, message)
    number, version = models[request.model_spec.name].find(*_spec(request, record))
    name = choose_signature(version, request.model_spec.signature_name)
    wanted = _wanted_outputs(version, name, request.output_filter)
    known = version.signatures[name]["inputs"]
    for key, proto in request.inputs.items():
        _check_shape(limits, key, proto, known, record)
    inputs = {  # unknown names are left for the model to refuse
        key: decode_tensor(key, proto) if key in known else None
        for key, proto in request.inputs.items()
    }
    outputs = version(name, inputs)
    response = predict_pb2.PredictResponse()
    _fill_spec(response.model_spec, request, number, record)
    response.model_spec.signature_name = record["signature"] = name
    for key in wanted:
        encode_tensor(key, outputs[key], response.outputs[key])
    return response.SerializeToString()


def metadata(models: Models, limits: Limits, message: bytes, record: Record) -> bytes:
    """Answers a `GetModelMetadataRequest`."""
    request = _parse(get_model_metadata_pb2.GetModelMetadataRequest, message)
    number, version = models[request.model_spec.name].find(*_spec(request, record))
    if list(request.metadata_field) != ["signature_def"]:
        raise ValueError(
            "`metadata_field` must be ['signature_def']. "
            f"Received: metadata_field={list(request.metadata_field)}."
        )
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    _fill_spec(response.model_spec, request, number, record)
    response.metadata["signature_def"].Pack(signature_def_map(version))
    return response.SerializeToString()


def status(models: Models, limits: Limits, message: bytes, record: Record) -> bytes:
    """Answers a `GetModelStatusRequest`."""
    request = _parse(get_model_status_pb2.GetModelStatusRequest, message)
    spec = _spec(request, record)
    return status_of(models, request.model_spec.name, *spec).SerializeToString()


_METHODS: dict[str, dict[str, Callable[[Models, Limits, bytes, Record], bytes]]] = {
    "PredictionService": {"Predict": predict, "GetModelMetadata": metadata},
    "ModelService": {"GetModelStatus": status},
}


def add_services(server: grpc.aio.Server, service: Service) -> health.aio.HealthServicer:
    """Adds the prediction, model and health services to a server; returns the last of them.

    Messages come as bytes: grpcio's own answer to one that is no protobuf is an internal error.
    """
    for name, methods in _METHODS.items():
        handlers = {
            method: grpc.unary_unary_rpc_method_handler(_handler(service, method, answer))
            for method, answer in methods.items()
        }
        generic = grpc.method_handlers_generic_handler(f"{_PACKAGE}.{name}", handlers)
        server.add_generic_rpc_handlers([generic])
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    return healthy


async def set_healthy(healthy: health.aio.HealthServicer) -> None:
    """Says of every service that it answers."""
    for name in _HEALTHY:
        await healthy.set(name, health_pb2.HealthCheckResponse.SERVING)


def _handler(service, method, answer):
    async def handle(message, context):
        try:
            with service.observed(_INTERFACE, method) as record:
                ask = functools.partial(answer, service.models, service.limits, message, record)
                if answer is not predict:  # quick, and wanted most when the server is busy
                    return ask()
                return await service.run(ask, context.time_remaining())
        except Refusal as refusal:
            await context.abort(grpc.StatusCode[refusal.code], refusal.sentence)

    return handle


def _parse(kind, message):
    try:
        return kind.FromString(message)
    except DecodeError as error:
        raise ValueError(f"The message must be a {kind.__name__}. Received: {error}.") from error


def _spec(request, record):
    spec = request.model_spec
    record["model"] = spec.name
    number = spec.version.value if spec.HasField("version") else None
    return number, spec.version_label or None


def _fill_spec(spec, request, number, record):
    spec.name = request.model_spec.name
    spec.version.value = record["version"] = number


def _wanted_outputs(version, signature, output_filter):
    known = version.signatures[signature]["outputs"]
    wanted = list(output_filter) or list(known)
    if len(set(wanted)) < len(wanted) or not set(wanted) <= set(known):
        raise ValueError(
            f"`output_filter` must name outputs of signature {signature!r} once each, "
            f"from {', '.join(map(repr, known))}. Received: {', '.join(map(repr, wanted))}."
        )
    return wanted


def _check_shape(limits, name, proto, known, record):
    """Refuses what the signature will, before a tensor of the size that it asks for is made."""
    _, shape = dtype_and_shape(name, proto)
    if name in known and known[name]["shape"] is not None:
        check_shape(name, shape, known[name]["shape"])
    if shape:
        record["rows"] = shape[0]
        check_rows(limits, name, shape[0])
