"""What was done to the data, and what came of the training, in words."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfbind import reading
from tfbind.training import Preset, Run

_FITS = {
    "pad": "its shape kept, with margins where it is another",
    "crop": "the middle cut out where its shape is another",
    "stretch": "stretched where its shape is another",
}
_NAMED = 20  # columns that are named
_NEAR_CHANCE = 0.2  # AMI
_FEW_RIGHT = 0.25  # accuracy
_GOOD = 0.7  # of an AMI or an accuracy, that no failed result has
_LITTLE = 0.05  # by which an accuracy is above that of no clusters at all


def data_lines(run: Run, own: reading.OwnData | None) -> list[str]:
    """Returns sentences on what the data is and what was done to it.

    Args:
        run: A finished run.
        own: Its own data, if that could be read.
    """
    preparation, given = run.preparation, run.given
    if preparation is None:
        return _of_arrays(given) if given else _of_set(run.preset)
    lines = [f"Files of your own: {(given or {})['data']}."]
    if own is not None:
        first, *others = own.look.lines()
        if own.look.shape is not None and own.look.kind == "rows":
            first = f"{own.look.num} rows of {own.look.shape[0]} columns."
        lines += [first, *map(_capital, others)]
        lines.append(
            f"{len(own.training)} were trained on, {len(own.held_out)} kept from the training."
        )
        lines += own.notes
    return [*lines, *prepared(preparation)]


def prepared(preparation: reading.Preparation) -> list[str]:
    """Returns sentences on what is done to files before the model sees them.

    Example:

    >>> preparation = tfbind.reading.Pictures(height=8, width=8, invert=True)
    >>> from tfbind.reporting import wording
    >>> wording.prepared(preparation)[1]
    'Light and dark are exchanged, so that the ground is dark.'
    """
    if isinstance(preparation, reading.Pictures):
        return _of_pictures(preparation)
    if isinstance(preparation, reading.Rows):
        return _of_rows(preparation)
    if isinstance(preparation, reading.Arrays):
        return _of_values(preparation)
    if isinstance(preparation, reading.Texts):
        return _of_texts(preparation)
    return []


class Verdict(NamedTuple):
    """What the page begins with: what is wrong with a result, sentences, and what contradicts it.

    `findings` are those of the training, which saw no labels, in its own words. `failures` are
    what the truth says, and `agreement` is a sentence where it says that the result is good.
    """

    findings: list[str]
    failures: list[str]
    agreement: str | None


def verdict(findings: list[str], section: Mapping[str, Any] | None) -> Verdict:
    """Returns what is to be thought of a result.

    Args:
        findings: Sentences on what the training found to be wrong.
        section: What the page shows of groups or clusters; with scores where truth is known.
    """
    if section is None:
        return Verdict(findings, [], None)
    if section.get("mean_ami") is not None:
        return Verdict(findings, *_by_groups(section["mean_ami"]))
    if section.get("confusion") is not None:
        return Verdict(findings, *_by_classes(section["confusion"]))
    return Verdict(findings, [], None)


def _by_groups(ami: float) -> tuple[list[str], str | None]:
    scale = "on the examples below, where 1 is perfect and 0 is chance"
    if not ami >= _NEAR_CHANCE:
        remedy = "train longer, or with other settings or another seed"
        return [f"The groups are not the true ones (AMI {ami:.2f} {scale}): {remedy}."], None
    return [], f"groups like the true ones (AMI {ami:.2f} {scale})" if ami > _GOOD else None


def _by_classes(table: Mapping[str, Any]) -> tuple[list[str], str | None]:
    right, commonest = table["accuracy"], table["commonest"]
    if right < max(commonest + _LITTLE, _FEW_RIGHT):
        failure = (
            f"The true classes are not found: {right:.0%} of the examples are in the right one, "
            f"and {commonest:.0%} would be if all were in one; train longer, or with another seed."
        )
        return [failure], None
    good = right > max(_GOOD, (1 + commonest) / 2)
    return [], f"{right:.0%} of the examples in the right class" if good else None


def _of_set(preset: Preset) -> list[str]:
    task = preset.task
    lines = [
        f"The data set “{task.dataset}”: trained on its split “{task.train_split}”, shown and "
        f"scored on “{task.test_split}”."
    ]
    return lines + ["Pixels are zeros and ones: at least half as bright as white, or not."] * (
        task.binary_images
    )


def _of_arrays(given: Any) -> list[str]:
    shape = " x ".join(map(str, given["shape"]))
    return [f"Arrays of shape {shape} that were given in Python; the run does not keep them."]


def _of_pictures(preparation: reading.Pictures) -> list[str]:
    size = f"{preparation.height} x {preparation.width} pixels"
    color = "in colour" if preparation.channels == 3 else "in grey"
    lines = [f"Each picture is made {size}, {color}, {_FITS[preparation.fit]}."]
    if preparation.invert:
        lines.append("Light and dark are exchanged, so that the ground is dark.")
    if preparation.threshold is not None:
        lines.append(f"Pixels brighter than {preparation.threshold:.2f} are set, the others not.")
    if preparation.ground is not None:
        lines.append(f"Where a picture is transparent, {preparation.ground} shows through.")
    return lines


def _of_rows(preparation: reading.Rows) -> list[str]:
    lines = []
    if preparation.numbers:
        scale = "from their range to [0, 1]" if preparation.unit else "to mean 0 and deviation 1"
        lines.append(f"Numbers are scaled {scale}: {_listed(preparation.numbers)}.")
    if preparation.kinds:
        lines.append(f"Texts count as kinds, one element each: {_listed(preparation.kinds)}.")
    if preparation.missing == "fill":
        lines.append("Gaps are filled: a number by its column's mean, a text by no kind.")
    return lines


def _of_values(preparation: reading.Arrays) -> list[str]:
    offset, scale = preparation.offset, preparation.scale
    if np.ndim(offset) or np.ndim(scale):
        lines = ["Each column is scaled by itself, to mean 0 and deviation 1 or to [0, 1]."]
    elif (offset, scale) == (0.0, 1.0):
        lines = ["Values are taken as they are."]
    else:
        lines = [f"From each value {offset:.4g} is taken; the rest is divided by {scale:.4g}."]
    if preparation.threshold is not None:
        lines.append(f"Values above {preparation.threshold:.2f} are set to 1, the others to 0.")
    return lines


def _of_texts(preparation: reading.Texts) -> list[str]:
    column = "" if preparation.column is None else f", in column {preparation.column!r},"
    return [
        f"Each text{column} becomes {preparation.event_shape[0]} numbers, by how often each of "
        f"{len(preparation.words)} words is there and how rare it is elsewhere (latent semantic "
        "analysis). The order of words does not count."
    ]


def _listed(columns: Sequence[Any]) -> str:
    names = [column.name for column in columns]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
