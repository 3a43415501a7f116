"""Folders and arrays as a person has them: looked at, prepared, described, read again alike."""

import json
import pathlib
import re
import time

import numpy as np
import PIL.Image
import pytest

from tfbind import reading
from tfbind.reading import listing

RANDOM = np.random.default_rng(0)
BINARY = reading.Wanted((20, 20, 1), binary=True)


def raises(sentence):
    return pytest.raises(ValueError, match=re.escape(sentence))


def drawing(size=60, paper=230, ink=30):
    """A square of ink on paper, with the noise of a scanner."""
    pixels = np.full((size, size), float(paper))
    row, column = RANDOM.integers(10, size - 30, 2)
    pixels[row : row + 15, column : column + 15] = ink
    return np.uint8(np.clip(pixels + RANDOM.normal(0, 5, pixels.shape), 0, 255))


def draw(folder, count=6, **options):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        PIL.Image.fromarray(drawing(**options)).save(folder / f"d{i}.png")
    return folder


def test_drawings_are_recognised_and_inverted(tmp_path):
    data = reading.read_data(draw(tmp_path / "a"), BINARY)
    assert data.look.is_dark_on_light and data.look.has_two_levels and data.look.is_plain
    assert data.preparation.invert and 0.3 < data.preparation.threshold < 0.7
    np.testing.assert_allclose(data.array.mean(axis=(1, 2, 3)), 25 / 400, atol=0.02)
    assert "two levels, dark on light" in data.look.lines()[0]
    light = reading.read_data(draw(tmp_path / "b", paper=20, ink=240), BINARY)
    assert not light.look.is_dark_on_light and not light.preparation.invert
    np.testing.assert_allclose(light.array.mean(axis=(1, 2, 3)), 25 / 400, atol=0.02)


def test_what_is_told_comes_before_what_is_seen(tmp_path):
    options = reading.Options(
        size=(10, 30), invert=False, threshold=0.25, fit="stretch", color=True, held_out=0.5
    )
    data = reading.read_data(draw(tmp_path / "a"), BINARY, options)
    assert data.array.shape == (6, 10, 30, 3) and len(data.held_out) == 3
    assert data.preparation == reading.Pictures(
        height=10, width=30, channels=3, fit="stretch", threshold=0.25
    )


def test_subfolders_are_classes_and_damaged_files_are_named(tmp_path):
    draw(tmp_path / "cats", 3)
    draw(tmp_path / "dogs", 4)
    (tmp_path / "dogs" / "bad.png").write_text("nothing")
    (tmp_path / "dogs" / ".hidden.png").write_text("nothing")
    (tmp_path / "readme.txt").write_text("nothing")
    data = reading.read_data(tmp_path, BINARY)
    assert data.look.classes == ("cats", "dogs")
    assert data.labels.tolist() == [0] * 3 + [1] * 4
    (note,) = data.notes
    assert note.startswith("1 file was left out: ") and "bad.png" in note


def test_photographs_keep_their_greys(tmp_path):
    for i in range(4):
        pixels = RANDOM.integers(0, 256, (33, 47, 3), "uint8")
        PIL.Image.fromarray(pixels).save(tmp_path / f"{i}.jpg")
    data = reading.read_data(tmp_path, reading.Wanted((16, 16, 3), fit="crop"))
    assert data.look.is_colored and not data.look.is_plain and data.look.shape == (33, 47, 3)
    assert data.preparation == reading.Pictures(height=16, width=16, channels=3, fit="crop")


def landscape(brightness, size=60):
    """A sky of `brightness` that fades towards a darker ground: many greys, low contrast."""
    fade = np.linspace(brightness, 0.5 * brightness, size)[:, None]
    clouds = 0.1 * brightness * np.sin(np.linspace(0, 9, size))[None, :]
    pixels = (fade + clouds)[..., None] * [0.6, 0.8, 1.0]
    return np.uint8(255 * np.clip(pixels + RANDOM.normal(0, 0.01, pixels.shape), 0, 1))


def test_dark_photographs_are_no_drawings(tmp_path):
    for i in range(6):
        PIL.Image.fromarray(landscape(0.3)).save(tmp_path / f"{i}.jpg")
    look = reading.open_data(tmp_path).look()
    assert look.is_colored and not look.has_two_levels


def test_pictures_of_different_grounds_are_no_drawings(tmp_path):
    for i, paper in enumerate([20, 80, 140, 200, 250, 110]):
        PIL.Image.fromarray(drawing(paper=paper, ink=paper - 20)).save(tmp_path / f"{i}.png")
    assert not reading.open_data(tmp_path).look().is_plain


@pytest.mark.parametrize(("paper", "ink"), [(230, 190), (40, 80), (250, 5)])
def test_faint_drawings_and_thin_lines_are_drawings(paper, ink, tmp_path):
    for i in range(6):
        pixels = np.full((200, 200), float(paper))
        pixels[50 + i : 150, 60] = pixels[50 + i, 60:110] = ink
        noisy = np.clip(pixels + RANDOM.normal(0, 3, pixels.shape), 0, 255)
        PIL.Image.fromarray(np.uint8(noisy)).save(tmp_path / f"{i}.png")
    look = reading.open_data(tmp_path).look()
    assert look.is_plain and look.has_two_levels
    assert look.is_dark_on_light == (paper > ink)


def test_a_person_is_told_what_he_may_not_know(tmp_path):
    frames = [PIL.Image.fromarray(drawing()) for _ in range(3)]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    PIL.Image.fromarray(np.uint16(16) * drawing()).save(tmp_path / "camera.png")
    notes = " ".join(reading.open_data(tmp_path).look().notes)
    assert "Some files have several frames, of which the first is taken; --frames all" in notes
    assert re.search(r"at most [34]\d\d\d of 65535 in files of this kind; if white is less", notes)
    every = reading.Options(frames="all", white=4095)
    data = reading.read_data(tmp_path, BINARY, every)
    assert list(data.names) == ["camera", "film-0", "film-1", "film-2"]
    assert data.look.notes == ()


def test_files_are_found_in_the_order_people_count(tmp_path):
    for name in ("p10.png", "p2.png", "p1.png"):
        PIL.Image.fromarray(drawing()).save(tmp_path / name)
    found = [path.name for path in listing.files_of([tmp_path])]
    assert found == ["p1.png", "p2.png", "p10.png"]
    assert [path.name for path in listing.files_of([tmp_path / "p1*.png"])] == ["p1.png", "p10.png"]
    assert len(listing.files_of([tmp_path, tmp_path / "p2.png"])) == 3
    for path in (tmp_path / "*.jpg", tmp_path / "nowhere"):
        with raises("must be a file, a folder or a pattern. Received: nothing there."):
            listing.files_of([path])
    (tmp_path / "empty").mkdir()
    with raises("must hold pictures, texts, arrays or tables."):
        listing.files_of([tmp_path / "empty"])


@pytest.mark.parametrize(
    ("rows", "wanted", "low", "high"),
    [
        (RANDOM.integers(0, 256, (20, 6, 6), "uint8"), reading.Wanted((6, 6, 1)), 0, 1),
        (RANDOM.random((20, 6, 6, 3)), reading.Wanted((6, 6, 3)), 0, 1),
        (RANDOM.normal(5, 9, (20, 6, 6)), reading.Wanted((6, 6, 1)), 0, 1),
        (RANDOM.normal(5, 9, (20, 7)), reading.Wanted((7,), unit=True), 0, 1),
        (RANDOM.normal(5, 9, (20, 7)), reading.Wanted((7,)), -4, 4),
    ],
)
def test_arrays_get_a_range(rows, wanted, low, high, tmp_path):
    np.save(tmp_path / "rows.npy", rows)
    data = reading.read_data(tmp_path / "rows.npy", wanted)
    assert data.array.shape == (20, *wanted.shape) and data.array.dtype == "float32"
    assert low <= data.array.min() < data.array.max() <= high
    again = reading.preparation_of(json.loads(json.dumps(data.preparation.to_json())))
    assert again == data.preparation


def test_vectors_are_standardised_by_element(tmp_path):
    rows = RANDOM.normal([0, 100, 7], [1, 30, 0], (50, 3))
    np.savez(tmp_path / "rows.npz", x=rows, y=["b", "a"] * 25)
    data = reading.read_data(tmp_path / "rows.npz", reading.Wanted((3,)))
    np.testing.assert_allclose(data.array[:, :2].std(axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose(data.array.mean(axis=0), 0, atol=1e-5)
    assert data.look.classes == ("a", "b") and data.labels[:2].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"a": np.zeros(3), "b": np.zeros(3)}, "must hold one array of examples, or call it"),
        ({"x": np.zeros(3)}, "must hold numbers of shape (n, D), (n, H, W) or (n, H, W, C)."),
        ({"x": np.full((3, 2), np.nan)}, "Received: NaN or infinity in 3 rows, the first in row 0"),
    ],
)
def test_arrays_that_are_no_examples(arrays, sentence, tmp_path):
    np.savez(tmp_path / "rows.npz", **arrays)
    with raises(sentence):
        reading.open_data(tmp_path / "rows.npz")


def test_a_description_reads_the_same_data_again(tmp_path):
    data = reading.read_data(draw(tmp_path / "a"), BINARY)
    described = json.loads(json.dumps(data.described()))
    options = reading.Options.from_json(described["options"])
    preparation = reading.preparation_of(described["preparation"])
    again = reading.read_data(
        pathlib.Path(described["data"]), None, options, preparation=preparation
    )
    assert again.described() == described
    np.testing.assert_array_equal(again.training, data.training)


def test_otsu_parts_two_kinds_of_pixels():
    pixels = np.concatenate([RANDOM.normal(0.2, 0.03, 900), RANDOM.normal(0.8, 0.03, 100)])
    assert 0.3 < reading.threshold_of(pixels) < 0.7
    assert reading.threshold_of(np.array([0.0, 1.0, 0.0])) == pytest.approx(0.5, abs=0.01)


def test_time_grows_with_the_number_of_files(tmp_path):
    def seconds(count):
        folder = draw(tmp_path / str(count), count)
        start = time.process_time()
        reading.read_data(folder, BINARY)
        return time.process_time() - start

    seconds(20)
    assert seconds(1000) < 3.5 * seconds(500)
