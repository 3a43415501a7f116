"""Seeds, the folder of MNIST, and one line in place of a puzzling import error."""

import importlib.util
import os
import pathlib
import random
import shutil
import sys

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "Agg")

_LONGEST = (
    "test_sklearn_checks.py",
    "test_notebooks.py",
    "test_docs.py",
    "test_run.py",
    "test_tagger.py",
    "test_tagger_runs.py",
)


def pytest_addoption(parser):
    parser.addoption("--test-seed", type=int, default=42, help="seed of every test")
    parser.addoption("--vary-seed", action="store_true", help="draw the seed of the tests anew")


def pytest_configure(config):
    # With xdist the workers get the seed that was drawn here, and draw none.
    if config.option.vary_seed and not hasattr(config, "workerinput"):
        config.option.test_seed = random.SystemRandom().randrange(2**31)
    if importlib.util.find_spec("tfbind.export") is None:
        raise pytest.UsageError("`tfbind.export` is missing. Run: pip install -e '.[dev]'")


def pytest_collection_modifyitems(items):
    """Puts the longest files first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: item.path.name not in _LONGEST)


def pytest_report_header(config):
    return f"test seed: {config.option.test_seed}"


@pytest.fixture(scope="session")
def test_seed(pytestconfig):
    """The seed of the run: 42, or `--test-seed N`, or drawn anew with `--vary-seed`."""
    return pytestconfig.option.test_seed


@pytest.fixture(autouse=True)
def _seeded(test_seed):
    """Every test starts from the same seed, whichever tests ran before it."""
    if "keras" in sys.modules:  # it takes seconds to load, and not every test needs it
        sys.modules["keras"].utils.set_random_seed(test_seed)
    else:
        random.seed(test_seed)
        np.random.seed(test_seed)


@pytest.fixture(scope="session")
def mnist_data_dir():
    """The data folder of TFDS, if it holds a prepared MNIST; else the test is skipped."""
    folder = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    folder = pathlib.Path(folder).expanduser()
    if not (folder / "mnist").is_dir():
        pytest.skip(f"no MNIST in {folder}; set TFDS_DATA_DIR to a folder that has it")
    return folder


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """An empty data folder of TFDS, for sets that are generated."""
    return tmp_path_factory.mktemp("tfds")


@pytest.fixture(scope="session")
def chromium():
    """The path of Chromium; without one the test is skipped."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    return found or pytest.skip("no Chromium on the PATH")


@pytest.fixture(scope="session")
def tfbind():
    """A function that runs a command with arguments, and returns what came of it."""
    from click.testing import CliRunner

    from tfbind import cli  # here, for not every test needs it

    return lambda *arguments: CliRunner().invoke(cli.main, list(map(str, arguments)))
