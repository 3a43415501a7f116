"""One version of a model: loaded by TensorFlow, batched by it, and warm."""

import os
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfbind.export import _layout, _runner, _warmup
from tfbind.export.saved_model_runner import describe
from tfbind.serving._codec import decode_tensor

_BATCH_ROWS = 64
_BATCH_THREADS = 2
_MOST_BATCHES = 1024  # that may wait; `Limits.requests` is what holds requests back


class Version:
    """Runs the signatures of a SavedModel, with the requests of several clients as one batch.

    Requests that come while others run wait for them and then run together, in the batch function
    of TensorFlow: an idle server keeps no request waiting. Batched are signatures whose inputs and
    outputs all have the batch as first axis, of models with our card: of another's we do not know
    that rows are independent. If a batch fails, its requests run one by one, so that one client's
    bad request is no other's.

    Args:
        folder: The folder of the version.

    Attributes:
        signatures: Dict from name to `inputs` and `outputs`, as `SavedModelRunner` has it.
        signature_defs: Dict from name to `SignatureDef`, as in the file.

    Raises:
        ValueError: If it cannot be loaded, or fails on its own warm-up requests.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self._path = pathlib.Path(folder)
        try:
            self._load()
            self._warm_up()
        except Exception as error:  # protobuf, TensorFlow and the file system have their own
            raise ValueError(
                f"`path` must be a readable SavedModel. Received: path={str(folder)!r}, which "
                f"cannot be loaded ({_runner.first_line(error)}); export the model again."
            ) from error

    def __call__(self, signature: str, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
        arrays = _runner.check_inputs(self.signatures, signature, inputs)
        alone = self._alone[signature]
        try:
            tensors = {name: tf.constant(array) for name, array in arrays.items()}
            rows = {array.shape[0] if array.ndim else 0 for array in arrays.values()}
            if signature in self._batched and len(rows) == 1 and 0 < max(rows) < _BATCH_ROWS:
                try:
                    return _as_arrays(self._batched[signature](**tensors))
                except tf.errors.OpError:  # whose request it was shows when each runs alone
                    pass
            return _as_arrays(alone(**tensors))
        except (tf.errors.InvalidArgumentError, tf.errors.OutOfRangeError) as error:
            raise ValueError(
                f"The model cannot run on these inputs: {_runner.first_line(error)}."
            ) from error

    def _load(self):
        graphs = saved_model_pb2.SavedModel.FromString(
            (self._path / _layout.SAVED_MODEL).read_bytes()
        ).meta_graphs
        graph = next(graph for graph in graphs if "serve" in graph.meta_info_def.tags)
        self.signature_defs = dict(graph.signature_def)
        with _layout.without_patterns(self._path) as path:
            self._model = tf.saved_model.load(path)
        self._alone = dict(self._model.signatures)
        self.signatures = {
            name: describe(self.signature_defs[name]) for name in sorted(self._alone)
        }
        self._batched = {
            name: _batched(self._alone[name])
            for name, signature in self.signatures.items()
            if _layout.card_path(self._path).is_file() and _has_rows(signature)
        }

    def _warm_up(self):
        """Answers the requests that the exporter left for this, as TF Serving does."""
        for request in _warmup.read_requests(self._path):
            inputs = {name: decode_tensor(name, proto) for name, proto in request.inputs.items()}
            self(request.model_spec.signature_name or "serving_default", inputs)


def _has_rows(signature):
    infos = [*signature["inputs"].values(), *signature["outputs"].values()]
    return bool(signature["inputs"]) and all(
        info["shape"] and info["shape"][0] is None for info in infos
    )


def _batched(signature):
    """Returns a function like `signature` that runs calls from several threads as one."""
    specs = signature.structured_input_signature[1]
    names = sorted(signature.structured_outputs)

    @tf.nondifferentiable_batch_function(
        _BATCH_THREADS,
        _BATCH_ROWS,
        batch_timeout_micros=0,
        max_enqueued_batches=_MOST_BATCHES,
    )
    def run(*tensors):
        outputs = signature(**dict(zip(specs, tensors, strict=True)))
        return [outputs[name] for name in names]

    def call(**tensors):
        return dict(zip(names, run(*(tensors[name] for name in specs)), strict=True))

    function = tf.function(call, autograph=False)
    return function.get_concrete_function(
        **{name: tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in specs.items()}
    )


def _as_arrays(outputs):
    return {name: tensor.numpy() for name, tensor in outputs.items()}
