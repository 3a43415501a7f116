"""Names of examples, and what an interrupted command remembers."""

import pathlib
import re

import pytest

from tfbind._inputs import Journal, names_of


def paths(*names):
    return [pathlib.Path(name) for name in names]


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (("a.png", "b/c.png"), ["a", "c"]),
        (("x/a.png", "y/a.png"), ["x-a", "y-a"]),
        (("x/a.png", "x/a.jpg", "y/b.png"), ["x-a-png", "x-a-jpg", "y-b-png"]),
    ],
)
def test_each_file_has_a_name_of_its_own(files, names):
    assert list(names_of(paths(*files)).values()) == names


def test_files_that_cannot_be_told_apart():
    sentence = "Each file must have a name of its own. Received: 'x-a-png' more than once;"
    with pytest.raises(ValueError, match=re.escape(sentence)):
        names_of(paths("1/x/a.png", "2/x/a.png"))


@pytest.fixture
def files(tmp_path):
    for name in "abc":
        (tmp_path / name).write_text(name)
    return [tmp_path / name for name in "abc"]


def test_a_journal_remembers(files, tmp_path):
    journal = Journal(tmp_path / "new" / "journal", {"k": 2})
    assert journal.rows(files[0]) is None and not (tmp_path / "new").exists()
    journal.add(files[0], [{"label": 1}])
    journal.add(files[1], [{"label": 2}, {"label": 3}])
    again = Journal(tmp_path / "new" / "journal", {"k": 2})
    assert again.rows(files[0]) == [{"label": 1}] and again.rows(files[2]) is None
    files[1].write_text("changed")
    assert again.rows(files[1]) is None
    assert Journal(tmp_path / "new" / "journal", {"k": 3}).rows(files[0]) is None


def test_a_torn_line_is_forgotten(files, tmp_path):
    path = tmp_path / "journal"
    journal = Journal(path, {})
    journal.add(files[0], [{"label": 1}])
    journal.add(files[1], [{"label": 2}])
    path.write_bytes(path.read_bytes()[:-9])
    again = Journal(path, {})
    assert again.rows(files[0]) == [{"label": 1}] and again.rows(files[1]) is None
    again.add(files[2], [{"label": 3}])
    last = Journal(path, {})
    assert last.rows(files[0]) == [{"label": 1}] and last.rows(files[2]) == [{"label": 3}]
    last.remove()
    assert not path.exists()


def test_no_journal_is_kept_where_none_is_asked_for(files):
    journal = Journal(None, {})
    journal.add(files[0], [{"label": 1}])
    assert journal.rows(files[0]) == [{"label": 1}]
    journal.remove()
