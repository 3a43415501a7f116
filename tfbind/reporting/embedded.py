"""Pictures as text that stands inside a page."""

import base64
import io
import pathlib

import numpy as np
import PIL.Image
from matplotlib.figure import Figure

from tfbind import plots

_MOST_BYTES = 500_000  # of a PNG file, above which it is made smaller
_WIDEST = 1200  # pixels of what is made smaller


def picture_uri(pixels: np.ndarray, longest: int | None = None) -> str:
    """Returns uint8 `[H, W]` or `[H, W, 3]` as a data URI, at most `longest` pixels long."""
    picture = PIL.Image.fromarray(pixels)
    if longest is not None:
        picture.thumbnail((longest, longest))
    png, jpeg = _written(picture, "PNG"), _written(picture, "JPEG")
    # Photographs are far smaller as JPEG, drawings are not, and are blurred by it.
    return _uri("jpeg", jpeg) if 3 * len(jpeg) < len(png) else _uri("png", png)


def file_uri(path: pathlib.Path) -> str:
    """Returns a PNG file as a data URI, made smaller if it is large."""
    data = path.read_bytes()
    if len(data) <= _MOST_BYTES:
        return _uri("png", data)
    with PIL.Image.open(path) as picture:
        small = picture.convert("RGB")
    small.thumbnail((_WIDEST, 10 * _WIDEST))
    return _uri("jpeg", _written(small, "JPEG"))


def figure_uri(figure: Figure) -> str:
    """Returns a figure as a data URI."""
    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=100)
        return _uri("png", file.getvalue())


def pixels_of(image: np.ndarray) -> np.ndarray:
    """Returns an image of a model as uint8 `[H, W]`, or `[H, W, 3]` if it has colours."""
    colored = image.ndim == 3 and image.shape[-1] == 3
    light = plots.brightness(image, spatial_ndim=3 if colored else 2)
    return np.rint(255 * np.clip(light, 0, 1)).astype("uint8")


def has_pixels(event_shape: tuple[int, ...]) -> bool:
    """Whether examples can be drawn."""
    return len(event_shape) in (2, 3)


def _written(picture: PIL.Image.Image, kind: str) -> bytes:
    options = {"quality": 85} if kind == "JPEG" else {"optimize": True}
    with io.BytesIO() as file:
        picture.save(file, kind, **options)
        return file.getvalue()


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
