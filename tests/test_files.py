"""A file is replaced as a whole, or stays as it was."""

import pytest

from tfbind import _files


def test_it_appears_whole_under_its_own_suffix(tmp_path):
    path = tmp_path / "figure.png"
    path.write_text("old")
    with _files.replacing(path) as partial:
        partial.write_text("new")
        assert partial.suffix == path.suffix
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_what_was_there(tmp_path):
    path = tmp_path / "figure.png"
    path.write_text("old")
    with pytest.raises(RuntimeError), _files.replacing(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
