"""Which preset suits a person's data, and why."""

import types
from collections.abc import Mapping
from typing import Any, NamedTuple

from tfbind import reading
from tfbind._validation import check_choice
from tfbind.training.preset import Paper, Part, Preset
from tfbind.training.presets import get

_FIND = ("groups", "clusters")
_STEPS = 3000  # of a training, about; epochs follow from the number of examples
_ROWS_STEPS = 600  # of rows, whose first labels are near the end
_SCENE = 20  # pixels of drawings
_SCENE_STEPS = 4000  # of a training on them, about
_EPOCHS = (10, 200)  # fewest and most
_TEXT_STEPS = 2000
_ROWS_RATE = 3e-3  # at a third of it, a rare kind is learned late
ROWS_UNITS = (128, 128, 64)
ROWS_NOISE = 0.5  # on rows of deviation 1; with 1, clusters that lie near each other mix
_IMAGES = 40_000  # that groups are learned from, with copies
_SIDE = 48  # pixels of photographs
_DIGIT = 28  # of other pictures
_FEW = 10  # clusters where nobody says how many
_PHOTO_STEPS = 1000  # of a training on photographs, each of which takes longer
_SMALLEST_BATCH = 64  # of pictures: labels are balanced within one
_PHOTO_VIEWS = Part(
    "RandomPhoto",
    rotation=15.0,
    scale=0.3,
    shear=0.1,
    shift=6.0,  # of _SIDE
    brightness=0.4,
    contrast=0.4,
    saturation=0.4,
    seed=0,
)


class Plan(NamedTuple):
    """A preset for some data, the reasons for it, sentences, and how it is best read."""

    preset: Preset
    reasons: tuple[str, ...]
    options: Mapping[str, Any] = types.MappingProxyType({})  # of `reading.Options`


def choose(look: reading.Look, find: str | None = None) -> Plan:
    """Chooses a preset for own data by what it looks like.

    Pictures in two tones on a plain ground, of which no classes are known, are taken for scenes
    of several things, whose parts are to be found; all other data for examples of several kinds.

    Args:
        look: What the data looks like: `open_data(path).look()`.
        find: "groups" or "clusters", or None to choose.

    Returns:
        A `Plan`: a preset called "auto", why, and what the data should be read with.

    Raises:
        ValueError: If groups are wanted of what has no pixels.

    Example:

    >>> path = tempfile.mkdtemp() + "/rows.npy"
    >>> np.save(path, np.random.default_rng(0).normal(size=(50, 4)))
    >>> plan = tfbind.training.choose(tfbind.reading.open_data(path).look())
    >>> plan.preset.model.name
    'SelfLabeling'
    """
    has_pixels = look.kind != "rows" and (look.shape is None or len(look.shape) > 1)
    if find is not None:
        check_choice("find", find, _FIND)
    if find == "groups" and not has_pixels:
        raise ValueError(
            "`find` must be 'clusters' for data without pixels. Received: find='groups', and "
            f"{look.kind}."
        )
    drawings = has_pixels and look.is_plain and look.has_two_levels
    if find == "groups" or (find is None and drawings and not look.classes):
        return _groups(look, find)
    return _clusters(look, has_pixels, find)


def _groups(look: reading.Look, find: str | None) -> Plan:
    why = "as you say" if find else "two tones on a plain ground: drawings, taken for scenes"
    copies = max(0, _IMAGES // look.num - 1)
    preset = get("rc-shapes-restarts").changed(num_groups=2, copies=copies, patience=None)
    reasons = (
        f"Finds the parts of each picture ({why}; --find clusters finds kinds of pictures).",
        f"By Reconstruction Clustering, which sees {copies} copies of each, turned and moved.",
        f"Sees them as {_SCENE}x{_SCENE} pixels of two tones; --size 28 sees finer lines.",
    )
    preset = _named(preset, steps=_SCENE_STEPS, num_images=look.num * (1 + copies))
    return Plan(preset, reasons, {"size": (_SCENE, _SCENE)})


def _clusters(look: reading.Look, has_pixels: bool, find: str | None) -> Plan:
    why = "as you say" if find else "classes are known" if look.classes else "examples of kinds"
    of_kind = _of_pictures if has_pixels else _of_texts if look.kind == "texts" else _of_rows
    preset, steps, reasons = of_kind(look, why)
    preset = preset.changed(num_clusters=len(look.classes) or _FEW)
    preset = _named(preset, steps=steps, num_images=look.num)
    sized = look.kind == "pictures" and _are_photographs(look)
    options = {"size": (_SIDE, _SIDE), "color": look.is_colored} if sized else {}
    return Plan(preset, reasons, options)


def _are_photographs(look: reading.Look) -> bool:
    """Tells photographs from what is drawn or written in few tones, or in greys on plain paper."""
    return not look.has_two_levels and (look.is_colored or not look.is_plain)


def _of_pictures(look: reading.Look, why: str) -> tuple[Preset, int, tuple[str, ...]]:
    """Returns a preset whose labels are solved in every step, in batches for some steps."""
    preset = get("sela-mnist")
    steps, views, side = _STEPS, "turned and moved", _DIGIT
    if _are_photographs(look):
        steps, views, side = _PHOTO_STEPS, "from elsewhere, mirrored and in another light", _SIDE
        preset = preset.changed(augmentation=_PHOTO_VIEWS)
    if look.kind == "arrays" and look.shape is not None:  # they keep their size
        preset = preset.changed(shift=preset.setting("shift").value * min(look.shape[:2]) / side)
    size = max(_SMALLEST_BATCH, min(preset.batch_size, look.num * _EPOCHS[1] // steps))
    preset = preset.changed(batch_size=size, num_online_epochs=_EPOCHS[1])
    reasons = (
        f"Finds the kinds of {look.kind} ({why}; --find groups finds the parts of each).",
        "By self-labelling: a classifier and balanced labels that fit each other, and views of "
        f"each picture, {views}.",
        f"Trains for about {steps} steps; clusters come out as large as it is told, or equal.",
    )
    return preset, steps, reasons


def _of_rows(look: reading.Look, why: str) -> tuple[Preset, int, tuple[str, ...]]:
    """Returns a preset of images made one of vectors: dense, and noise instead of views."""
    preset = get("sela-digits")
    settings: Mapping[str, Any] = {
        **preset.model.settings,
        "units": ROWS_UNITS,
        "augmentation": Part("AdditiveGaussianNoise", stddev=ROWS_NOISE),
        "marginal": "learned",
        "first_labels": "mixture",
    }
    reasons = (
        f"Finds the kinds of {look.kind} ({why}), of any size.",
        "By self-labelling, which begins with the clusters of a Gaussian mixture, in about "
        f"{_ROWS_STEPS} steps.",
        "Where kinds are round clouds of rows, scikit-learn's mixture or k-means alone does as "
        "well.",
    )
    model = Part(preset.model.name, **settings)
    return preset.changed(model=model, learning_rate=_ROWS_RATE), _ROWS_STEPS, reasons


def _of_texts(look: reading.Look, why: str) -> tuple[Preset, int, tuple[str, ...]]:
    """Returns a preset whose first half is without labels, and the second in four rounds."""
    preset = get("kingdra-digits")
    epochs = _epochs(_TEXT_STEPS, preset.batch_size, look.num)
    model = Part(
        preset.model.name,
        num_clusters=_FEW,
        first_epochs=epochs // 2,
        round_epochs=max(1, epochs // 8),
        batched=False,
    )
    reasons = (
        f"Finds the kinds of {look.kind} ({why}) by the words that go together.",
        "By an ensemble that learns from what it agrees on, in about "
        f"{_TEXT_STEPS} steps; clusters come out about equal.",
        "k-means on the same vectors does about as well, and takes a second.",
    )
    return preset.changed(model=model), _TEXT_STEPS, reasons


def _named(preset: Preset, steps: int, num_images: int) -> Preset:
    """Returns a preset called "auto", which takes so many steps, about."""
    return preset.changed(
        name="auto",
        summary="chosen for own data",
        max_epochs=_epochs(steps, preset.batch_size, num_images),
        watched_split=None,
        paper=Paper(source="ours"),
    )


def _epochs(steps: int, batch_size: int, num_images: int) -> int:
    return max(_EPOCHS[0], min(_EPOCHS[1], steps * batch_size // num_images))
