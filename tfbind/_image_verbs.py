"""The verbs that read the user's own images, each a thin command of `tfbind.cli`."""

import pathlib

import click

from tfbind import _console

_FILE = click.Path(path_type=pathlib.Path, exists=True, dir_okay=False)

_GROUPS = "groups the parts of an image"  # what a model does that is asked for it


@click.command()
@_console.run
@click.argument("images", type=_FILE, nargs=-1, required=True)
@click.option(
    "--out", type=_console.PATH, default="groups", show_default=True, help="Folder to write to."
)
@_console.regrouping
@_console.reading_images
@_console.data_dir
@_console.as_json
def group(
    run: pathlib.Path,
    images: tuple[pathlib.Path, ...],
    out: pathlib.Path,
    num_groups: int | None,
    iterations: int | None,
    threshold: float | None,
    invert: bool,
    data_dir: str | None,
    as_json: bool,
) -> None:
    """Find the groups in IMAGES.

    They are pictures of the run's height and width, or .npy arrays [H, W] or [n, H, W] with
    values in [0, 1]. For each image NAME it writes NAME-masks.npy (float32 [K, H, W], every
    group's share of every pixel), NAME-groups.png (a picture whose palette index is the group, 0
    where the image is zero) and NAME-overlay.png (the image in the groups' colours).
    """
    _console.load_tensorflow()
    from tfbind import _image_files, training

    folder = training.Run(run)
    model = folder.load(data_dir, num_groups=num_groups, num_iterations=iterations)
    _console.check_output(folder, model, "assignments", _GROUPS)
    threshold = threshold if folder.preset.task.binary_images else None
    names, arrays = _image_files.read(images, model, threshold, invert)
    outputs = _predict(model, arrays)
    out.mkdir(parents=True, exist_ok=True)
    result: list[dict] = [
        {
            "image": name,
            "log_likelihood": float(outputs["log_likelihood"][i]),
            "confidence": float(outputs["confidence"][i]),
            **_image_files.write(out, name, arrays[i], outputs["assignments"][i]),
        }
        for i, name in enumerate(names)
    ]
    rows = [
        (row["image"], f"{row['log_likelihood']:.2f}", f"{row['confidence']:.3f}", row["overlay"])
        for row in result
    ]
    header = ("image", "log-likelihood, nats", "confidence", "overlay")
    _console.show(result, as_json, _console.table(header, rows))


@click.command()
@_console.run
@click.argument("images", type=_FILE, nargs=-1, required=True)
@click.option("--out", type=_console.PATH, help="CSV file to write the labels to.")
@_console.reading_images
@_console.as_json
def cluster(
    run: pathlib.Path,
    images: tuple[pathlib.Path, ...],
    out: pathlib.Path | None,
    threshold: float | None,
    invert: bool,
    as_json: bool,
) -> None:
    """Find the class of each of IMAGES.

    They are pictures or .npy arrays, as for `tfbind group`. Labels are the numbers of the classes,
    from 0; the probability is the one that the run's model gives to its label.
    """
    _console.load_tensorflow()
    from tfbind import _image_files, training

    folder = training.Run(run)
    model = folder.load()
    _console.check_output(folder, model, "probabilities", "gives an image one of several classes")
    threshold = threshold if folder.preset.task.binary_images else None
    names, arrays = _image_files.read(images, model, threshold, invert)
    probabilities = _predict(model, arrays)["probabilities"]
    result: list[dict] = [
        {"image": name, "label": int(row.argmax()), "probability": float(row.max())}
        for name, row in zip(names, probabilities, strict=True)
    ]
    if out is not None:
        _image_files.write_labels(out, result)
    rows = [(row["image"], str(row["label"]), f"{row['probability']:.3f}") for row in result]
    _console.show(result, as_json, _console.table(("image", "label", "probability"), rows))


@click.command()
@_console.run
@click.argument("images", type=_FILE, nargs=-1)
@click.option("--max", "most", type=int, help="Largest K to try.  [default: 8 groups, 12 clusters]")
@click.option("--trainings", default=3, show_default=True, help="For each K, of clusters.")
@_console.processes
@click.option("--out", type=_console.PATH, help="Plot to write.  [default: in RUN]")
@_console.reading_images
@_console.data_dir
@_console.as_json
def select(
    run: pathlib.Path,
    images: tuple[pathlib.Path, ...],
    most: int | None,
    trainings: int,
    processes: int | None,
    out: pathlib.Path | None,
    threshold: float | None,
    invert: bool,
    data_dir: str | None,
    as_json: bool,
) -> None:
    """Pick the number of groups that explains IMAGES best, or of clusters to agree on.

    Without IMAGES it takes the run's test images. For a run that groups it plots the
    log-likelihood of each number. For one that clusters it trains the run's preset several times
    with each number, into folders select/clusters-K in RUN, and plots how well these agree.
    """
    _console.load_tensorflow()
    from tfbind import _image_files, training

    folder = training.Run(run)
    model, preset = folder.load(), folder.preset
    counts_clusters = "num_clusters" in preset.settings()
    if not counts_clusters:
        _console.check_output(folder, model, "assignments", _GROUPS)
    threshold = threshold if preset.task.binary_images else None
    with _console.progress():
        if images:
            _, arrays = _image_files.read(images, model, threshold, invert)
        else:
            arrays = folder.source(data_dir).test().image
        if counts_clusters:
            found = _select_clusters(folder, arrays, most, data_dir, trainings, processes)
        else:
            found = _select_groups(folder, model, arrays, most)
    _show_selection(found, out, as_json)


def _select_groups(folder, model, images, most):
    from tfbind import plots, training

    candidates = range(2, (8 if most is None else most) + 1)
    selection = training.select_num_groups(model, images, candidates, verbose=1)
    figure, plot = plots.num_groups_figure(selection), folder.path / "num_groups.png"
    return selection, selection.log_likelihoods, "log-likelihood, nats per image", figure, plot


def _select_clusters(folder, images, most, data_dir, trainings, processes):
    from tfbind import plots, training
    from tfbind.training.processes import num_cores

    folder.source(data_dir)  # raises if only the run's caller has what it was trained on
    selection = training.select_preset_clusters(
        folder.preset,
        folder.path / "select",
        range(2, (12 if most is None else most) + 1),
        data_dir,
        images=images,
        trainings=trainings,
        processes=num_cores() if processes is None else processes,
    )
    figure, plot = plots.num_clusters_figure(selection), folder.path / "num_clusters.png"
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


def _predict(model, arrays):
    with _console.progress():
        return model.predict(arrays, batch_size=250, verbose=1 if len(arrays) > 250 else 0)
