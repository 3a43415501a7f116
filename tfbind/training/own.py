"""A person's own files, read as a preset wants them."""

import os

from tfbind import data, reading
from tfbind.reading.data_files import Watch
from tfbind.reading.own_data import load
from tfbind.training.preset import Preset
from tfbind.training.tasks import Grouping

_SMALL = 32  # pixels; images of that size stay as they are


def own_data(
    preset: Preset,
    path: str | os.PathLike,
    options: reading.Options | None = None,
    *,
    watch: Watch = iter,
) -> reading.OwnData:
    """Reads a person's own files as a preset wants them.

    Pictures get the size of the preset's images, unless the options tell one or all have one size
    that is small enough as it is. For a model of zeros and ones they get a threshold, and a dark
    ground.

    Args:
        preset: A `Preset`.
        path: A folder or pattern of pictures; a .npy or .npz file; or a CSV, tab-separated or
            Parquet file.
        options: How to read it; None for the defaults of `tfbind.reading.Options`.
        watch: Called with the files, and gone through instead of them: a progress bar.

    Returns:
        A `tfbind.reading.OwnData`, for `train(preset, run, data=...)`.

    Raises:
        ValueError: If there is no data, or it cannot be read, or the preset cannot learn from it.

    Example:

    >>> path = tempfile.mkdtemp() + "/drawings.npy"
    >>> np.save(path, np.random.default_rng(0).random((20, 8, 8)))
    >>> preset = tfbind.training.presets.get("rc-tiny")
    >>> data = tfbind.training.own_data(preset, path)
    >>> data.array.shape, sorted(set(data.array.ravel().tolist()))
    ((20, 8, 8, 1), [0.0, 1.0])
    """
    options = options or reading.Options()
    opened = reading.open_data(path, options)
    preparation = opened.prepared_for(wanted_by(preset, opened))
    return load(opened, path, preparation, options, watch)


def wanted_by(preset: Preset, opened: reading.DataFiles) -> reading.Wanted:
    """Returns what a preset wants of opened data."""
    binary, fit = preset.task.binary_images, "pad" if isinstance(preset.task, Grouping) else "crop"
    if isinstance(opened, reading.PictureFiles):
        return reading.Wanted(_image_shape(preset, opened.look()), binary, True, fit)
    plain = opened.prepared_for(reading.Wanted(()))
    return reading.Wanted(plain.event_shape, binary, _is_unit(preset, plain.event_shape), fit)


def _image_shape(preset: Preset, look: reading.Look) -> tuple[int, ...]:
    shape = data.image_shape(preset.task.dataset)
    if look.shape is not None and max(look.shape[:2]) <= _SMALL:
        return (*look.shape[:2], shape[-1])
    return shape


def _is_unit(preset: Preset, shape: tuple[int, ...]) -> bool:
    """Whether the preset's model takes values in [0, 1] only."""
    return tuple(preset.build(shape).value_range) == (0, 1)
