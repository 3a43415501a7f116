"""How far the answers of a new file are from those of Keras."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfbind.export._endpoints import TracedEndpoint
from tfbind.export.samples import sample_inputs

Batch = Mapping[str, np.ndarray]


def sample_batches(endpoint: dict[str, Any], sizes: Sequence[int]) -> list[Batch]:
    """Returns batches of these sizes of made-up inputs of one endpoint of a card."""
    rows = sample_inputs(endpoint, sum(sizes))
    stops = np.cumsum(sizes)
    return [
        {name: array[stop - size : stop] for name, array in rows.items()}
        for size, stop in zip(sizes, stops, strict=True)
    ]


def errors_against_keras(
    runner: Callable[[str, Batch], dict[str, np.ndarray]],
    traced: Mapping[str, TracedEndpoint],
    batches: Mapping[str, Sequence[Batch]],
) -> dict[str, dict[str, dict[str, float]]]:
    """Returns endpoint -> output -> `max` and `mean`, the absolute error over some batches.

    Raises:
        ValueError: If an output is not finite.
    """
    errors = {}
    for name, entry in traced.items():
        found = [_differences(runner, name, entry, batch) for batch in batches[name]]
        errors[name] = {output: _summed_up([each[output] for each in found]) for output in found[0]}
        for output, error in errors[name].items():
            if not np.isfinite(error["max"]):
                raise ValueError(
                    f"Output {output!r} of endpoint {name!r} must be finite on the samples. "
                    "Received: NaN or infinity."
                )
    return errors


def _differences(runner, name, entry, batch):
    """Returns output -> the absolute differences on one batch."""
    answer = runner(name, batch)
    with tf.device("CPU"):  # a GPU's matmuls (TF32) would count as errors of the file
        expected = entry.function(*(tf.constant(batch[key]) for key in entry.inputs))
    return {
        output: np.abs(answer[output] - expected[output].numpy().astype("float64"))
        for output in entry.outputs
    }


def _summed_up(differences):
    flat = np.concatenate([np.ravel(each) for each in differences])
    return {"max": float(np.max(flat)), "mean": float(np.mean(flat))}
