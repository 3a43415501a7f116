"""Data sets, and the model of a run, which a test file makes, everywhere."""

import numpy as np
import pytest

from tfbind import data, export, serving, training


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """Data folder of TFDS with Simple Superposition in it."""
    folder = tmp_path_factory.mktemp("tfds")
    data.load("simple_superposition", "test", folder)
    return folder


@pytest.fixture(scope="module")
def model(run):
    """The model of the finished run in the folder `run`."""
    return training.Run(run).load()


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    export.export_saved_model(model, folder / "digits")
    return folder


@pytest.fixture(scope="module")
def server(exported):
    with serving.ReferenceServer(exported / "digits") as server:
        yield server


@pytest.fixture(scope="module", params=["session", "grpc", "rest", "tflite"])
def answer(request, model, exported):
    """A function from endpoint and inputs to outputs, of one of the ways to run the model."""
    if request.param == "session":
        yield export.SavedModelRunner(exported / "digits")
    elif request.param == "tflite":
        export.export_tflite(model, exported / "digits.tflite")
        runner = export.TFLiteRunner(exported / "digits.tflite")

        def one_by_one(endpoint, inputs):
            rows = range(len(next(iter(inputs.values()))))
            found = [
                runner(endpoint, {key: x[n : n + 1] for key, x in inputs.items()}) for n in rows
            ]
            return {key: np.concatenate([row[key] for row in found]) for key in found[0]}

        yield one_by_one
    else:
        server = request.getfixturevalue("server")
        if request.param == "rest":
            client = serving.RestClient(server.url, server.name)
            yield lambda endpoint, inputs: client.predict(inputs, endpoint)
        else:
            with serving.GrpcClient(server.target, server.name) as client:
                yield lambda endpoint, inputs: client.predict(inputs, endpoint)
