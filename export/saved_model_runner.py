import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfbind.export import _layout, _runner


class SavedModelRunner:
    """Runs the signatures of a SavedModel the way TF Serving does.

    It loads the model into a TF1 Session and feeds the tensors that the signature names, so that
    a model that only `tf.saved_model.load` can read fails here as it would on a server. It runs
    on the CPU, and may be called from several threads.

    Args:
        path: The folder of one version, or one with versions, of which the latest is taken.

    Attributes:
        signatures: Dict from name to `inputs` and `outputs`, dicts from name to `shape`, with
            None for any size, and `dtype`, as on a card.
        signature_defs: Dict from name to `SignatureDef`, as in the file; TensorFlow's own, such as
            `__saved_model_init_op`, are among them.

    Call arguments:
        signature: Name of the signature.
        inputs: Dict from input name to array, of the shapes and dtypes in `signatures`.

    Returns:
        A dict from output name to array.

    Raises:
        ValueError: If there is no readable SavedModel, or the inputs do not fit the signature.

    Example:

    >>> folder = tempfile.mkdtemp()
    >>> version = tfbind.export.export_saved_model(tfbind.DenoisingAutoencoder((4,)), folder)
    >>> runner = tfbind.export.SavedModelRunner(folder)
    >>> runner("serving_default", {"image": np.ones((2, 4), "float32")})["code"].shape
    (2, 500)
    """

    def __init__(self, path: str | os.PathLike) -> None:
        folder = _layout.find_saved_model(path)
        # Without a GPU, whose matmuls (TF32) are rougher than what the checks tolerate.
        config = tf.compat.v1.ConfigProto(device_count={"GPU": 0})
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
        try:
            meta_graph = _load(self._session, folder)
        except Exception as error:  # protobuf, TensorFlow and the file system have their own
            self.close()
            raise ValueError(
                f"`path` must be a readable SavedModel. Received: path={str(path)!r}, which "
                f"cannot be loaded ({_runner.first_line(error)}); export the model again."
            ) from error
        self.signature_defs = dict(meta_graph.signature_def)
        self.signatures = {
            name: describe(signature)
            for name, signature in sorted(self.signature_defs.items())
            if not name.startswith("__")  # TensorFlow's own
        }

    def __call__(self, signature: str, inputs: Mapping[str, ArrayLike]) -> dict[str, np.ndarray]:
        inputs = _runner.check_inputs(self.signatures, signature, inputs)
        definition = self.signature_defs[signature]
        try:
            return self._session.run(
                {name: tensor.name for name, tensor in definition.outputs.items()},
                {definition.inputs[name].name: array for name, array in inputs.items()},
            )
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(
                f"The model cannot run on these inputs: {_runner.first_line(error)}."
            ) from error

    def close(self) -> None:
        """Frees the memory that the weights take."""
        self._session.close()


def _load(session, folder):
    """Loads a SavedModel into a TF1 `session`, as TF Serving does; returns the meta graph.

    TensorFlow's advice to move to the loader of TensorFlow 2 is kept off the screen.
    """
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        with session.graph.as_default(), _layout.without_patterns(folder) as path:
            return tf.compat.v1.saved_model.loader.load(session, ["serve"], path)
    finally:
        logger.setLevel(level)


def describe(signature: Any) -> dict[str, dict[str, Any]]:
    """Returns the `inputs` and `outputs` of a `SignatureDef`, shapes and dtypes by name."""
    return {"inputs": _described(signature.inputs), "outputs": _described(signature.outputs)}


def _described(tensors):
    return {
        name: {
            "shape": _shape(info.tensor_shape),
            "dtype": tf.as_dtype(info.dtype).name,
        }
        for name, info in sorted(tensors.items())
    }


def _shape(proto):
    if proto.unknown_rank:
        return None
    return [None if dim.size < 0 else dim.size for dim in proto.dim]
