"""The versions that the reference server serves, and how a request names one."""

import os
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from tensorflow_serving.apis import get_model_metadata_pb2

from tfbind._validation import check_choice
from tfbind.export.saved_model_runner import SavedModelRunner
from tfbind.serving._layout import find_versions, model_name


class NotFoundError(LookupError):
    """The request names a model or version that is not served."""


class ServedModel:
    """Every version in a folder, loaded, under one name."""

    def __init__(self, directory: str | os.PathLike, name: str | None = None) -> None:
        folders = find_versions(directory)
        self.name = model_name(directory, name)
        self.versions = {}
        try:
            for number, folder in folders.items():
                self.versions[number] = SavedModelRunner(folder)
        except ValueError:
            self.close()
            raise

    def close(self) -> None:
        """Frees the memory of every version."""
        for runner in self.versions.values():
            runner.close()

    def find(self, name: str, number: int | None = None) -> tuple[int, SavedModelRunner]:
        """Returns the number and `SavedModelRunner` asked for, the latest by default."""
        if name != self.name:
            raise NotFoundError(
                f"The model must be {self.name!r}, the only one served here. Received: {name!r}."
            )
        number = max(self.versions) if number is None else number
        if number not in self.versions:
            raise NotFoundError(
                f"The version of model {name!r} must be one of "
                f"{', '.join(map(str, self.versions))}. Received: {number}."
            )
        return number, self.versions[number]


def choose_signature(runner: SavedModelRunner, name: str) -> str:
    """Returns the name of the signature that a request asks for, the default one by ""."""
    return check_choice("signature_name", name or "serving_default", tuple(runner.signatures))


def signature_def_map(runner: SavedModelRunner) -> get_model_metadata_pb2.SignatureDefMap:
    """Returns all signatures of a version as the `SignatureDefMap` of its metadata."""
    return get_model_metadata_pb2.SignatureDefMap(signature_def=runner.signature_defs)


def to_json(message: Message) -> dict[str, Any]:
    """Returns a message in the JSON form of TF Serving: original names, defaults included."""
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
