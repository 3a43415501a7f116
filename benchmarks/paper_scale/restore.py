"""Brings trained weights back into Keras, as run folders."""

import csv
import io
import json

import numpy as np

from benchmarks.paper_scale import results
from tfbind.metrics import adjusted_mutual_information
from tfbind.models import PseudoLabelEnsemble
from tfbind.models._pseudo_classes import precision
from tfbind.models._relabeling import RelabelingModel
from tfbind.training import Run, diagnose
from tfbind.training.callbacks import clustering_errors
from tfbind.training.preset import Preset
from tfbind.training.tasks import Clustering, FewLabels

_DIAGNOSED = 1000  # test images


def restore(kit, collected=None, runs=None, data_dir=None):
    """Makes a run folder of each run in `collected`, or in `kit`; prints a line a run."""
    entries = _in_kit(kit) if collected is None else results.read(collected)
    for title in sorted({name.rpartition("/")[0] for name in entries}):
        mine = {
            name.rpartition("/")[2]: content
            for name, content in entries.items()
            if name.startswith(f"{title}/")
        }
        print(_restore(kit / title, mine, (runs or kit / "runs") / title, data_dir), flush=True)


def _in_kit(kit):
    """Returns what `collect` would pack, in full precision."""
    entries = {}
    for folder in results.finished(kit):
        title = results.title(folder)
        for name in ("history.csv", "results.npz"):
            entries[f"{title}/{name}"] = (folder / name).read_bytes()
        for part in ("needed", "other"):
            entries[f"{title}/{part}.npz"] = results.weights(folder, part, "float32")
    return entries


def _restore(folder, entries, path, data_dir):
    said = _arrays(entries["results.npz"])
    rows = list(csv.DictReader(io.StringIO(entries["history.csv"].decode())))
    history = [
        {name: int(x) if name == "epoch" else float(x) for name, x in row.items()} for row in rows
    ]
    preset = _preset(folder)
    line = f"{results.title(folder)}: {len(history)} epochs"
    test = preset.task.load(preset.task.test_split, data_dir)
    line += "".join(f", {name} {x:.4f}" for name, x in _scores(preset, test, said).items())
    if "needed.npz" not in entries:
        return f"{line}; its weights did not fit"
    weights = {**_arrays(entries["needed.npz"]), **_arrays(entries.get("other.npz"))}
    model = _model(folder, preset, test, weights)
    if isinstance(model, PseudoLabelEnsemble):
        model.rounds = _rounds(preset, said, data_dir)
    run = Run(path)
    found = diagnose(model, test.take(slice(_DIAGNOSED)).floats().image)
    notes = {
        "epochs": len(history),
        "loss": history[-1]["loss"],
        "diagnosis": [finding._asdict() for finding in found],
    }
    with run.claimed(preset):
        run.finish(model, history, notes)
    (path / "device.npz").write_bytes(entries["results.npz"])
    return f"{line}; {path}"


def _preset(folder):
    fields = json.loads((folder.parent / "kit.json").read_text())["preset"]
    return Preset.from_json(fields).changed(seed=int(folder.name))


def _arrays(content):
    if content is None:
        return {}
    with np.load(io.BytesIO(content)) as saved:
        return {name: saved[name] for name in saved.files}


def _model(folder, preset, test, weights):
    """Returns the model with the weights that there are, and its first ones in place of others."""
    model = preset.changed(initial_run=None).build(test.image.shape[1:])
    if isinstance(model, RelabelingModel):
        with np.load(folder / "arrays.npz") as saved:
            model.prepare_labels(len(saved["image"]))
    described = json.loads((folder.parent / "programs.json").read_text())["variables"]
    for place, (variable, spec) in enumerate(zip(model.variables, described, strict=False)):
        if list(variable.shape) != spec["shape"]:
            raise ValueError(
                f"`kit` must be of this version of the library. Received: {spec['path']} of shape "
                f"{spec['shape']}, which the model has as {tuple(variable.shape)}."
            )
        if str(place) in weights:
            variable.assign(weights[str(place)])
    model.end_training()
    return model


def _rounds(preset, said, data_dir):
    """Returns the `rounds` of an ensemble, with how right the labels were; none of another."""
    truth = preset.task.load(preset.task.train_split, data_dir, "uint8").label
    epochs = sorted(int(name.split("_")[1]) for name in said if name.endswith("_notes"))
    return [
        {
            **json.loads(str(said[f"round_{epoch}_notes"])),
            "precision": precision(said[f"round_{epoch}_labels"][0], truth),
        }
        for epoch in epochs
    ]


def _scores(preset, test, said):
    """Returns scores of the predictions that the device made."""
    if "test/groups" in said and test.groups is not None:
        groups = np.asarray(test.groups, "int32")
        ami = adjusted_mutual_information(
            groups, said["test/groups"].astype("int32"), int(groups.max()), _num_groups(said)
        )
        return {"ami": float(np.nanmean(ami))}
    if "test/probabilities" not in said or not isinstance(preset.task, (Clustering, FewLabels)):
        return {}
    found = said["test/probabilities"].argmax(axis=-1)
    if isinstance(preset.task, FewLabels):
        return {"error": float(np.mean(found != test.label))}
    return {"error": clustering_errors(test.label, found)["error"]}


def _num_groups(said):
    return int(said["test/groups"].max()) + 1
