"""The matrix of runtimes: how its cells are worked out, and how they are written."""

import contextlib

import numpy as np
import pytest

from benchmarks import parity
from benchmarks._runtimes import REDUCED, RUNTIMES, Runtime, graph_mode

EXPECTED = {"code": np.array([[1.0, -4.0]]), "total": np.array([0.5])}


class Toy:
    """A subject with one endpoint, and nothing else."""

    inputs = {"serving_default": {"x": np.zeros((1, 2))}}
    stack = contextlib.ExitStack()


def test_a_difference_is_relative_to_the_largest_magnitude_or_one():
    answers = {"code": np.array([[1.0, -4.2]]), "total": np.array([0.51])}
    assert parity.difference(answers, EXPECTED) == pytest.approx(0.05)
    answers = {"code": EXPECTED["code"], "total": np.array([0.51])}
    assert parity.difference(answers, EXPECTED) == pytest.approx(0.01)


def test_a_missing_output_is_a_sentence():
    runtime = Runtime(lambda subject: lambda name, inputs: {"code": EXPECTED["code"]})
    found = parity.cell(Toy(), runtime, {"serving_default": EXPECTED})
    assert found == "It gives ['code'] for ['code', 'total']."


def test_what_cannot_be_is_a_footnote_of_its_own_number():
    cells = dict.fromkeys({**RUNTIMES, **REDUCED}, 1e-7)
    first = {**cells, "LiteRT int8": "It has no ops.", "Keras XLA": 0.2}
    second = {**cells, "LiteRT int8": "It has no ops.", "StableHLO, JAX": "No JAX."}
    text = parity.document({"One": first, "Two": second})
    assert text.count("[^1]:") == text.count("[^2]:") == 1
    assert text.count("[^1]") == 2 and text.count("[^2]") == 3
    assert "[^1]: No JAX.\n" in text and "[^2]: It has no ops.\n" in text
    assert "| `One` | 1e-07 | **2e-01** | 1e-07 |" in text


def test_eager_and_compiled_agree_with_graph_mode():
    subject = parity._subjects()["DenoisingAutoencoder"]()
    truth = graph_mode(subject)
    with subject.stack:
        expected = {name: truth(name, inputs) for name, inputs in subject.inputs.items()}
        for title in ("Keras eager", "Keras XLA", "SavedModel, TF1 session"):
            assert 0 <= parity.cell(subject, RUNTIMES[title], expected) < 1e-5
    assert not subject.folder.exists()


@pytest.mark.slow
@pytest.mark.parametrize("title", ["OpenVINO, SavedModel", "OpenVINO, ONNX"])
def test_openvino(title):
    """A runtime that shares no code with TensorFlow's."""
    pytest.importorskip("openvino", reason="openvino is not installed")
    pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
    subject = parity._subjects()["ReconstructionClustering"]()
    truth, name = graph_mode(subject), "serving_default"
    with subject.stack:
        expected = {name: truth(name, subject.inputs[name])}
        assert 0 <= parity.cell(subject, RUNTIMES[title], expected) < 1e-4
