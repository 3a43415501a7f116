"""Picture files as arrays: upright, composited, and scaled by what white is in their kind."""

import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import PIL.Image
import PIL.ImageColor
import PIL.ImageOps
import PIL.TiffImagePlugin

# By which a folder's pictures are told from its other files.
SUFFIXES = frozenset(
    ".apng .avif .bmp .dib .gif .j2k .jfif .jp2 .jpe .jpeg .jpg .pbm .pgm .png .pnm .ppm .tga .tif "
    ".tiff .webp".split()
)
_BITS = 258  # TIFF's tag of bits a sample
_WHITE = {12: 4095.0, 16: 65535.0}  # by bits
_LEAST = 0.5 / 255  # difference that a picture has to have somewhere


class PictureFile(NamedTuple):
    """What a picture file holds.

    `frames` is a list of float32 `[H, W, 1]` or `[H, W, 3]` in [0, 1], `has_more` whether the file
    has more frames than these, and `depth` the value of white in the file.
    """

    frames: list[np.ndarray]
    has_more: bool
    depth: float


def read_picture(
    path: str | os.PathLike,
    *,
    ground: str | None = None,
    white: float | None = None,
    frames: str = "first",
) -> PictureFile:
    """Reads a picture file, whatever its kind.

    Args:
        path: A file that Pillow reads. It is turned upright, as EXIF says.
        ground: What shows through where it is transparent: "white", "#ffeedd" or any name of
            CSS; None to refuse pictures that are transparent anywhere.
        white: The value of white in a grey file of more than 8 bits or of floats; None for what
            the kind of file says: 65535, 4095 for 12 bits, 1 for floats.
        frames: "first", or "all" those of a file with several.

    Returns:
        A `PictureFile`.

    Raises:
        ValueError: If the file is no picture or damaged, or its values have no known white, or it
            is transparent and there is no ground, or it shows nothing on that ground.

    Example:

    >>> import PIL.Image
    >>> path = tempfile.mkdtemp() + "/grey.png"
    >>> PIL.Image.new("L", (4, 3), 51).save(path)
    >>> [picture] = tfbind.reading.read_picture(path).frames
    >>> picture.shape, round(float(picture[0, 0, 0]), 3)
    ((3, 4, 1), 0.2)
    """
    path = pathlib.Path(path)
    try:
        with PIL.Image.open(path) as picture:
            depth = _white(picture) if white is None or picture.mode[0] not in "IF" else white
            shown = [_pixels(path, x, ground, depth) for x in _frames(picture, frames)]
            return PictureFile(shown, frames == "first" and _seek(picture, 1), depth)
    except (OSError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        if isinstance(error, OSError) and error.filename:
            raise  # it is not there, or may not be read
        raise ValueError(  # Pillow's own for damaged files are these
            f"`{path}` must be a picture (PNG, JPEG, TIFF). Received: a file of another kind, or a "
            "damaged one."
        ) from error


def grey(pixels: np.ndarray) -> np.ndarray:
    """Returns `[..., 1]` of `[..., 1]` or `[..., 3]`: how bright each pixel looks."""
    weights = np.array([0.299, 0.587, 0.114], "float32")  # ITU-R 601
    return pixels if pixels.shape[-1] == 1 else pixels @ weights[:, None]


def _frames(picture: PIL.Image.Image, which: str) -> Iterator[PIL.Image.Image]:
    index = 0
    while index == 0 or (which == "all" and _seek(picture, index)):
        yield PIL.ImageOps.exif_transpose(picture)
        index += 1


def _seek(picture: PIL.Image.Image, index: int) -> bool:
    try:
        picture.seek(index)
    except EOFError:
        return False
    return True


def _white(picture: PIL.Image.Image) -> float:
    """Returns the value of white by the kind of file."""
    if picture.mode == "F":
        return 1.0
    if not picture.mode.startswith("I"):
        return 255.0
    if isinstance(picture, PIL.TiffImagePlugin.TiffImageFile):
        return _WHITE.get(picture.tag_v2[_BITS][0], 65535.0)
    return 65535.0


def _pixels(
    path: pathlib.Path, frame: PIL.Image.Image, ground: str | None, white: float
) -> np.ndarray:
    if frame.mode[0] in "IF":
        return _deep(path, frame, white)
    if frame.has_transparency_data:
        return _composited(path, frame, ground)
    mode = "L" if frame.mode in ("1", "L") else "RGB"
    pixels = np.asarray(frame.convert(mode), "float32") / 255
    return pixels.reshape(*pixels.shape[:2], -1)


def _deep(path: pathlib.Path, frame: PIL.Image.Image, white: float) -> np.ndarray:
    """Returns grey of more than 8 bits, or of floats."""
    values = np.asarray(frame, "float32")[..., None]
    low, high = float(values.min()), float(values.max())
    if not 0 <= low <= high <= white:  # NaN is not either
        raise ValueError(
            f"`{path}` must have values in [0, {white:g}]. Received: values from {low:g} to "
            f"{high:g}; say what white is with --white."
        )
    return values / np.float32(white)


def _composited(path: pathlib.Path, frame: PIL.Image.Image, ground: str | None) -> np.ndarray:
    layers = np.asarray(frame.convert("RGBA"), "float32") / 255
    color, alpha = layers[..., :3], layers[..., 3:]
    if alpha.min() == 1:
        return color
    if ground is None:
        raise ValueError(
            f"`{path}` must not be transparent, since its ground then decides what it shows. "
            "Received: no ground; name one with --ground, such as --ground white."
        )
    behind = np.array(PIL.ImageColor.getrgb(ground)[:3], "float32") / 255
    shown = alpha * color + (1 - alpha) * behind
    if np.ptp(shown, axis=(0, 1)).max() < _LEAST:
        raise ValueError(
            f"`{path}` must show something on its ground. Received: --ground {ground}, which all "
            "of it looks like; name another."
        )
    return shown
