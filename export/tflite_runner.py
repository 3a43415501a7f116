import os
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from tfbind.export import _layout, _runner


class TFLiteRunner:
    """Runs the signatures of a TFLite file with LiteRT, without TensorFlow.

    What a file takes or gives in 8 bits is float32 here, scaled by the file's own numbers; values
    beyond the range of these count as its ends.

    Args:
        path: The .tflite file.

    Call arguments:
        signature: Name of the signature.
        inputs: Dict from input name to array, of the shapes and dtypes in `signatures`; the
            batch size is the one the file was made for.

    Returns:
        A dict from output name to array.

    Raises:
        ImportError: If LiteRT is not installed.
        ValueError: If there is no readable file, or the inputs do not fit the signature.

    Example:

    >>> file = tempfile.mkdtemp() + "/model.tflite"
    >>> report = tfbind.export.export_tflite(tfbind.DenoisingAutoencoder((4,)), file)
    >>> runner = tfbind.export.TFLiteRunner(file)
    >>> runner("serving_default", {"image": np.ones((1, 4), "float32")})["code"].shape
    (1, 500)
    """

    def __init__(self, path: str | os.PathLike) -> None:
        interpreter_class = load_interpreter()
        path = _layout.find_file(path)
        try:
            interpreter = interpreter_class(model_path=str(path))
            runners = {
                name: interpreter.get_signature_runner(name)
                for name in interpreter.get_signature_list()
            }
        except (RuntimeError, ValueError) as error:
            raise ValueError(
                f"`path` must be a readable TFLite file. Received: path={str(path)!r}, which "
                f"cannot be loaded ({_runner.first_line(error)}); export the model again."
            ) from error
        self._runners = runners
        self._inputs = {name: runner.get_input_details() for name, runner in runners.items()}
        self._outputs = {name: runner.get_output_details() for name, runner in runners.items()}
        self.signatures = {
            name: {
                "inputs": _describe(self._inputs[name]),
                "outputs": _describe(self._outputs[name]),
            }
            for name in runners
        }

    def __call__(self, signature: str, inputs: Mapping[str, ArrayLike]) -> dict[str, np.ndarray]:
        inputs = _runner.check_inputs(self.signatures, signature, inputs)
        taken, given = self._inputs[signature], self._outputs[signature]
        try:
            outputs = self._runners[signature](
                **{name: _rounded(name, array, taken[name]) for name, array in inputs.items()}
            )
            return {name: _scaled(array, given[name]) for name, array in outputs.items()}
        except RuntimeError as error:
            raise ValueError(
                f"The model cannot run on these inputs: {_runner.first_line(error)}."
            ) from error


def load_interpreter() -> type:
    """Returns LiteRT's interpreter class; raises ImportError that names the extra."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ModuleNotFoundError as error:
        raise ImportError(
            "TFLite files need ai_edge_litert. Run: pip install ai-edge-litert"
        ) from error
    return Interpreter


def _describe(tensors):
    return {
        name: {
            "shape": [None if size < 0 else int(size) for size in info["shape_signature"]],
            "dtype": "float32" if _is_scaled(info) else np.dtype(info["dtype"]).name,
        }
        for name, info in sorted(tensors.items())
    }


def _is_scaled(info):
    """Whether a tensor holds integers that stand for real numbers."""
    return info["quantization"][0] != 0


def _rounded(name, array, info):
    if not _is_scaled(info):
        return array
    if not np.all(np.isfinite(array)):  # 8 bits have no way to say so
        raise ValueError(f"`{name}` must be finite. Received: NaN or infinity.")
    scale, zero = info["quantization"]
    limits = np.iinfo(info["dtype"])
    return np.clip(np.rint(array / scale) + zero, limits.min, limits.max).astype(info["dtype"])


def _scaled(array, info):
    if not _is_scaled(info):
        return array
    scale, zero = info["quantization"]
    return (array.astype("float32") - zero) * np.float32(scale)
