"""By what a changed artifact is known: hashes of its files and of its card, and a signature."""

import hashlib
import hmac
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from tfbind.export import _layout

# On a card, and of the rest of it.
_HASH, _SIGNATURE = "sha256", "signature"

_LEAST_KEY = 16  # bytes


def read_key(path: str | os.PathLike) -> bytes:
    """Reads the key that cards are signed with: a file's bytes, without white space around them.

    Args:
        path: A file of 16 bytes or more that only you can read, by `openssl rand -hex 32`.

    Returns:
        Bytes, what `key` of `export_saved_model` and `check_artifact` takes.

    Raises:
        ValueError: If the key is too short.
    """
    return check_key(pathlib.Path(path).read_bytes().strip())


def check_key(key: bytes) -> bytes:
    """Returns `key`, or raises ValueError if it is not bytes enough."""
    if not isinstance(key, bytes) or len(key) < _LEAST_KEY:
        given = f"{len(key)}" if isinstance(key, bytes) else f"a {type(key).__name__}"
        raise ValueError(
            f"`key` must be {_LEAST_KEY} bytes or more. Received: {given}; "
            "`tfbind.export.read_key` reads one from a file."
        )
    return key


def sealed(card: Mapping[str, Any], key: bytes | None = None) -> dict[str, Any]:
    """Returns a card with its hash, and with its signature if there is a key."""
    content = _content(card)
    seals = {_HASH: hashlib.sha256(content).hexdigest()}
    if key is not None:
        seals[_SIGNATURE] = _signature(content, key)
    return {**_unsealed(card), **seals}


def check_seals(card: Mapping[str, Any], key: bytes | None = None) -> None:
    """Raises ValueError if a card is not as it was written, or not signed with `key`."""
    content = _content(card)
    if key is not None:
        signature = card.get(_SIGNATURE)
        if signature is None:
            raise ValueError(
                "The card must be signed with `key`. Received: a card without a signature; trust "
                "it as it is, without a key, or have it exported with one."
            )
        if not hmac.compare_digest(str(signature), _signature(content, key)):
            raise ValueError(
                "The card must be signed with `key`. Received: the signature of another key or of "
                "another card; do not use this artifact."
            )
    if card.get(_HASH) != hashlib.sha256(content).hexdigest():
        raise ValueError(
            "The card must be as it was written. Received: a card that does not have the hash it "
            "names; export the model again."
        )


def hashes(folder: pathlib.Path) -> dict[str, str]:
    """Returns path within a SavedModel -> SHA-256, of every file but the card."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    card = _layout.card_path(folder)
    return {
        path.relative_to(folder).as_posix(): _layout.sha256(path) for path in files if path != card
    }


def check_files(folder: pathlib.Path, artifact: Mapping[str, Any]) -> None:
    """Raises ValueError, naming the file, if a SavedModel has others than its card says."""
    expected, version = artifact["files"], artifact["version"]
    if folder.name.isdigit() and int(folder.name) != version:
        raise ValueError(
            f"The folder of version {version} must have that name. Received: "
            f"{str(folder)!r}, into which another version was moved; export the model again."
        )
    found = hashes(folder)
    differences = {
        "missing": expected.keys() - found.keys(),
        "unknown": found.keys() - expected.keys(),
        "changed": {name for name in expected if found.get(name, expected[name]) != expected[name]},
    }
    named = [f"{what}: {', '.join(sorted(names))}" for what, names in differences.items() if names]
    if named:
        raise ValueError(
            f"The files of {str(folder)!r} must be those on its card. "
            f"Received: {'; '.join(named)}; export the model again."
        )


def _unsealed(card):
    return {name: value for name, value in card.items() if name not in (_HASH, _SIGNATURE)}


def _content(card):
    return json.dumps(_unsealed(card), sort_keys=True, allow_nan=False).encode()


def _signature(content, key):
    return hmac.new(check_key(key), content, hashlib.sha256).hexdigest()
