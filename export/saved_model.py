import os
import pathlib

import keras

from tfbind import reading
from tfbind._validation import check_integer
from tfbind.export import _answers, _endpoints, _layout, _sealing, _warmup
from tfbind.export.card import describe, write_card
from tfbind.models._endpoints import write_out


def export_saved_model(
    model: keras.Model,
    directory: str | os.PathLike,
    version: int | None = None,
    *,
    preparation: reading.Preparation | None = None,
    key: bytes | None = None,
) -> str:
    """Writes a model's endpoints as one version of a SavedModel for TF Serving.

    Use it for servers; `export_tflite` is for devices. Each endpoint becomes a signature for any
    batch size. The version appears in one step, complete, so that a server may watch the folder.
    With the extra `tfbind[serving]` it holds warm-up requests, which the server replays first.

    Args:
        model: A built model with `serving_endpoints()`.
        directory: Folder of the versions, made if need be; TF Serving's `--model_base_path`.
        version: Integer >= 1 that is not there yet, or None for the highest plus one.
        preparation: What is done to a person's files before the model sees them, such as
            `Run.preparation`; or None. With it more signatures take these files:
            `<endpoint>_image_bytes`, bytes of pictures of any size, for each endpoint that takes
            an image alone; `from_row`, columns of a table; or `from_values`.
        key: 16 bytes or more to sign the card with (HMAC-SHA256), for `check_artifact` with the
            same key to tell that nobody else wrote it; or None. `read_key` reads one from a file.

    Returns:
        The path of the version, `directory/<version>`, as a string.

    Raises:
        ValueError: If the version exists, the key is too short, or the model or an endpoint of it
            cannot be exported.

    Example:

    >>> model = tfbind.DenoisingAutoencoder((4,), hidden_units=2)
    >>> path = tfbind.export.export_saved_model(model, tempfile.mkdtemp())
    >>> list(tfbind.export.read_card(path)["endpoints"])
    ['serving_default']
    """
    directory = pathlib.Path(directory)
    if key is not None:
        _sealing.check_key(key)
    version = _choose_version(directory, version)
    traced = _endpoints.trace_endpoints(model, preparation=preparation)
    card = describe(model, traced, preparation)
    answers = _answers.answers_of(card, traced)
    with _layout.written_at_once(directory) as temporary:
        folder = temporary / "saved_model"
        write_archive(traced, folder)
        _warmup.write_warmup(card, folder, directory.resolve().name)
        files = _sealing.hashes(folder)
        artifact = {"kind": "saved_model", "version": version, "files": files, "answers": answers}
        write_card({**card, "artifact": artifact}, _layout.card_path(folder), key)
        target = directory / str(version)
        try:
            os.rename(folder, target)
        except OSError as error:
            if target.exists():
                raise _existing_version(directory, version) from error
            raise
    return str(target)


def write_archive(traced: dict[str, _endpoints.TracedEndpoint], folder: pathlib.Path) -> None:
    """Writes traced endpoints as a SavedModel, the way TF Serving can read it."""
    # `archive.track(model)` would store every weight a second time; the endpoints track theirs.
    archive = keras.export.ExportArchive()
    for name, entry in traced.items():
        archive.add_endpoint(name, entry.function)
    write_out(archive, folder)


def _choose_version(directory, version):
    if directory.exists() and not directory.is_dir():
        raise ValueError(
            f"`directory` must be a folder. Received: directory={str(directory)!r}, a file."
        )
    if version is None:
        return max(_layout.version_folders(directory), default=0) + 1
    version = check_integer("version", version, 1)
    if (directory / str(version)).exists():
        raise _existing_version(directory, version)
    return version


def _existing_version(directory, version):
    return ValueError(
        f"`version` must be a new one, for a server may be using those that exist. "
        f"Received: version={version}, which {str(directory)!r} has."
    )
