"""The gRPC side of the reference server, on TF Serving's official stubs."""

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tfbind.serving import _wire
from tfbind.serving._served_model import (
    NotFoundError,
    ServedModel,
    choose_signature,
    signature_def_map,
)

_HEALTH_SERVICES = ("", "ModelService", "PredictionService")


def status_of(
    served: ServedModel, name: str, number: int | None = None
) -> get_model_status_pb2.GetModelStatusResponse:
    """Returns the `GetModelStatusResponse` for one version, or for all, latest first."""
    latest, _ = served.find(name, number)
    numbers = sorted(served.versions, reverse=True) if number is None else [latest]
    response = get_model_status_pb2.GetModelStatusResponse()
    for number in numbers:
        status = response.model_version_status.add(
            version=number, state=get_model_status_pb2.ModelVersionStatus.AVAILABLE
        )
        status.status.error_code = 0
    return response


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata."""

    def __init__(self, served: ServedModel) -> None:
        self._served = served

    def Predict(
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        return _answer(context, self._predict, request)

    def GetModelMetadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, context: grpc.ServicerContext
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        return _answer(context, self._metadata, request)

    def _predict(self, request):
        number, runner = self._served.find(*_spec(request))
        signature_name = choose_signature(runner, request.model_spec.signature_name)
        wanted = _wanted_outputs(runner, signature_name, request.output_filter)
        inputs = {name: _to_array(name, proto) for name, proto in request.inputs.items()}
        outputs = runner(signature_name, inputs)
        response = predict_pb2.PredictResponse()
        _fill_spec(response.model_spec, request, number)
        response.model_spec.signature_name = signature_name
        for name in wanted:
            response.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name]))
        return response

    def _metadata(self, request):
        number, runner = self._served.find(*_spec(request))
        if list(request.metadata_field) != ["signature_def"]:
            raise ValueError(
                "`metadata_field` must be ['signature_def']. "
                f"Received: metadata_field={list(request.metadata_field)}."
            )
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        _fill_spec(response.model_spec, request, number)
        response.metadata["signature_def"].Pack(signature_def_map(runner))
        return response


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus."""

    def __init__(self, served: ServedModel) -> None:
        self._served = served

    def GetModelStatus(
        self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.ServicerContext
    ) -> get_model_status_pb2.GetModelStatusResponse:
        return _answer(context, lambda request: status_of(self._served, *_spec(request)), request)


def add_services(server: grpc.Server, served: ServedModel) -> None:
    """Adds the prediction, model and health services to a gRPC server."""
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(served), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(served), server)
    health = grpc.unary_unary_rpc_method_handler(
        _check_health,
        request_deserializer=_wire.MESSAGES["HealthCheckRequest"].FromString,
        response_serializer=_wire.MESSAGES["HealthCheckResponse"].SerializeToString,
    )
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": health})]
    )


def _check_health(request, context):
    if request.service.removeprefix("tensorflow.serving.") not in _HEALTH_SERVICES:
        context.abort(
            grpc.StatusCode.NOT_FOUND,
            f"`service` must be one of {_HEALTH_SERVICES}. Received: {request.service!r}.",
        )
    return _wire.MESSAGES["HealthCheckResponse"](status="SERVING")


def _answer(context, function, request):
    """Returns `function(request)`, or ends the call with a status and one sentence."""
    try:
        return function(request)
    except NotFoundError as error:
        code, sentence = grpc.StatusCode.NOT_FOUND, str(error)
    except ValueError as error:
        code, sentence = grpc.StatusCode.INVALID_ARGUMENT, str(error)
    except Exception as error:  # a client should see a sentence, whatever went wrong
        code, sentence = grpc.StatusCode.INTERNAL, f"The server failed: {error!r}."
    context.abort(code, sentence)


def _spec(request):
    spec = request.model_spec
    if spec.version_label:
        raise ValueError(
            "`version_label` must be empty: the reference server knows version numbers only. "
            f"Received: version_label={spec.version_label!r}."
        )
    return spec.name, spec.version.value if spec.HasField("version") else None


def _fill_spec(spec, request, number):
    spec.name = request.model_spec.name
    spec.version.value = number


def _wanted_outputs(runner, signature_name, output_filter):
    known = runner.signatures[signature_name]["outputs"]
    wanted = list(output_filter) or list(known)
    if len(set(wanted)) < len(wanted) or not set(wanted) <= set(known):
        raise ValueError(
            f"`output_filter` must name outputs of signature {signature_name!r} once each, "
            f"from {', '.join(map(repr, known))}. Received: {', '.join(map(repr, wanted))}."
        )
    return wanted


def _to_array(name, proto):
    try:
        return np.asarray(tf.make_ndarray(proto))
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must be a complete TensorProto. Received: {error}.") from error
