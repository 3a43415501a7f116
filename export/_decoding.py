"""Picture files in a graph: upright, in [0, 1], or refused one by one."""

import tensorflow as tf

_PNG = b"\x89PNG"
_JPEG = b"\xff\xd8\xff"
_GIF = b"GIF8"

# A small file may ask for more memory than a server has.
MAX_PIXELS = 2**26

_ORIENTATION = 274  # EXIF's tag
_MAX_EXIF = 2**16  # bytes


def decoded(file: tf.Tensor) -> tf.Tensor:
    """Returns float32 `[H, W, 4]` in [0, 1] of the bytes of a PNG, JPEG, GIF or BMP file.

    Only PNG files have transparent pixels and more than 8 bits. Turned upright as EXIF says.
    """
    fits = tf.debugging.Assert(
        _num_pixels(file) <= MAX_PIXELS, [f"`image_bytes` must have {MAX_PIXELS} pixels or less."]
    )
    with tf.control_dependencies([fits]):
        file = tf.identity(file)
    pixels = tf.cond(_begins(file, _PNG), lambda: _png(file), lambda: _other(file))
    return _upright(pixels, _orientation(file))


def _begins(file: tf.Tensor, magic: bytes) -> tf.Tensor:
    return tf.strings.substr(file, 0, len(magic)) == magic


def _png(file: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.io.decode_png(file, 4, tf.uint16), tf.float32) / 65535


def _other(file: tf.Tensor) -> tf.Tensor:
    color = tf.cast(tf.io.decode_image(file, 3, expand_animations=False), tf.float32) / 255
    return tf.pad(color, [[0, 0], [0, 0], [0, 1]], constant_values=1.0)


def _num_pixels(file: tf.Tensor) -> tf.Tensor:
    """Returns the number of pixels that a file's header announces; 0 of BMP, which holds them."""

    def announced(place, dtype):
        length = 2 * dtype.size
        header = tf.io.decode_raw(
            tf.strings.substr(file, place, length), dtype, dtype.size < 4, fixed_length=length
        )
        return tf.reduce_prod(tf.abs(tf.cast(header, tf.int64)))

    return tf.case(
        [
            (_begins(file, _PNG), lambda: announced(16, tf.int32)),
            (
                _begins(file, _JPEG),
                lambda: tf.reduce_prod(tf.io.extract_jpeg_shape(file, tf.int64)[:2]),
            ),
            (_begins(file, _GIF), lambda: announced(6, tf.uint16)),
        ],
        default=lambda: tf.constant(0, tf.int64),
        strict=True,
    )


def _orientation(file: tf.Tensor) -> tf.Tensor:
    """Returns what EXIF says of how the camera was held, 1 to 8; 1 if it says nothing."""
    mark = tf.where(_begins(file, _PNG), b"eXIf", b"Exif\0\0")
    parts = tf.strings.split(file[None], mark, maxsplit=1).values
    found = tf.strings.substr(tf.concat([parts, [""]], 0)[1], 0, _MAX_EXIF)
    content = tf.cast(tf.io.decode_raw(found, tf.uint8), tf.int32)
    content = tf.pad(content, [[0, _MAX_EXIF]])
    weights = tf.where(tf.strings.substr(found, 0, 1) == b"M", [256, 1], [1, 256])

    def number(pairs):
        return tf.reduce_sum(pairs * weights, axis=-1)

    high_first = tf.where(weights[0] == 1, content[4:8][::-1], content[4:8])
    place = tf.clip_by_value(tf.reduce_sum(high_first * [0, 1 << 16, 1 << 8, 1]), 0, _MAX_EXIF - 2)
    entries = content[place + 2 : place + 2 + 12 * number(content[place : place + 2])]
    entries = tf.reshape(entries[: tf.size(entries) // 12 * 12], [-1, 12])
    values = tf.where(number(entries[:, :2]) == _ORIENTATION, number(entries[:, 8:10]), 0)
    value = tf.reduce_max(tf.concat([values, [1]], axis=0))
    return tf.where(value <= 8, value, 1)


def _upright(pixels: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    pixels = tf.cond(orientation >= 5, lambda: tf.transpose(pixels, [1, 0, 2]), lambda: pixels)
    for axis, flipped in ((0, (3, 4, 7, 8)), (1, (2, 3, 6, 7))):
        flip = tf.reduce_any(orientation == flipped)
        pixels = tf.cond(
            flip,
            lambda kept=pixels, axis=axis: tf.reverse(kept, [axis]),
            lambda kept=pixels: kept,
        )
    return pixels
