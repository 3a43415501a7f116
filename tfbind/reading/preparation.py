"""What is done to a person's files before a model sees them, as values that JSON holds."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from tfbind._forms import check_fields
from tfbind._validation import check_choice, check_integer, check_number
from tfbind.reading import placing
from tfbind.reading.pictures import PictureFile, grey, read_picture


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preparation:
    """What every preparation is: a value that a run folder and a card keep."""

    KIND: ClassVar[str]

    @classmethod
    def decoded(cls, fields: Mapping[str, Any]) -> "Preparation":
        """Returns the preparation of fields as JSON gives them: lists for tuples."""
        tuples = {name: tuple(x) for name, x in fields.items() if isinstance(x, list)}
        return cls(**{**fields, **tuples})

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one prepared example."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """Returns what `preparation_of` takes, of types that JSON has."""
        return {"kind": self.KIND, **dataclasses.asdict(self)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pictures(Preparation):
    """Pictures of any size as images of one.

    Attributes:
        height: Pixels of the model's images.
        width: Likewise.
        channels: 1 for grey, or 3 for red, green and blue.
        fit: How other shapes are made to fit; see `placement`.
        ground: What shows through transparent pixels, or None to refuse them.
        white: The value of white in deep files, or None for what the kind of file says.
        frames: "first" or "all" of a file with several.
        invert: Whether light and dark are exchanged, so that the ground is dark.
        threshold: Brightness above which a pixel of a binary image is set, or None.

    Example:

    >>> drawings = tfbind.reading.Pictures(height=28, width=28, invert=True, threshold=0.5)
    >>> drawings.apply(np.zeros((90, 60, 1), "float32")).mean().round(2)  # black paper
    np.float32(0.68)
    """

    KIND = "pictures"

    height: int
    width: int
    channels: int = 1
    fit: str = "pad"
    ground: str | None = None
    white: float | None = None
    frames: str = "first"
    invert: bool = False
    threshold: float | None = None

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            check_integer(name, getattr(self, name), 1)
        check_choice("channels", self.channels, (1, 3))
        check_choice("fit", self.fit, placing.FITS)
        check_choice("frames", self.frames, ("first", "all"))
        if self.threshold is not None:
            check_number("threshold", self.threshold, 0, 1)

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (self.height, self.width, self.channels)

    def read(self, path: str | os.PathLike) -> PictureFile:
        """Reads the frames of a file, whatever their sizes."""
        return read_picture(path, ground=self.ground, white=self.white, frames=self.frames)

    def toned(self, pixels: np.ndarray) -> np.ndarray:
        """Returns `[H, W, channels]` of a picture in its own size: grey or not, inverted or not."""
        if self.channels == 1:
            pixels = grey(pixels)
        elif pixels.shape[-1] == 1:
            pixels = np.repeat(pixels, 3, axis=-1)
        return 1 - pixels if self.invert else pixels

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Returns a picture as the model's image, float32 `event_shape` in [0, 1]."""
        image = placing.place(self.toned(pixels), self.fit, (self.height, self.width))
        return image if self.threshold is None else (image > self.threshold).astype("float32")

    def lit(self, pixels: np.ndarray) -> np.ndarray:
        """Returns which pixels of a picture, in its own size, show something: bool `[H, W]`."""
        pixels = self.toned(pixels)
        return np.any(pixels > (self.threshold or 0), axis=-1)

    def put_back(self, shares: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """Returns shares `[K, height, width]` in the coordinates of a picture, `[K, H, W]`.

        In a binary image those of the ground say nothing, and count where nothing else is near.
        """
        shown = None if self.threshold is None else self.apply(pixels).max(axis=-1)
        return placing.put_back(shares, self.fit, pixels.shape[:2], shown)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arrays(Preparation):
    """Arrays of numbers, scaled.

    Attributes:
        shape: Of one example.
        offset: What is taken away: a number, or one for every element of a vector.
        scale: What the rest is divided by, likewise.
        unit: Whether what is then outside [0, 1] is moved to its ends.
        threshold: Value above which an element of a binary image is set, or None.

    Example:

    >>> tfbind.reading.Arrays(shape=(2,), offset=(1.0, 0.0), scale=2.0).apply([[3.0, 4.0]])
    array([[1., 2.]], dtype=float32)
    """

    KIND = "arrays"

    shape: tuple[int, ...]
    offset: float | tuple[float, ...] = 0.0
    scale: float | tuple[float, ...] = 1.0
    unit: bool = False
    threshold: float | None = None

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self.shape

    def apply(self, rows: Any) -> np.ndarray:
        """Returns examples `[n, *shape]` as the model takes them, float32."""
        rows = np.asarray(rows, "float64")
        rows = ((rows - self.offset) / self.scale).astype("float32")
        rows = rows.clip(0, 1) if self.unit else rows
        return rows if self.threshold is None else (rows > self.threshold).astype("float32")


def preparation_of(fields: Mapping[str, Any]) -> Preparation:
    """Returns the preparation that `to_json` was called on."""
    kinds = {kind.KIND: kind for kind in Preparation.__subclasses__()}
    kind = kinds[str(check_choice("kind", fields.get("kind"), list(kinds)))]
    try:
        found = kind.decoded({name: value for name, value in fields.items() if name != "kind"})
    except (KeyError, TypeError) as error:  # a field is missing, or nobody knows it
        raise ValueError(
            f"`preparation` must have the fields of a {kind.__name__}. Received: {error}."
        ) from error
    check_fields(found)
    return found
