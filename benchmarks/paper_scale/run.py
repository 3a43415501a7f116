"""Trains what `prepare` made; needs JAX, NumPy and SciPy."""

import csv
import importlib.util
import json
import os
import pathlib
import sys
import time
import types

import numpy as np

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # several runs may share a device

from benchmarks.paper_scale import feed, first_weights, results

_TOLD = 20.0  # seconds between lines
_CLOSING = 20.0  # seconds that are kept for predictions and the last save


def _stand_alone():
    """Makes the checkout do for the library: `export/` is `tfbind.export`.

    Without TensorFlow packages that load it are bare; of them NumPy's modules are used alone.
    """
    import tfbind

    root = pathlib.Path(__file__).resolve().parents[2]
    if importlib.util.find_spec("tfbind.export") is None:
        tfbind.__path__.append(str(root))
    if importlib.util.find_spec("tensorflow") is None:
        for name in ("labeling", "metrics", "models"):
            package = types.ModuleType(f"tfbind.{name}")
            package.__path__ = [str(pathlib.Path(tfbind.__file__).parent / name)]
            sys.modules[f"tfbind.{name}"] = package


_stand_alone()

from tfbind import _files  # noqa: E402


def run(kit, names=(), minutes=9.0, *, device=None, max_epochs=None, save_interval=60.0):
    """Trains in the folder `kit` until `minutes` are over; prints a line a run."""
    import jax

    # A run that goes on, on the same machine, need not compile again
    jax.config.update("jax_compilation_cache_dir", str(kit / ".compiled"))
    clock = _Clock(60 * minutes)
    found = [path for path in results.in_order(kit) if not names or path.parent.name in names]
    for folder in found:
        try:
            print(_Training(folder, device, clock, save_interval).run(max_epochs), flush=True)
        except Exception as error:  # out of memory, say: the others can do without this one
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            print(f"{results.title(folder)}: failed: {reason}", flush=True)


class _Clock:
    """How long there is to go on."""

    def __init__(self, seconds):
        self._start, self._seconds = time.monotonic(), seconds
        self._closing = min(_CLOSING, 0.1 * seconds)

    def has_room(self, seconds):
        return self._start + self._seconds - self._closing - time.monotonic() > seconds


class _Training:
    """One run: a preset and a seed."""

    def __init__(self, folder, device, clock, save_interval):
        from tfbind.export import TrainStepRunner

        self.folder, self.clock, self.save_interval = folder, clock, save_interval
        self.kit = json.loads((folder.parent / "kit.json").read_text())
        values = first_values(folder, self.kit)
        self.runner = TrainStepRunner(folder.parent, device, values)
        self.fresh = values
        self.history, self.rounds = [], {}
        if (folder / "state.npz").exists():
            self._restore()
        self.feed, self.data, self.rows = self._load()

    def _load(self):
        import jax

        images = f"images-{self.kit['images']}.npz"
        with np.load(self.folder.parents[1] / images) as saved:
            images = saved["image"]
        with np.load(self.folder / "arrays.npz") as saved:
            arrays = {name: np.cumsum(saved[name], axis=0, dtype="int32") for name in saved.files}
        names = {key: self.kit[key] for key in ("streams", "batch_size", "steps")}
        given = feed.Feed(images, arrays, **names, seed=int(self.folder.name))
        data = jax.device_put(given.data(), self.runner.device)
        training = arrays.get("unlabeled_image", arrays["image"])
        return given, data, {"training": training, "test": arrays["test"]}

    def run(self, max_epochs):
        """Trains, predicts and saves; returns a line that says how it went."""
        number = min(max_epochs or len(self.kit["rates"]), len(self.kit["rates"]))
        last_save = last_told = time.monotonic()
        begun, seconds = len(self.history), 0.0  # the first epoch compiles: it is no measure
        while len(self.history) < number and self.clock.has_room(1.2 * seconds):
            taken = self._epoch()
            seconds = taken if len(self.history) > begun + 1 else 0.0
            now = time.monotonic()
            if now - last_told > _TOLD:
                print(self._told(number), flush=True)
                last_told = now
            if now - last_save > self.save_interval:
                self._save()
                last_save = time.monotonic()
        if len(self.history) > begun:
            self._save()
            self._conclude()
        return self._told(number)

    def _told(self, number):
        if not self.history:
            return f"{results.title(self.folder)}: no epoch of {number}, there was no time"
        seconds = np.median([row["seconds"] for row in self.history[1:] or self.history])
        return (
            f"{results.title(self.folder)}: {len(self.history)} of {number} epochs, "
            f"{seconds:.3g} s an epoch, the first {self.history[0]['seconds']:.3g}, "
            f"loss {self.history[-1]['loss']:.4g}"
        )

    def _epoch(self):
        epoch, start = len(self.history), time.monotonic()
        if self.kit["relabeling"] and epoch in self.kit["relabeling"]["epochs"]:
            _RELABELING[self.kit["relabeling"]["kind"]](self, epoch)
        rate = self.kit["rates"][epoch]
        self.runner.set_learning_rate(rate)
        logs = self.runner.train(self.data, self.feed.order(epoch))
        seconds = time.monotonic() - start
        row = {name: float(values[-1]) for name, values in logs.items()}
        if not np.isfinite(row["loss"]):
            raise ValueError(f"the loss is {row['loss']} after epoch {epoch + 1}")
        self.history.append({"epoch": epoch + 1, **row, "learning_rate": rate, "seconds": seconds})
        return seconds

    # Predictions and population statistics.

    def calibrate(self, batches):
        """Takes population statistics of batches of rows, int `[steps, size]` each."""
        places = self.runner.written(f"observe_{batches[0].shape[1]}")
        for place in places:
            self.runner.variables[place] = self.fresh[place]
        done = 0
        for rows in batches:
            numbers = np.arange(done, done + len(rows), dtype="int32")
            done += len(rows)
            data = {"image": self.data["image"], "number": numbers}
            order = {"image": rows, "number": numbers - numbers[0]}
            self.runner.run(f"observe_{rows.shape[1]}", data, order)

    def predict(self, rows, program="predict", size=500):
        """Returns the outputs of a program for rows of the images, on the device."""
        steps = -(-len(rows) // size)
        padded = np.resize(rows, steps * size) if len(rows) % size else rows
        data = {"image": self.data["image"], "number": np.arange(steps, dtype="int32")}
        order = {"image": padded.reshape(steps, size), "number": np.arange(steps)}
        names = self.runner.inputs(program)
        outputs = self.runner.run(program, *({x: each[x] for x in names} for each in (data, order)))
        return {
            name: value.reshape(-1, *value.shape[2:])[: len(rows)]
            for name, value in outputs.items()
        }

    def _conclude(self):
        """Writes what is small: the history and what the model says of its images."""
        if self.kit["calibrated_on"] is not None:
            order = self.feed.order(0)
            rows = order.get(self.kit["calibrated_on"], order["image"])
            self.calibrate([rows[: self.kit["most_batches"] or len(rows)]])
            self._save()
        said = {}
        for part in self.kit["predicted"]:
            found = self.predict(self.rows[part])
            said |= {f"{part}/{name}": x for name, x in map(_small, found.items())}
        with _files.replacing(self.folder / "results.npz") as partial:
            np.savez_compressed(partial, **said, **self.rounds)
        with _files.replacing(self.folder / "history.csv") as partial:
            with partial.open("w", newline="") as stream:
                writer = csv.DictWriter(stream, fieldnames=self.history[0])
                writer.writeheader()
                writer.writerows(self.history)

    def _save(self):
        notes = {"history": json.dumps(self.history), **self.rounds}
        self.runner.save(self.folder / "state.npz", **notes)

    def _restore(self):
        self.runner.restore(self.folder / "state.npz")
        with np.load(self.folder / "state.npz") as saved:
            self.history = json.loads(str(saved["history"]))
            self.rounds = {name: saved[name] for name in saved.files if name.startswith("round_")}


def _small(named):
    """Returns a name and an array: integers as bytes, of members the clusters, floats in half."""
    name, array = named[0], np.asarray(named[1])
    if name == "member_probabilities":
        return "clusters", array.argmax(axis=-1).astype("uint8")
    return name, array.astype("uint8" if array.dtype.kind == "i" else "float16")


def first_values(folder, kit):
    """Returns the first value of every variable; in a second stage what the first one left."""
    described = json.loads((folder.parent / "programs.json").read_text())["variables"]
    with np.load(folder.parent / "values.npz") as saved:
        stored = {int(name): saved[name] for name in saved.files}
    seed, values = int(folder.name), []
    for place, (spec, recipe) in enumerate(zip(described, kit["recipes"], strict=True)):
        shape, dtype = tuple(spec["shape"]), spec["dtype"]
        values.append(
            stored[place]
            if recipe is None
            else first_weights.draw(recipe, shape, dtype, (seed, place))
        )
    if kit["starts_from"] is not None:
        _start_from(folder.parents[1] / kit["starts_from"], folder.name, kit["names"], values)
    return values


def _start_from(stage_1, seed, names, values):
    state = stage_1 / seed / "state.npz"
    if not state.exists():
        raise ValueError(f"stage 1, {stage_1.name}/{seed}, comes first, and has not been trained")
    places = json.loads((stage_1 / "kit.json").read_text())["names"]
    with np.load(state) as saved:
        for name in names.keys() & places.keys():
            theirs = saved[f"arr_{places[name]}"]
            if theirs.shape == values[names[name]].shape:
                values[names[name]] = theirs


# Labels between epochs, as the models' `relabel`.


def _agree(training, epoch):
    """Gives examples the labels that the members of an ensemble agree on."""
    from tfbind.models import _pseudo_classes

    rows, told = training.rows["training"], training.kit["relabeling"]
    size = min(100, len(rows))
    whole = len(rows) // size * size
    batches = [rows[:whole].reshape(-1, size), rows[whole:].reshape(1, -1)]
    training.calibrate([each for each in batches if each.size])
    p = np.asarray(training.predict(rows)["member_probabilities"])
    best = np.asarray(training.runner.variables[told["places"]["labels"]])[-1]
    asked = _pseudo_classes.unmerged_members(p) if told["leave_out_merged"] else None
    rules = _pseudo_classes.Rules(**told["rules"])
    found = _pseudo_classes.pseudo_classes(p.argmax(-1), p.max(-1), best, rules, asked)
    _take(training.runner.variables, told, found)
    notes = json.dumps(_pseudo_classes.describe_round(p, found))
    training.rounds |= {
        f"round_{epoch}_clusters": p.argmax(axis=-1).astype("uint8"),
        f"round_{epoch}_labels": found.labels.astype("int8"),
        f"round_{epoch}_notes": np.array(notes),
    }


def _take(variables, told, found):
    """Makes pseudo-classes those that are learned, as a model's `take`."""
    places = told["places"]
    variables[places["labels"]] = np.stack([*found.labels, found.best]).astype("int32")
    variables[places["class_weights"]] = found.weights.astype("float32")
    if told["rules"]["mapping"] == "common" and found.weights.any():
        members = len(variables[places["shares"]])
        variables[places["shares"]] = np.full(members, 1.0 / members, "float32")
    if told["later_information_weight"] is not None:
        variables[places["information_now"]] = np.float32(told["later_information_weight"])


def _solve(training, epoch):
    """Gives examples the labels of which every cluster gets its share."""
    rows = training.rows["training"]
    features = training.predict(rows, "embed")["features"]
    everything = np.arange(len(rows), dtype="int32")[None]
    training.runner.run("adopt", {"features": features}, {"features": everything})


_RELABELING = {"agreed": _agree, "solved": _solve}
