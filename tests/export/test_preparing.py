"""Exported endpoints that take files and rows answer as the library does for the same files."""

import io

import numpy as np
import PIL.Image
import pyarrow as pa
import pytest
import tensorflow as tf

from tfbind import DenoisingAutoencoder, SelfLabeling, export, reading
from tfbind.export import _decoding, _preparing
from tfbind.models._endpoints import Endpoint, guarded

RANDOM = np.random.default_rng(0)


def encoded(pixels, kind="PNG", **options):
    with io.BytesIO() as file:
        PIL.Image.fromarray(pixels).save(file, kind, **options)
        return file.getvalue()


def identity(preparation):
    """The endpoint of a model that gives back what it is given."""
    spec = tf.TensorSpec([None, *preparation.event_shape], "float32", name="image")
    served = Endpoint(lambda image: {"image": image}, (spec,), {"image": "as given"}, {})
    return _preparing.prepared_endpoints({"serving_default": guarded(served)}, preparation)


FILES = {
    "grey": encoded(RANDOM.integers(0, 256, (31, 47), "uint8")),
    "deep": encoded(RANDOM.integers(0, 65536, (20, 33), "uint16")),
    "color": encoded(RANDOM.integers(0, 256, (64, 40, 3), "uint8")),
    "alpha": encoded(RANDOM.integers(0, 256, (25, 25, 4), "uint8")),
    "bmp": encoded(RANDOM.integers(0, 256, (9, 70, 3), "uint8"), "BMP"),
}


@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
@pytest.mark.parametrize("channels", [1, 3])
def test_files_are_prepared_as_in_python(fit, channels, tmp_path):
    preparation = reading.Pictures(
        height=12, width=17, channels=channels, fit=fit, ground="#ff8000", invert=channels == 1
    )
    found = identity(preparation)["serving_default_image_bytes"].function(
        tf.constant(list(FILES.values()))
    )
    for place, (name, content) in enumerate(FILES.items()):
        (tmp_path / name).write_bytes(content)
        [picture] = preparation.read(tmp_path / name).frames
        expected = preparation.apply(picture)
        np.testing.assert_allclose(found["image"][place], expected, atol=2e-5, err_msg=name)
        assert found["size"][place].numpy().tolist() == list(picture.shape[:2])


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_files_are_turned_upright_as_exif_says(kind, orientation, tmp_path):
    exif = PIL.Image.Exif()
    exif[271], exif[274] = "a camera", orientation
    smooth = np.linspace(0, 255, 24 * 16 * 3).reshape(24, 16, 3).astype("uint8")
    content = encoded(smooth, kind, exif=exif)
    found = _decoding.decoded(tf.constant(content))[..., :3]
    (tmp_path / "turned").write_bytes(content)
    [expected] = reading.read_picture(tmp_path / "turned").frames
    np.testing.assert_allclose(found, expected, atol=2 / 255)


SPOILT = {
    "empty": b"",
    "text": b"no picture",
    "truncated": FILES["color"][:200],
    "headless": FILES["color"][:12],
    "transparent": FILES["alpha"],
    # A header that asks for 4 Gpx.
    "huge": FILES["grey"][:16] + b"\0\1\0\0\0\1\0\0" + FILES["grey"][24:],
    "jpeg": encoded(RANDOM.integers(0, 256, (8, 8, 3), "uint8"), "JPEG")[:100],
    "gif": b"GIF89a",
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_file_that_cannot_be_read_spoils_no_other(name):
    endpoint = identity(reading.Pictures(height=4, width=4))["serving_default_image_bytes"]
    alone = endpoint.function(tf.constant([FILES["color"]]))
    found = endpoint.function(tf.constant([SPOILT[name], FILES["color"]]))
    assert found["valid"].numpy().tolist() == [0, 1]
    assert np.isnan(found["image"][0]).all() and found["size"][0].numpy().tolist() == [-1, -1]
    np.testing.assert_array_equal(found["image"][1], alone["image"][0])


@pytest.mark.parametrize("files", [[], [b""], [b"", b"?"]])
def test_no_file_can_be_read(files):
    endpoint = identity(reading.Pictures(height=4, width=4))["serving_default_image_bytes"]
    found = endpoint.function(tf.constant(files, tf.string))
    assert found["valid"].numpy().tolist() == [0] * len(files)
    assert found["image"].shape == (len(files), 4, 4, 1)


def test_damaged_exif_is_passed_over():
    pixels = RANDOM.integers(0, 256, (5, 7, 3), "uint8")
    for tail in (b"", b"MM", b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff\x12\x01"):
        exif = b"Exif\0\0" + tail
        upright = _decoding.decoded(tf.constant(encoded(pixels, "JPEG", exif=exif)))
        assert upright.shape == (5, 7, 4)


def test_rows_are_prepared_as_in_python():
    table = pa.table({"x": [1.0, None, 5.0, 9.0], "kind": ["b", "a", "b", None], "y": [3, 4, 9, 1]})
    preparation = reading.fit_rows(table, missing="fill").preparation
    numbers = [[1, 3], [np.nan, 4], [5, 9], [9, 1]]
    kinds = [["b"], ["a"], ["b"], ["unheard of"]]
    found = identity(preparation)["from_row"].function(
        tf.constant(numbers, tf.float32), tf.constant(kinds)
    )
    np.testing.assert_allclose(found["image"], preparation.apply(table), rtol=1e-5)


def test_rows_with_gaps_have_no_answer_where_gaps_were_refused():
    table = pa.table({"x": [1.0, 3.0, 5.0, 9.0]})
    found = identity(reading.fit_rows(table, missing="refuse").preparation)["from_row"].function(
        tf.constant([[1.0], [np.nan], [np.inf]])
    )
    assert found["valid"].numpy().tolist() == [1, 0, 0]


@pytest.mark.parametrize("unit", [False, True])
def test_texts_are_prepared_as_in_python(unit):
    words = ("2026", "cat", "dog", "straße", "école")
    preparation = reading.Texts(
        words=words,
        weights=tuple(RANDOM.uniform(1, 9, 5).tolist()),
        directions=tuple(map(tuple, RANDOM.normal(size=(5, 3)).tolist())),
        unit=unit,
    )
    texts = [
        "A cat, a DOG -- the cat!",
        "STRASSE Straße",
        "(École_2026)",
        "², x 日本語",
        "",
        "dogs",
    ]
    found = identity(preparation)["from_text"].function(tf.constant(texts))
    np.testing.assert_allclose(found["image"], preparation.apply(texts), atol=1e-6)
    assert found["valid"].numpy().all()
    none = identity(preparation)["from_text"].function(tf.constant([], tf.string))
    assert none["image"].shape == (0, 3)


def test_values_are_prepared_as_in_python():
    preparation = reading.Arrays(shape=(3,), offset=(1.0, 2.0, 3.0), scale=4.0, unit=True)
    values = RANDOM.uniform(-5, 5, (6, 3)).astype("float32")
    found = identity(preparation)["from_values"].function(values)
    np.testing.assert_allclose(found["image"], preparation.apply(values), rtol=1e-5)
    assert identity(reading.Arrays(shape=(3,))) == {}


def test_values_that_are_no_numbers_have_no_answer():
    preparation = reading.Arrays(shape=(2,), scale=4.0, unit=True, threshold=0.5)
    values = tf.constant([[1.0, 4.0], [np.nan, 1.0], [np.inf, 1.0]])
    found = identity(preparation)["from_values"].function(values)
    assert found["valid"].numpy().tolist() == [1, 0, 0]
    assert found["image"][0].numpy().tolist() == [0.0, 1.0]


def test_a_saved_model_with_files_is_sound(tmp_path):
    preparation = reading.Pictures(height=6, width=5, threshold=0.5)
    model = DenoisingAutoencoder((6, 5, 1), hidden_units=3)
    path = export.export_saved_model(model, tmp_path / "model", preparation=preparation)
    card = export.read_card(path)
    assert reading.preparation_of(card["preparation"]) == preparation
    assert "serving_default_image_bytes" in export.check_artifact(path)["endpoints"]
    files = np.array([FILES["color"], b"no picture"], object)
    answer = export.SavedModelRunner(path)("serving_default_image_bytes", {"image_bytes": files})
    assert answer["valid"].tolist() == [1, 0]
    (tmp_path / "color.png").write_bytes(FILES["color"])
    [picture] = preparation.read(tmp_path / "color.png").frames
    expected = model.predict(preparation.apply(picture)[None], verbose=0)
    np.testing.assert_allclose(answer["reconstruction"][:1], expected["reconstruction"], atol=1e-5)


def test_a_saved_model_with_rows_is_sound(tmp_path):
    table = pa.table({"x": [1.0, 2.0, 5.0], "kind": ["b", "a", "b"]})
    preparation = reading.fit_rows(table, missing="fill").preparation
    model = SelfLabeling(preparation.event_shape, 2, num_heads=1, units=(4,))
    path = export.export_saved_model(model, tmp_path / "model", preparation=preparation)
    assert "from_row" in export.check_artifact(path)["endpoints"]


def test_a_saved_model_with_texts_is_sound(tmp_path):
    texts = [" ".join(RANDOM.choice([f"word{i}" for i in range(50)], 2)) for _ in range(60)]
    preparation = reading.TextFiles(texts, texts).prepared_for(reading.Wanted(()))
    model = SelfLabeling(preparation.event_shape, 2, num_heads=1, units=(4,))
    path = export.export_saved_model(model, tmp_path / "model", preparation=preparation)
    assert "from_text" in export.check_artifact(path)["endpoints"]
    answer = export.SavedModelRunner(path)("from_text", {"text": np.array(texts[:5], object)})
    expected = model.predict(preparation.apply(texts[:5]), verbose=0)
    np.testing.assert_allclose(answer["probabilities"], expected["probabilities"], atol=1e-5)
