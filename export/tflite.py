import contextlib
import os
import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbind import reading
from tfbind._validation import check_choice, check_integer
from tfbind.export import _endpoints, _layout, _quantizing
from tfbind.export._comparison import errors_against_keras, sample_batches
from tfbind.export.card import describe, put_with_card
from tfbind.export.saved_model import write_archive
from tfbind.export.tflite_runner import TFLiteRunner, load_interpreter

PRECISIONS = ("none", "float16", "dynamic", "weight_only", "int8")
_BY_QUANTIZER = ("weight_only", "int8")

# Batches on which a new file is compared with Keras.
_NUM_BATCHES = 4


def export_tflite(
    model: keras.Model,
    path: str | os.PathLike,
    quantize: str = "none",
    batch_size: int = 1,
    *,
    calibration: Mapping[str, np.ndarray] | None = None,
    preparation: reading.Preparation | None = None,
) -> dict[str, Any]:
    """Writes a model's endpoints as one TFLite file, runs it, and tells how far off it is.

    Use it for phones, browsers and microcontrollers; `export_saved_model` is for servers. Each
    endpoint becomes a signature with a fixed batch size, of built-in ops alone, which every
    TFLite runtime has. The file is run by LiteRT before it is moved to `path`, together with its
    card, `<path>.json`.

    Args:
        model: A built model with `serving_endpoints()`.
        path: Where to write; must end in ".tflite". An existing file is replaced.
        quantize: "none"; "float16", weights of half the size; "dynamic", weights in 8 bits and a
            quarter of the size, inputs of layers rounded as they come; "weight_only", as many
            bits, layers in float32; or "int8", arithmetic in 8 bits too, but for divisions. The
            last two need ai-edge-quantizer. A file of "int8" takes and gives 8 bits, which
            `TFLiteRunner` scales from and to float32; the others take and give float32.
        batch_size: Integer >= 1, the rows of every call.
        calibration: Dict of input name to examples `[n, ...]`, on which "int8" measures the range
            of every tensor; of inputs that are not there, and by default, made-up ones.
        preparation: What is done to a person's files before the model sees them; or None. The card
            says it; a device has to do it by itself.

    Returns:
        A dict: `path`; `bytes`, the size; `sha256`; `quantize`; `batch_size`; `errors`, from
        endpoint to output to `max` and `mean`, the absolute error against the Keras model on
        inputs drawn from the endpoint's ranges.

    Raises:
        ImportError: If LiteRT, or the quantizer where it is needed, is not installed.
        ValueError: If an argument is out of its range, an endpoint needs an op that is not built
            in, or cannot be quantised so.

    Example:

    >>> model = tfbind.DenoisingAutoencoder((4,), hidden_units=2)
    >>> report = tfbind.export.export_tflite(model, tempfile.mkdtemp() + "/model.tflite")
    >>> report["errors"]["serving_default"]["reconstruction"]["max"] < 1e-4
    True
    """
    path = _layout.check_suffix(path, ".tflite")
    check_choice("quantize", quantize, PRECISIONS)
    batch_size = check_integer("batch_size", batch_size, 1)
    load_interpreter()  # before the work, not after it
    if quantize in _BY_QUANTIZER:
        _quantizing.load_quantizer()
    traced = _endpoints.trace_endpoints(model, batch_size)
    card = describe(model, traced, preparation)
    tried = {
        name: sample_batches(endpoint, [batch_size] * _NUM_BATCHES)
        for name, endpoint in card["endpoints"].items()
    }
    measured = _quantizing.calibration_batches(card, calibration or {}, batch_size)
    with _layout.written_at_once(path.parent) as temporary:
        file = temporary / path.name
        file.write_bytes(_convert(traced, quantize, temporary / "saved_model"))
        said: contextlib.AbstractContextManager = contextlib.nullcontext()
        if quantize in _BY_QUANTIZER:
            file.write_bytes(_quantizing.quantized(file, quantize, measured))
            said = _quantizing.refusals_said(quantize)
        with said:
            errors = errors_against_keras(TFLiteRunner(file), traced, tried)
        artifact = {"kind": "tflite", "quantize": quantize, "batch_size": batch_size}
        return put_with_card(file, path, card, {**artifact, "errors": errors})


def _convert(traced, quantize, folder):
    write_archive(traced, folder)
    with _layout.without_patterns(folder) as path:
        return _converted(traced, quantize, path)


def _converted(traced, quantize, path):
    converter = tf.lite.TFLiteConverter.from_saved_model(path, signature_keys=list(traced))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if quantize in ("float16", "dynamic"):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    try:
        return converter.convert()
    except Exception as error:  # the converter's own class is private
        ops = sorted(set(re.findall(r"tf\.(\w+)\(", str(error))))
        if not ops:
            raise
        raise ValueError(
            "`model` must need built-in TFLite ops alone. Received: an endpoint with "
            f"{', '.join(ops)}; compute it another way, or export a SavedModel."
        ) from error
