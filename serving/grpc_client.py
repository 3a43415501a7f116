import os
import pathlib
from typing import Any, Self

import grpc
import numpy as np
from google.protobuf import json_format

from tfbind._validation import check_number
from tfbind.serving import _wire
from tfbind.serving._codec import decode_tensor, encode_tensor
from tfbind.serving._tensors import (
    ServingError,
    Signature,
    as_arrays,
    check_version,
    late,
    parse_signatures,
    unreachable,
)


class GrpcClient:
    """Asks a model behind the gRPC interface of TF Serving.

    Arrays travel as bytes, so dtypes arrive exactly and large batches are cheap; there is no
    limit on the size of an answer. Needs the `serving` extra (grpcio), but loads no TensorFlow.
    Safe to share among threads; close it, or use it in a `with` block.

    Args:
        target: Host and port, such as "127.0.0.1:8500".
        model: The name the model is served under.
        timeout: Seconds > 0 that a call may take.
        version: Integer >= 0, a version's label, or None for the version the server prefers: the
            latest.
        certificate: File of the authority (PEM) that vouches for the server, or its own
            certificate; None speaks without TLS.

    Raises:
        ValueError: If an argument is out of its range.
        ServingError: A ValueError with the server's own sentence, if it refuses a request, or
            with ours, if it does not answer.

    Example:

    >>> from tfbind import serving
    >>> with serving.GrpcClient("127.0.0.1:8500", "shapes", timeout=5.0) as client:
    ...     client.target
    '127.0.0.1:8500'

    With a server there, `client.predict({"image": images})` returns a dict of arrays.

    References:
        TensorFlow Serving. PredictionService and ModelService.
        https://github.com/tensorflow/serving/tree/master/tensorflow_serving/apis
    """

    def __init__(
        self,
        target: str,
        model: str,
        timeout: float = 10.0,
        *,
        version: int | str | None = None,
        certificate: str | os.PathLike | None = None,
    ) -> None:
        self.target = target
        self.timeout = check_number("timeout", timeout, 0, open_low=True)
        self._spec: dict[str, Any] = {"name": model, **check_version(version)}
        if certificate is None:
            self._channel = grpc.insecure_channel(target, options=_wire.UNLIMITED)
        else:
            trusted = grpc.ssl_channel_credentials(pathlib.Path(certificate).read_bytes())
            self._channel = grpc.secure_channel(target, trusted, options=_wire.UNLIMITED)

    def predict(
        self, inputs: dict[str, Any], signature: str = "serving_default"
    ) -> dict[str, np.ndarray]:
        """Returns the outputs of a signature, a dict from name to array.

        Args:
            inputs: Dict from input name to array, all with the batch as first axis and the
                dtype that `metadata` names.
            signature: Name of the signature.
        """
        request = self._request("Predict")
        request.model_spec.signature_name = signature
        for name, array in as_arrays(inputs).items():
            encode_tensor(name, array, request.inputs[name])
        response = self._call("PredictionService", "Predict", request)
        return {
            name: decode_tensor(name, proto) for name, proto in sorted(response.outputs.items())
        }

    def metadata(self) -> dict[str, Signature]:
        """Returns the signatures the server names, a dict from name to `Signature`."""
        request = self._request("GetModelMetadata")
        request.metadata_field.append("signature_def")
        response = self._call("PredictionService", "GetModelMetadata", request)
        packed = response.metadata["signature_def"].value
        signatures = _wire.MESSAGES["SignatureDefMap"].FromString(packed)
        as_json = json_format.MessageToDict(signatures, preserving_proto_field_name=True)
        return parse_signatures(as_json)

    def status(self) -> dict[int, str]:
        """Returns the state of each version, such as `{1: "AVAILABLE"}`."""
        request = self._request("GetModelStatus")
        response = self._call("ModelService", "GetModelStatus", request)
        states = {number: name for name, number in _wire.ENUMS["State"].items()}
        return {
            status.version: states.get(status.state, str(status.state))
            for status in response.model_version_status
        }

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _request(self, method):
        return _wire.MESSAGES[f"{method}Request"](model_spec=self._spec)

    def _call(self, service, method, request):
        call = self._channel.unary_unary(
            f"/tensorflow.serving.{service}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=_wire.MESSAGES[f"{method}Response"].FromString,
        )
        try:
            return call(request, timeout=self.timeout)
        except grpc.RpcError as error:
            raise ServingError(self._message(error)) from error

    def _message(self, error):
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return late(self.target, self.timeout)
        if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):  # it ends
            return unreachable(self.target, error.details())
        return error.details() or f"{self.target} answered {error.code().name}."
