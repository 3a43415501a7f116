"""How a person wants his data read, and what a model wants of it."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

from tfbind._forms import check_fields
from tfbind._validation import check_choice, check_integer, check_number
from tfbind.reading import placing

MISSING = ("refuse", "fill")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How a person wants his data read. None leaves a choice to what the data looks like.

    Attributes:
        labels: Column of a table, or key of an .npz file, with the classes, which only scores see.
        text: Column of a table with texts, to be told apart by their words.
        size: Height and width of the model's images.
        color: Whether pictures keep their colours.
        fit: How pictures of other shapes are made to fit: "pad", "crop" or "stretch".
        ground: What shows through transparent pixels, such as "white".
        white: The value of white in pictures of more than 8 bits.
        frames: "first", or "all" of the frames of a file.
        invert: Whether pictures show dark objects on a light ground.
        threshold: Brightness in [0, 1] above which a pixel is set, for binary models.
        missing: "refuse" rows of a table with gaps, or "fill" them.
        held_out: Share of the examples that is kept from training, to look at and to score.
        seed: Chooses which.

    Example:

    >>> tfbind.reading.Options(size=(28, 28), ground="white").fit is None
    True
    """

    labels: str | None = None
    text: str | None = None
    size: tuple[int, int] | None = None
    color: bool | None = None
    fit: str | None = None
    ground: str | None = None
    white: float | None = None
    frames: str = "first"
    invert: bool | None = None
    threshold: float | None = None
    missing: str = "refuse"
    held_out: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size is not None:
            for side in self.size:
                check_integer("size", side, 1)
        if self.fit is not None:
            check_choice("fit", self.fit, placing.FITS)
        if self.threshold is not None:
            check_number("threshold", self.threshold, 0, 1)
        check_choice("frames", self.frames, ("first", "all"))
        check_choice("missing", self.missing, MISSING)
        check_number("held_out", self.held_out, 0, 0.9)

    def to_json(self) -> dict[str, Any]:
        """Returns what `from_json` takes, of types that JSON has."""
        fields = dataclasses.asdict(self)
        return {**fields, "size": None if self.size is None else list(self.size)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Options":
        """Returns the options that `to_json` was called on."""
        tuples = {name: tuple(x) for name, x in fields.items() if isinstance(x, list)}
        try:
            found = cls(**{**fields, **tuples})
        except TypeError as error:  # nobody knows a field, or a size is a number
            raise ValueError(f"`options` must be of an `Options`. Received: {error}.") from error
        check_fields(found)
        return found


class Wanted(NamedTuple):
    """What a model wants: images of a shape, of zeros and ones, or values in [0, 1].

    `fit` is how pictures are made to fit where the person does not say.
    """

    shape: tuple[int, ...]
    binary: bool = False
    unit: bool = False
    fit: str = "pad"
