"""The one data set that the small preset needs."""

import pytest

from tfbind import data


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """Data folder of TFDS with Simple Superposition in it."""
    folder = tmp_path_factory.mktemp("tfds")
    data.load("simple_superposition", "test", folder)
    return folder
