import os
from typing import Any

import keras

from tfbind import reading
from tfbind._validation import check_choice
from tfbind.export import _layout, _onnx_ops
from tfbind.export._comparison import errors_against_keras, sample_batches
from tfbind.export._endpoints import trace_endpoints
from tfbind.export.card import describe, put_with_card
from tfbind.export.onnx_runner import ENDPOINT, OnnxRunner, load_runtime

OPSET = 18  # the highest that tf2onnx writes

# Rows of the batches on which a new file is compared with Keras.
_BATCH_SIZES = (1, 3)


def export_onnx(
    model: keras.Model,
    path: str | os.PathLike,
    endpoint: str = "serving_default",
    *,
    preparation: reading.Preparation | None = None,
) -> dict[str, Any]:
    """Writes one endpoint of a model as an ONNX file, runs it, and tells how far off it is.

    Use it for people without TensorFlow: ONNX Runtime, OpenVINO, TensorRT and others read it.
    Inputs and outputs have the endpoint's names, and the batch size is open. The file is run by
    ONNX Runtime before it is moved to `path`, together with its card, `<path>.json`.

    Args:
        model: A built model with `serving_endpoints()`.
        path: Where to write; must end in ".onnx". An existing file is replaced.
        endpoint: Name of the endpoint, for a file of ONNX holds one.
        preparation: What is done to a person's files before the model sees them; or None. The card
            says it; who runs the file has to do it.

    Returns:
        A dict: `path`; `opset`; `bytes`, the size; `sha256`; `errors`, from endpoint to output to
        `max` and `mean`, the absolute error against the Keras model on inputs drawn from the
        endpoint's ranges.

    Raises:
        ImportError: If tf2onnx or ONNX Runtime is not installed.
        ValueError: If an argument is out of its range, or the endpoint needs an op that ONNX lacks.

    Example:

    >>> model = tfbind.DenoisingAutoencoder((4,), hidden_units=2)
    >>> report = tfbind.export.export_onnx(model, tempfile.mkdtemp() + "/model.onnx")
    >>> report["errors"]["serving_default"]["reconstruction"]["max"] < 1e-4
    True
    """
    path = _layout.check_suffix(path, ".onnx")
    load_runtime()  # before the work, not after it
    _load_converter()
    traced = trace_endpoints(model)
    traced = {endpoint: traced[check_choice("endpoint", endpoint, tuple(traced))]}
    card = describe(model, traced, preparation)
    batches = {endpoint: sample_batches(card["endpoints"][endpoint], _BATCH_SIZES)}
    with _layout.written_at_once(path.parent) as temporary:
        file = temporary / path.name
        file.write_bytes(_convert(endpoint, traced[endpoint]))
        errors = errors_against_keras(OnnxRunner(file), traced, batches)
        artifact = {"kind": "onnx", "opset": OPSET, "errors": errors}
        return put_with_card(file, path, card, artifact)


def _load_converter():
    """Returns tf2onnx; raises ImportError that names the extra."""
    try:
        import tf2onnx
    except ModuleNotFoundError as error:
        raise ImportError("ONNX files need tf2onnx. Run: pip install 'tfbind[onnx]'") from error
    return tf2onnx


def _convert(name, entry):
    """Returns the bytes of a file; raises ValueError if ONNX lacks an op."""
    _onnx_ops.register()
    signature = list(entry.inputs.values())
    with _onnx_ops.quiet():
        proto, _ = _load_converter().convert.from_function(
            entry.function, input_signature=signature, opset=OPSET
        )
    unknown = _onnx_ops.unknown_ops(proto.graph)
    if unknown:
        raise ValueError(
            f"Endpoint {name!r} must need ops alone that ONNX has. Received: an endpoint with "
            f"{', '.join(sorted(unknown))}; compute it another way, or export a SavedModel."
        )
    for tensor in (*proto.graph.input, *proto.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"
    proto.metadata_props.add(key=ENDPOINT, value=name)
    return proto.SerializeToString()
