"""The messages that both interfaces give: metadata, status, and what a request names."""

from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from tfbind._validation import check_choice
from tfbind.serving._limits import Refusal
from tfbind.serving._models import Models
from tfbind.serving._version import Version

_UNKNOWN = 2  # code of an error that has no code of its own


def choose_signature(version: Version, name: str) -> str:
    """Returns the name of the signature that a request asks for, the default one by ""."""
    return check_choice("signature_name", name or "serving_default", tuple(version.signatures))


def signature_def_map(version: Version) -> get_model_metadata_pb2.SignatureDefMap:
    """Returns all signatures of a version as the `SignatureDefMap` of its metadata."""
    return get_model_metadata_pb2.SignatureDefMap(signature_def=version.signature_defs)


def status_of(
    models: Models, name: str, number: int | None = None, label: str | None = None
) -> get_model_status_pb2.GetModelStatusResponse:
    """Returns the `GetModelStatusResponse` for one version, or for all, latest first."""
    model = models[name]
    states = dict(model.states)
    if label is not None:
        number, _ = model.find(None, label)
    if number is not None and number not in states:
        raise Refusal(
            "NOT_FOUND",
            f"The version of model {name!r} must be one of "
            f"{', '.join(map(str, sorted(states)))}. Received: {number}.",
        )
    response = get_model_status_pb2.GetModelStatusResponse()
    for each in sorted(states, reverse=True) if number is None else [number]:
        status = response.model_version_status.add(version=each, state=states[each].name)
        status.status.error_code = _UNKNOWN if states[each].error else 0
        status.status.error_message = states[each].error
    return response


def to_json(message: Message) -> dict[str, Any]:
    """Returns a message in the JSON form of TF Serving: original names, defaults included."""
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
