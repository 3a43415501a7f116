"""Export: SavedModel, TFLite and ONNX of a model's endpoints, each with a card and a check.

A model is read through its `serving_endpoints()` alone. Reading a card loads no TensorFlow.
Besides, as StableHLO programs: the endpoints; the training step that `fit` runs, which trains
without TensorFlow; and any other function over a model's variables.
"""

if __name__ != "tfbind.export":
    raise ImportError(f"Import this package as `tfbind.export`. Received: {__name__!r}.")

import importlib
from typing import Any

__all__ = [
    "OnnxRunner",
    "ProgramRunner",
    "SavedModelRunner",
    "StableHLORunner",
    "TFLiteRunner",
    "TrainStepRunner",
    "build_card",
    "check_artifact",
    "export_onnx",
    "export_programs",
    "export_saved_model",
    "export_stablehlo",
    "export_tflite",
    "export_train_step",
    "read_card",
    "read_key",
    "restore_variables",
    "sample_inputs",
]

_MODULES = {
    "OnnxRunner": "onnx_runner",
    "ProgramRunner": "program_runner",
    "SavedModelRunner": "saved_model_runner",
    "StableHLORunner": "stablehlo_runner",
    "TFLiteRunner": "tflite_runner",
    "TrainStepRunner": "train_step_runner",
    "build_card": "card",
    "check_artifact": "check",
    "export_onnx": "onnx",
    "export_programs": "stablehlo",
    "export_saved_model": "saved_model",
    "export_stablehlo": "stablehlo",
    "export_tflite": "tflite",
    "export_train_step": "stablehlo",
    "read_card": "card",
    "read_key": "_sealing",
    "restore_variables": "stablehlo",
    "sample_inputs": "samples",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'tfbind.export' has no attribute {name!r}")
    return getattr(importlib.import_module(f"tfbind.export.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
