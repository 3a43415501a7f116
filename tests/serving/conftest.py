"""A small SavedModel, a server of it, and the truth: the same file in a session of our own."""

import http.server
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbind import serving

_DTYPES = ("float32", "float64", "int8", "int16", "int32", "int64")
_DTYPES += ("uint8", "uint16", "uint32", "uint64", "bool", "string")


def export_toy(path, bias=3.0):
    """Writes a model whose default signature is TF Serving's example, `y = x / 2 + 3`."""
    dense = keras.layers.Dense(1)
    dense.build((None, 1))
    dense.set_weights([np.array([[0.5]]), np.array([bias])])

    def half_plus(x):
        return {"y": dense(x[:, None])[:, 0]}

    def sensors(tag, signal, sensor):
        total = tf.cast(tf.reduce_sum(signal, 1), "float32") + tf.reduce_sum(sensor, [1, 2])
        return {"tag": tf.identity(tag), "total": total, "doubled": 2 * sensor}

    def summary(x):
        return {"mean": tf.reduce_mean(x), "y": x + 1.0}

    def same(*tensors):
        return {f"{x.dtype.name}_out": tf.identity(x) for x in tensors}

    def copy(image_bytes):
        return {"copy_bytes": tf.identity(image_bytes)}

    def gather(x, index):
        return {"picked": tf.gather(x, index)}

    vector = tf.TensorSpec((None,), "float32", name="x")
    endpoints = {
        "serving_default": (half_plus, [vector]),
        "sensors": (
            sensors,
            [
                tf.TensorSpec((None,), "string", name="tag"),
                tf.TensorSpec((None, 5), "int32", name="signal"),
                tf.TensorSpec((None, 2, 2), "float32", name="sensor"),
            ],
        ),
        "summary": (summary, [vector]),
        "same": (same, [tf.TensorSpec((None, 2), dtype, name=dtype) for dtype in _DTYPES]),
        "half": (same, [tf.TensorSpec((None,), "float16", name="float16")]),
        "copy": (copy, [tf.TensorSpec((None,), "string", name="image_bytes")]),
        "gather": (gather, [vector, tf.TensorSpec((None,), "int32", name="index")]),
    }
    archive = keras.export.ExportArchive()
    archive.track(dense)
    for name, (function, specs) in endpoints.items():
        archive.add_endpoint(name, function, specs)
    archive.write_out(str(path), verbose=False)


@pytest.fixture(scope="session")
def directory(tmp_path_factory):
    """One version, as in the example of TF Serving's documentation."""
    directory = tmp_path_factory.mktemp("models") / "half_plus_three"
    export_toy(directory / "00000123")
    return directory


@pytest.fixture(scope="session")
def server(directory):
    with serving.ReferenceServer(directory) as server:
        yield server


@pytest.fixture(scope="session")
def two_versions(tmp_path_factory):
    """Version 2 adds three, version 10 adds four; version 11 is not fully written.

    Without a models.config only the latest would be served.
    """
    directory = tmp_path_factory.mktemp("models") / "toy"
    export_toy(directory / "2", bias=3.0)
    export_toy(directory / "10", bias=4.0)
    (directory / "11").mkdir()
    (directory / "12.tmp").mkdir()
    config = directory.with_name("models.config")
    config.write_text(
        'model_config_list { config { name: "toy" base_path: "toy" model_platform: "tensorflow" '
        "model_version_policy { all {} } "
        'version_labels { key: "stable" value: 2 } version_labels { key: "canary" value: 10 } } }'
    )
    with serving.ReferenceServer(config) as server:
        yield server


@pytest.fixture(scope="session", params=["rest", "grpc"])
def client(request, server):
    if request.param == "rest":
        with serving.RestClient(server.url, server.name) as client:
            yield client
    else:
        with serving.GrpcClient(server.target, server.name) as client:
            yield client


@pytest.fixture(scope="session")
def direct(directory):
    """Returns a function (signature, inputs) -> outputs that asks a session of its own."""
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        path = str(directory / "00000123")
        meta_graph = tf.compat.v1.saved_model.loader.load(session, ["serve"], path)

    def run(signature, inputs):
        signature = meta_graph.signature_def[signature]
        return session.run(
            {name: info.name for name, info in signature.outputs.items()},
            {signature.inputs[name].name: array for name, array in inputs.items()},
        )

    yield run
    session.close()


@pytest.fixture
def stub():
    """Returns a function (status, body) -> URL of a server that always answers just that."""
    servers = []

    def start(status, body):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
