"""What a card must hold, so that whoever reads one finds what they look for."""

from collections.abc import Mapping
from typing import Any

from tfbind._forms import Form, check_form, each, finite

_DTYPES = (
    *("float16", "float32", "float64", "bfloat16", "string", "bool"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
)


def form_of(kind: str) -> Form:
    """Returns the form of the card of an artifact: a "saved_model", "tflite" or "onnx"."""

    def check(card: Any, where: str) -> None:
        check_form(card, _CARD, where)
        artifact = card["artifact"]
        if artifact["kind"] != kind:
            raise ValueError(f"artifact.kind is not {kind}")
        check_form(artifact, _ARTIFACTS[kind], "artifact")
        if kind == "saved_model":
            _check_answers(artifact["answers"], card["endpoints"])

    return check


def _check_shape(value: Any, where: str) -> None:
    check_form(value, [(int, type(None))], where)
    if not value or any(size is None or size < 0 for size in value[1:]):
        raise ValueError(f"{where} is not that of a batch")


def _check_tensor(value: Any, where: str) -> None:
    check_form(value, {"shape": _check_shape, "dtype": (str,)}, where)
    if value["dtype"] not in _DTYPES:
        raise ValueError(f"{where}.dtype is none of {', '.join(_DTYPES)}")


def _check_input(value: Any, where: str) -> None:
    _check_tensor(value, where)
    check_form(value, {"range": [_check_end]}, where)
    if len(value["range"]) != 2:
        raise ValueError(f"{where}.range is not a pair")
    low, high = value["range"]
    if None not in (low, high) and low > high:
        raise ValueError(f"{where}.range ends before it begins")
    if value["dtype"] == "string":
        check_form(value, {"sample": (str,)}, where)


def _check_end(value: Any, where: str) -> None:
    if value is not None:
        finite(value, where)


def _check_answers(answers: Mapping, endpoints: Mapping) -> None:
    """Raises unless there are answers of each output of each endpoint."""
    for name, endpoint in endpoints.items():
        form = dict.fromkeys(endpoint["outputs"], _ANSWER)
        check_form(answers, {name: form}, "artifact.answers")


_ANSWER = {"values": [finite], "tolerance": finite}
_CARD = {
    "created": (str,),
    "versions": each((str,)),
    "model": {"class": (str,), "name": (str,), "num_parameters": (int,), "config": (dict,)},
    "preparation": (dict, type(None)),
    "endpoints": each(
        {"inputs": each(_check_input, fewest=1), "outputs": each(_check_tensor, fewest=1)},
        fewest=1,
    ),
    "artifact": {"kind": (str,)},
}
_ERRORS = each(each(each(finite)))
_FILE = {"bytes": (int,), "sha256": (str,), "errors": _ERRORS}
_ARTIFACTS = {
    "saved_model": {"version": (int,), "files": each((str,)), "answers": (dict,)},
    "tflite": {"quantize": (str,), "batch_size": (int,), **_FILE},
    "onnx": {"opset": (int,), **_FILE},
}
