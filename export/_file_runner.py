"""Which runtime a file is for."""

import os
import pathlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfbind.export.onnx_runner import OnnxRunner
    from tfbind.export.tflite_runner import TFLiteRunner


def load_runner(path: str | os.PathLike) -> "OnnxRunner | TFLiteRunner":
    """Returns the runner of a TFLite or ONNX file."""
    if pathlib.Path(path).suffix == ".onnx":
        from tfbind.export.onnx_runner import OnnxRunner

        return OnnxRunner(path)
    from tfbind.export.tflite_runner import TFLiteRunner

    return TFLiteRunner(path)
