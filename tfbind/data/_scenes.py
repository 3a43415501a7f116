"""Places bitmaps on canvases, a whole block of images at once, and says which pixel is whose."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

BLOCK = 1000  # images drawn at once: fast, and a few MB whatever the size of the data set


class Bitmaps(NamedTuple):
    """Binary pictures of different sizes, padded with zeros at the bottom and on the right.

    `pixels` uint8 `[P, h, w]` in {0, 1}; `heights` and `widths` int64 `[P]`, the sizes unpadded.
    """

    pixels: np.ndarray
    heights: np.ndarray
    widths: np.ndarray


def pad_bitmaps(bitmaps: Sequence[np.ndarray]) -> Bitmaps:
    """Gathers 2-D arrays of different sizes into one `Bitmaps`."""
    heights, widths = np.array([bitmap.shape for bitmap in bitmaps]).T
    pixels = np.zeros((len(bitmaps), heights.max(), widths.max()), np.uint8)
    for padded, bitmap in zip(pixels, bitmaps, strict=True):
        padded[: bitmap.shape[0], : bitmap.shape[1]] = bitmap
    return Bitmaps(pixels, heights, widths)


def parse_art(art: str) -> np.ndarray:
    """Turns lines of `#` (set) and `.` (clear) into a uint8 array."""
    return np.array([[pixel == "#" for pixel in line] for line in art.split()], np.uint8)


def draw_scenes(
    rng: np.random.Generator, canvas: tuple[int, int], bitmaps: Bitmaps, kinds: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draws scenes in blocks, each object at a uniform position fully inside the canvas.

    Args:
        rng: `np.random.Generator`.
        canvas: `(H, W)`.
        bitmaps: `Bitmaps` to choose from.
        kinds: int `[n, G]`, which bitmap each of the G objects of an image is, in draw order.

    Yields:
        `(images, groups)` as from `compose`, at most `BLOCK` rows at a time.
    """
    for start in range(0, len(kinds), BLOCK):
        block = kinds[start : start + BLOCK]
        tops = rng.integers(canvas[0] - bitmaps.heights[block] + 1)
        lefts = rng.integers(canvas[1] - bitmaps.widths[block] + 1)
        yield compose(canvas, bitmaps, block, tops, lefts)


def compose(
    canvas: tuple[int, int],
    bitmaps: Bitmaps,
    kinds: np.ndarray,
    tops: np.ndarray,
    lefts: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws G bitmaps on each of n canvases.

    Args:
        canvas: `(H, W)`.
        bitmaps: `Bitmaps` to choose from.
        kinds, tops, lefts: int `[n, G]`, the bitmap of each object and its top left corner.

    Returns:
        images: uint8 `[n, H, W]`, 1 where any object is.
        groups: uint8 `[n, H, W]`, g where object g (from 1, in draw order) is alone, else 0.
    """
    height, width = bitmaps.pixels.shape[1:]
    # The margin takes the padding of small bitmaps near the lower and the right edge.
    cover = np.zeros((len(kinds), canvas[0] + height, canvas[1] + width), np.uint8)
    labels = np.zeros_like(cover)
    image = np.arange(len(kinds))[:, None, None]
    for g in range(kinds.shape[1]):
        pixels = bitmaps.pixels[kinds[:, g]]  # [n, h, w]
        rows = tops[:, g, None, None] + np.arange(height)[:, None]  # [n, h, 1]
        columns = lefts[:, g, None, None] + np.arange(width)  # [n, 1, w]
        cover[image, rows, columns] += pixels
        labels[image, rows, columns] += np.uint8(g + 1) * pixels
    cover, labels = (array[:, : canvas[0], : canvas[1]] for array in (cover, labels))
    return (cover > 0).astype(np.uint8), np.where(cover == 1, labels, np.uint8(0))
