"""Weights, and arithmetic, of a TFLite file in 8 bits, by ai-edge-quantizer."""

import contextlib
import io
import logging
import pathlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from tfbind._validation import check_array
from tfbind.export import _runner
from tfbind.export.samples import sample_inputs

# Rows on which ranges are measured where the caller gives none.
_NUM_ROWS = 64

Batches = Mapping[str, Sequence[Mapping[str, np.ndarray]]]


def load_quantizer() -> ModuleType:
    """Returns ai-edge-quantizer; raises ImportError that names the extra."""
    try:
        import ai_edge_quantizer.quantizer
    except ModuleNotFoundError as error:
        raise ImportError(
            "`quantize` of 'weight_only' and 'int8' needs ai_edge_quantizer. "
            "Run: pip install 'tfbind[litert]'"
        ) from error
    return ai_edge_quantizer


def calibration_batches(
    card: dict[str, Any], rows: Mapping[str, np.ndarray], batch_size: int
) -> Batches:
    """Returns endpoint -> batches to measure ranges on: `rows` by input name, others made up.

    Raises:
        ValueError: If `rows` do not fit the inputs.
    """
    return {
        name: _batches(endpoint, rows, batch_size) for name, endpoint in card["endpoints"].items()
    }


def _batches(endpoint, rows, batch_size):
    given = {name: rows[name] for name in endpoint["inputs"] if name in rows}
    for name, array in given.items():
        info = endpoint["inputs"][name]
        check_array(f"calibration[{name!r}]", array, tuple(info["shape"][1:]), *info["range"])
    num_rows = min(map(len, given.values()), default=max(_NUM_ROWS, batch_size))
    num_rows -= num_rows % batch_size
    if num_rows == 0:
        raise ValueError(
            f"`calibration` must have a batch of {batch_size} rows at least. "
            f"Received: {min(map(len, given.values()))}."
        )
    filled = {**sample_inputs(endpoint, num_rows), **given}
    return [
        {
            name: _rows(array, start, batch_size, endpoint["inputs"][name]["dtype"])
            for name, array in filled.items()
        }
        for start in range(0, num_rows, batch_size)
    ]


def _rows(array, start, batch_size, dtype):
    return np.asarray(array[start : start + batch_size], dtype)


def quantized(file: pathlib.Path, quantize: str, batches: Batches) -> bytes:
    """Returns the file with 8-bit weights: "weight_only"; or with 8-bit arithmetic: "int8"."""
    with refusals_said(quantize), _quiet():
        return _quantized(file, quantize, batches)


@contextlib.contextmanager
def refusals_said(quantize: str) -> Iterator[None]:
    """Makes one ValueError of whatever quantiser and runtime say of a file that cannot be."""
    try:
        yield
    except Exception as error:
        raise ValueError(
            "`quantize` must be one that all ops of the model allow. Received: "
            f"quantize={quantize!r}, which some do not "
            f"({_runner.first_line(error) or type(error).__name__}); choose another."
        ) from error


def _quantized(file, quantize, batches):
    quantizer = load_quantizer().quantizer.Quantizer(str(file), _recipe(quantize))
    from ai_edge_quantizer.calibrator import CalibrationMode

    # The other mode stops at tensors that nothing reads, such as halves of a split.
    mode = CalibrationMode.CALIBRATION_PROFILER_BASED
    ranges = quantizer.calibrate(dict(batches), num_threads=1, mode=mode)
    result = quantizer.quantize(
        ranges or None, enable_progress_bar=False, enable_progress_report=False
    )
    return bytes(result.quantized_model)


def _recipe(quantize):
    """Returns which ops are done in 8 bits, and how."""
    from ai_edge_quantizer import recipe, recipe_manager
    from ai_edge_quantizer.qtyping import QuantGranularity, TFLOperationName

    if quantize == "weight_only":
        return recipe.weight_only_wi8_afp32()
    manager = recipe_manager.RecipeManager()
    manager.load_quantization_recipe(recipe.static_wi8_ai8())
    # LiteRT reads one scale alone of a batched product's weights.
    granularity = QuantGranularity.TENSORWISE
    manager.add_static_config(
        ".*", TFLOperationName.BATCH_MATMUL, 8, 8, weight_granularity=granularity
    )
    # A divisor must not be rounded to zero; XNNPACK refuses a split with parts scaled apart; and
    # what takes the place of a bad row's answer is NaN, which has no 8 bits.
    names = TFLOperationName
    for operation in (names.DIV, names.SPLIT, names.SELECT, names.SELECT_V2):
        manager.add_quantization_config(".*", operation, algorithm_key="no_quantize")
    return manager.get_quantization_recipe()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the quantizer's bars and warnings off the screen."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
