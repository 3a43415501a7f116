"""Where the pixels of a picture go in the model's image, and the way back."""

from typing import NamedTuple

import numpy as np
import PIL.Image

FITS = ("pad", "crop", "stretch")
_LEAST = 1e-3  # weight of a pixel: where none has more, all count alike


class Box(NamedTuple):
    """A rectangle of pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def rows(self) -> slice:
        return slice(self.top, self.top + self.height)

    @property
    def columns(self) -> slice:
        return slice(self.left, self.left + self.width)


def placement(fit: str, size: tuple[int, int], wanted: tuple[int, int]) -> tuple[Box, Box]:
    """Returns which part of a picture is shown, and where in an image of the `wanted` size.

    Args:
        fit: "pad" shows all of it, with a margin at two sides; "crop" its middle, as large as the
            shape of the image allows; "stretch" all of it, squeezed into that shape.
        size: Height and width of the picture.
        wanted: Height and width of the image.

    Example:

    >>> tfbind.reading.placement("pad", (40, 80), (20, 20))
    (Box(top=0, left=0, height=40, width=80), Box(top=5, left=0, height=10, width=20))
    """
    if fit == "pad":
        scale = min(wanted[0] / size[0], wanted[1] / size[1])
        return Box(0, 0, *size), _centered(wanted, scale, size)
    if fit == "crop":
        scale = max(wanted[0] / size[0], wanted[1] / size[1])
        return _centered(size, 1 / scale, wanted), Box(0, 0, *wanted)
    return Box(0, 0, *size), Box(0, 0, *wanted)


def place(pixels: np.ndarray, fit: str, wanted: tuple[int, int]) -> np.ndarray:
    """Returns float32 `[H, W, C]` as `[*wanted, C]`, zero where there is a margin."""
    source, target = placement(fit, pixels.shape[:2], wanted)
    image = np.zeros([*wanted, pixels.shape[-1]], "float32")
    shown = pixels[source.rows, source.columns]
    image[target.rows, target.columns] = resize(shown, (target.height, target.width))
    return image


def put_back(
    shares: np.ndarray, fit: str, size: tuple[int, int], weights: np.ndarray | None = None
) -> np.ndarray:
    """Returns shares of the model's image, `[K, h, w]`, as those of the picture, `[K, *size]`.

    What a crop left out is in no group: its shares are zero. A pixel of the picture gets the mean
    of those of the image around it, by their weights, float `[h, w]` in [0, 1], if there are some:
    thin lines then keep the groups of what is on them, not of the ground beside them.
    """
    source, target = placement(fit, size, shares.shape[1:])
    weights = np.ones(shares.shape[1:], "float32") if weights is None else weights + _LEAST
    weighted = np.concatenate([shares * weights, weights[None]])[:, target.rows, target.columns]
    resized = np.moveaxis(
        resize(np.moveaxis(weighted, 0, -1), (source.height, source.width)), -1, 0
    )
    back = np.zeros([len(shares), *size], "float32")
    back[:, source.rows, source.columns] = resized[:-1] / resized[-1]
    return back


def resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns `[H, W, C]` as `[*size, C]`: linear, and averaged where it shrinks."""
    if pixels.shape[:2] == size:
        return pixels
    channels = np.moveaxis(np.asarray(pixels, "float32"), -1, 0)
    linear = PIL.Image.Resampling.BILINEAR
    pictures = [PIL.Image.fromarray(np.ascontiguousarray(x)) for x in channels]
    return np.stack([np.asarray(x.resize(size[::-1], linear)) for x in pictures], axis=-1)


def _centered(whole: tuple[int, int], scale: float, size: tuple[int, int]) -> Box:
    """Returns the box in the middle of `whole` that has `size`, scaled."""
    height, width = (
        min(limit, max(1, round(scale * side))) for limit, side in zip(whole, size, strict=True)
    )
    return Box((whole[0] - height) // 2, (whole[1] - width) // 2, height, width)
