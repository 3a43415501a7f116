import os
import pathlib
import re
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbind import reading
from tfbind._validation import check_choice, check_integer
from tfbind.export import _endpoints, _layout
from tfbind.export.card import describe, write_card
from tfbind.export.samples import sample_inputs
from tfbind.export.saved_model import write_archive
from tfbind.export.tflite_runner import TFLiteRunner, load_interpreter

# Batches on which a new file is compared with Keras.
_NUM_BATCHES = 4


def export_tflite(
    model: keras.Model,
    path: str | os.PathLike,
    quantize: str = "none",
    batch_size: int = 1,
    *,
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
        quantize: "none"; "float16", weights of half the size; or "dynamic", weights in 8 bits
            and a quarter of the size, inputs and outputs in float32 all the same.
        batch_size: Integer >= 1, the rows of every call.
        preparation: What is done to a person's files before the model sees them; or None. The card
            says it; a device has to do it by itself.

    Returns:
        A dict: `path`; `bytes`, the size; `sha256`; `quantize`; `batch_size`; `errors`, from
        endpoint to output to `max` and `mean`, the absolute error against the Keras model on
        inputs drawn from the endpoint's ranges.

    Raises:
        ImportError: If LiteRT is not installed.
        ValueError: If an argument is out of its range, or an endpoint needs an op that is not
            built in.

    Example:

    >>> model = tfbind.DenoisingAutoencoder((4,), hidden_units=2)
    >>> report = tfbind.export.export_tflite(model, tempfile.mkdtemp() + "/model.tflite")
    >>> report["errors"]["serving_default"]["reconstruction"]["max"] < 1e-4
    True
    """
    path = pathlib.Path(path)
    if not _layout.is_tflite(path):
        raise ValueError(f"`path` must end in '.tflite'. Received: path={str(path)!r}.")
    check_choice("quantize", quantize, ("none", "float16", "dynamic"))
    batch_size = check_integer("batch_size", batch_size, 1)
    load_interpreter()  # before the work, not after it
    traced = _endpoints.trace_endpoints(model, batch_size)
    card = describe(model, traced, preparation)
    batches = {name: _batches(endpoint, batch_size) for name, endpoint in card["endpoints"].items()}
    with _layout.written_at_once(path.parent) as temporary:
        file = temporary / path.name
        file.write_bytes(_convert(traced, quantize, temporary / "saved_model"))
        card["artifact"] = {
            "kind": "tflite",
            "quantize": quantize,
            "batch_size": batch_size,
            "bytes": file.stat().st_size,
            "sha256": _layout.sha256(file),
            "errors": _compare(TFLiteRunner(file), traced, batches),
        }
        write_card(card, _layout.card_path(file))
        os.replace(_layout.card_path(file), _layout.card_path(path))
        os.replace(file, path)
    return {"path": str(path), **card["artifact"]}


def _convert(traced, quantize, folder):
    write_archive(traced, folder)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=list(traced))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if quantize != "none":
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


def _batches(endpoint, batch_size):
    """Returns dicts of arrays to run one endpoint on."""
    rows = sample_inputs(endpoint, _NUM_BATCHES * batch_size)
    return [
        {name: array[start : start + batch_size] for name, array in rows.items()}
        for start in range(0, _NUM_BATCHES * batch_size, batch_size)
    ]


def _compare(runner, traced, batches):
    """Returns endpoint -> output -> the largest and the mean absolute error against Keras."""
    errors = {}
    for name, entry in traced.items():
        differences: dict[str, list[np.ndarray]] = {output: [] for output in entry.outputs}
        for batch in batches[name]:
            answer = runner(name, batch)
            with tf.device("CPU"):  # a GPU's matmuls (TF32) would count as errors of the file
                expected = entry.function(*(tf.constant(batch[key]) for key in entry.inputs))
            for output in differences:
                difference = answer[output] - expected[output].numpy().astype("float64")
                differences[output].append(np.abs(difference))
        errors[name] = {
            output: {"max": float(np.max(parts)), "mean": float(np.mean(parts))}
            for output, parts in differences.items()
        }
        for output, error in errors[name].items():
            if not np.isfinite(error["max"]):
                raise ValueError(
                    f"Output {output!r} of endpoint {name!r} must be finite on the samples. "
                    "Received: NaN or infinity."
                )
    return errors
