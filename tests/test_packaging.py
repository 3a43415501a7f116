"""Builds the wheel, lists it, and imports it from another folder.

`export/` and `serving/` are mapped by hand in setup.py: these tests are what makes that safe.
"""

import ast
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import tfbind

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDERS = ("tfbind", "export", "serving")
BOXED = {"card.json", "metrics.json", "model.keras", "preset.json"}  # of a preset in the box
NO_TENSORFLOW = "import sys; print(sorted({'tensorflow', 'keras'} & set(sys.modules)))"


def run(*args, cwd, **env):
    """Runs the tests' Python in `cwd`; returns the finished process."""
    return subprocess.run(
        [sys.executable, *args],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=300,
    )


def package_map():
    """Returns the folder of every package, as setup.py has it."""
    for node in ast.parse((ROOT / "setup.py").read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "PACKAGES":
            return ast.literal_eval(node.value)


def sources():
    """Returns every Python file of the library, relative to the root."""
    return {path.relative_to(ROOT) for name in FOLDERS for path in (ROOT / name).rglob("*.py")}


def in_the_box():
    """Returns every file of weights and cards, relative to the root, as the wheel names it."""
    paths = (ROOT / "tfbind" / "weights").rglob("*")
    return [path.relative_to(ROOT).as_posix() for path in paths if path.is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built without network from a copy of the sources."""
    copy = tmp_path_factory.mktemp("sources")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, copy)
    built = run("-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", cwd=copy)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = (copy / "dist").glob("tfbind-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder with the wheel installed in it, and nothing else."""
    target = tmp_path_factory.mktemp("installed")
    pip = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target")
    done = run(*pip, str(target), str(wheel), cwd=target)
    assert done.returncode == 0, done.stderr
    return target


def test_the_map_names_every_folder():
    assert {pathlib.Path(folder) for folder in package_map().values()} == {
        path.parent for path in sources()
    }


def test_every_mapped_folder_has_its_name():
    for package, folder in package_map().items():
        assert package in (folder.replace("/", "."), f"tfbind.{folder}")


def test_the_wheel_holds_every_source_file_once_and_nothing_else(wheel):
    packages = {pathlib.Path(folder): name for name, folder in package_map().items()}
    expected = {f"{packages[path.parent].replace('.', '/')}/{path.name}" for path in sources()}
    expected |= {"tfbind/py.typed", "tfbind/catalogue.json"} | set(in_the_box())
    expected |= {str(path.relative_to(ROOT)) for path in ROOT.glob("tfbind/*/templates/*")}
    served = [*ROOT.glob("serving/templates/*"), *ROOT.glob("serving/web/**/*")]
    expected |= {f"tfbind/{path.relative_to(ROOT)}" for path in served if path.is_file()}
    files = zipfile.ZipFile(wheel).namelist()
    assert len(files) == len(set(files))
    assert {name for name in files if ".dist-info/" not in name} == expected


def test_the_wheel_carries_small_weights_with_their_cards(wheel):
    sizes = {info.filename: info.file_size for info in zipfile.ZipFile(wheel).infolist()}
    presets = {name.split("/")[2] for name in in_the_box()}
    assert {"rc-shapes", "kingdra-digits"} <= presets
    for preset in presets:
        kept = {name: size for name, size in sizes.items() if f"/weights/{preset}/" in name}
        assert {name.rpartition("/")[2] for name in kept} == BOXED
        assert sum(kept.values()) < 2 * 2**20
    assert sum(sizes[name] for name in in_the_box()) < 12 * 2**20


def test_the_wheel_carries_licence_and_command(wheel):
    archive = zipfile.ZipFile(wheel)
    (info,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
    assert f"{info}/licenses/LICENSE" in archive.namelist()
    assert "tfbind = tfbind.cli:main" in archive.read(f"{info}/entry_points.txt").decode()


@pytest.mark.parametrize("name", ["export", "serving"])
def test_the_installed_wheel_has_the_mapped_package(installed, tmp_path, name):
    code = f"import tfbind.{name} as package; print(package.__file__)"
    done = run("-c", code, cwd=tmp_path, PYTHONPATH=str(installed))
    assert done.stdout.strip() == str(installed / "tfbind" / name / "__init__.py"), done.stderr


@pytest.mark.parametrize("name", ["export", "serving"])
def test_the_short_name_is_refused(name):
    done = run("-c", f"import {name}", cwd=ROOT)
    assert f"Import this package as `tfbind.{name}`. Received: '{name}'." in done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize(
    "statement", ["import tfbind", "from tfbind.serving import GrpcClient, RestClient"]
)
def test_it_loads_no_tensorflow(tmp_path, statement):
    done = run("-c", f"{statement}\n{NO_TENSORFLOW}", cwd=tmp_path)
    assert done.stdout.strip() == "[]", done.stderr


NEEDED = ("google", "grpc", "numpy", "numpy.libs", "orjson", "typing_extensions.py", "urllib3")
CLIENTS = """
import importlib.util
import sys
import numpy as np
from tfbind.serving import GrpcClient, RestClient
assert not importlib.util.find_spec("tensorflow") and not importlib.util.find_spec("keras")
for client in (RestClient(sys.argv[1], "shapes"), GrpcClient(sys.argv[2], "shapes")):
    with client:
        print(client.predict({"image": np.ones((2, 4), "float32")})["code"].shape)
        print(client.status(), sorted(client.metadata()["serving_default"].inputs))
"""


@pytest.mark.serving
def test_clients_need_the_wheel_and_their_extra_alone(installed, tmp_path):
    model = tfbind.DenoisingAutoencoder((4,), hidden_units=3)
    model(np.ones((1, 4), "float32"))
    tfbind.export.export_saved_model(model, tmp_path / "shapes")
    site = tmp_path / "site"
    site.mkdir()
    (site / "tfbind").symlink_to(installed / "tfbind")
    for name in NEEDED:
        (site / name).symlink_to(pathlib.Path(np.__file__).parents[1] / name)
    with tfbind.serving.ReferenceServer(tmp_path / "shapes") as server:
        arguments = ("-S", "-c", CLIENTS, server.url, server.target)
        done = run(*arguments, cwd=tmp_path, PYTHONPATH=str(site))
    assert done.stdout.splitlines() == ["(2, 3)", "{1: 'AVAILABLE'} ['image']"] * 2, done.stderr


def test_an_unknown_name_is_an_attribute_error(tmp_path):
    done = run("-c", "import tfbind; tfbind.Model", cwd=tmp_path)
    assert "AttributeError: module 'tfbind' has no attribute 'Model'" in done.stderr
