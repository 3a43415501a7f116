"""Trains a preset without TensorFlow, on any device that JAX knows.

    python -m benchmarks.train_on_pjrt lower PRESET RUN    # where TensorFlow is
    python -m benchmarks.train_on_pjrt run RUN             # where the device is
    python -m benchmarks.train_on_pjrt restore RUN         # where TensorFlow is

`lower` makes a folder RUN with the preset's training step as a StableHLO program and its data; copy
it to the machine with the device and, after `run`, back. `run` needs JAX, NumPy and the library
(`pip install --no-deps .`). `restore` brings weights and optimiser back into Keras, and makes RUN a
run folder like those of `tfbind train`: `tfbind evaluate RUN` scores it.

The batches are those of `fit`, in its order, and so are the learning rates. There is no validation
on the way: a preset that stops early trains for `--epochs`, or all of its epochs, and keeps its
last weights. A `run` that was killed goes on from its last save.
"""

import argparse
import csv
import json
import pathlib
import time

import numpy as np

from tfbind import _files

_PROGRAM = "train_step"
_EPOCHS = "epochs.npz"  # DATA/..., the examples; ORDER/..., which of them in each step
_STATE = "state.npz"


def lower(preset, directory, epochs=None, data_dir=None):
    """Makes the folder `directory` from the preset called `preset`."""
    from tfbind.export import export_train_step
    from tfbind.training import Run, presets

    preset = presets.get(preset)
    preset = preset.changed(patience=None, max_epochs=epochs or preset.max_epochs)
    run = Run(directory)
    run.claim(preset)
    training_data, model = _prepared(run, data_dir)
    dataset, steps = training_data.stream(0)
    batches = dataset.take(preset.max_epochs * steps).as_numpy_iterator()
    data, order = _table(batches, preset.max_epochs, steps)
    batch = {name: data[name][rows[0, 0]] for name, rows in order.items()}
    export_train_step(model, batch, directory / _PROGRAM)
    arrays = {f"data/{name}": _smaller(array) for name, array in data.items()}
    arrays |= {f"order/{name}": array for name, array in order.items()}
    rates = np.array([preset.learning_rate(epoch) for epoch in range(preset.max_epochs)], "float32")
    with _files.replacing(directory / _EPOCHS) as partial:
        np.savez_compressed(partial, learning_rate=rates, **arrays)


def _table(batches, epochs, steps):
    """Returns the different rows of all batches, and their order, int32 `[epochs, steps, B]`."""
    seen, rows, order = {}, {}, {}
    for number, batch in enumerate(batches):
        for name, array in (batch if isinstance(batch, dict) else {"image": batch}).items():
            if name not in order:
                seen[name], rows[name] = {}, []
                order[name] = np.zeros((epochs, steps, len(array)), "int32")
            for i, row in enumerate(array):
                index = seen[name].setdefault(row.tobytes(), len(rows[name]))
                if index == len(rows[name]):
                    rows[name].append(row)
                order[name][number // steps, number % steps, i] = index
        if (number + 1) % steps == 0:
            print(f"batches of epoch {(number + 1) // steps} of {epochs}", flush=True)
    return {name: np.stack(found) for name, found in rows.items()}, order


def _smaller(array):
    """Returns grey levels, k / 255, as bytes; anything else as it is."""
    if array.dtype != np.float32 or array.min() < 0 or array.max() > 1:
        return array
    levels = (array * 255).round().astype("uint8")
    return levels if np.array_equal(_given_out(levels), array) else array


def _given_out(array):
    return array.astype("float32") / np.float32(255) if array.dtype == np.uint8 else array


def _prepared(run, data_dir):
    """Returns the training data and the new model of a run's preset."""
    preset = run.preset
    examples = run.source(data_dir).training()
    training_data = preset.task.training_data(examples, preset.batch_size, preset.seed)
    return training_data, preset.build(training_data.event_shape)


def run(directory, device=None, save_interval=60.0):
    """Trains in the folder that `lower` made; goes on from where a killed call left it."""
    import jax

    from tfbind.export import TrainStepRunner

    runner = TrainStepRunner(directory / _PROGRAM, device)
    with np.load(directory / _EPOCHS) as saved:
        arrays = {name: saved[name] for name in saved.files}
    data = {name[5:]: _given_out(arrays[name]) for name in arrays if name.startswith("data/")}
    data = jax.device_put(data, runner.device)
    order = {name[6:]: arrays[name] for name in arrays if name.startswith("order/")}
    rates = arrays["learning_rate"]
    history = []
    if (directory / _STATE).exists():
        runner.restore(directory / _STATE)
        history = _history(directory)
    last_save = time.monotonic()
    for epoch in range(len(history), len(rates)):
        start = time.monotonic()
        runner.set_learning_rate(rates[epoch])
        logs = runner.train(data, {name: array[epoch] for name, array in order.items()})
        row = {name: float(values[-1]) for name, values in logs.items()}
        row |= {"learning_rate": float(rates[epoch]), "seconds": time.monotonic() - start}
        history.append({"epoch": epoch + 1, **row})
        print(
            f"epoch {epoch + 1} of {len(rates)}, {row['seconds']:.2f} s, loss {row['loss']:.4g}",
            flush=True,
        )
        if epoch + 1 == len(rates) or time.monotonic() - last_save >= save_interval:
            runner.save(directory / _STATE, history=json.dumps(history))
            _write_history(directory / "history.csv", history)
            last_save = time.monotonic()


def _history(directory):
    with np.load(directory / _STATE) as saved:
        return json.loads(str(saved["history"]))


def _write_history(path, history):
    with _files.replacing(path) as partial, partial.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=history[0])
        writer.writeheader()
        writer.writerows(history)


def restore(directory, data_dir=None):
    """Finishes the run folder as `tfbind train` does; what `run` did not train, it trains."""
    from tfbind.export import restore_variables
    from tfbind.training import Run, train
    from tfbind.training.checkpoint import Checkpoint

    _, model = _prepared(Run(directory), data_dir)
    restore_variables(model, directory / _PROGRAM, directory / _STATE)
    checkpoint = Checkpoint(directory, stopping=None)
    checkpoint.set_model(model)
    checkpoint.history = _history(directory)
    checkpoint.save(len(checkpoint.history))
    train(Run(directory).preset, directory, data_dir)


def main(arguments=None):
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.train_on_pjrt",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(required=True)
    verb = verbs.add_parser("lower", help="preset to StableHLO and data")
    verb.add_argument("preset")
    verb.add_argument("directory", metavar="RUN", type=pathlib.Path)
    verb.add_argument("--epochs", type=int, help="default: the preset's")
    verb.add_argument("--data-dir", help="where TFDS keeps its data")
    verb.set_defaults(function=lower)
    verb = verbs.add_parser("run", help="train")
    verb.add_argument("directory", metavar="RUN", type=pathlib.Path)
    verb.add_argument("--device", help="such as cpu, cuda or tpu:1; default: JAX' own choice")
    verb.add_argument("--save-interval", type=float, default=60.0, help="seconds between saves")
    verb.set_defaults(function=run)
    verb = verbs.add_parser("restore", help="weights back into Keras")
    verb.add_argument("directory", metavar="RUN", type=pathlib.Path)
    verb.add_argument("--data-dir", help="where TFDS keeps its data")
    verb.set_defaults(function=restore)
    options = vars(parser.parse_args(arguments))
    options.pop("function")(**options)


if __name__ == "__main__":
    main()
