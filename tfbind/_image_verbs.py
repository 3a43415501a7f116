"""The verbs that read the user's own files, each a thin command of `tfbind.cli`."""

import pathlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import click

from tfbind import _console, _data_options

_GROUPS = "groups the parts of an image"  # what a model does that is asked for it
_SHOWN = 20  # rows that are printed; all are in the file

_files = click.argument("files", type=_data_options.FILES, nargs=-1, required=True)
_runner = click.option(
    "--runner",
    type=click.Choice(["local", "ray"]),
    help="As a batch job, into Parquet files in the folder --out: here, or on Ray.",
)


@click.command()
@_console.run
@_files
@click.option(
    "--out", type=_console.PATH, default="groups", show_default=True, help="Folder to write to."
)
@_runner
@_console.regrouping
@_data_options.for_answers
@_console.data_dir
@_console.as_json
def group(
    run: pathlib.Path,
    files: tuple[pathlib.Path, ...],
    out: pathlib.Path,
    runner: str | None,
    num_groups: int | None,
    iterations: int | None,
    told: dict[str, Any],
    data_dir: str | None,
    as_json: bool,
) -> None:
    """Find the groups in FILES, by the model of a RUN, a Keras file or a preset in the box.

    FILES are pictures of any size, folders of them, patterns such as "*.png", or .npy arrays
    [H, W] or [n, H, W] as the model takes them. For each image NAME it writes NAME-masks.npy
    (float32 [K, H, W], every group's share of every pixel), NAME-groups.png (a picture whose
    palette index is the group, 0 where there is nothing) and NAME-overlay.png (the image in the
    groups' colours), all in the size of the file; and groups.csv, a row an image. One that was
    interrupted goes on where it was.
    """
    _console.load_tensorflow()
    from tfbind import _image_files

    changes = {"num_groups": num_groups, "num_iterations": iterations}
    loaded = _loaded(run, told, ("assignments", _GROUPS), data_dir, **changes)
    if runner is not None:
        _job("group", run, files, out, runner, loaded, told, as_json, data_dir, changes)
        return

    def found(items):
        outputs = _predicted(loaded.model, items)
        out.mkdir(parents=True, exist_ok=True)
        return [
            {
                "image": item.name,
                "file": str(item.file),
                "log_likelihood": float(outputs["log_likelihood"][i]),
                "confidence": float(outputs["confidence"][i]),
                **_image_files.write(out, item, outputs["assignments"][i]),
            }
            for i, item in enumerate(items)
        ]

    rows, errors, some = _answered(loaded, files, found, out / ".groups.jsonl", changes)
    _image_files.write_rows(out / "groups.csv", rows)
    shown = [
        (row["image"], f"{row['log_likelihood']:.2f}", f"{row['confidence']:.3f}", row["overlay"])
        for row in rows
    ]
    header = ("image", "log-likelihood, nats", "confidence", "overlay")
    _console.show(rows, as_json, _table(header, shown, out / "groups.csv"))
    _say_doubts(loaded.model, some)
    _say_left_out(errors)


@click.command()
@_console.run
@_files
@click.option("--out", type=_console.PATH, help="CSV file to write the labels to.")
@_runner
@_data_options.for_answers
@_console.as_json
def cluster(
    run: pathlib.Path,
    files: tuple[pathlib.Path, ...],
    out: pathlib.Path | None,
    runner: str | None,
    told: dict[str, Any],
    as_json: bool,
) -> None:
    """Find the class of each example in FILES.

    RUN is a run folder, a Keras file, or a preset in the box, as `tfbind list` shows them.
    FILES are pictures or .npy arrays, as for `tfbind group`, or tables, of whose rows each is an
    example. Labels are the numbers of the classes, from 0; the probability is the one that the
    model gives to its label.
    """
    _console.load_tensorflow()
    from tfbind import _image_files

    wanted = ("probabilities", "gives an image one of several classes")
    loaded = _loaded(run, told, wanted)
    if runner is not None:
        _job("cluster", run, files, out, runner, loaded, told, as_json)
        return

    def found(items):
        probabilities = _predicted(loaded.model, items)["probabilities"]
        return [
            {
                "image": item.name,
                "file": str(item.file),
                "label": int(row.argmax()),
                "probability": float(row.max()),
            }
            for item, row in zip(items, probabilities, strict=True)
        ]

    journal = None if out is None else out.with_name(f".{out.name}.jsonl")
    rows, errors, some = _answered(loaded, files, found, journal, {})
    if out is not None:
        _image_files.write_rows(out, rows)
    shown = [(row["image"], str(row["label"]), f"{row['probability']:.3f}") for row in rows]
    text = _table(("image", "label", "probability"), shown, out)
    if len(rows) > _SHOWN:
        sizes = Counter(row["label"] for row in rows)
        text += "\n" + ", ".join(f"{sizes[label]} in {label}" for label in sorted(sizes))
    _console.show(rows, as_json, text)
    _say_doubts(loaded.model, some)
    _say_left_out(errors)


@click.command()
@_console.run
@click.argument("files", type=_data_options.FILES, nargs=-1)
@click.option("--max", "most", type=int, help="Largest K to try.  [default: 8 groups, 12 clusters]")
@click.option("--trainings", default=3, show_default=True, help="For each K, of clusters.")
@_console.processes
@click.option("--out", type=_console.PATH, help="Plot to write.  [default: in RUN]")
@_data_options.for_answers
@_console.data_dir
@_console.as_json
def select(
    run: pathlib.Path,
    files: tuple[pathlib.Path, ...],
    most: int | None,
    trainings: int,
    processes: int | None,
    out: pathlib.Path | None,
    told: dict[str, Any],
    data_dir: str | None,
    as_json: bool,
) -> None:
    """Pick the number of groups that explains FILES best, or of clusters to agree on.

    Without FILES it takes the run's test images. For a run that groups it plots the
    log-likelihood of each number. For one that clusters it trains the run's preset several times
    with each number, into folders select/clusters-K in RUN, and plots how well these agree.
    """
    _console.load_tensorflow()
    from tfbind import _models, training

    folder, output = training.Run(training.located(run)), _models.output_folder(run)
    counts_clusters = "num_clusters" in folder.preset.settings()
    wanted = ("probabilities", "clusters") if counts_clusters else ("assignments", _GROUPS)
    loaded = _loaded(run, told, wanted)
    with _console.progress():
        images = _read_all(loaded, files) if files else folder.source(data_dir).test().image
        if counts_clusters:
            found = _select_clusters(folder, output, images, most, data_dir, trainings, processes)
        else:
            found = _select_groups(loaded.model, output, images, most)
    _show_selection(found, out, as_json)


def _select_groups(model, output, images, most):
    from tfbind import plots, training

    candidates = range(2, (8 if most is None else most) + 1)
    selection = training.select_num_groups(model, images, candidates, verbose=1)
    figure, plot = plots.num_groups_figure(selection), output / "num_groups.png"
    return selection, selection.log_likelihoods, "log-likelihood, nats per image", figure, plot


def _select_clusters(folder, output, images, most, data_dir, trainings, processes):
    from tfbind import plots, training
    from tfbind.training.processes import num_cores

    source = folder.source(data_dir)  # raises if only the run's caller has the images
    selection = training.select_preset_clusters(
        folder.preset,
        output / "select",
        range(2, (12 if most is None else most) + 1),
        data_dir,
        images=images,
        data=source.own,
        trainings=trainings,
        processes=num_cores() if processes is None else processes,
    )
    figure, plot = plots.num_clusters_figure(selection), output / "num_clusters.png"
    return selection, selection.agreements, "agreement of trainings", figure, plot


def _show_selection(found, out, as_json):
    from tfbind import plots

    selection, values, title, figure, plot = found
    out = out or plot
    plots.save(figure, out)
    pairs = zip(selection.candidates, values, strict=True)
    rows = [(str(k), f"{x:.3f}", "best" if k == selection.best else "") for k, x in pairs]
    result = {**selection._asdict(), "plot": str(out)}
    _console.show(result, as_json, f"{_console.table(('K', title, ''), rows)}\nWrote {out}")


def _loaded(path, told, wanted, data_dir=None, **changes):
    """Returns the model at a path, which must have the output that is wanted."""
    from tfbind import _models

    loaded = _models.load(path, data_dir, **changes)
    _console.check_output(path, loaded.model, *wanted)
    return loaded._replace(preparation=_data_options.adapted(loaded.preparation, told))


def _job(verb, run, files, out, runner, loaded, told, as_json, data_dir=None, changes=None):
    """Runs a verb as a batch job, and shows what it wrote."""
    from tfbind import _jobs, reading

    if out is None:
        raise ValueError("`--out` must name a folder for a batch job. Received: none.")
    named = [path.absolute() for path in reading.files_of(files)]
    parts = _jobs.parts_of(named, loaded.model.event_shape)
    model = run.absolute() if run.exists() else run  # else a preset in the box
    job = _jobs.Job(verb, model, changes or {}, told, data_dir, out.absolute(), parts)
    with _console.progress():
        done = _jobs.run(job, loaded, runner, _console.watched)
    before = f", {done.found} of which were there" if done.found else ""
    text = f"Wrote {out}: {done.rows} rows in {done.parts} files{before}."
    _console.show({"out": str(out), **done._asdict()}, as_json, text)
    _say_left_out([ValueError(each) for each in done.left_out])


def _reader(loaded, files):
    from tfbind import _inputs, reading

    return _inputs.Reader(loaded.model, loaded.preparation, reading.files_of(files))


def _answered(loaded, files, found, journal, changes):
    """Returns what is found in files, errors for those that could not be read, and some images."""
    from tfbind import _inputs

    reader = _reader(loaded, files)
    circumstances = {
        "model": loaded.source.stat().st_mtime_ns,
        "preparation": loaded.preparation.to_json(),
        **changes,
    }
    kept = _inputs.Journal(journal, circumstances)
    answered = _inputs.answer(reader, found, kept, _console.watched)
    kept.remove()
    return answered


def _read_all(loaded, files):
    import numpy as np

    reader = _reader(loaded, files)
    return np.stack([item.array for path in reader.files for item in reader.read(path)])


def _predicted(model, items):
    import numpy as np

    with _console.progress():
        images = np.stack([item.array for item in items])
        return model.predict(images, batch_size=250, verbose=0)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], path: pathlib.Path | None) -> str:
    """Returns the first rows as a table, and where the others are."""
    text = _console.table(header, rows[:_SHOWN])
    if len(rows) <= _SHOWN:
        return text
    where = "--out FILE writes all" if path is None else f"all are in {path}"
    return f"{text}\n... and {len(rows) - _SHOWN} more; {where}"


def _say_doubts(model: Any, images: Sequence) -> None:
    """Says on standard error what seems to be wrong with the answers, if anything."""
    import numpy as np

    from tfbind import training

    if not images:
        return
    with _console.progress():
        found = training.diagnose(model, np.stack(images))
    click.echo(_console.minded(finding.sentence for finding in found), err=True, nl=False)


def _say_left_out(errors: Sequence[Exception]) -> None:
    """Ends the command with a sentence on files that could not be read, if any."""
    from tfbind.reading import data_files

    if errors:
        raise click.ClickException(*data_files.left_out(errors))
