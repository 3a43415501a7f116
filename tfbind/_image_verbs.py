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
@click.option("--max-groups", type=int, default=8, show_default=True, help="Largest K to try.")
@click.option("--out", type=_console.PATH, help="Plot to write.  [default: RUN/num_groups.png]")
@_console.reading_images
@_console.data_dir
@_console.as_json
def select(
    run: pathlib.Path,
    images: tuple[pathlib.Path, ...],
    max_groups: int,
    out: pathlib.Path | None,
    threshold: float | None,
    invert: bool,
    data_dir: str | None,
    as_json: bool,
) -> None:
    """Pick the number of groups that explains IMAGES best.

    Without IMAGES it takes the run's test images. It plots the log-likelihood of each number.
    """
    _console.load_tensorflow()
    from tfbind import _image_files, plots, training

    folder = training.Run(run)
    model = folder.load()
    _console.check_output(folder, model, "assignments", _GROUPS)
    threshold = threshold if folder.preset.task.binary_images else None
    with _console.progress():
        if images:
            _, arrays = _image_files.read(images, model, threshold, invert)
        else:
            arrays = folder.source(data_dir).test().image
        selection = training.select_num_groups(model, arrays, range(2, max_groups + 1), verbose=1)
    out = out or folder.path / "num_groups.png"
    plots.save(plots.num_groups_figure(selection), out)
    rows = [
        (str(k), f"{value:.2f}", "best" if k == selection.best else "")
        for k, value in zip(selection.candidates, selection.log_likelihoods, strict=True)
    ]
    text = _console.table(("K", "log-likelihood, nats per image", ""), rows)
    result = {**selection._asdict(), "plot": str(out)}
    _console.show(result, as_json, f"{text}\nWrote {out}")


def _predict(model, arrays):
    with _console.progress():
        return model.predict(arrays, batch_size=250, verbose=1 if len(arrays) > 250 else 0)
