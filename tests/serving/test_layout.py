"""Version folders, names and ports; a server that cannot start says why."""

import socket

import pytest

from tfbind import serving
from tfbind.serving._layout import check_ports, find_versions, model_name

pytestmark = pytest.mark.serving


def make(directory, *versions):
    for version in versions:
        (directory / version).mkdir(parents=True)
        (directory / version / "saved_model.pb").touch()


def test_versions_are_numbers_with_a_saved_model(tmp_path):
    make(tmp_path, "2", "00000010", "draft", "3.tmp", "-4")
    (tmp_path / "11").mkdir()  # half-written
    (tmp_path / "12").touch()  # a file
    versions = find_versions(tmp_path)
    assert versions == {2: tmp_path / "2", 10: tmp_path / "00000010"}
    assert max(versions) == 10


def test_folders_that_cannot_be_served(tmp_path):
    with pytest.raises(ValueError, match="`directory` must be an existing folder. Received: .*no'"):
        find_versions(tmp_path / "no")
    with pytest.raises(ValueError, match="must hold version folders.*, which has none; export"):
        find_versions(tmp_path)
    (tmp_path / "1").mkdir()
    with pytest.raises(ValueError, match="must hold a version with a saved_model.pb.*half-written"):
        find_versions(tmp_path)
    make(tmp_path, "model")
    with pytest.raises(ValueError, match="which is a SavedModel itself; move it"):
        find_versions(tmp_path / "model")


def test_the_reference_server_refuses_them_too(tmp_path):
    with pytest.raises(ValueError, match="must hold version folders"):
        serving.ReferenceServer(tmp_path)
    make(tmp_path, "1")
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"/1', which cannot be loaded \(.*export the model again"):
        serving.ReferenceServer(tmp_path)


def test_names(tmp_path):
    assert model_name(tmp_path / "shapes") == "shapes"
    assert model_name(tmp_path / "shapes" / ".." / "bars") == "bars"
    assert model_name(tmp_path, "other") == "other"
    for name in ("", "a/b", "a:b", 3):
        with pytest.raises(ValueError, match="`name` must be text without '/' or ':'"):
            model_name(tmp_path, name)


def test_ports(server, directory):
    check_ports(0, 0)
    rest_port = int(server.url.split(":")[-1])
    port = int(server.target.split(":")[-1])
    with pytest.raises(
        ValueError, match=f"`rest_port` must be a free port .*={rest_port} .*in use"
    ):
        serving.ReferenceServer(directory, rest_port=rest_port)
    with pytest.raises(ValueError, match=f"`port` must be a free port .*port={port} .*in use"):
        serving.ReferenceServer(directory, port=port)
    with pytest.raises(ValueError, match="`rest_port` must differ from `port`"):
        check_ports(8500, 8500)
    with pytest.raises(ValueError, match="`port` must be a free port .*port=70000"):
        check_ports(70000, 0)


def test_ports_are_free_again_after_closing(directory):
    with serving.ReferenceServer(directory) as server:
        address = server.url, server.target
    ports = [int(part.split(":")[-1]) for part in address]
    with serving.ReferenceServer(directory, rest_port=ports[0], port=ports[1]) as server:
        assert (server.url, server.target) == address


def test_the_server_takes_its_name_with_spaces_and_all(directory):
    with serving.ReferenceServer(directory, name="half plus \u00e9") as server:
        assert serving.RestClient(server.url, "half plus \u00e9").status() == {123: "AVAILABLE"}
        with serving.GrpcClient(server.target, "half plus \u00e9") as client:
            assert client.status() == {123: "AVAILABLE"}


def test_a_taken_port_is_found_before_the_model_is_read(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(ValueError, match="`port` must be a free port"):
            serving.ReferenceServer(tmp_path, port=taken.getsockname()[1])
