"""Tagger: a training step against its matrix products, its growth, and an image's latency."""

import json
import pathlib
import tempfile

import keras
import numpy as np
import scipy.stats
import tensorflow as tf

import tfbind
from benchmarks import _measure
from tfbind import export, serving
from tfbind.training import presets

_EVENT_SHAPE = (20, 20, 1)
_BASE = {"num_groups": 4, "num_iterations": 3, "batch": 32}
SIZES = {
    "num_groups": (2, 4, 8, 16),
    "num_iterations": (1, 2, 4),
    "batch": (16, 32, 64, 128),
}
_AXES = {
    "num_groups": "K, groups",
    "num_iterations": "T, iterations",
    "batch": "B, images in the batch",
}
_NAMES = {"num_groups": "groups", "num_iterations": "iterations", "batch": "batch"}
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}
_SAME_MASKS = 1e-4  # wherever the model runs


def run(units=None, batch_size=100, rounds=5, sizes=None, growth_rounds=5, num_calls=20):
    """Returns the rows: memory and speed of a step, slopes of its time, latency over SavedModel's.

    Args:
        units: Widths of the network, or None for the presets': the paper's for the step, the small
            one's for its growth and for the latency.
        batch_size: Images in the timed step.
        rounds: Of the timed step, and of the latency.
        sizes: Axis to the values that it takes; None for `SIZES`.
        growth_rounds: Of the steps of all sizes.
        num_calls: Images asked for one after the other in a round of the latency.

    Raises:
        RuntimeError: If one of the ways to run the network gives other masks than Keras.
    """
    small = units or presets.get("tagger-shapes-cpu").setting("units").value
    return [
        *_step_rows(units, batch_size, rounds),
        *(_slope(axis, values, small, growth_rounds) for axis, values in (sizes or SIZES).items()),
        *_latency_rows(units, rounds, num_calls),
    ]


def _step_rows(units, batch_size, rounds):
    preset = _preset("tagger-shapes", units)
    before = _measure.peak_megabytes()
    step = _step(preset.build(_EVENT_SHAPE), batch_size)
    step()
    memory = _measure.peak_megabytes() - before  # so this comes first: peaks only ever grow
    model = preset.build(_EVENT_SHAPE)
    sides = {
        "matmuls": _matmuls(model, batch_size),
        "matmuls_without_xla": _matmuls(model, batch_size, jit_compile=False),
        "step": step,
        "step_without_xla": _step(model, batch_size, jit_compile=False),
    }
    has_bfloat16 = _has_bfloat16()
    if has_bfloat16:
        config = model.get_config() | {"dtype": "mixed_bfloat16"}
        half, half_without_xla = (tfbind.Tagger.from_config(config) for _ in range(2))
        sides |= {
            "bfloat16": _step(half, batch_size),
            "bfloat16_without_xla": _step(half_without_xla, batch_size, jit_compile=False),
        }
    else:
        _measure.progress("  no bfloat16: this processor has no instructions for its products")
    times = _measure.interleaved(sides, rounds)
    rates = {
        f"{side}_gigaflops_a_second": _gigaflops(model, batch_size) / times[side].seconds
        for side in ("matmuls", "matmuls_without_xla")
    }
    rows = [
        _measure.step_memory("tagger", model, memory),
        _measure.compare("tagger_matmuls_over_step", times, "matmuls", "step", goal=0.85, **rates),
        _measure.compare(
            "tagger_matmuls_over_step_without_xla", times, "matmuls_without_xla", "step_without_xla"
        ),
    ]
    if has_bfloat16:
        rows += [
            _measure.compare("tagger_step_over_bfloat16", times, "step", "bfloat16"),
            _measure.compare(
                "tagger_step_over_bfloat16_without_xla",
                times,
                "step_without_xla",
                "bfloat16_without_xla",
            ),
        ]
    return rows


def _preset(name, units):
    preset = presets.get(name)
    return preset.changed(units=units) if units else preset


def _step(model, batch_size, jit_compile=True):
    """Returns a function that trains on one batch as `fit` does, optimiser and metrics included."""
    model.compile(keras.optimizers.Adam(4e-4), jit_compile=jit_compile)
    images = tf.constant(_images(batch_size))
    return lambda: model.train_on_batch(images)


def _images(num_images):
    random = np.random.default_rng(0)
    return (random.random((num_images, *_EVENT_SHAPE)) < 0.3).astype("float32")


def _layers(model):
    """Returns the shapes of the weights that are multiplied: one after the other, and side by side.

    Nothing else of the step is a matrix product.
    """
    step, ladder = model.step, model.step.ladder
    chain = [step.hidden_kernel, *ladder.encoder_kernels.values()]
    chain += [ladder.decoder_kernels[layer] for layer in sorted(ladder.decoder_kernels)[::-1]]
    heads = [step.mean_kernel, step.assignment_kernel]
    return [tuple(w.shape) for w in chain], [tuple(w.shape) for w in heads]


def _gigaflops(model, batch_size):
    chain, heads = _layers(model)
    rows, iterations = batch_size * model.num_groups, model.num_iterations
    products = 3 * iterations * sum(a * b for a, b in chain + heads)
    a, b = chain[0]
    return 2e-9 * rows * (products - a * b)  # nobody needs the first input's gradient


def _matmuls(model, batch_size, jit_compile=True):
    """Returns a function that does the matrix products of one training step, no more.

    Each is once in the forward pass and twice in the backward pass. Every iteration depends on the
    one before, and the gradients of all are returned, so that no product can be left out.
    """
    chain, heads = ([_weights(shape) for shape in shapes] for shapes in _layers(model))
    x = tf.random.normal([batch_size * model.num_groups, chain[0].shape[0]])

    @tf.function(jit_compile=jit_compile)
    def products(x, chain, heads):
        gradients = []
        for _ in range(model.num_iterations):
            inputs = [x]
            for w in chain:
                inputs.append(inputs[-1] @ w)
            estimate = inputs.pop()
            outputs = [estimate @ w for w in heads]
            gradients.append([tf.matmul(estimate, g, transpose_a=True) for g in outputs])
            back = tf.add_n(
                [tf.matmul(g, w, transpose_b=True) for g, w in zip(outputs, heads, strict=True)]
            )
            for h, w in zip(inputs[::-1], chain[::-1], strict=True):
                gradients[-1].append(tf.matmul(h, back, transpose_a=True))
                back = tf.matmul(back, w, transpose_b=True)
            x = back
        return [tf.add_n(parts) for parts in zip(*gradients, strict=True)]

    return lambda: products(x, chain, heads)[0].numpy()


def _weights(shape):
    return tf.random.normal(shape) / shape[0] ** 0.5  # products neither overflow nor vanish


def _has_bfloat16():
    """Tells whether the processor multiplies bfloat16; elsewhere that is slow, and says nothing."""
    path = pathlib.Path("/proc/cpuinfo")
    return path.exists() and not _BFLOAT16_FLAGS.isdisjoint(path.read_text().split())


def _slope(varied, values, units, rounds):
    """Returns the slope of log time over log size of a training step, at most 1 if linear."""
    sides = {
        f"{varied} {value}": _growing_step({**_BASE, varied: value}, units) for value in values
    }
    times = [time.seconds for time in _measure.interleaved(sides, rounds).values()]
    fit = scipy.stats.linregress(np.log(values), np.log(times))
    fixed = {key: value for key, value in _BASE.items() if key != varied}
    return {
        "name": f"tagger_scaling_of_step_with_{_NAMES[varied]}",
        "unit": "slope",
        "value": float(fit.slope),
        "goal": 1.0,
        "at_most": True,
        "noise": min(2 * float(fit.stderr), 0.1),
        "intercept": float(fit.intercept),
        "sizes": list(values),
        "times": times,
        "axis": _AXES[varied],
        "fixed": ", ".join(f"{_NAMES[key]} {value}" for key, value in fixed.items()),
    }


def _growing_step(settings, units):
    model = tfbind.Tagger(
        _EVENT_SHAPE,
        settings["num_groups"],
        settings["num_iterations"],
        units=units,
        normalization="layer",
        seed=0,
    )
    return _step(model, settings["batch"])


def _latency_rows(units, rounds, num_calls):
    """Returns how many times as long as the SavedModel, run as a server does, the others take.

    One image at a time, by a network that has learned nothing: that takes no less.
    """
    model = _preset("tagger-shapes-cpu", units).build(_EVENT_SHAPE)
    random = np.random.default_rng(0)
    combinators = model.step.ladder.combinators
    for weight in combinators.values():  # else all groups are the same at the start
        weight.assign(weight + 0.1 * random.standard_normal(weight.shape))
    images = _images(num_calls)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        _measure.progress("  exporting")
        export.export_saved_model(model, folder / "tagger")
        export.export_tflite(model, folder / "tagger.tflite")
        saved_model = export.SavedModelRunner(folder / "tagger")
        tflite = export.TFLiteRunner(folder / "tagger.tflite")
        with (
            serving.ReferenceServer(folder / "tagger") as server,
            serving.GrpcClient(server.target, "tagger") as grpc,
        ):
            rest = serving.RestClient(server.url, "tagger")
            answers = {
                "saved_model": lambda x: saved_model("serving_default", {"image": x}),
                "predict": lambda x: model.predict(x, verbose=0),
                "tflite": lambda x: tflite("serving_default", {"image": x}),
                "served_by_grpc": lambda x: grpc.predict({"image": x}),
                "served_by_rest": lambda x: rest.predict({"image": x}),
            }
            differences = _differences(answers, images)
            sides = {name: _one_by_one(answer, images) for name, answer in answers.items()}
            times = _measure.interleaved(sides, rounds)
    return [
        _measure.compare(
            f"tagger_latency_{side}_over_saved_model",
            times,
            side,
            "saved_model",
            milliseconds_an_image=1000 * times[side].seconds / num_calls,
            saved_model_milliseconds_an_image=1000 * times["saved_model"].seconds / num_calls,
            max_abs_difference_of_masks=differences[side],
        )
        for side in answers
        if side != "saved_model"
    ]


def _one_by_one(answer, images):
    return lambda: [answer(images[n : n + 1])["assignments"] for n in range(len(images))]


def _differences(answers, images):
    """Returns the largest difference from the masks of Keras, for each way to run the network."""
    masks = {name: np.concatenate(_one_by_one(f, images)()) for name, f in answers.items()}
    differences = {
        name: float(np.max(np.abs(found - masks["predict"]))) for name, found in masks.items()
    }
    for name, difference in differences.items():
        if not difference <= _SAME_MASKS:
            raise RuntimeError(f"The masks of {name} differ from Keras' by {difference:.1e}.")
    return differences


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
