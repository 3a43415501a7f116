"""Every kind of picture file shows what it shows in a viewer."""

import re
import struct

import numpy as np
import PIL.Image
import pytest

from tfbind.reading import read_picture

GREY = np.array([[0, 51, 102], [153, 204, 255]], "uint8")


def save(pixels, path, **options):
    PIL.Image.fromarray(pixels).save(path, **options)
    return path


def raises(sentence):
    return pytest.raises(ValueError, match=re.escape(sentence))


def shown(path, **options):
    [frame] = read_picture(path, **options).frames
    return frame


def test_grey_and_colors(tmp_path):
    found = shown(save(GREY, tmp_path / "grey.png"))
    np.testing.assert_allclose(found[..., 0], GREY / 255, atol=1e-6)
    color = np.stack([GREY, GREY.T.reshape(2, 3), 255 - GREY], axis=-1)
    np.testing.assert_allclose(shown(save(color, tmp_path / "color.png")), color / 255, atol=1e-6)
    PIL.Image.fromarray(color).quantize(6).save(tmp_path / "palette.gif")
    np.testing.assert_allclose(shown(tmp_path / "palette.gif"), color / 255, atol=0.02)
    PIL.Image.fromarray(GREY > 127).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(shown(tmp_path / "bits.png")[..., 0], GREY > 127)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned_upright(orientation, tmp_path):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    path = save(GREY, tmp_path / "photo.png", exif=exif)
    turned = {
        1: GREY,
        2: GREY[:, ::-1],
        3: GREY[::-1, ::-1],
        4: GREY[::-1],
        5: GREY.T,
        6: GREY[::-1].T,
        7: GREY[::-1, ::-1].T,
        8: GREY[:, ::-1].T,
    }[orientation]
    np.testing.assert_allclose(shown(path)[..., 0], turned / 255, atol=1e-6)


def test_transparent_pictures_stand_on_a_ground_that_is_named(tmp_path):
    layers = np.zeros((2, 2, 4), "uint8")
    layers[0, 0] = (0, 0, 0, 255)
    layers[0, 1] = (255, 0, 0, 51)
    path = save(layers, tmp_path / "ink.png")
    with raises(f"`{path}` must not be transparent, since its ground then decides what it shows."):
        read_picture(path)
    white = shown(path, ground="white")
    np.testing.assert_allclose(white[0, 0], 0)
    np.testing.assert_allclose(white[0, 1], [1, 0.8, 0.8], atol=1e-6)
    np.testing.assert_allclose(white[1], 1)
    np.testing.assert_allclose(shown(path, ground="#00ff00")[1, 1], [0, 1, 0])


def test_ink_on_a_ground_of_its_colour_is_refused(tmp_path):
    layers = np.zeros((2, 2, 4), "uint8")
    layers[0, 0, 3] = 255
    path = save(layers, tmp_path / "ink.png")
    with raises("must show something on its ground. Received: --ground black"):
        read_picture(path, ground="black")
    assert shown(path, ground="white").min() == 0


def test_opaque_pictures_with_an_alpha_channel_need_no_ground(tmp_path):
    layers = np.dstack([GREY, GREY, GREY, np.full_like(GREY, 255)])
    np.testing.assert_allclose(shown(save(layers, tmp_path / "a.png"))[..., 0], GREY / 255)


def test_sixteen_bits(tmp_path):
    deep = np.array([[0, 6554, 65535]], "uint16")
    for name in ("deep.png", "deep.tif"):
        found = shown(save(deep, tmp_path / name))
        np.testing.assert_allclose(found[..., 0], deep / 65535, atol=1e-6)
    found = shown(save(deep // 16, tmp_path / "dim.png"), white=4095)
    np.testing.assert_allclose(found[..., 0], deep // 16 / 4095, atol=1e-6)


def twelve_bits(path):
    """Writes a TIFF of one row of four pixels with 12 bits each: 0, 1365, 2730, 4095."""
    data = bytes.fromhex("000555aaafff")
    tags = [(256, 4), (257, 1), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1)]
    tags.append((279, len(data)))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    header = struct.pack("<2sHI", b"II", 42, 8 + len(data))
    path.write_bytes(header + data + struct.pack("<H", len(tags)) + entries + bytes(4))
    return path


def test_twelve_bits(tmp_path):
    found = shown(twelve_bits(tmp_path / "twelve.tif"))
    np.testing.assert_allclose(found[0, :, 0], [0, 1 / 3, 2 / 3, 1], atol=1e-6)


def test_floats(tmp_path):
    values = np.array([[0.0, 0.25, 1.0]], "float32")
    path = save(values, tmp_path / "float.tif")
    np.testing.assert_array_equal(shown(path)[..., 0], values)
    path = save(200 * values, tmp_path / "counts.tif")
    with raises("must have values in [0, 1]. Received: values from 0 to 200; say what white is"):
        read_picture(path)
    np.testing.assert_array_equal(shown(path, white=200)[..., 0], values)
    with raises("Received: values from nan"):
        read_picture(save(values * np.nan, tmp_path / "nan.tif"))


def test_cmyk(tmp_path):
    inks = np.zeros((8, 8, 4), "uint8")
    inks[..., 0] = 255  # cyan: no red
    PIL.Image.fromarray(inks, "CMYK").save(tmp_path / "print.tif")
    np.testing.assert_allclose(shown(tmp_path / "print.tif")[0, 0], [0, 1, 1], atol=0.01)
    PIL.Image.fromarray(inks, "CMYK").save(tmp_path / "print.jpg", quality=95)
    np.testing.assert_allclose(shown(tmp_path / "print.jpg")[0, 0], [0, 1, 1], atol=0.05)


@pytest.mark.parametrize("kind", ["gif", "tif", "png"])
def test_several_frames(kind, tmp_path):
    frames = [PIL.Image.fromarray(np.full((3, 3), value, "uint8")) for value in (0, 120, 255)]
    path = tmp_path / f"film.{kind}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    first = read_picture(path)
    assert (len(first.frames), first.has_more, first.frames[0].max()) == (1, True, 0)
    every = read_picture(path, frames="all")
    assert not every.has_more
    np.testing.assert_allclose([x.mean() for x in every.frames], [0, 120 / 255, 1], atol=0.01)


def test_damaged_files(tmp_path):
    whole = save(np.random.default_rng(0).integers(0, 256, (90, 90), "uint8"), tmp_path / "a.png")
    (tmp_path / "half.png").write_bytes(whole.read_bytes()[:2000])
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "none.png").write_bytes(b"")
    for name in ("half.png", "text.png", "none.png"):
        with raises(
            f"`{tmp_path / name}` must be a picture (PNG, JPEG, TIFF). Received: a file of"
        ):
            read_picture(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_picture(tmp_path / "nowhere.png")
