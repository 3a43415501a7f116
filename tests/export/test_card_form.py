"""Whatever a card lacks or has of another type, it is one sentence that says where."""

import json

import pytest

from tests.forging import forged
from tfbind import export
from tfbind._forms import check_form
from tfbind.export import _card_form, _layout

_FORM = "`path` must be an artifact with a readable card. Received: "


@pytest.fixture(
    params=["saved_model", pytest.param("tflite", marks=pytest.mark.tflite), "onnx"],
)
def card(request, saved_model):
    """The card of an artifact of each kind."""
    if request.param == "tflite":
        return export.read_card(request.getfixturevalue("tflite"))
    found = export.read_card(saved_model)
    if request.param == "onnx":
        error = {"code": {"max": 0.0, "mean": 0.0}}
        found["artifact"] = {
            **{"kind": "onnx", "opset": 18, "bytes": 3, "sha256": "00"},
            "errors": {"serving_default": error},
        }
    return found


def test_a_forged_card_fits_or_says_where_not(card):
    kind = card["artifact"]["kind"]
    check_form(card, _card_form.form_of(kind))
    refused = 0
    for place, changed in forged(card):
        try:
            check_form(changed, _card_form.form_of(kind))
        except ValueError as error:
            refused += 1
            first = next(part for part in reversed(place) if isinstance(part, str))
            named = str(error)
            assert any(str(part) in named for part in (first, *place)), (place, named)
    assert refused > 500


def test_what_fits_can_be_tried(card):
    kind = card["artifact"]["kind"]
    for _, changed in forged(card):
        try:
            check_form(changed, _card_form.form_of(kind))
        except ValueError:
            continue
        for endpoint in changed["endpoints"].values():
            for info in endpoint["inputs"].values():
                info["shape"] = info["shape"][:3]  # a forged one may ask for much memory
            export.sample_inputs(endpoint, 2)


def test_the_sentence_names_the_file_and_the_place(saved_model, tmp_path):
    card = export.read_card(saved_model)
    del card["endpoints"]["gated"]["inputs"]["gate"]["range"]
    (tmp_path / "1" / "assets.extra").mkdir(parents=True)
    (tmp_path / "1" / "saved_model.pb").touch()
    file = _layout.card_path(tmp_path / "1")
    for text, wrong in (
        (json.dumps(card), "endpoints.gated.inputs.gate lacks 'range'"),
        ("[" * 100_000, "is damaged (it is nested too deeply)"),
        ('{"created": NaN}', "created is not a text"),
    ):
        file.write_text(text)
        with pytest.raises(ValueError) as info:
            export.read_card(tmp_path)
        assert str(info.value).startswith(_FORM) and wrong in str(info.value)


def test_the_kind_must_be_that_of_the_path(saved_model, tmp_path):
    (tmp_path / "a.onnx").touch()
    (tmp_path / "a.onnx.json").write_text(json.dumps(export.read_card(saved_model)))
    with pytest.raises(ValueError, match="is damaged .artifact.kind is not onnx"):
        export.read_card(tmp_path / "a.onnx")
