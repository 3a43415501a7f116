"""Which models and versions are served, and how they follow what is on disk."""

import shutil
import threading
import time

import numpy as np
import pytest
import tensorflow as tf

from tfbind import serving
from tfbind.serving import _models
from tfbind.serving._config import ModelConfig, read_models
from tfbind.serving._limits import Refusal

from .conftest import export_toy

pytestmark = pytest.mark.serving

_SECONDS = 60


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Two exported versions, which add 3 and 4."""
    folder = tmp_path_factory.mktemp("exported")
    for bias in (3, 4):
        export_toy(folder / str(bias), bias=float(bias))
    return folder


@pytest.fixture
def toy(exported, tmp_path):
    """A folder of one version, 1, which adds 3."""
    shutil.copytree(exported / "3", tmp_path / "toy" / "1")
    return tmp_path / "toy"


def put(source, target):
    """Copies a version in one step, as `tfbind export` does."""
    part = target.with_name("part")
    shutil.copytree(source, part)
    part.rename(target)


def wait_until(condition):
    deadline = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_folder_is_one_model(tmp_path):
    assert read_models(tmp_path / "x") == [ModelConfig("x", tmp_path / "x")]
    assert read_models(tmp_path / "x", "y")[0].name == "y"


def test_a_config_names_several(tmp_path):
    path = tmp_path / "models.config"
    path.write_text("""
        model_config_list {
          config { name: "a" base_path: "one" model_platform: "tensorflow" }
          config { name: "b" base_path: "/two"
                   model_version_policy { latest { num_versions: 2 } } }
          config { name: "c" base_path: "three" model_version_policy { all {} } }
          config { name: "d" base_path: "four"
                   model_version_policy { specific { versions: 3 versions: 5 } }
                   version_labels { key: "stable" value: 3 } }
        }""")
    a, b, c, d = read_models(path)
    assert a == ModelConfig("a", tmp_path / "one", 1, (), {})
    assert (str(b.directory), b.latest) == ("/two", 2)
    assert (c.latest, c.versions) == (None, ())
    assert (d.latest, d.versions, d.labels) == (None, (3, 5), {"stable": 3})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model_config_list {", "a models.config in TF Serving's text format.*cannot be read"),
        ("", "must name models in its model_config_list, each once.*with none"),
        (
            'model_config_list { config { name: "a" base_path: "x" } '
            'config { name: "a" base_path: "y" } }',
            "each once.*with 'a', 'a'",
        ),
        (
            'model_config_list { config { name: "a" base_path: "x" model_platform: "caffe" } }',
            "`model_platform` must be 'tensorflow'. Received: 'caffe'",
        ),
        ('model_config_list { config { name: "a/b" base_path: "x" } }', "without '/' or ':'"),
        ('model_config_list { config { name: "a" base_path: "x" } }', "an existing folder"),
    ],
)
def test_configs_that_cannot_be_served(tmp_path, text, message):
    path = tmp_path / "models.config"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        serving.ReferenceServer(path)


def test_a_name_beside_a_config_is_refused(tmp_path):
    (tmp_path / "models.config").write_text("")
    with pytest.raises(ValueError, match="`name` must be left out, for a models.config has"):
        read_models(tmp_path / "models.config", "x")


def test_the_latest_of_a_folder_is_served(exported, toy):
    put(exported / "4", toy / "10")
    with serving.ReferenceServer(toy) as server:
        assert server.models == {"toy": (10,)}
        with serving.RestClient(server.url, "toy") as client:
            assert client.predict({"x": np.float32([1])})["y"] == [4.5]


def test_two_models_of_one_config(exported, tmp_path):
    for number, name in ((3, "three"), (4, "four")):
        shutil.copytree(exported / str(number), tmp_path / name / "1")
    path = tmp_path / "models.config"
    path.write_text(
        "model_config_list { config { name: 'a' base_path: 'three' } "
        "config { name: 'b' base_path: 'four' } }"
    )
    with serving.ReferenceServer(path) as server:
        assert server.name == "a"
        for name, expected in (("a", 3.5), ("b", 4.5)):
            with serving.RestClient(server.url, name) as client:
                assert client.predict({"x": np.float32([1])})["y"] == [expected]
        with serving.RestClient(server.url, "c") as client:
            with pytest.raises(serving.ServingError, match="The model must be one of 'a', 'b'."):
                client.status()


def test_a_specific_version_that_is_not_there(toy, tmp_path):
    path = tmp_path / "models.config"
    path.write_text(
        "model_config_list { config { name: 'a' base_path: 'toy' "
        "model_version_policy { specific { versions: 7 } } } }"
    )
    with pytest.raises(ValueError, match=r"must hold the versions \(7,\) that its models.config"):
        serving.ReferenceServer(path)


@pytest.mark.parametrize("version", ["stable", "canary", "other"])
def test_labels(two_versions, version):
    rest = serving.RestClient(two_versions.url, "toy", version=version)
    with rest, serving.GrpcClient(two_versions.target, "toy", version=version) as client:
        for each in (rest, client):
            if version == "other":
                with pytest.raises(ValueError, match="must be one of 'canary', 'stable'|'stable'"):
                    each.predict({"x": np.float32([1])})
            else:
                expected = {"stable": 3.5, "canary": 4.5}[version]
                assert each.predict({"x": np.float32([1])})["y"] == [expected]
                assert each.status() == {{"stable": 2, "canary": 10}[version]: "AVAILABLE"}


def test_a_new_version_takes_over_and_no_request_is_lost(exported, toy):
    with serving.ReferenceServer(toy, poll=0.05) as server:
        answers, stop = [], threading.Event()

        def ask(client):
            while not stop.is_set():
                answers.append(float(client.predict({"x": np.float32([1])})["y"][0]))

        with serving.RestClient(server.url, "toy") as rest:
            with serving.GrpcClient(server.target, "toy") as grpc_client:
                threads = [threading.Thread(target=ask, args=(c,)) for c in (rest, grpc_client)]
                for thread in threads:
                    thread.start()
                put(exported / "4", toy / "2")
                wait_until(lambda: server.models["toy"] == (2,))
                wait_until(lambda: answers[-4:] == [4.5] * 4)
                stop.set()
                for thread in threads:
                    thread.join()
                assert rest.status() == grpc_client.status() == {2: "AVAILABLE"}
    assert set(answers) == {3.5, 4.5}


def test_a_damaged_version_leaves_the_one_before_it(exported, toy):
    with serving.ReferenceServer(toy, poll=0.05) as server:
        put(exported / "4", toy / "part2")
        (toy / "part2" / "saved_model.pb").write_bytes(b"broken")
        (toy / "part2").rename(toy / "2")
        with serving.RestClient(server.url, "toy") as client:
            wait_until(lambda: 2 in client.status())
            wait_until(lambda: client.status()[2] == "END")
            assert client.status() == {2: "END", 1: "AVAILABLE"}
            assert client.predict({"x": np.float32([1])})["y"] == [3.5]
            put(exported / "4", toy / "3")
            wait_until(lambda: server.models["toy"] == (3,))
            assert client.status() == {3: "AVAILABLE", 2: "END"}


def test_a_damaged_version_at_the_start(exported, toy):
    put(exported / "4", toy / "2")
    (toy / "2" / "saved_model.pb").write_bytes(b"broken")
    model = _models.Models(toy)["toy"]
    assert model.versions == (1,)
    assert "cannot be loaded" in model.states[2].error
    assert model.states[2].name == "END"


def test_a_version_that_failed_is_tried_again_later(monkeypatch, exported, toy):
    put(exported / "4", toy / "2")
    (toy / "2" / "saved_model.pb").rename(toy / "kept")
    (toy / "2" / "saved_model.pb").write_bytes(b"broken")
    models = _models.Models(toy)
    (toy / "kept").replace(toy / "2" / "saved_model.pb")
    models.poll()
    assert models["toy"].versions == (1,)
    monkeypatch.setattr(_models, "_SECONDS_TO_RETRY", 0.0)
    models.poll()
    assert models["toy"].versions == (2,)


def test_a_folder_that_is_gone_changes_nothing(toy):
    models = _models.Models(toy)
    shutil.rmtree(toy)
    models.poll()
    assert models["toy"].find(None, None)[0] == 1
    with pytest.raises(Refusal, match="must be one of 1. Received: 2."):
        models["toy"].find(2, None)


def test_warm_up_requests_are_answered_first(exported, toy):
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.signature_name = "serving_default"
    log.predict_log.request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.float32([1])))
    good = log.SerializeToString()
    log.predict_log.request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.int32([1])))
    for records, loads in (([good], True), ([good, log.SerializeToString()], False)):
        path = toy / "1" / "assets.extra" / "tf_serving_warmup_requests"
        path.parent.mkdir(exist_ok=True)
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in records:
                writer.write(record)
        if loads:
            assert _models.Models(toy)["toy"].versions == (1,)
        else:
            with pytest.raises(ValueError, match="cannot be loaded .*`x` must have dtype float32"):
                _models.Models(toy)
