"""The verbs that write and check artefacts, thin commands of `tfbind.cli`."""

import pathlib
from typing import Any

import click

from tfbind import _console, _numbers

FORMATS = ("savedmodel", "tflite", "onnx", "stablehlo")
PRECISIONS = ("none", "float16", "dynamic", "weight_only", "int8")
_NUM_EXAMPLES = 100  # on which ranges are measured

_key_file = click.option(
    "--key-file", type=_console.PATH, help="File with the key that signs a SavedModel's card."
)


@click.command()
@_console.run
@click.option("--out", type=_console.PATH, help="Folder to write to.  [default: export in RUN]")
@click.option(
    "--format",
    "formats",
    type=click.Choice(FORMATS),
    multiple=True,
    default=FORMATS[:2],
    show_default=True,
    help="For servers, devices, ONNX Runtime or PJRT; may be repeated.",
)
@click.option(
    "--quantize",
    type=click.Choice(PRECISIONS),
    default="none",
    show_default=True,
    help="Smaller weights in the TFLite file; with int8 8-bit arithmetic.",
)
@click.option("--serving", is_flag=True, help="Write what TF Serving, Docker and Kubernetes need.")
@_key_file
@_console.data_dir
@_console.as_json
def export(
    run: pathlib.Path,
    out: pathlib.Path | None,
    formats: tuple[str, ...],
    quantize: str,
    serving: bool,
    key_file: pathlib.Path | None,
    data_dir: str | None,
    as_json: bool,
) -> None:
    """Write the model of a RUN, a Keras file or a preset in the box for servers and devices.

    Servers take the SavedModel, a new version each time; devices take the TFLite file. ONNX has a
    file an endpoint, StableHLO a folder. All go by default to `export` in a RUN, beside a Keras
    file, or for a preset where you are. For int8, ranges are measured on the RUN's training data.
    """
    if quantize != "none" and "tflite" not in formats:
        raise ValueError(
            "`--quantize` must go with `--format tflite`. "
            f"Received: quantize={quantize!r}, format={', '.join(formats)}."
        )
    for option, given in {"--serving": serving, "--key-file": key_file}.items():
        if given and "savedmodel" not in formats:
            raise ValueError(
                f"`{option}` must go with `--format savedmodel`. "
                f"Received: format={', '.join(formats)}."
            )
    key = _read_key(key_file)
    _console.load_tensorflow()
    from tfbind import _models

    loaded = _models.load(run)
    target = (out or _models.output_folder(run) / "export") / loaded.name
    result: dict[str, Any] = {}
    lines: list[str] = []
    if "savedmodel" in formats:
        result["saved_model"], line = _saved_model(loaded, target, key)
        lines += line
    if serving:
        result["serving"], line = _deployment(target)
        lines += line
    if "tflite" in formats:
        examples = calibration(run, data_dir) if quantize == "int8" else {}
        result["tflite"], line = _tflite(loaded, target, quantize, examples)
        lines += line
    if "onnx" in formats:
        result["onnx"], line = _onnx(loaded, target)
        lines += line
    if "stablehlo" in formats:
        result["stablehlo"], line = _stablehlo(loaded, target)
        lines += line
    _console.show(result, as_json, "\n".join(lines))


def calibration(run: pathlib.Path, data_dir: str | None) -> dict[str, Any]:
    """Returns examples of a run's training data by input name; none of a Keras file."""
    from tfbind import training
    from tfbind.training.loading import is_file

    path = training.located(run)
    if is_file(path):
        click.echo("Mind: ranges are measured on made-up inputs, for a file has no data.", err=True)
        return {}
    with _console.progress():
        examples = training.Run(path).source(data_dir).training()
    return {"image": examples.take(slice(_NUM_EXAMPLES)).floats().image}


def _read_key(path):
    from tfbind import export as exporting

    return None if path is None else exporting.read_key(path)


def _saved_model(loaded, target, key):
    from tfbind import export as exporting

    with _console.working("Writing the SavedModel"):
        path = exporting.export_saved_model(
            loaded.model, target, preparation=loaded.preparation, key=key
        )
    return path, [f"Wrote {path}", f"Next: tfbind serve {_console.quoted(target)}"]


def _deployment(target):
    from tfbind import serving

    path = serving.write_deployment(target.parent)
    return str(path), [f"Wrote {path}, for TF Serving, Docker and Kubernetes"]


def _tflite(loaded, target, quantize, examples):
    from tfbind import export as exporting

    with _console.working("Writing and running the TFLite file"):
        report = exporting.export_tflite(
            loaded.model,
            f"{target}.tflite",
            quantize,
            calibration=examples,
            preparation=loaded.preparation,
        )
    return report, [_said(report)]


def _onnx(loaded, target):
    """Writes a file an endpoint; the one that people expect has no more in its name."""
    from tfbind import export as exporting

    reports = {}
    for name in loaded.model.serving_endpoints():
        path = f"{target}.onnx" if name == "serving_default" else f"{target}.{name}.onnx"
        with _console.working(f"Writing and running ONNX of {name}"):
            reports[name] = exporting.export_onnx(
                loaded.model, path, name, preparation=loaded.preparation
            )
    return reports, [_said(report) for report in reports.values()]


def _stablehlo(loaded, target):
    from tfbind import export as exporting

    with _console.working("Writing StableHLO"):
        path = exporting.export_stablehlo(loaded.model, f"{target}.stablehlo")
    return path, [f"Wrote {path}"]


def _said(report):
    errors = [x["max"] for endpoint in report["errors"].values() for x in endpoint.values()]
    return (
        f"Wrote {report['path']}, {report['bytes'] / 1e6:.1f} MB; "
        f"largest difference from Keras {max(errors):.1e}"
    )


@click.command()
@click.argument("artifact", type=_console.PATH)
@_key_file
@_console.as_json
def check(artifact: pathlib.Path, key_file: pathlib.Path | None, as_json: bool) -> None:
    """Run a SavedModel, TFLite or ONNX file, and look whether it is what its card says.

    Of what `tfbind export` takes it checks the SavedModel, written if need be.
    """
    key = _read_key(key_file)
    _console.load_tensorflow()
    from tfbind import _models
    from tfbind import export as exporting

    with _console.working("Running it"):
        report = exporting.check_artifact(_models.exported(artifact), key=key)
    rows = [
        (
            name,
            ", ".join(map(str, entry["batch_sizes"])),
            _numbers.number(entry["row_difference"], ".1e"),
        )
        for name, entry in report["endpoints"].items()
    ]
    header = ("endpoint", "batch sizes run", "row difference")
    _console.show(report, as_json, f"{report['path']} is sound.\n{_console.table(header, rows)}")
