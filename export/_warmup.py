"""The requests that TF Serving replays before it takes a new version into service."""

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfbind.export import _layout, samples

FILE_NAME = "tf_serving_warmup_requests"
BATCH_SIZES = (1, 8)


def write_warmup(card: dict[str, Any], folder: pathlib.Path, model_name: str) -> bool:
    """Writes a request a signature and batch size into a SavedModel, and tells whether it did.

    The protos come with the extra `tfbind[serving]`; without it the model is served cold.
    """
    try:
        from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2
    except ModuleNotFoundError:
        return False
    (folder / _layout.EXTRA).mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / _layout.EXTRA / FILE_NAME)) as writer:
        for signature, endpoint in card["endpoints"].items():
            for batch_size in BATCH_SIZES:
                request = predict_pb2.PredictRequest(
                    model_spec=model_pb2.ModelSpec(name=model_name, signature_name=signature)
                )
                for name, array in samples.sample_inputs(endpoint, batch_size).items():
                    request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
                log = prediction_log_pb2.PredictionLog(
                    predict_log=prediction_log_pb2.PredictLog(request=request)
                )
                writer.write(log.SerializeToString())
    return True


def read_requests(folder: pathlib.Path) -> Iterator[Any]:
    """Yields the `PredictRequest`s of a SavedModel; none without the extra or the file."""
    file = folder / _layout.EXTRA / FILE_NAME
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ModuleNotFoundError:
        return
    for record in tf.data.TFRecordDataset([str(file)] if file.exists() else []):
        yield prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request


def read_warmup(folder: pathlib.Path) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Returns the signature and the inputs of each request."""
    return [
        (
            request.model_spec.signature_name,
            {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()},
        )
        for request in read_requests(folder)
    ]
