"""What `fit`, `evaluate` and `predict` take, as one flat dict of checked arrays or tensors.

Arrays are checked at once, datasets in their pipeline, batch by batch, for the same things and in
the same words. From there on a step sees a dict whose keys the model has declared.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfbind._rows import check_lazy, dense, differ, is_lazy, readers, taker_of_all
from tfbind._validation import check_array, check_shape, spell_shape

# Around a sentence in a pipeline's assertion, which comes out in the middle of TensorFlow's.
_OPEN, _CLOSE = "«", "»"

SIZE = 32  # of a batch where there is no `batch_size`: Keras' own
_EXAMPLES = ("image", "unlabeled_image")  # what models that normalise by a batch do it by
_DIFFERING = "`{}` must differ in each batch, which is divided by its deviation."


class Field(NamedTuple):
    """What a batch may hold under one key.

    Attributes:
        title: What messages call it.
        shape: That of one example, None for any size along an axis; of integers also None, for
            any shape.
        integer: Whether it holds integers; otherwise numbers, in float32.
        low: The least value, or None.
        high: The greatest value, or None; of integers what int32 holds at most.
        paired: Whether it has a row for each row of `image`.
    """

    title: str
    shape: tuple | None = ()
    integer: bool = False
    low: float | None = None
    high: float | None = None
    paired: bool = True


def as_dict(x: Any, y: Any = None, sample_weight: Any = None, *, target: str | None = None) -> dict:
    """Returns the flat dict of what Keras calls x, y and sample_weight; y goes under `target`."""
    batch = dict(x) if isinstance(x, Mapping) else {"image": x}
    batch = {key: value for key, value in batch.items() if value is not None}
    if y is not None:
        if target is None:
            raise ValueError(
                "`y` must be None: there is nothing that this model learns or scores by it. "
                f"Received: y of type {type(y).__name__}."
            )
        batch[target] = y
    if sample_weight is not None:
        batch["sample_weight"] = sample_weight
    return batch


def require_keys(batch: Mapping, keys: tuple | list) -> None:
    """Raises unless the dict has all of `keys`."""
    for key in keys:
        if key not in batch:
            raise ValueError(f"`x` must have the key {key!r} too. Received: {_listed(batch)}.")


def require_again(data: Any, why: str) -> None:
    """Raises unless data can be gone through more than once, as arrays and datasets can."""
    if isinstance(data, (keras.utils.PyDataset, Iterator)):
        raise ValueError(
            f"`x` must be arrays or a tf.data.Dataset for a model that {why}. "
            "Received: a generator or a `PyDataset`; see `tf.data.Dataset.from_generator`."
        )


def check_keys(batch: Mapping, fields: Mapping[str, Field]) -> None:
    """Raises unless the keys are among those of `fields`, and `image` is one of them."""
    if "image" not in batch:
        raise ValueError(f"`x` must have the key 'image'. Received: {_listed(batch)}.")
    if not batch.keys() <= fields.keys():
        raise ValueError(f"`x` must have keys among {_listed(fields)}. Received: {_listed(batch)}.")
    if {"sample_weight", "unlabeled_image"} <= batch.keys():
        raise ValueError(
            "`sample_weight` must be None beside unlabeled_image, whose rows are other ones. "
            f"Received: {_listed(batch)}."
        )


def check_arrays(batch: Mapping, fields: Mapping[str, Field]) -> dict:
    """Returns a dict of arrays in float32 and int32; raises ValueError if one is not as declared.

    What is sparse stays so, in rows of SciPy's. Tensors without values, as in a graph, pass as they
    are.
    """
    check_keys(batch, fields)
    checked = {key: check_values(value, fields[key]) for key, value in batch.items()}
    for key, value in checked.items():
        if fields[key].paired and value.shape[0] != checked["image"].shape[0]:
            raise ValueError(
                f"`{fields[key].title}` must hold one row for each of `image`. "
                f"Received: {value.shape[0]} for {checked['image'].shape[0]} images."
            )
    return checked


def check_values(value: Any, field: Field) -> Any:
    """Returns an array in float32 or int32, or a graph's tensor as it is; raises if unfit."""
    if tf.is_symbolic_tensor(value):
        return value
    if not field.integer:
        check = check_lazy if is_lazy(value) else check_array
        return check(field.title, value, field.shape or (), field.low, field.high)
    value = np.asarray(value)
    _check_integers(field, value.dtype)
    value = value.reshape(value.shape[:1]) if _is_column(value.shape, field) else value
    _check_shape(field, value.shape)
    if value.size == 0:
        raise ValueError(f"{_range_rule(field)} Received: none.")
    if value.min() < field.low or value.max() > _highest(field):
        raise ValueError(
            f"{_range_rule(field)} Received: values from {value.min()} to {value.max()}."
        )
    return value.astype("int32")


def _check_integers(field: Field, dtype: np.dtype) -> None:
    if not np.issubdtype(dtype, np.integer):
        raise ValueError(f"`{field.title}` must hold integers. Received: {np.dtype(dtype).name}.")


def _is_column(shape: tuple, field: Field) -> bool:
    return field.shape == () and len(shape) == 2 and shape[1] == 1


def _check_shape(field: Field, shape: tuple) -> None:
    if field.shape is None:
        return
    if field.shape == () and len(shape) == 2:
        raise ValueError(
            f"`{field.title}` must have shape (n,), one integer an example. Received: shape "
            f"{spell_shape(shape)}; if these are one-hot, take their argmax first."
        )
    check_shape(field.title, shape, (None, *field.shape))


def _range_rule(field: Field) -> str:
    return f"`{field.title}` must hold integers from {field.low} to {_highest(field)}."


def _highest(field: Field) -> int:
    """Returns the greatest integer that a field may hold, which steps take in int32."""
    return int(np.iinfo("int32").max if field.high is None else field.high)


def checked_dataset(
    dataset: tf.data.Dataset,
    fields: Mapping[str, Field],
    target: str | None,
    fewest: int = 1,
) -> tf.data.Dataset:
    """Returns the dataset as one of dicts, whose batches are checked as they are drawn.

    Args:
        dataset: Of x, (x, y) or (x, y, sample_weight), in batches.
        fields: What the dicts may hold.
        target: The key that y goes under, or None if the model has no use for it.
        fewest: Examples that a batch must hold.

    Raises:
        ValueError: If what is known before the first batch is wrong; later, within
            `one_sentence`, if a batch is.
    """
    if dataset.cardinality() == 0:
        raise ValueError("`images` must hold at least one example. Received: an empty dataset.")

    def to_dict(*parts: Any) -> dict:
        return as_dict(*parts, target=target)

    spec = dataset.element_spec
    parts = spec if isinstance(spec, tuple) else (spec,)
    batch = to_dict(*parts)
    check_keys(batch, fields)
    for key, part in batch.items():
        _check_spec(fields[key], part)

    def check(number: tf.Tensor, parts: Any) -> dict:
        batch = to_dict(*(parts if isinstance(parts, tuple) else (parts,)))
        where = tf.strings.join([" in batch ", text(number)])
        return {
            key: _check_tensor(fields, key, value, fewest, where) for key, value in batch.items()
        }

    numbered = dataset.enumerate(start=1)
    return numbered.map(check, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _check_spec(field: Field, spec: tf.TensorSpec) -> None:
    if spec.shape.rank is None:
        raise ValueError(
            f"`{field.title}` must have a known number of axes. Received: a dataset that does not "
            "tell its shapes; set them in its pipeline with `tf.ensure_shape`."
        )
    if spec.shape.rank == 0:
        raise ValueError(
            f"`{field.title}` must come in batches. Received: a dataset of single numbers; "
            "call `batch` on it first."
        )
    shape = tuple(spec.shape)
    if field.integer:
        _check_integers(field, spec.dtype.as_numpy_dtype)
        if not _is_column(shape, field):
            _check_shape(field, shape)
        return
    check_shape(field.title, shape, (None, *(field.shape or ())))
    if spec.dtype != tf.float32:
        raise ValueError(
            f"`{field.title}` must be float32. Received: a dataset of {spec.dtype.name}; cast and "
            "rescale them in its pipeline."
        )


def _check_tensor(
    fields: Mapping[str, Field], key: str, value: tf.Tensor, fewest: int, where: tf.Tensor
) -> tf.Tensor:
    """Returns a dense tensor of a pipeline; drawing it fails with a sentence if out of range."""
    field, value = fields[key], dense(value)
    if _is_column(tuple(value.shape), field):
        value = tf.reshape(value, [-1])
    if field.integer:
        value = tf.cast(value, tf.int64)
        rule = _range_rule(field)
        after = "."
    elif field.low is None and field.high is None:
        rule, after = f"`{field.title}` must be finite.", "."
    else:
        rule = f"`{field.title}` must lie in [{field.low}, {field.high}]."
        after = "; rescale them first."
    low, high = tf.reduce_min(value), tf.reduce_max(value)
    received = ("values from ", text(low), " to ", text(high), where, after)
    checks = [assertion(_within(low, high, field), rule, *received)]
    if key in _EXAMPLES and fewest > 1:
        checks += _variance_checks(field, value, fewest, where)
    with tf.control_dependencies(checks):
        return tf.cast(value, tf.int32) if field.integer else tf.identity(value)


def _variance_checks(
    field: Field, value: tf.Tensor, fewest: int, where: tf.Tensor
) -> list[tf.Operation]:
    rows = tf.shape(value)[0]
    few = f"A batch must hold {fewest} examples or more, whose statistics are taken."
    after = "; drop the remainder of the dataset, or choose another batch size."
    differ = tf.reduce_any(value != value[:1])
    return [
        assertion(rows >= fewest, few, text(rows), where, after),
        assertion(differ, _DIFFERING.format(field.title), "equal ones", where, "."),
    ]


def _check_variance(field: Field, value: Any) -> None:
    """Raises if all rows of an array are equal."""
    if not differ(value):
        raise ValueError(f"{_DIFFERING.format(field.title)} Received: equal ones alone.")


def _within(low: tf.Tensor, high: tf.Tensor, field: Field) -> tf.Tensor:
    if field.integer:
        return (low >= int(field.low or 0)) & (high <= _highest(field))
    fits = tf.math.is_finite(low) & tf.math.is_finite(high)
    fits = fits if field.low is None else fits & (low >= field.low)
    return fits if field.high is None else fits & (high <= field.high)


def text(number: tf.Tensor) -> tf.Tensor:
    """Returns a number as a person writes it, a string `[]`."""
    return tf.strings.as_string(number, shortest=number.dtype.is_floating)


def assertion(holds: tf.Tensor, rule: str, *received: Any) -> tf.Operation:
    """Returns what fails, unless `holds`, with a sentence that `one_sentence` finds."""
    sentence = tf.strings.join([_OPEN, rule, " Received: ", *received, _CLOSE])
    return tf.debugging.Assert(holds, [sentence], summarize=1)


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Turns what a pipeline of `checked_dataset` says into a ValueError of one sentence.

    Likewise what was `marked` while Keras drew from data of its own kinds.
    """
    try:
        yield
    except (tf.errors.InvalidArgumentError, ValueError) as error:
        found = re.search(f"{_OPEN}(.+?){_CLOSE}", str(error), re.DOTALL)
        if found is None:
            raise
        raise ValueError(found[1]) from error


def marked(sentence: str) -> ValueError:
    """Returns an error whose sentence `one_sentence` finds, whatever Keras wraps around it."""
    return ValueError(f"{_OPEN}{sentence}{_CLOSE}")


def _listed(keys: Any) -> str:
    return ", ".join(map(repr, keys))


def check_examples(arrays: Mapping, fields: Mapping[str, Field], fewest: int) -> None:
    """Raises if the examples of a dict of checked arrays do not differ, where they have to."""
    for key in [key for key in _EXAMPLES if key in arrays and fewest > 1]:
        _check_variance(fields[key], arrays[key])


def holds_arrays(data: Any) -> bool:
    """Whether `data` is a dict of arrays."""
    return isinstance(data, dict)


def holds_lazy(data: Any) -> bool:
    """Whether `data` is a dict of arrays some of which are sparse or stored."""
    return holds_arrays(data) and any(map(is_lazy, data.values()))


def dense_batch(data: Any) -> Any:
    """Returns one batch with nothing sparse in it."""
    if isinstance(data, Mapping):
        return {key: dense(value) for key, value in data.items()}
    return dense(data)


def batches(data: Mapping, batch_size: int, shuffle: bool = False) -> tf.data.Dataset:
    """Returns checked arrays in dense batches, in the order in which Keras goes through arrays."""
    size = data["image"].shape[0]

    def order(_: tf.Tensor) -> tf.Tensor:
        rows = tf.range(size, dtype=tf.int64)
        return tf.random.shuffle(rows) if shuffle else rows

    rows = tf.data.Dataset.range(1).map(order).flat_map(tf.data.Dataset.from_tensor_slices)
    rows = rows.batch(batch_size, drop_remainder=size % batch_size == 0)  # a known shape if all fit
    dataset = rows.map(taker_of_all(data), readers(*data.values()))
    steps = -(-size // batch_size)
    return dataset.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(tf.data.AUTOTUNE)


def keys_of(data: Any) -> Mapping | None:
    """Returns what has the keys of checked data: the dict itself, or a dataset's specification.

    None for generators and Keras' own kinds of data sets, whose batches show them.
    """
    if isinstance(data, tf.data.Dataset):
        return data.element_spec
    return data if holds_arrays(data) else None


def has_streams(data: Any) -> bool:
    """Whether `data` is a dict of arrays that `fit` has to go through side by side."""
    return holds_arrays(data) and bool(data.keys() & {"unlabeled_image", "unfeatured_label"})


def images_of(inputs: Any, event_shape: tuple) -> tf.Tensor:
    """Returns the images of what `call` takes, an array or a dict, float32 `[B, *event_shape]`."""
    images = inputs["image"] if isinstance(inputs, Mapping) else inputs
    check_shape("images", tuple(images.shape), (None, *event_shape))
    return tf.cast(images, tf.float32)


def semi_supervised_fields(image: Field, num_classes: int) -> dict[str, Field]:
    """Returns what a batch with labels may hold besides images, of the kind of `image`."""
    return {
        "label": Field("label", (), True, 0, num_classes - 1),
        "unlabeled_image": image._replace(title="unlabeled_image", paired=False),
    }
