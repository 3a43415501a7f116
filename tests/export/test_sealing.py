"""A file that is not the one that was written is named, whatever was changed in it."""

import json
import pathlib
import shutil

import pytest

from tfbind import export
from tfbind.export import _sealing

KEY = b"a key of sixteen bytes or more"
FILES = (
    *("saved_model.pb", "fingerprint.pb", "variables/variables.index"),
    *("variables/variables.data-00000-of-00001", "assets.extra/tf_serving_warmup_requests"),
)


@pytest.fixture
def copy(saved_model, tmp_path):
    return pathlib.Path(shutil.copytree(saved_model, tmp_path / "copy"))


@pytest.fixture
def card_file(copy):
    return copy / "1" / "assets.extra" / "tfbind_card.json"


def test_the_card_has_every_file(saved_model):
    assert set(export.read_card(saved_model)["artifact"]["files"]) == set(FILES)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("position", [0, 40, -1])
def test_one_bit(copy, file, position):
    content = bytearray((copy / "1" / file).read_bytes())
    content[position] ^= 1
    (copy / "1" / file).write_bytes(content)
    with pytest.raises(ValueError, match=f"those on its card. Received: changed: {file};"):
        export.check_artifact(copy)


@pytest.mark.parametrize("file", FILES)
def test_bytes_too_many(copy, file):
    with (copy / "1" / file).open("ab") as opened:
        opened.write(b"more")
    with pytest.raises(ValueError, match=f"Received: changed: {file};"):
        export.check_artifact(copy)


@pytest.mark.parametrize("file", FILES[1:])
def test_a_file_that_is_missing(copy, file):
    (copy / "1" / file).unlink()
    with pytest.raises(ValueError, match=f"Received: missing: {file};"):
        export.check_artifact(copy)


@pytest.mark.parametrize("file", ["assets/words.txt", "assets.extra/more", "saved_model.pbtxt"])
def test_a_file_that_nobody_knows(copy, file):
    (copy / "1" / file).parent.mkdir(exist_ok=True)
    (copy / "1" / file).write_text("?")
    with pytest.raises(ValueError, match=f"Received: unknown: {file};"):
        export.check_artifact(copy)


def test_weights_of_another_training(copy, tmp_path, tiny_model):
    other = type(tiny_model)()
    shutil.rmtree(copy / "1" / "variables")
    theirs = pathlib.Path(export.export_saved_model(other, tmp_path / "other"))
    shutil.copytree(theirs / "variables", copy / "1" / "variables")
    with pytest.raises(ValueError, match="Received: changed: variables/variables.data"):
        export.check_artifact(copy)


def test_a_version_under_another_number(copy):
    (copy / "1").rename(copy / "2")
    with pytest.raises(ValueError, match="The folder of version 1 must have that name. Received:"):
        export.check_artifact(copy)


def test_a_version_under_a_name_is_left_alone(copy):
    (copy / "1").rename(copy / "candidate")
    assert export.check_artifact(copy / "candidate")["path"] == str(copy / "candidate")


def test_a_falsified_card(copy, card_file):
    card = json.loads(card_file.read_text())
    card["model"]["num_parameters"] += 1
    card_file.write_text(json.dumps(card))
    with pytest.raises(ValueError, match="The card must be as it was written. Received: a card"):
        export.check_artifact(copy)


def test_a_card_may_be_written_with_other_spaces(copy, card_file):
    card_file.write_text(json.dumps(json.loads(card_file.read_text())))
    export.check_artifact(copy)


def test_who_falsifies_card_and_hash_has_no_signature(tiny_model, tmp_path):
    path = export.export_saved_model(tiny_model, tmp_path, key=KEY)
    assert export.check_artifact(path, key=KEY)["signed"]
    assert not export.check_artifact(path)["signed"]
    with pytest.raises(ValueError, match="signed with `key`. Received: the signature of another"):
        export.check_artifact(path, key=KEY[::-1])
    card = export.read_card(path)
    file = tmp_path / "1" / "assets.extra" / "tfbind_card.json"
    file.write_text(json.dumps({**_sealing.sealed(card), "signature": card["signature"][::-1]}))
    export.check_artifact(path)
    with pytest.raises(ValueError, match="signed with `key`. Received: the signature of another"):
        export.check_artifact(path, key=KEY)


def test_a_card_without_a_signature(saved_model):
    with pytest.raises(ValueError, match="signed with `key`. Received: a card without a signature"):
        export.check_artifact(saved_model, key=KEY)


@pytest.mark.parametrize("key", [b"", b"fifteen bytes..", "a string of sixteen letters"])
def test_a_key_that_is_none(tiny_model, saved_model, tmp_path, key):
    with pytest.raises(ValueError, match="`key` must be 16 bytes or more. Received: "):
        export.export_saved_model(tiny_model, tmp_path / "model", key=key)
    assert not (tmp_path / "model").exists()


def test_a_key_in_a_file(tmp_path):
    (tmp_path / "key").write_bytes(KEY + b"\n")
    assert export.read_key(tmp_path / "key") == KEY
    (tmp_path / "key").write_bytes(b"short\n")
    with pytest.raises(ValueError, match="`key` must be 16 bytes or more. Received: 5;"):
        export.read_key(tmp_path / "key")
