"""The command line: see the package."""

import argparse
import pathlib

import benchmarks.paper_scale


def main(arguments=None):
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.paper_scale",
        description=benchmarks.paper_scale.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(required=True)
    for add in (_add_prepare, _add_run, _add_collect, _add_restore):
        add(verbs)
    options = vars(parser.parse_args(arguments))
    options.pop("function")(**options)


def _add_verb(verbs, name, function, text):
    verb = verbs.add_parser(name, help=text)
    verb.add_argument("kit", metavar="KIT", type=pathlib.Path)
    verb.set_defaults(function=function)
    return verb


def _add_prepare(verbs):
    verb = _add_verb(verbs, "prepare", _prepare, "presets to programs and data")
    verb.add_argument("names", metavar="PRESET", nargs="*", help="default: those of paper size")
    verb.add_argument("--seeds", help="such as 1,2,3; default: the preset's")
    verb.add_argument("--data-dir", help="where TFDS keeps its data")


def _add_run(verbs):
    verb = _add_verb(verbs, "run", _run, "train")
    verb.add_argument("names", metavar="PRESET", nargs="*", help="default: all, in their order")
    verb.add_argument("--minutes", type=float, default=9.0, help="for all of it; default: 9")
    verb.add_argument(
        "--epochs", dest="max_epochs", type=int, help="at most; default: the preset's"
    )
    verb.add_argument("--device", help="such as cpu, cuda or tpu:1; default: JAX' own choice")
    verb.add_argument("--results", type=pathlib.Path, help="folder to `collect` into in the end")


def _add_collect(verbs):
    verb = _add_verb(verbs, "collect", _collect, "pack what came of it")
    verb.add_argument("results", metavar="RESULTS", type=pathlib.Path)


def _add_restore(verbs):
    verb = _add_verb(verbs, "restore", _restore, "run folders of what came back")
    verb.add_argument("--results", dest="collected", type=pathlib.Path, help="what `collect` made")
    verb.add_argument("--runs", type=pathlib.Path, help="folder of run folders; default: KIT/runs")
    verb.add_argument("--data-dir", help="where TFDS keeps its data")


# Each verb loads what it needs alone: TensorFlow here, JAX there.


def _prepare(kit, names, seeds, data_dir):
    from benchmarks.paper_scale.prepare import PRESETS, prepare

    numbers = None if seeds is None else [int(seed) for seed in seeds.split(",")]
    prepare(kit, names or PRESETS, numbers, data_dir)


def _run(kit, results, **options):
    from benchmarks.paper_scale.run import run

    run(kit, **options)
    if results is not None:
        _collect(kit, results)


def _collect(kit, results):
    from benchmarks.paper_scale.results import collect

    collect(kit, results)


def _restore(kit, **options):
    from benchmarks.paper_scale.restore import restore

    restore(kit, **options)


if __name__ == "__main__":
    main()
