"""Pictures inside a page."""

import base64
import io

import numpy as np
import PIL.Image
from matplotlib.figure import Figure

from tfbind.reporting import embedded


def decoded(uri):
    head, data = uri.split(",")
    picture = PIL.Image.open(io.BytesIO(base64.b64decode(data)))
    assert head == f"data:image/{picture.format.lower()};base64"
    return picture


def test_drawings_come_back_as_they_were():
    pixels = np.random.default_rng(0).integers(0, 2, (9, 12), "uint8") * 255
    np.testing.assert_array_equal(decoded(embedded.picture_uri(pixels)), pixels)


def test_large_photographs_are_made_smaller():
    rows, columns = np.mgrid[:200, :300] / 300
    smooth = np.stack([rows, columns, rows * columns], axis=-1)
    noise = np.random.default_rng(0).normal(0, 0.02, smooth.shape)
    picture = decoded(embedded.picture_uri(embedded.pixels_of(smooth + noise), 150))
    assert picture.format == "JPEG" and picture.size == (150, 100)


def test_figures_and_files(tmp_path):
    assert decoded(embedded.figure_uri(Figure(figsize=(2, 1)))).size == (200, 100)
    noise = np.random.default_rng(0).integers(0, 256, (600, 1500, 3), "uint8")
    PIL.Image.fromarray(noise).save(tmp_path / "large.png")
    assert decoded(embedded.file_uri(tmp_path / "large.png")).size == (1200, 480)
