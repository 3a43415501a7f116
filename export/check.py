"""The check of an artifact: is it what its card says, and does it do what that says?"""

import os
import pathlib
from typing import Any

from tfbind.export import _answers, _layout, _sealing
from tfbind.export._file_runner import load_runner
from tfbind.export.card import read_card
from tfbind.export.samples import sample_inputs

_BATCH_SIZES = [1, 3]  # of a file that takes any


def check_artifact(path: str | os.PathLike, *, key: bytes | None = None) -> dict[str, Any]:
    """Looks whether an artifact is as it was written, runs it as its server would, and compares.

    Use it after a copy or before a release. The card must have its own hash, and the files those
    on the card. Of a SavedModel, operations of the graph that could touch files or the network are
    looked for before anything runs, and refused. Then every signature is loaded in three ways (a
    TF1 Session, `tf.saved_model.load`, and the C API, whose loader is TF Serving's), run on
    batches of 1, 2, 3 and 64, and on the warm-up requests. A TFLite file is run by LiteRT on its
    own batch size, an ONNX file by ONNX Runtime on batches of 1 and 3. Names, shapes and dtypes
    must be those on the card, outputs finite with the batch as first axis, a row's answer the same
    in every batch, and a SavedModel's answers to made-up inputs the numbers on the card, within
    the tolerance there.

    Hashes find accidents. Whoever changes files on purpose can write a card that fits them, but
    not its signature.

    Args:
        path: A .tflite or .onnx file, the folder of one SavedModel version, or one with versions,
            of which the latest is taken.
        key: The key that the card must be signed with, as in `export_saved_model`; or None.

    Returns:
        A dict: `path`, of the file or version; `artifact`, as on the card; `signed`, whether a
        signature was checked; `endpoints`, from name to `batch_sizes` and `row_difference`, the
        largest change of a row's output between them, None where there is one batch size. Of a
        SavedModel also `loaders`, `warm_up_requests`, their number, and by endpoint
        `loader_difference`, the largest to the numbers on the card. Differences are over the
        largest number of an output, or over 1 if that is more.

    Raises:
        ImportError: If the runtime that the file needs is not installed.
        ValueError: If the artifact is missing, damaged or does not keep what its card says.

    Example:

    >>> folder = tempfile.mkdtemp()
    >>> version = tfbind.export.export_saved_model(tfbind.DenoisingAutoencoder((4,)), folder)
    >>> tfbind.export.check_artifact(folder)["endpoints"]["serving_default"]["batch_sizes"]
    [1, 2, 3, 64]
    """
    card = read_card(path)
    _sealing.check_seals(card, key)
    if _layout.is_one_file(path):
        artifact, report = pathlib.Path(path), _check_file(path, card)
    else:
        from tfbind.export._saved_model_check import check_saved_model

        artifact = _layout.find_saved_model(path)
        report = check_saved_model(artifact, card)
    notes = {"path": str(artifact), "artifact": card["artifact"], "signed": key is not None}
    return {**notes, **report}


def _check_file(path, card):
    """Returns the report on a TFLite file, of one batch size, or an ONNX file, of any."""
    # A runtime would not notice a changed weight.
    if _layout.sha256(path) != card["artifact"]["sha256"]:
        raise ValueError(
            f"`path` must be the file that its card describes. Received: path={str(path)!r}, "
            "whose contents have changed since the export; export the model again."
        )
    runner = load_runner(path)
    _answers.check_signatures(runner.signatures, card)
    size = card["artifact"].get("batch_size")
    sizes = _BATCH_SIZES if size is None else [size]
    return {
        "endpoints": {
            name: {
                "batch_sizes": sizes,
                "row_difference": _row_difference(runner, name, card, sizes),
            }
            for name in card["endpoints"]
        }
    }


def _row_difference(runner, name, card, sizes):
    """Returns how much the first row's answer depends on the batch; None if there is one size."""
    endpoint = card["endpoints"][name]
    inputs = sample_inputs(endpoint, max(sizes))
    answers = []
    for size in sizes:
        answer = runner(name, {key: array[:size] for key, array in inputs.items()})
        _answers.check_outputs(name, endpoint, answer, size)
        answers.append(answer)
    if len(sizes) == 1:
        return None
    first, *others = answers
    return max(
        _answers.difference(other[key][:1], array)
        for other in others
        for key, array in first.items()
    )
