"""The command line: one thin command a verb, which imports what it needs when it runs.

Results go to standard output, progress and errors to standard error.
"""

import pathlib
from typing import Any

import click

from tfbind import (
    _bench_verb,
    _catalogue,
    _console,
    _data_options,
    _export_verbs,
    _image_verbs,
    _listing,
    _numbers,
    _report_verb,
    _serve_verb,
    _web_verb,
)

_artifact = click.argument("artifact", type=_console.PATH)


@click.group(cls=_console.Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tfbind")
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
def main(debug: bool) -> None:
    """Find the parts of unlabelled data, and ship the models that do.

    A first look, from data to a served answer: tfbind quickstart
    """


@main.command()
@click.argument("preset")
@click.option("--run", type=_console.PATH, help="Folder for the run.  [default: runs/PRESET]")
@click.option("--data", help="Your own: a folder of pictures, an array, a table, or a data set.")
@_data_options.for_training
@_data_options.numbers
@_console.data_dir
@click.option("--seed", type=int, help="Shorthand for --set seed=SEED.")
@click.option(
    "--starts", type=int, help="Shorthand for --set starts=STARTS: keep the best of them."
)
@click.option("--seeds", metavar="SEED,...", help="Train with each, and compare their scores.")
@_console.processes
@click.option("--workers", metavar="HOST:PORT,...", help="All that train together, this one too.")
@click.option("--index", type=int, help="Which of the workers this is, from 0 on.")
@click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="Change a setting.")
@_console.as_json
def train(
    preset: str,
    run: pathlib.Path | None,
    data: str | None,
    told: dict[str, Any],
    wanted: dict[str, Any],
    data_dir: str | None,
    seed: int | None,
    starts: int | None,
    seeds: str | None,
    processes: int | None,
    workers: str | None,
    index: int | None,
    changes: tuple[str, ...],
    as_json: bool,
) -> None:
    """Train PRESET into a run folder, on its data or on your own.

    With `auto` for PRESET it looks at your data and chooses. A training that was interrupted
    there goes on to the weights it would have had. With --starts it trains from several seeds, and
    the run is the one that looks best without labels. With --seeds there is a folder seed-SEED for
    each in the run folder, and a table of their scores. With --workers the same command on every
    machine, each with an --index of its own, trains one model; worker 0 has the run.
    """
    _catalogue.check_preset(preset, ("auto", *_listing.presets()))
    _console.load_tensorflow()
    from tfbind import _training, training
    from tfbind.training.processes import num_cores

    team = None if workers is None else workers.split(",")
    if team is not None or index is not None:
        _join(team, index, seeds)
    given = {"seed": seed, "starts": starts}
    changes = (*changes, *(f"{name}={x}" for name, x in given.items() if x is not None))
    plan = _training.planned(preset, data, told, wanted, changes)
    processes = num_cores() if processes is None else processes
    if seeds is None:
        folder = training.Run(run or pathlib.Path("runs") / plan.preset.name)
        _train_one(plan, folder, data_dir, processes, team, index, as_json)
    else:
        several = run or pathlib.Path("runs") / f"{plan.preset.name}-seeds"
        _train_several(plan, several, _read_seeds(seeds), data_dir, processes, as_json)


def _join(team, index, seeds):
    """Waits for the other workers, before TensorFlow does anything else."""
    from tfbind.training import workers

    if seeds is not None:
        raise ValueError("`--seeds` must not be given with `--workers`. Received: both.")
    with _console.working("Waiting for the other workers"):
        workers.team_of(team, index)


def _train_one(plan, folder, data_dir, processes, team, index, as_json):
    from tfbind import _training, plots, reporting, training

    with _console.progress():
        plan.train(folder, data_dir, processes, team, index)
    if index:
        click.echo(f"Worker {index} is done; worker 0 has the run.", err=True)
        return
    with _console.progress():
        figures = training.figures(folder, data_dir)
    for name, figure in figures.items():
        plots.save(figure, folder.path / name)
    with _console.working("Writing the report"):
        page = reporting.report(folder, data_dir=data_dir, data=plan.own)
    result = {"run": str(folder.path), "preset": plan.preset.name, **folder.metrics}
    text = _training.told(folder, [*figures, page.name])
    _console.show({**result, "report": str(page)}, as_json, text)


def _read_seeds(text):
    """Returns the integers of a text such as "1,2,3"."""
    try:
        return [int(each) for each in text.split(",")]
    except ValueError:
        raise ValueError(
            f"`--seeds` must be integers with commas between them. Received: seeds={text!r}."
        ) from None


def _train_several(plan, directory, seeds, data_dir, processes, as_json):
    from tfbind import training
    from tfbind.training.several import mean_and_spread

    with _console.progress():
        scores = training.train_seeds(
            plan.preset, directory, seeds, data_dir, data=plan.own, processes=processes
        )
    summary = mean_and_spread(scores)
    rows = [
        (
            name,
            *(_numbers.said(name, x) for x in (*pair, *(each[name] for each in scores.values()))),
        )
        for name, pair in summary.items()
    ]
    header = ("score", "mean", "spread", *(f"seed {seed}" for seed in scores))
    result = {
        "runs": str(directory),
        "preset": plan.preset.name,
        "seeds": scores,
        "mean": {name: mean for name, (mean, _) in summary.items()},
        "spread": {name: spread for name, (_, spread) in summary.items()},
    }
    text = f"{_console.table(header, rows)}\nWrote {directory}, with seeds.csv."
    _console.show(result, as_json, text)


@main.command()
@_console.run
@click.option("--starts", default=5, show_default=True, help="Fresh starts to average over.")
@click.option("--split", help="TFDS split to score on.  [default: the run's]")
@_console.regrouping
@_console.data_dir
@_console.as_json
def evaluate(
    run: pathlib.Path,
    starts: int,
    split: str | None,
    num_groups: int | None,
    iterations: int | None,
    data_dir: str | None,
    as_json: bool,
) -> None:
    """Score a RUN or a preset in the box on its test data, beside the paper."""
    _console.load_tensorflow()
    from tfbind import _training, training

    folder = training.Run(training.located(run))
    with _console.progress():
        scores = training.evaluate(
            folder,
            data_dir,
            starts,
            verbose=1,
            split=split,
            num_groups=num_groups,
            num_iterations=iterations,
        )
    preset = folder.preset
    rows = _numbers.beside_paper(scores, preset.task.METRIC, preset.paper.score)
    result = {"preset": preset.name, **scores, "paper_score": preset.paper.score}
    text = f"{_console.table(('score', 'here', 'paper'), rows)}\n{_training.after_scoring(run)}"
    _console.show(result, as_json, text)


@main.command()
@click.argument("preset")
@click.option("--trials", default=100, show_default=True, help="Settings to try.")
@click.option("--out", type=_console.PATH, help="Folder for the trials.  [default: runs/search]")
@click.option("--seed", default=0, show_default=True, help="Seed of the draws.")
@_console.data_dir
@_console.as_json
def search(
    preset: str,
    trials: int,
    out: pathlib.Path | None,
    seed: int,
    data_dir: str | None,
    as_json: bool,
) -> None:
    """Search better settings for PRESET at random.

    The ranges are the paper's. A search that was interrupted goes on where it was.
    """
    _catalogue.check_preset(preset, _listing.presets())
    _console.load_tensorflow()
    from tfbind.training import presets
    from tfbind.training import search as searching

    out = out or pathlib.Path("runs") / "search"
    with _console.progress():
        found = searching.search(presets.get(preset), out, trials, data_dir, seed=seed, verbose=1)
    settings = searching.SETTINGS
    result = [
        {"ami": score, **{name: trial.setting(name).value for name in settings}}
        for trial, score in found
    ]
    rows = [
        (_numbers.number(row["ami"]), *(_numbers.number(row[name], ".4g") for name in settings))
        for row in result[:10]
    ]
    _console.show(result, as_json, _console.table(("ami", *settings), rows))


@main.command()
@click.option("--pretrained", is_flag=True, help="With the weights in the box: no training.")
@click.option("--out", type=_console.PATH, help="Folder to write to.  [default: runs/quickstart]")
@_console.data_dir
def quickstart(pretrained: bool, out: pathlib.Path | None, data_dir: str | None) -> None:
    """Go from data to a served answer in minutes, or in seconds with --pretrained.

    With --pretrained the default folder is runs/pretrained.
    """
    _console.load_tensorflow()
    from tfbind import quickstart as steps

    out = out or pathlib.Path("runs") / ("pretrained" if pretrained else "quickstart")
    steps.run(out, data_dir, pretrained=pretrained)


for _verb in (
    _listing.list_presets,
    _report_verb.report,
    _serve_verb.serve,
    _export_verbs.export,
    _export_verbs.check,
    _bench_verb.bench_artifact,
    _web_verb.web,
    _image_verbs.group,
    _image_verbs.cluster,
    _image_verbs.select,
):
    main.add_command(_verb)
