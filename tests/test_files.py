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


def test_a_link_is_replaced_and_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in ("figure.png", ".partial-figure.png"):
        (tmp_path / name).symlink_to(victim)
    with _files.replacing(tmp_path / "figure.png") as partial:
        partial.write_text("new")
    assert victim.read_text() == "mine"
    assert (tmp_path / "figure.png").read_text() == "new"
    assert not (tmp_path / "figure.png").is_symlink()


def test_it_may_be_read_by_whoever_may_read_other_files(tmp_path):
    (tmp_path / "plain").write_text("")
    with _files.replacing(tmp_path / "figure.png") as partial:
        partial.write_text("new")
    assert (tmp_path / "figure.png").stat().st_mode == (tmp_path / "plain").stat().st_mode
