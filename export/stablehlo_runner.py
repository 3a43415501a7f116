from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from tfbind.export import _runner
from tfbind.export.program_runner import ProgramRunner


class StableHLORunner(ProgramRunner):
    """Runs the endpoints of a StableHLO folder on any device that JAX knows; needs no TensorFlow.

    Args:
        folder: The folder that `export_stablehlo` made.
        device: As for `ProgramRunner`.
        values: As for `ProgramRunner`.

    Attributes:
        signatures: Dict from name to `inputs` and `outputs`, dicts from name to `shape` and
            `dtype`, as on a card; the batch size is the one the folder was made for.

    Call arguments:
        signature: Name of the endpoint.
        inputs: Dict from input name to array, of the shapes and dtypes in `signatures`.

    Returns:
        A dict from output name to array.

    Raises:
        ValueError: If there is no such folder or device, or the inputs do not fit the endpoint.

    Example:

    >>> model = tfbind.DenoisingAutoencoder((4,), hidden_units=2)
    >>> folder = tfbind.export.export_stablehlo(model, tempfile.mkdtemp() + "/programs")
    >>> runner = tfbind.export.StableHLORunner(folder, "cpu")
    >>> runner("serving_default", {"image": np.ones((1, 4), "float32")})["code"].shape
    (1, 2)
    """

    @property
    def signatures(self) -> _runner.Signatures:
        return {
            name: {
                part: {spec["name"]: _described(spec) for spec in program[part]}
                for part in ("inputs", "outputs")
            }
            for name, program in self._described["programs"].items()
        }

    def __call__(self, signature: str, inputs: Mapping[str, ArrayLike]) -> dict[str, np.ndarray]:
        inputs = _runner.check_inputs(self.signatures, signature, inputs)
        order = {name: np.arange(len(array))[None] for name, array in inputs.items()}
        outputs = self.run(signature, inputs, order)
        return {name: np.asarray(array)[0] for name, array in outputs.items()}


def _described(spec):
    return {"shape": spec["shape"], "dtype": spec["dtype"]}
