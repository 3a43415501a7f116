"""`serve`: which server it starts, what it prints, and that it ends cleanly."""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import tfbind.serving
from tfbind import serving

pytestmark = pytest.mark.serving

_SECONDS = 60


@pytest.fixture
def start(tmp_path):
    """Returns a function that runs `serve(directory)` in a process, with a PATH of our own."""
    processes = []

    def run(directory, path, **options):
        program = f"from tfbind.serving import serve; serve({str(directory)!r}, **{options!r})"
        environment = os.environ | {"PATH": str(path), "ARGUMENTS": str(tmp_path / "arguments")}
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", program],
                env=environment | {"TF_CPP_MIN_LOG_LEVEL": "3"},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def fake_server(tmp_path):
    """A `tensorflow_model_server` that writes its arguments and process id, and waits."""
    folder = tmp_path / "bin"
    folder.mkdir()
    executable = folder / "tensorflow_model_server"
    executable.write_text(
        "#!/bin/sh\n"
        'printf "%s\\n" "$$" "$@" > "$ARGUMENTS.part"\n'
        'mv "$ARGUMENTS.part" "$ARGUMENTS"\n'
        "exec sleep 60\n"
    )
    executable.chmod(0o755)
    return executable


def wait_for(path):
    deadline = time.monotonic() + _SECONDS
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return path.read_text().splitlines()


def test_server_command(directory, monkeypatch):
    monkeypatch.chdir(directory.parent)
    assert serving.server_command("half_plus_three", 9000, 9001, "toy") == [
        "tensorflow_model_server",
        "--model_name=toy",
        f"--model_base_path={directory}",
        "--port=9000",
        "--rest_api_port=9001",
    ]
    assert serving.server_command("half_plus_three")[1] == "--model_name=half_plus_three"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_real_server_is_preferred(start, fake_server, tmp_path, directory, number):
    process = start(directory, f"{fake_server.parent}:{os.environ['PATH']}", port=0, rest_port=0)
    child, *arguments = wait_for(tmp_path / "arguments")
    assert arguments == serving.server_command(directory, 0, 0)[1:]
    process.send_signal(number)
    output, errors = process.communicate(timeout=_SECONDS)
    assert process.returncode == 0, errors
    assert output.splitlines()[0] == "tensorflow_model_server"
    assert "half_plus_three, version 123" in output
    assert errors == ""
    assert not pathlib.Path(f"/proc/{child}").exists()


def test_a_models_config_is_handed_to_the_real_server(tmp_path):
    (tmp_path / "models.config").touch()
    command = serving.server_command(tmp_path / "models.config", 1, 2)
    assert command[1:] == [
        f"--model_config_file={tmp_path / 'models.config'}",
        "--port=1",
        "--rest_api_port=2",
    ]


def test_the_real_server_takes_no_options_of_ours(monkeypatch, fake_server, directory):
    monkeypatch.setenv("PATH", str(fake_server.parent))
    with pytest.raises(ValueError, match="Options must be left out where .* Received: host='x'."):
        serving.serve(directory, 0, 0, host="x")


def test_a_real_server_that_stops_is_an_error(monkeypatch, fake_server, directory, capsys):
    fake_server.write_text("#!/bin/sh\nexit 3\n")
    monkeypatch.setenv("PATH", str(fake_server.parent))
    with pytest.raises(RuntimeError, match="must keep running. Received: exit status 3"):
        serving.serve(directory, 0, 0)
    assert capsys.readouterr().out.startswith("tensorflow_model_server\n")


def test_the_reference_server_says_what_it_is(start, directory, tmp_path):
    process = start(directory, tmp_path, port=0, rest_port=0, name="toy")
    lines = [process.stdout.readline() for _ in range(5)]
    assert lines[0] == "reference server: stands in for TF Serving on one machine\n"
    assert lines[1] == "  model  toy, version 123\n"
    url = lines[2].split()[1].removesuffix("/v1/models/toy")
    assert serving.RestClient(url, "toy").predict({"x": np.float32([1])})["y"] == [3.5]
    with serving.GrpcClient(lines[3].split()[1], "toy") as client:
        assert client.predict({"x": np.float32([1])})["y"] == [3.5]
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=_SECONDS)
    assert process.returncode == 0
    assert "Traceback" not in errors


def test_sigterm_lets_what_runs_finish(start, directory, tmp_path):
    process = start(directory, tmp_path, port=0, rest_port=0, name="toy")
    lines = [process.stdout.readline() for _ in range(5)]
    url, target = lines[2].split()[1].removesuffix("/v1/models/toy"), lines[3].split()[1]
    refusals, stop = [], threading.Event()

    def ask(client):
        while not stop.is_set():
            try:
                assert client.predict({"x": np.float32([1])})["y"] == [3.5]
            except serving.ServingError as error:
                refusals.append(str(error))
                return

    with serving.RestClient(url, "toy") as rest, serving.GrpcClient(target, "toy") as grpc_client:
        threads = [threading.Thread(target=ask, args=(each,)) for each in (rest, grpc_client) * 4]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(_SECONDS)
        stop.set()
    _, errors = process.communicate(timeout=_SECONDS)
    assert process.returncode == 0
    assert "Traceback" not in errors
    assert len(refusals) == 8
    expected = ("shutting down", "No server answers")
    assert [each for each in refusals if not any(sentence in each for sentence in expected)] == []


def test_bad_arguments_are_found_before_anything_starts(tmp_path, directory, server):
    with pytest.raises(ValueError, match="`directory` must hold version folders"):
        serving.serve(tmp_path)
    rest_port = int(server.url.split(":")[-1])
    with pytest.raises(ValueError, match="`rest_port` must be a free port of 127.0.0.1"):
        serving.serve(directory, 0, rest_port)


def test_public_names_are_lazy():
    program = """
import sys
import tfbind.serving
from tfbind.serving import RestClient, ServingError, serve, server_command
heavy = ("tensorflow", "keras", "grpc", "google")
assert not [name for name in sys.modules if name.split(".")[0] in heavy]
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=_SECONDS)
    assert set(tfbind.serving.__all__) <= set(dir(tfbind.serving))
    for name in tfbind.serving.__all__:
        assert getattr(tfbind.serving, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Server'"):
        _ = tfbind.serving.Server


@pytest.mark.parametrize("missing", ["grpc", "tensorflow_serving.apis"])
def test_a_missing_extra_is_named(monkeypatch, missing):
    for module in [name for name in sys.modules if name.startswith("tfbind.serving.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(
        ImportError, match=rf"needs {missing}. Run: pip install 'tensorflow-serving-api==2.21"
    ):
        _ = tfbind.serving.ReferenceServer


def test_the_folder_cannot_be_imported_under_another_name():
    source = pathlib.Path(tfbind.serving.__file__)
    program = f"import sys; sys.path.insert(0, {str(source.parent.parent)!r}); import serving"
    if source.parent.parent.name == "tfbind":
        pytest.skip("installed as a real sub-package: there is no second name")
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=_SECONDS
    )
    assert result.returncode == 1
    assert "ImportError: Import this package as `tfbind.serving`. Received: 'serving'." in (
        result.stderr
    )
