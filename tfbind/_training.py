"""What `tfbind train` does before and after the training: own data, a choice, a K, a summary."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import click

from tfbind import _console, data, reading, training

_AUTO = "auto"
_COUNTS = ("num_groups", "num_clusters")


class Planned(NamedTuple):
    """A training that has been planned: the preset, own data or None, and which K are to be found.

    `finds_groups` is whether the number of groups is chosen after the training, by which of them
    explains the pictures best.
    """

    preset: training.Preset
    own: reading.OwnData | None
    finds_groups: bool

    def train(
        self,
        folder: training.Run,
        data_dir: str | None,
        processes: int,
        workers: Sequence[str] | None,
        index: int | None,
    ) -> None:
        """Trains into a folder, or goes on there; one that is not the first worker writes none."""
        training.train(
            self.preset,
            folder,
            data_dir,
            data=self.own,
            processes=processes,
            workers=workers,
            index=index,
        )
        if not index and self.finds_groups and "num_groups" not in folder.metrics:
            training.choose_num_groups(folder, data_dir, verbose=1)


def planned(
    name: str,
    path: str | None,
    told: Mapping[str, Any],
    wanted: Mapping[str, Any],
    changes: Iterable[str],
) -> Planned:
    """Plans a training; says on standard error what the data looks like and what was chosen.

    Args:
        name: Of a preset, or "auto".
        path: Of own data; or the name of a data set; or None for the preset's.
        told: How own data is read, fields of `reading.Options`.
        wanted: `find`, `num_groups` and `num_clusters`, as far as they are given.
        changes: Texts such as "batch_size=50".
    """
    if path is None or _is_data_set(path):
        return _on_data_set(name, path, told, wanted, changes)
    look = reading.open_data(path, reading.Options(**told)).look()
    _say(look.lines())
    plan = _chosen(name, look, wanted, changes)
    preset, options = plan.preset, reading.Options(**{**plan.options, **told})
    own = training.own_data(preset, path, options, watch=_console.watched)
    _say(own.notes)
    if wanted.get("num_clusters", _auto_clusters(name, look, preset)) == _AUTO:
        preset = training.with_num_clusters(preset, own.array[own.training], verbose=1)
        _say([f"Looks for {preset.setting('num_clusters').value} clusters."])
    return Planned(preset, own, wanted.get("num_groups", name) == _AUTO and _groups(preset))


def _is_data_set(path: str) -> bool:
    return path in data.NAMES and not os.path.exists(path)


def _on_data_set(name, path, told, wanted, changes):
    unused = [*told, *(key for key, value in wanted.items() if value == _AUTO or key == "find")]
    if unused or name == _AUTO:
        what = "auto" if name == _AUTO else f"--{unused[0].replace('_', '-')}"
        raise ValueError(
            f"`--data` must name files of your own for `{what}`. Received: {path or 'none'}."
        )
    preset = training.presets.get(name)
    preset = preset if path is None else preset.changed(dataset=path)
    return Planned(_changed(preset, wanted, changes), None, False)


def _chosen(name, look, wanted, changes):
    if name != _AUTO:
        return training.Plan(_changed(training.presets.get(name), wanted, changes), ())
    plan = training.choose(look, wanted.get("find"))
    _say(plan.reasons)
    return plan._replace(preset=_changed(plan.preset, wanted, changes))


def _changed(preset, wanted, changes):
    counts = {key: wanted[key] for key in _COUNTS if isinstance(wanted.get(key), int)}
    return _console.with_changes(preset.changed(**counts), changes)


def _groups(preset):
    return "num_groups" in preset.settings()


def _auto_clusters(name, look, preset):
    """Returns "auto" if nothing says how many clusters there are."""
    known = look.classes or "num_clusters" not in preset.settings()
    return _AUTO if name == _AUTO and not known else None


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(_console.wrapped(line), err=True)


def told(run: training.Run, written: Sequence[str]) -> str:
    """Returns in words how a training went, and what it left: the files `written` in its folder."""
    notes, names = run.metrics, ", ".join(written)
    if "best_epoch" in notes:
        kept = f"the best was {notes['best_epoch']}, validation loss {notes['val_loss']:.4g}"
    else:
        kept = f"the loss of the last was {notes['loss']:.4g}"
    return _told_of_starts(notes) + (
        f"Trained for {notes['epochs']} epochs in {notes['seconds']:.0f} s; {kept}.\n"
        f"{_console.wrapped(f'Wrote {run.path} with {names}.')}\n"
        f"{_console.minded(each['sentence'] for each in notes['diagnosis'])}"
        f"Next: {_next(run)}"
    )


def _next(run):
    """Returns the command that comes after a training."""
    if run.preparation is None or run.given["classes"]:
        return f"tfbind evaluate {_console.quoted(run.path)}"
    verb = "group" if run.preset.task.METRIC == "ami" else "cluster"
    out = "groups" if verb == "group" else "labels.csv"
    files = f"{_console.quoted(run.path)} {_console.quoted(run.given['data'])}"
    return f"tfbind {verb} {files} --out {out}"


def _told_of_starts(notes):
    """Returns how the starts of a run compare, a line each; nothing if there was one."""
    if "chosen_seed" not in notes:
        return ""
    rows = [
        (start, f"{score:.4f}", "chosen" if start == f"seed {notes['chosen_seed']}" else "")
        for start, score in notes["unsupervised_scores"].items()
    ]
    return _console.table(("start", "score without labels", ""), rows) + "\n"


def after_scoring(run: os.PathLike) -> str:
    """Returns what comes after `tfbind evaluate`."""
    return f"Next: tfbind report {_console.quoted(run)}"
