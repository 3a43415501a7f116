"""From data to a served answer in one go: what `tfbind quickstart` does."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import time

import click
import numpy as np

from tfbind import _catalogue, _console, export, plots, reporting, serving, training

_PRESET = "rc-shapes"
_LOWEST_AMI = 0.9
_LARGEST_DIFFERENCE = 1e-4
_NUM_STARTS = 3
_NUM_PICTURED = 6
_NUM_ASKED = 4  # images in a request
_COMPARED = ("assignments", "reconstructions", "confidence")
_SECONDS_TO_START = 60


def run(
    directory: str | os.PathLike, data_dir: str | None = None, *, pretrained: bool = False
) -> None:
    """Runs all steps, and says in plain words what each does.

    Args:
        directory: Path of the run folder. A training that was finished there, or interrupted, is
            taken up; the pictures and what was exported are made anew.
        data_dir: Where TFDS keeps its data, or None for TFDS' default.
        pretrained: Whether to take the weights in the box instead of training. The folder then
            gets the pictures and what was exported, and is no run folder.

    Raises:
        RuntimeError: If the score is below 0.90, or the served answers differ from Keras'.
    """
    directory = pathlib.Path(directory)
    preset = training.presets.get(_PRESET)

    _say(1, "Data: images of three shapes each; what is learned from has one shape an image")
    examples = _load(preset, data_dir)

    source = _take(directory) if pretrained else _train(preset, directory, data_dir)
    model = source.load()
    click.echo(f"  {model.count_params():,} weights in {source.path / 'model.keras'}")

    _say(3, "Grouping: copies of it compete for the pixels of images it has never seen")
    _score(preset, source, data_dir)

    _say(4, "Pictures: how the groups form, and a report with all that came of it")
    picture = directory / "groups.png"
    images, _, groups = examples.take(slice(_NUM_PICTURED))
    plots.save(plots.groups_figure(images, model.trace(images), groups), picture)
    click.echo(f"  {picture}")
    with _console.working("Writing the report"):
        page = reporting.report(source, directory / "report.html", data_dir)
    click.echo(f"  {page}")

    _say(5, "Export: a SavedModel for servers, a TFLite file for devices, each loaded and run")
    served, tflite = _export(model, directory / "export", preset.name)

    _say(6, "Serving: one request over REST, one over gRPC")
    images = examples.image[:_NUM_ASKED]
    answers = {"TFLite": _ask_tflite(tflite, images)} | _ask_server(served, images)
    _compare(model.predict(images, verbose=0), answers)

    click.echo(
        f"\nDone. Open {page}, then try\n"
        f"  tfbind list\n"
        f"  tfbind train rc-bars\n"
        f"  tfbind group {_PRESET if pretrained else directory} YOUR.png     (any size)\n"
        f"  tfbind serve {served}"
    )


def _say(step, text):
    click.echo(click.style(f"\n{step}/6 {text}", bold=True))


def _train(preset, directory, data_dir):
    _say(2, "Training: an autoencoder learns to clean up single shapes (about half a minute)")
    with _console.progress():
        training.train(preset, directory, data_dir)
    return training.Run(directory)


def _take(directory):
    """Returns the run folder in the box, and makes the one for the pictures."""
    _say(2, "No training: an autoencoder that cleans up single shapes is in the box")
    directory.mkdir(parents=True, exist_ok=True)
    return training.Run(_catalogue.boxed()[_PRESET])


def _load(preset, data_dir):
    with _console.progress():
        examples = preset.task.load(preset.task.test_split, data_dir)
    number, height, width = examples.image.shape[:3]
    click.echo(f"  {number} test images of {height} x {width} pixels")
    return examples


def _score(preset, source, data_dir):
    """Scores a run beside the paper; raises if it has learned too little."""
    with _console.progress():
        scores = training.evaluate(source, data_dir, _NUM_STARTS, verbose=1)
    click.echo(
        f"  AMI {scores['ami']:.3f} on {scores['num_images']} images; the paper has "
        f"{preset.paper.score:.3f} (1 is perfect, 0 is chance)"
    )
    if not scores["ami"] >= _LOWEST_AMI:
        raise RuntimeError(
            f"The AMI must be at least {_LOWEST_AMI}. Received: {scores['ami']:.3f}."
        )


def _export(model, directory, name):
    """Exports and checks; returns the folder of SavedModel versions and the TFLite file."""
    shutil.rmtree(directory, ignore_errors=True)
    served, tflite = directory / name, directory / f"{name}.tflite"
    with _console.working("Writing the SavedModel"):
        export.export_saved_model(model, served)
    with _console.working("Writing the TFLite file"):
        export.export_tflite(model, tflite)
    for artifact in (served, tflite):
        with _console.working(f"Checking {artifact}"):
            endpoints = export.check_artifact(artifact)["endpoints"]
        click.echo(f"  {artifact}: sound, with endpoints {', '.join(endpoints)}")
    return served, tflite


def _ask_tflite(path, images):
    with _console.working("Running the TFLite file"):
        runner = export.TFLiteRunner(path)
        answers = [runner("serving_default", {"image": image[None]}) for image in images]
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}


def _ask_server(directory, images):
    with _server(directory) as (what, url, target, name):
        click.echo(f"  {what} at {url} and {target}")
        answers = {"SavedModel over REST": serving.RestClient(url, name).predict({"image": images})}
        with serving.GrpcClient(target, name) as client:
            answers["SavedModel over gRPC"] = client.predict({"image": images})
    return answers


@contextlib.contextmanager
def _server(directory):
    """Serves a folder as `tfbind serve` would; yields which server, its addresses, the name."""
    if not shutil.which("tensorflow_model_server"):
        with serving.ReferenceServer(directory) as server:
            yield "reference server", server.url, server.target, server.name
        return
    port, rest_port = _free_ports()
    command = serving.server_command(directory, port, rest_port)
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet) as process:
        try:
            url, target = f"http://127.0.0.1:{rest_port}", f"127.0.0.1:{port}"
            _wait_for(process, serving.RestClient(url, directory.name))
            yield command[0], url, target, directory.name
        finally:
            process.terminate()


def _free_ports():
    with socket.socket() as first, socket.socket() as second:
        for probe in (first, second):
            probe.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


def _wait_for(process, client):
    deadline = time.monotonic() + _SECONDS_TO_START
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(serving.ServingError):
            if "AVAILABLE" in client.status().values():
                return
        time.sleep(0.2)
    raise RuntimeError(f"{process.args[0]} must start to serve. Received: no answer from it.")


def _compare(expected, answers):
    """Prints how far each answer is from Keras'; raises if one is too far."""
    differences = {
        source: np.max([np.max(np.abs(answer[name] - expected[name])) for name in _COMPARED])
        for source, answer in answers.items()
    }
    for source, difference in differences.items():
        click.echo(f"  {source}: at most {difference:.1e} from Keras")
    largest = np.max(list(differences.values()))  # NaN if one is
    if not largest <= _LARGEST_DIFFERENCE:
        raise RuntimeError(
            f"The answers must be within {_LARGEST_DIFFERENCE:.0e} of Keras'. "
            f"Received: {largest:.1e}."
        )
    click.echo(f"  All {1 + len(answers)} answers to the same {_NUM_ASKED} images agree.")
