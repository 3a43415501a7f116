"""Endpoints that take what a person has, files and rows, and prepare it as in training."""

import base64
import io

import numpy as np
import PIL.Image
import tensorflow as tf

from tfbind import reading
from tfbind.models._endpoints import Endpoint

_PNG = b"\x89PNG"
_GREY = (0.299, 0.587, 0.114)
_SIZE = "height and width of the picture, in whose coordinates the image's are scaled and padded"


def prepared_endpoints(
    endpoints: dict[str, Endpoint], preparation: reading.Preparation
) -> dict[str, Endpoint]:
    """Returns an endpoint that prepares, by its name; none if there is nothing to prepare.

    Of pictures it is `from_file`, which takes the bytes of PNG, JPEG, GIF and BMP files; of rows
    `from_row`, which takes `numbers` and `kinds` in the order of the columns; of arrays
    `from_values`.
    """
    served = endpoints["serving_default"]
    if [spec.name for spec in served.inputs] != ["image"]:
        return {}
    if isinstance(preparation, reading.Pictures):
        return {"from_file": _from_file(served, preparation)}
    if isinstance(preparation, reading.Rows):
        return {"from_row": _from_row(served, preparation)}
    plain = reading.Arrays(shape=preparation.event_shape)
    if not isinstance(preparation, reading.Arrays) or preparation == plain:
        return {}
    return {"from_values": _from_values(served, preparation)}


def _from_file(served: Endpoint, preparation: reading.Pictures) -> Endpoint:
    image = tf.TensorSpec(preparation.event_shape, tf.float32)
    size = tf.TensorSpec([2], tf.int32)

    def function(files):
        images, sizes = tf.map_fn(
            lambda file: _prepared(file, preparation), files, fn_output_signature=(image, size)
        )
        return {**served.function(images), "size": sizes}

    spec = tf.TensorSpec([None], tf.string, name="file")
    return Endpoint(
        function, (spec,), {**served.outputs, "size": _SIZE}, {}, {"file": _sample(preparation)}
    )


def _sample(preparation: reading.Pictures) -> str:
    """Returns a picture file with something on it, in base64."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (preparation.height, preparation.width, 3), "uint8")
    with io.BytesIO() as file:
        PIL.Image.fromarray(pixels).save(file, "PNG")
        return base64.b64encode(file.getvalue()).decode()


def _prepared(file: tf.Tensor, preparation: reading.Pictures) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the image of a file's bytes, as `Pictures.apply` makes it, and the file's size."""
    pixels = _toned(_composited(_decoded(file), preparation.ground), preparation)
    size = tf.shape(pixels)[:2]
    wanted = (preparation.height, preparation.width)
    image = _placed(pixels, size, wanted, preparation.fit)
    image = tf.ensure_shape(image, preparation.event_shape)
    if preparation.threshold is not None:
        image = tf.cast(image > preparation.threshold, tf.float32)
    return image, size


def _decoded(file: tf.Tensor) -> tf.Tensor:
    """Returns float32 `[H, W, 4]` in [0, 1]: only PNG files have transparent pixels and depth."""

    def png():
        return tf.cast(tf.io.decode_png(file, 4, tf.uint16), tf.float32) / 65535

    def other():
        color = tf.io.decode_image(file, 3, expand_animations=False)
        return tf.pad(
            tf.cast(color, tf.float32) / 255, [[0, 0], [0, 0], [0, 1]], constant_values=1.0
        )

    return tf.cond(tf.strings.substr(file, 0, len(_PNG)) == _PNG, png, other)


def _composited(pixels: tf.Tensor, ground: str | None) -> tf.Tensor:
    color, alpha = pixels[..., :3], pixels[..., 3:]
    if ground is None:
        opaque = tf.debugging.Assert(
            tf.reduce_all(alpha == 1), ["`file` must not be transparent: its ground is not known."]
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
            values = (tf.where(tf.math.is_nan(values), fill, values) - offset) / scale
            values = tf.clip_by_value(values, 0, 1) if preparation.unit else values
            parts.append(tf.cast(values, tf.float32))
        for place, column in enumerate(kinds):
            texts = given["kinds"][:, place, None]
            parts.append(tf.cast(texts == tf.constant(column.kinds), tf.float32))
        return served.function(tf.concat(parts, axis=1))

    specs = [tf.TensorSpec([None, len(numbers)], tf.float32, name="numbers")] if numbers else []
    specs += [tf.TensorSpec([None, len(kinds)], tf.string, name="kinds")] if kinds else []
    sample = {"kinds": base64.b64encode(kinds[0].kinds[0].encode()).decode()} if kinds else {}
    return Endpoint(function, tuple(specs), served.outputs, {}, sample)


def _from_values(served: Endpoint, preparation: reading.Arrays) -> Endpoint:
    offset, scale = (np.array(x, "float64") for x in (preparation.offset, preparation.scale))

    def function(values):
        images = (tf.cast(values, tf.float64) - offset) / scale
        images = tf.clip_by_value(images, 0, 1) if preparation.unit else images
        if preparation.threshold is not None:
            images = tf.where(images > preparation.threshold, 1.0, 0.0)
        return served.function(tf.cast(images, tf.float32))

    spec = tf.TensorSpec([None, *preparation.event_shape], tf.float32, name="values")
    return Endpoint(function, (spec,), served.outputs, {}, {})
