"""A SavedModel the way TF Serving runs it: a TF1 Session fed by the signature's tensor names."""

import tensorflow as tf
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2

from tfbind._validation import check_shape
from tfbind.export._runner import first_line
from tfbind.export.saved_model_runner import load_meta_graph
from tfbind.serving._layout import find_versions, model_name
from tfbind.serving._tensors import dtype_name, parse_signatures


class NotFoundError(LookupError):
    """The request names a model or version that is not served."""


def to_json(message):
    """Returns a message in the JSON form of TF Serving: original names, defaults included."""
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


class LoadedVersion:
    """One version in its own session. `predict` is safe to call from several threads."""

    def __init__(self, directory):
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        try:
            meta_graph = load_meta_graph(self._session, directory)
        except Exception as error:  # TensorFlow raises many kinds for a damaged file
            self._session.close()
            raise ValueError(
                f"`directory` must hold readable SavedModels. Received: {str(directory)!r}, "
                f"which cannot be loaded ({first_line(error)}); export the model again."
            ) from error
        self.signature_def_map = get_model_metadata_pb2.SignatureDefMap(
            signature_def=meta_graph.signature_def
        )
        self._signatures = parse_signatures(to_json(self.signature_def_map))

    def close(self):
        self._session.close()

    def signature(self, name):
        """Returns the `Signature` called `name`; raises ValueError."""
        if name not in self._signatures:
            raise ValueError(
                f"`signature_name` must be one of {_listed(self._signatures)}. "
                f"Received: signature_name={name!r}."
            )
        return self._signatures[name]

    def predict(self, signature_name, inputs, output_filter=()):
        """Returns the outputs for a dict of arrays; raises ValueError if they do not fit."""
        signature = self.signature(signature_name)
        self._check_inputs(signature_name, signature, inputs)
        wanted = self._check_outputs(signature_name, signature, output_filter)
        proto = self.signature_def_map.signature_def[signature_name]
        try:
            return self._session.run(
                {name: proto.outputs[name].name for name in wanted},
                {proto.inputs[name].name: array for name, array in inputs.items()},
            )
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(
                f"The model cannot run on these inputs: {first_line(error)}"
            ) from error

    def _check_inputs(self, signature_name, signature, inputs):
        if set(inputs) != set(signature.inputs):
            problems = [
                f"{what} {_listed(names)}"
                for what, names in (
                    ("missing", set(signature.inputs) - set(inputs)),
                    ("unknown", set(inputs) - set(signature.inputs)),
                )
                if names
            ]
            raise ValueError(
                f"The inputs of signature {signature_name!r} must be "
                f"{_listed(signature.inputs)}. Received: {_listed(inputs) or 'none'}; "
                f"{', '.join(problems)}."
            )
        for name, info in signature.inputs.items():
            if dtype_name(inputs[name]) != info.dtype:
                raise ValueError(
                    f"`{name}` must have dtype {info.dtype}. "
                    f"Received: dtype {dtype_name(inputs[name])}; convert it first."
                )
            if info.shape is not None:
                check_shape(name, inputs[name].shape, info.shape)

    def _check_outputs(self, signature_name, signature, output_filter):
        wanted = list(output_filter) or list(signature.outputs)
        if len(set(wanted)) < len(wanted) or not set(wanted) <= set(signature.outputs):
            raise ValueError(
                f"`output_filter` must name outputs of signature {signature_name!r} once each, "
                f"from {_listed(signature.outputs)}. Received: {', '.join(map(repr, wanted))}."
            )
        return wanted


class ServedModel:
    """Every version in a folder, loaded, under one name."""

    def __init__(self, directory, name=None):
        folders = find_versions(directory)
        self.name = model_name(directory, name)
        self.versions = {}
        try:
            for number, folder in folders.items():
                self.versions[number] = LoadedVersion(folder)
        except ValueError:
            self.close()
            raise

    def close(self):
        for version in self.versions.values():
            version.close()

    def find(self, name, number=None):
        """Returns the number and `LoadedVersion` asked for, the latest by default."""
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


def _listed(names):
    return ", ".join(repr(name) for name in sorted(names))
