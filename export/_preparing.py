"""Endpoints that take what a person has, files and rows, and prepare it as in training."""

import base64
import io
import math

import numpy as np
import PIL.Image
import tensorflow as tf

from tfbind import reading
from tfbind.export._decoding import decoded
from tfbind.models._endpoints import Endpoint

_NO_WORD = r"[^\pL\pN]+"  # what parts words
_GREY = (0.299, 0.587, 0.114)
_SIZE = (
    "height and width of the picture, in whose coordinates the image's are scaled and padded; -1 "
    "of a file that is no picture, damaged, or transparent where no ground was named"
)


def prepared_endpoints(
    endpoints: dict[str, Endpoint], preparation: reading.Preparation
) -> dict[str, Endpoint]:
    """Returns endpoints that prepare, by name; none if there is nothing to prepare.

    Of pictures there is `<endpoint>_image_bytes` for each endpoint that takes an image alone: its
    input `image_bytes` is the bytes of PNG, JPEG, GIF and BMP files. Of rows it is `from_row`,
    which takes `numbers` and `kinds` in the order of the columns; of arrays `from_values`; of texts
    `from_text`, which takes `text`, in UTF-8. What cannot be prepared becomes NaN, to which the
    endpoint, a guarded one, has no answer.
    """
    if isinstance(preparation, reading.Pictures):
        return {
            f"{name}_image_bytes": _from_bytes(endpoint, preparation)
            for name, endpoint in endpoints.items()
            if _takes_image_alone(endpoint)
        }
    served = endpoints["serving_default"]
    if not _takes_image_alone(served):
        return {}
    if isinstance(preparation, reading.Rows):
        return {"from_row": _from_row(served, preparation)}
    if isinstance(preparation, reading.Texts):
        return {"from_text": _from_text(served, preparation)}
    plain = reading.Arrays(shape=preparation.event_shape)
    if not isinstance(preparation, reading.Arrays) or preparation == plain:
        return {}
    return {"from_values": _from_values(served, preparation)}


def _takes_image_alone(endpoint: Endpoint) -> bool:
    return [spec.name for spec in endpoint.inputs] == ["image"]


def _from_bytes(served: Endpoint, preparation: reading.Pictures) -> Endpoint:
    def function(files):
        images, sizes = _all_prepared(files, preparation)
        return {**served.function(images), "size": sizes}

    spec = tf.TensorSpec([None], tf.string, name="image_bytes")
    outputs = {**served.outputs, "size": _SIZE}
    return Endpoint(function, (spec,), outputs, {}, {"image_bytes": _sample(preparation)})


def _sample(preparation: reading.Pictures) -> str:
    """Returns a picture file with something on it, in base64."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (preparation.height, preparation.width, 3), "uint8")
    with io.BytesIO() as file:
        PIL.Image.fromarray(pixels).save(file, "PNG")
        return base64.b64encode(file.getvalue()).decode()


def _all_prepared(files: tf.Tensor, preparation: reading.Pictures) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the images and the sizes of files, NaN and -1 where one cannot be read.

    Decoding fails with an error, and in a graph only a dataset can leave out what fails.
    """
    num_files = tf.size(files)
    nothing = (tf.fill(preparation.event_shape, math.nan), tf.fill([2], -1))

    def numbered(row, file):
        return row, _prepared(file, preparation)

    read = tf.data.Dataset.from_tensor_slices((tf.range(num_files), files)).map(numbered)
    last = tf.data.Dataset.from_tensors((num_files, nothing))  # so that there is one
    some = read.ignore_errors().concatenate(last).batch(tf.cast(num_files, tf.int64) + 1)
    rows, found = some.get_single_element()
    images, sizes = (
        tf.tensor_scatter_nd_update(tf.repeat(x[None], num_files + 1, 0), rows[:, None], values)
        for x, values in zip(nothing, found, strict=True)
    )
    return images[:-1], sizes[:-1]


def _prepared(file: tf.Tensor, preparation: reading.Pictures) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the image of a file's bytes, as `Pictures.apply` makes it, and the file's size."""
    pixels = _toned(_composited(decoded(file), preparation.ground), preparation)
    size = tf.shape(pixels)[:2]
    wanted = (preparation.height, preparation.width)
    image = _placed(pixels, size, wanted, preparation.fit)
    image = tf.ensure_shape(image, preparation.event_shape)
    if preparation.threshold is not None:
        image = tf.cast(image > preparation.threshold, tf.float32)
    return image, size


def _composited(pixels: tf.Tensor, ground: str | None) -> tf.Tensor:
    color, alpha = pixels[..., :3], pixels[..., 3:]
    if ground is None:
        opaque = tf.debugging.Assert(
            tf.reduce_all(alpha == 1),
            ["`image_bytes` must not be transparent: its ground is not known."],
        )
        with tf.control_dependencies([opaque]):
            return tf.identity(color)
    behind = tf.constant(PIL.ImageColor.getrgb(ground)[:3], tf.float32) / 255
    return alpha * color + (1 - alpha) * behind


def _toned(color: tf.Tensor, preparation: reading.Pictures) -> tf.Tensor:
    if preparation.channels == 1:
        color = tf.reduce_sum(color * _GREY, axis=-1, keepdims=True)
    return 1 - color if preparation.invert else color


def _placed(pixels: tf.Tensor, size: tf.Tensor, wanted: tuple[int, int], fit: str) -> tf.Tensor:
    """Returns `[H, W, C]` as `[*wanted, C]`, as `reading.placement` says."""
    if fit == "stretch":
        return _resized(pixels, tf.constant(wanted))
    scales = tf.constant(wanted, tf.float64) / tf.cast(size, tf.float64)
    if fit == "crop":
        box = _scaled(wanted, 1 / tf.reduce_max(scales), size)
        start = (size - box) // 2
        shown = tf.slice(pixels, [*tf.unstack(start), 0], [*tf.unstack(box), -1])
        return _resized(shown, tf.constant(wanted))
    box = _scaled(size, tf.reduce_min(scales), tf.constant(wanted))
    before = (wanted - box) // 2
    margins = tf.stack([before, wanted - box - before], axis=1)  # [2, 2]
    return tf.pad(_resized(pixels, box), tf.concat([margins, [[0, 0]]], axis=0))


def _scaled(size: tf.Tensor, scale: tf.Tensor, most: tf.Tensor) -> tf.Tensor:
    scaled = tf.cast(tf.round(scale * tf.cast(size, tf.float64)), tf.int32)
    return tf.minimum(most, tf.maximum(1, scaled))


def _resized(pixels: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    return tf.image.resize(pixels, size, "bilinear", antialias=True)


def _from_row(served: Endpoint, preparation: reading.Rows) -> Endpoint:
    numbers, kinds = preparation.numbers, preparation.kinds
    offset, scale, fill = (
        np.array([vars(column)[name] for column in numbers], "float64")
        for name in ("offset", "scale", "fill")
    )

    def function(*inputs):
        given = dict(zip((spec.name for spec in specs), inputs, strict=True))
        parts = []
        if numbers:
            values = tf.cast(given["numbers"], tf.float64)
            if preparation.missing == "fill":
                values = tf.where(tf.math.is_nan(values), fill, values)
            parts.append(_scaled_values(values, offset, scale, preparation.unit))
        for place, column in enumerate(kinds):
            texts = given["kinds"][:, place, None]
            parts.append(tf.cast(texts == tf.constant(column.kinds), tf.float32))
        return served.function(tf.concat(parts, axis=1))

    specs = [tf.TensorSpec([None, len(numbers)], tf.float32, name="numbers")] if numbers else []
    specs += [tf.TensorSpec([None, len(kinds)], tf.string, name="kinds")] if kinds else []
    sample = {"kinds": base64.b64encode(kinds[0].kinds[0].encode()).decode()} if kinds else {}
    return Endpoint(function, tuple(specs), served.outputs, {}, sample)


def _scaled_values(
    values: tf.Tensor, offset: np.ndarray, scale: np.ndarray, unit: bool
) -> tf.Tensor:
    """Returns float64 values as a model takes them, float32; what is not finite as NaN."""
    scaled = (values - offset) / scale
    scaled = tf.clip_by_value(scaled, 0, 1) if unit else scaled
    return tf.cast(tf.where(tf.math.is_finite(values), scaled, math.nan), tf.float32)


def _from_text(served: Endpoint, preparation: reading.Texts) -> Endpoint:
    prints = _fingerprint(tf.constant(preparation.words)).numpy()
    order = np.argsort(prints)
    prints = prints[order]
    weights = np.array(preparation.weights, "float32")[order]
    directions = np.array(preparation.directions, "float32")[order]
    size = len(preparation.words)

    def function(texts):
        lower = tf.strings.lower(texts, encoding="utf-8")
        words = tf.strings.split(tf.strings.regex_replace(lower, _NO_WORD, " "))  # [n, (words)]
        found = _fingerprint(words.flat_values)
        places = tf.minimum(tf.searchsorted(prints, found), size - 1)
        known = tf.cast(tf.gather(prints, places) == found, tf.float32)
        indices = tf.stack([tf.cast(words.value_rowids(), tf.int32), places], axis=1)
        counts = tf.scatter_nd(indices, known, tf.stack([tf.size(texts), size]))
        rows = counts * weights @ directions
        rows = tf.math.divide_no_nan(rows, tf.norm(rows, axis=1, keepdims=True))
        scaled = (rows + 1) / 2 if preparation.unit else rows * directions.shape[1] ** 0.5
        return served.function(scaled)

    spec = tf.TensorSpec([None], tf.string, name="text")
    sample = {"text": base64.b64encode(preparation.words[0].encode()).decode()}
    return Endpoint(function, (spec,), served.outputs, {}, sample)


def _fingerprint(words: tf.Tensor) -> tf.Tensor:
    """Returns int64 numbers of words, which a graph can look up without a table to be filled."""
    return tf.strings.to_hash_bucket_fast(words, 2**62)


def _from_values(served: Endpoint, preparation: reading.Arrays) -> Endpoint:
    offset, scale = (np.array(x, "float64") for x in (preparation.offset, preparation.scale))

    def function(values):
        images = _scaled_values(tf.cast(values, tf.float64), offset, scale, preparation.unit)
        if preparation.threshold is not None:
            binary = tf.cast(images > preparation.threshold, tf.float32)
            images = tf.where(tf.math.is_nan(images), images, binary)
        return served.function(images)

    spec = tf.TensorSpec([None, *preparation.event_shape], tf.float32, name="values")
    return Endpoint(function, (spec,), served.outputs, {}, {})
