import os
from collections.abc import Mapping
from types import ModuleType

import numpy as np
from numpy.typing import ArrayLike

from tfbind.export import _layout, _runner

# Where the file keeps the name of its endpoint.
ENDPOINT = "tfbind_endpoint"

# ONNX' names of types that NumPy calls otherwise.
_DTYPES = {"float": "float32", "double": "float64"}


class OnnxRunner:
    """Runs an ONNX file with ONNX Runtime on the CPU, without TensorFlow.

    Args:
        path: The .onnx file.

    Attributes:
        signatures: Dict with one entry, from the endpoint's name to `inputs` and `outputs`, dicts
            from name to `shape`, with None for any size, and `dtype`, as on a card.

    Call arguments:
        signature: Name of the endpoint.
        inputs: Dict from input name to array, of the shapes and dtypes in `signatures`.

    Returns:
        A dict from output name to array.

    Raises:
        ImportError: If ONNX Runtime is not installed.
        ValueError: If there is no readable file, or the inputs do not fit the signature.

    Example:

    >>> file = tempfile.mkdtemp() + "/model.onnx"
    >>> report = tfbind.export.export_onnx(tfbind.DenoisingAutoencoder((4,)), file)
    >>> runner = tfbind.export.OnnxRunner(file)
    >>> runner("serving_default", {"image": np.ones((2, 4), "float32")})["code"].shape
    (2, 500)
    """

    def __init__(self, path: str | os.PathLike) -> None:
        runtime = load_runtime()
        path = _layout.find_file(path)
        options = runtime.SessionOptions()
        options.log_severity_level = 3  # errors
        try:
            self._session = runtime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's own classes are private
            raise ValueError(
                f"`path` must be a readable ONNX file. Received: path={str(path)!r}, which "
                f"cannot be loaded ({_runner.first_line(error)}); export the model again."
            ) from error
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.signatures = {
            metadata.get(ENDPOINT, "serving_default"): {
                "inputs": _describe(self._session.get_inputs()),
                "outputs": _describe(self._session.get_outputs()),
            }
        }

    def __call__(self, signature: str, inputs: Mapping[str, ArrayLike]) -> dict[str, np.ndarray]:
        inputs = _runner.check_inputs(self.signatures, signature, inputs)
        names = list(self.signatures[signature]["outputs"])
        try:
            return dict(zip(names, self._session.run(names, inputs), strict=True))
        except Exception as error:  # the runtime's own classes are private
            raise ValueError(
                f"The model cannot run on these inputs: {_runner.first_line(error)}."
            ) from error


def load_runtime() -> ModuleType:
    """Returns ONNX Runtime; raises ImportError that names the extra."""
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ImportError("ONNX files need onnxruntime. Run: pip install onnxruntime") from error
    return onnxruntime


def _describe(tensors):
    return {
        tensor.name: {"shape": list(map(_size, tensor.shape)), "dtype": _dtype(tensor.type)}
        for tensor in sorted(tensors, key=lambda tensor: tensor.name)
    }


def _size(size):
    return size if isinstance(size, int) else None


def _dtype(text):
    """Returns the dtype of a text such as "tensor(float)"."""
    name = text.removeprefix("tensor(").removesuffix(")")
    return _DTYPES.get(name, name)
