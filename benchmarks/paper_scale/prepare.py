"""From presets to a folder that trains without TensorFlow."""

import contextlib
import inspect
import json

import numpy as np
import tensorflow as tf
from keras.src.backend.tensorflow import random as keras_random

from benchmarks.paper_scale import feed, relabeling
from tfbind import _files, seeds
from tfbind.export import export_programs
from tfbind.export._layout import folder_size
from tfbind.models import Tagger
from tfbind.models._relabeling import RelabelingModel
from tfbind.training import presets
from tfbind.training.tasks import Clustering

PRESETS = (
    "tagger-shapes-layer-norm",
    "tagger-shapes",
    "ladder-mnist-100",
    "amm-mnist",
    "samm-mnist-100",
    "tagger-textured-mnist-2",
    "tagger-textured-mnist-2-labels-1000",
    "tagger-textured-mnist-2-labels-50000",
    "kingdra-mnist",
    "sela-mnist",
)
BATCH = 500  # of examples in inference


def prepare(kit, names=PRESETS, run_seeds=None, data_dir=None):
    """Makes the folder `kit`; prints a line a preset."""
    pools = {}
    for name in names:
        preset = presets.get(name).changed(patience=None)
        own = [start.seed for start in preset.each_start()]
        _prepare(kit / name, preset.changed(starts=1), run_seeds or own, pools, data_dir)
        size = folder_size(kit / name)
        print(f"{name}: {size / 1e6:.2f} MB beside the images", flush=True)
    (kit / "presets.json").write_text(json.dumps(names))
    for name, pool in pools.items():
        with _files.replacing(kit / f"images-{name}.npz") as partial:
            np.savez_compressed(partial, image=pool.stacked())
    size = folder_size(kit)
    print(f"{kit}: {size / 2**20:.1f} MiB")


class _Pool:
    """All different images of one shape, whichever preset they are for."""

    def __init__(self):
        self._known, self._images = {}, []

    def rows(self, images):
        """Returns int32 `[n]`, the rows of images in the pool, where they are from now on."""
        rows = np.zeros(len(images), "int32")
        for place, image in enumerate(images):
            rows[place] = self._known.setdefault(image.tobytes(), len(self._images))
            if rows[place] == len(self._images):
                self._images.append(image)
        return rows

    def stacked(self):
        return np.stack(self._images)


def _prepare(folder, preset, run_seeds, pools, data_dir):
    test = preset.task.load(preset.task.test_split, data_dir, "uint8").image
    shape = "x".join(map(str, test.shape[1:]))
    pool = pools.setdefault(f"{shape}-{test.dtype}", _Pool())
    examples = preset.task.load(preset.task.train_split, data_dir, "uint8")
    training = [preset.task.training_data(examples, preset.batch_size, s) for s in run_seeds]
    model, draws = _model(preset, training[0])
    first, steps = _first_batch(model, training[0])
    streams = [_streams(model, each) for each in training]
    rounds = relabeling.described(model, preset.max_epochs)
    functions = {
        "train_step": (model.train_step, first),
        **_prediction(model),
        **_observations(model, first),
        **relabeling.functions(model),
    }
    export_programs(model, functions, folder, with_values=False)
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    recipes, values = _recipes(variables, draws)
    kit = {
        "preset": preset.to_json(),
        "images": f"{shape}-{test.dtype}",
        "rates": [preset.learning_rate(epoch) for epoch in range(preset.max_epochs)],
        "streams": [list(stream) for stream in streams[0]],
        "batch_size": int(first["image"].shape[0]),
        "steps": steps,
        "calibrated_on": model.calibrated_on if model.needs_calibration else None,
        "most_batches": model.most_batches if model.needs_calibration else None,
        "predicted": ["training", "test"] if isinstance(preset.task, Clustering) else ["test"],
        "relabeling": rounds,
        "recipes": recipes,
        "num_weights": len(model.variables),
        "labels": _labels_place(model),
        "names": {weight.name: _place(variables, weight) for weight in model.trainable_variables},
        "starts_from": preset.initial_run and preset.initial_run.rpartition("/")[2],
    }
    (folder / "kit.json").write_text(json.dumps(kit, indent=1))
    np.savez_compressed(folder / "values.npz", **values)
    for seed, data, named in zip(run_seeds, training, streams, strict=True):
        arrays = _arrays(named, pool)
        _check_first_batch(kit, arrays, pool, _first_batch(model, data)[0], seed)
        arrays["test"] = pool.rows(test)
        _write_arrays(folder / str(seed), arrays)


def _model(preset, training_data):
    """Returns the new model and what was drawn when it was made."""
    with _noted_draws() as draws:
        model = preset.changed(initial_run=None).build(training_data.event_shape)
    if isinstance(model, RelabelingModel):
        model.prepare_labels(len(training_data.images))
    return model, draws


def _first_batch(model, training_data):
    more = {"with_index": True} if isinstance(model, RelabelingModel) else {}
    dataset, steps = training_data.stream(0, **more)
    batch = next(dataset.as_numpy_iterator())
    return batch if isinstance(batch, dict) else {"image": batch}, steps


def _streams(model, training_data):
    """Returns dicts of the inputs that are drawn together, to all examples."""
    stream = training_data.stream
    given = inspect.signature(stream.func).bind_partial(*stream.args, **stream.keywords).arguments
    names = {
        "images": "image",
        "labels": "label",
        "unlabeled_images": "unlabeled_image",
        "unfeatured_labels": "unfeatured_label",
    }
    found = {names[key]: value for key, value in given.items() if key in names}
    if isinstance(model, RelabelingModel):
        found["index"] = np.arange(len(training_data.images), dtype="int32")
    together = [("image", "label", "index"), ("unlabeled_image",), ("unfeatured_label",)]
    streams = [{name: found[name] for name in each if name in found} for each in together]
    return [stream for stream in streams if stream]


def _arrays(streams, pool):
    return {
        name: pool.rows(array) if name.endswith("image") else np.asarray(array, "int32")
        for stream in streams
        for name, array in stream.items()
    }


def _check_first_batch(kit, arrays, pool, batch, seed):
    names = {key: kit[key] for key in ("streams", "batch_size", "steps")}
    found = feed.Feed(np.zeros((0, 1)), arrays, **names, seed=seed)
    order, images = found.order(0), pool.stacked()
    for name, expected in batch.items():
        rows = order[name][0]
        mine = feed.floats(images[rows]) if name.endswith("image") else arrays[name][rows]
        if not np.array_equal(mine, expected):
            raise ValueError(
                "`preset` must be one whose examples are shuffled, by `tfbind.data.pipelines`. "
                f"Received: {kit['preset']['name']}, whose first batch has another {name}."
            )


def _write_arrays(folder, arrays):
    """Writes arrays as differences, of which rows in turn need next to no room."""
    folder.mkdir()
    flat = {key: np.diff(x, axis=0, prepend=np.zeros_like(x[:1])) for key, x in arrays.items()}
    np.savez_compressed(folder / "arrays.npz", **flat)


# Programs besides the step.


def _prediction(model):
    """Returns the function that predicts a batch: numbers that say what a score needs."""

    def predict(batch):
        outputs = model(_inputs(model, batch), training=False)
        said = {}
        if "probabilities" in outputs:
            said["probabilities"] = outputs["probabilities"]
        if "assignments" in outputs:
            said["groups"] = tf.argmax(outputs["assignments"], axis=1, output_type=tf.int32)
        if "member_probabilities" in outputs:
            said["member_probabilities"] = outputs["member_probabilities"]
        return said

    batch = {"image": np.zeros((BATCH, *model.event_shape), "float32")}
    return {"predict": (predict, {**batch, **({"number": 0} if _draws_starts(model) else {})})}


def _draws_starts(model):
    return isinstance(model, Tagger)


def _inputs(model, batch):
    """Returns what a model predicts from: a start of its own for each example where it takes one.

    The one start that it has itself would make a large constant of the program.
    """
    if not _draws_starts(model):
        return batch["image"]
    seed = seeds.fold(model.seed, batch["number"])
    start = model._random_start(model._pixels(batch["image"]), seed)
    shape = (BATCH, model.num_groups, *model.spatial_shape)
    return {"image": batch["image"], "initial_assignments": tf.reshape(start, shape)}


def _observations(model, first):
    """Returns the functions that take a batch of each size into population statistics."""
    if not model.needs_calibration:
        return {}

    def observe(batch):
        model.observe(batch["image"], seeds.fold(model.seed, batch["number"]))
        return {}

    sizes = {len(first["image"]), *relabeling.observed_sizes(model)}
    return {
        f"observe_{size}": (
            observe,
            {"image": np.zeros((size, *model.event_shape), "float32"), "number": 0},
        )
        for size in sorted(sizes)
    }


# First weights.


@contextlib.contextmanager
def _noted_draws():
    """Yields a list of all that Keras' initialisers draw: kind, two numbers, and float32 `[n]`."""
    draws = []
    originals = {kind: getattr(keras_random, kind) for kind in _BOUNDS}

    def noting(kind, names):
        def noted(shape, *args, **kwargs):
            given = inspect.signature(originals[kind]).bind(shape, *args, **kwargs)
            given.apply_defaults()
            value = originals[kind](shape, *args, **kwargs)
            numbers = (float(given.arguments[name]) for name in names)
            draws.append((kind, *numbers, np.asarray(value).ravel()))
            return value

        return noted

    try:
        for kind, names in _BOUNDS.items():
            setattr(keras_random, kind, noting(kind, names))
        yield draws
    finally:
        for kind, original in originals.items():
            setattr(keras_random, kind, original)


_BOUNDS = {
    "uniform": ("minval", "maxval"),
    "normal": ("mean", "stddev"),
    "truncated_normal": ("mean", "stddev"),
}


def _recipes(variables, draws):
    """Returns a recipe a variable, and for those without one, None, the values by place.

    A variable has one if it is constant, or still what draws gave, one after another.
    """
    known = {draw[-1][:4].tobytes(): draw for draw in draws if draw[-1].size >= 4}
    recipes, values = [], {}
    for place, variable in enumerate(variables):
        value = variable.numpy()
        recipe = _recipe(value.ravel(), known)
        recipes.append(recipe)
        if recipe is None:
            values[str(place)] = value
    return recipes, values


def _recipe(flat, known):
    if flat.size and flat.dtype != np.int64 and (flat == flat[0]).all():
        return [["constant", float(flat[0]), 0.0, flat.size]]
    recipe, place = [], 0
    while place < flat.size:
        kind, *numbers, drawn = known.get(flat[place : place + 4].tobytes(), (None, flat))
        rest = flat[place : place + drawn.size]
        if kind is None or not np.array_equal(drawn, rest):
            return None
        recipe.append([kind, *numbers, drawn.size])
        place += drawn.size
    return recipe


def _place(variables, wanted):
    return next(place for place, variable in enumerate(variables) if variable is wanted)


def _labels_place(model):
    """Returns the place of the labels of a training set, which no model is saved with, or None."""
    if not isinstance(model, RelabelingModel):
        return None
    return _place(model.variables, model.row_labels.labels)
