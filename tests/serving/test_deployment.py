"""The files for TF Serving: as its own formats have them, word for word, and of use.

With TFBIND_DOCKER=1, where Docker runs and may fetch the server's image, they serve a model.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import urllib.request

import keras
import numpy as np
import pytest
import yaml
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)
from tensorflow_serving.config import model_server_config_pb2

import tfbind
from tfbind import export, serving

GOLDEN = pathlib.Path(__file__).parent / "golden_deployment"
ROOT = pathlib.Path(__file__).resolve().parents[2]
_KINDS = {"string": 9, "bool": 8, "int64": 3}
_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"  # RFC 1123, as Kubernetes quotes it

# Of monitoring_config.proto, ssl_config.proto and session_bundle_config.proto, which the package
# of stubs leaves out: message -> field -> type, in the order of their numbers.
MESSAGES = {
    "PrometheusConfig": {"enable": "bool", "path": "string"},
    "MonitoringConfig": {"prometheus_config": ".toy.PrometheusConfig"},
    "SSLConfig": {
        "server_key": "string",
        "server_cert": "string",
        "custom_ca": "string",
        "client_verify": "bool",
    },
    "BatchingParameters": {
        "max_batch_size": ".google.protobuf.Int64Value",
        "batch_timeout_micros": ".google.protobuf.Int64Value",
        "max_enqueued_batches": ".google.protobuf.Int64Value",
        "num_batch_threads": ".google.protobuf.Int64Value",
        "thread_pool_name": ".google.protobuf.StringValue",
        "allowed_batch_sizes": "repeated int64",
        "pad_variable_length_inputs": "bool",
    },
}


def message(name):
    """Returns an empty message of `MESSAGES`."""
    file = descriptor_pb2.FileDescriptorProto(name="toy.proto", package="toy", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    for each, fields in MESSAGES.items():
        described = file.message_type.add(name=each)
        for number, (field, kind) in enumerate(fields.items(), 1):
            repeated, kind = kind.startswith("repeated"), kind.removeprefix("repeated ")
            described.field.add(
                name=field,
                number=number,
                label=3 if repeated else 1,
                type=_KINDS.get(kind, 11),
                type_name=None if kind in _KINDS else kind,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"toy.{name}"))()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with one model, whose name Kubernetes would not take, in version 3."""
    keras.utils.set_random_seed(1)
    folder = tmp_path_factory.mktemp("served")
    model = tfbind.DenoisingAutoencoder((4,), hidden_units=3)
    export.export_saved_model(model, folder / "Toy_model.v2", 3)
    return folder


@pytest.fixture(scope="module")
def written(models):
    return serving.write_deployment(models)


def test_the_files_are_those_that_were_looked_at(written):
    found = {path.name: path.read_text("utf-8") for path in written.iterdir()}
    assert found == {path.name: path.read_text("utf-8") for path in GOLDEN.iterdir()}


def test_the_server_reads_its_files(written, models):
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((written / "models.config").read_text(), config)
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path) == ("Toy_model.v2", "/models/Toy_model.v2")
    assert model.model_version_policy.latest.num_versions == 1
    for file, name in (
        ("batching_parameters.txt", "BatchingParameters"),
        ("monitoring.config", "MonitoringConfig"),
        ("ssl.config", "SSLConfig"),
    ):
        read = text_format.Parse((written / file).read_text(), message(name))
        assert read.ByteSize() > 0
        if file == "batching_parameters.txt":
            sizes = list(read.allowed_batch_sizes)
            assert sizes == sorted(set(sizes)) and sizes[-1] == read.max_batch_size.value


def test_one_place_names_the_image_of_the_server(written):
    (line,) = re.findall(r"^FROM (.+)$", (written / "Dockerfile").read_text(), re.M)
    naming = [
        path
        for folder in ("tfbind", "export", "serving")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".j2") and line in path.read_text("utf-8")
    ]
    assert naming == [ROOT / "serving" / "deployment.py"]


def test_what_the_image_copies_is_there(written, models):
    copies = re.findall(r"^COPY (.+) \S+$", (written / "Dockerfile").read_text(), re.M)
    assert [(models / name).exists() for line in copies for name in line.split()] == [True] * 4
    (command,) = re.findall(r"^CMD (.+)$", (written / "Dockerfile").read_text(), re.M)
    flags = dict(flag.removeprefix("--").split("=") for flag in json.loads(command))
    assert {pathlib.Path(x).name for x in flags.values() if x.startswith("/config/")} == {
        pathlib.Path(name).name for name in copies[1].split()
    }


def test_kubernetes_gets_what_belongs_together(written):
    parts = list(yaml.safe_load_all((written / "kubernetes.yaml").read_text()))
    deployment, service, scaler = parts
    assert [part["kind"] for part in parts] == ["Deployment", "Service", "HorizontalPodAutoscaler"]
    assert {part["metadata"]["name"] for part in parts} == {"toy-model-v2"}
    template = deployment["spec"]["template"]
    assert service["spec"]["selector"] == template["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == template["metadata"]["labels"]
    assert scaler["spec"]["scaleTargetRef"] == {
        "apiVersion": deployment["apiVersion"],
        "kind": "Deployment",
        "name": "toy-model-v2",
    }
    (container,) = template["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": 8500, "rest": 8501}
    assert container["readinessProbe"]["httpGet"] == {
        "path": "/v1/models/Toy_model.v2",
        "port": "rest",
    }
    assert container["livenessProbe"]["tcpSocket"]["port"] in ports
    assert container["image"] == "toy-model-v2:3"
    assert "cpu" in container["resources"]["requests"]  # what the autoscaler's share is of


@pytest.mark.serving
def test_compose_asks_the_server_how_it_is(written, models):
    service = yaml.safe_load((written / "compose.yaml").read_text())["services"]["serving"]
    assert (written / service["build"]["context"] / service["build"]["dockerfile"]).exists()
    _, *command = service["healthcheck"]["test"]
    assert "$" not in command[-1]  # Compose would put a variable in
    with serving.ReferenceServer(models / "Toy_model.v2") as server:
        command[-1] = command[-1].replace("8501", server.url.rpartition(":")[2])
        assert subprocess.run(command, timeout=20).returncode == 0
        away = [*command[:-1], command[-1].replace("Toy_model", "Another")]
        assert subprocess.run(away, timeout=20).returncode != 0
    assert subprocess.run(command, timeout=20, stderr=subprocess.DEVNULL).returncode != 0


@pytest.mark.serving
def test_the_request_is_answered(written, models):
    request = (written / "Toy_model.v2.json").read_bytes()
    with serving.ReferenceServer(models / "Toy_model.v2") as server:
        answer = post(f"{server.url}/v1/models/Toy_model.v2:predict", request)
    runner = export.SavedModelRunner(models / "Toy_model.v2")
    inputs = {k: np.array(v, "float32") for k, v in json.loads(request)["inputs"].items()}
    for key, expected in runner("serving_default", inputs).items():
        np.testing.assert_allclose(answer["outputs"][key], expected, rtol=1e-5)


def post(url, body):
    with urllib.request.urlopen(url, body, timeout=60) as answer:
        return json.load(answer)


def test_several_models_are_served_together(models, tmp_path):
    folder = tmp_path / "All of them"
    for name in ("b", "a"):
        shutil.copytree(models / "Toy_model.v2", folder / name)
    out = serving.write_deployment(folder)
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((out / "models.config").read_text(), config)
    assert [model.name for model in config.model_config_list.config] == ["a", "b"]
    assert (out / "a.json").exists() and (out / "b.json").exists()
    assert yaml.safe_load((out / "compose.yaml").read_text())["name"] == "all-of-them"


def test_a_name_of_ones_own(models, tmp_path):
    shutil.copytree(models / "Toy_model.v2", tmp_path / "m")
    out = serving.write_deployment(tmp_path, "shapes-eu")
    assert yaml.safe_load((out / "compose.yaml").read_text())["name"] == "shapes-eu"
    for name in ("Shapes", "a_b", "-a", "a" * 64, ""):
        assert re.fullmatch(_LABEL, name) is None
        with pytest.raises(ValueError, match="`name` must be 1 to 63 small letters"):
            serving.write_deployment(tmp_path, name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "serving"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a b", "The folder of a model must be named with letters"),
        ('x"y', "The folder of a model must be named with letters"),
        ("serving", "and not 'serving'"),
        (None, "`directory` must hold a folder of versions for each model"),
    ],
)
def test_what_cannot_be_served_is_said_and_leaves_nothing(models, tmp_path, name, message):
    if name is not None:
        shutil.copytree(models / "Toy_model.v2", tmp_path / name)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=message):
        serving.write_deployment(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_large_rows_make_small_batches():
    from tfbind.serving import deployment

    def sizes(*shape):
        tensor = {"shape": [None, *shape], "dtype": "float32"}
        card = {"endpoints": {"serving_default": {"inputs": {"x": tensor}, "outputs": {}}}}
        return deployment._batch_sizes([deployment._Model("x", 1, card, 0)])

    assert sizes(784) == [1, 2, 4, 8, 16, 32, 64]
    assert sizes(1024, 1024, 3) == [1, 2, 4]  # of 12 MiB each, 64 MiB at most
    assert sizes(10**9) == [1]


@pytest.mark.slow
@pytest.mark.serving
@pytest.mark.skipif(
    os.environ.get("TFBIND_DOCKER") != "1", reason="Docker is used with TFBIND_DOCKER=1 only"
)
def test_docker_serves_it(models, written):
    compose = ["docker", "compose", "--file", written / "compose.yaml"]
    try:
        subprocess.run([*compose, "up", "--build", "--detach", "--wait"], check=True, timeout=900)
        url = "http://localhost:8501"
        answer = post(
            f"{url}/v1/models/Toy_model.v2:predict", (written / "Toy_model.v2.json").read_bytes()
        )
        with urllib.request.urlopen(f"{url}/monitoring/prometheus/metrics", timeout=20) as metrics:
            assert b"tensorflow:serving" in metrics.read()
    finally:
        subprocess.run([*compose, "down", "--timeout", "5"], check=True, timeout=120)
    runner = export.SavedModelRunner(models / "Toy_model.v2")
    inputs = json.loads((written / "Toy_model.v2.json").read_text())["inputs"]
    inputs = {key: np.array(value, "float32") for key, value in inputs.items()}
    for key, expected in runner("serving_default", inputs).items():
        np.testing.assert_allclose(answer["outputs"][key], expected, rtol=1e-4, atol=1e-6)
