"""Runs the benchmarks one by one, each in a process of its own, and reports."""

import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

import numpy as np
from matplotlib.figure import Figure

import benchmarks
from benchmarks import _measure
from tfbind import _files, plots

_HERE = pathlib.Path(__file__).resolve().parent
_PACKAGES = ("tfbind", "tensorflow", "keras", "numpy", "scikit-learn")
_TITLES = {  # of the pictures of growth, by benchmark
    "labeling": "Buckets of an ensemble's agreement",
    "scaling": "Reconstruction Clustering, 10 iterations",
    "tagger": "Training step of Tagger",
}


def main(arguments=None):
    """Runs what the command line asks for; exits with 1 if a benchmark fails."""
    options = _parse(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    rows, curves = [], {}
    for number, name in enumerate(options.only or benchmarks.NAMES, start=1):
        total = len(options.only or benchmarks.NAMES)
        _measure.progress(f"{name}, benchmark {number} of {total}")
        found = _run(name)
        rows += found
        curves[name] = [row for row in found if "sizes" in row["details"]]
    path = options.json or options.out / "results.json"
    _write(path, json.dumps({**_machine(), "rows": rows}, indent=2) + "\n")
    print(table(rows))
    print(f"\nDetails are in {path}", end="")
    for name in filter(curves.get, curves):
        plots.save(plot(curves[name], _TITLES[name]), options.out / f"{name}.png")
        print(f", growth of time in {options.out / name}.png", end="")
    print(".")


def _parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=benchmarks.__doc__)
    parser.add_argument("--json", type=pathlib.Path, help="where to write (default: in --out)")
    parser.add_argument(
        "--only", action="append", choices=benchmarks.NAMES, help="run this one; may be repeated"
    )
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=_HERE,
        help="folder of the results (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def _run(name):
    start = time.monotonic()
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    command = [sys.executable, "-m", "benchmarks._measure", name]
    finished = subprocess.run(command, stdout=subprocess.PIPE, env=environment, cwd=_HERE.parent)
    if finished.returncode:
        sys.exit(f"The benchmark {name!r} failed with exit code {finished.returncode}; see above.")
    _measure.progress(f"  done after {time.monotonic() - start:.0f} s")
    return json.loads(finished.stdout)


def _machine():
    versions = {package: importlib.metadata.version(package) for package in _PACKAGES}
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_average": os.getloadavg()[0],
        "versions": {"python": platform.python_version(), **versions},
    }


def table(rows):
    """Returns text with a line a row: name, value, goal, whether it is met, both sides."""
    lines = [("benchmark", "value", "goal", "met", "sides")]
    lines += [(row["name"], f"{row['value']:.4g} {row['unit']}", *_verdict(row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [map(str.ljust, line, widths) for line in lines]
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def _verdict(row):
    details = row["details"]
    sign = "<=" if details.get("at_most") else ">="
    goal = "" if row["goal"] is None else f"{sign} {row['goal']:g}"
    met = {None: "", True: "yes", False: "NO"}[row["met"]]
    sides = [
        f"{key.removesuffix('_seconds')} {seconds:.3g} s"
        for key, seconds in details.items()
        if key.endswith("_seconds") and key != "compile_seconds"
    ]
    return goal, met, ", ".join(sides)


def plot(rows, title):
    """Returns a figure with a log-log panel for each row, its fitted line and slope."""
    figure = Figure(figsize=(4 * len(rows), 3.6), layout="constrained")
    panels = figure.subplots(1, len(rows), sharey=True, squeeze=False)[0]
    for panel, row in zip(panels, rows, strict=True):
        details = row["details"]
        sizes, milliseconds = np.array(details["sizes"]), 1000 * np.array(details["times"])
        fitted = np.exp(np.polyval([row["value"], details["intercept"]], np.log(sizes)))
        panel.loglog(sizes, milliseconds, "o", label="measured")
        label = f"slope {row['value']:.2f} over {sizes[0]} to {sizes[-1]}"
        panel.loglog(sizes, 1000 * fitted, "-", label=label)
        panel.set_xticks(sizes, map(str, sizes))
        panel.minorticks_off()
        panel.set_xlabel(details["axis"])
        panel.set_title(details["fixed"], fontsize="small")
        panel.legend(fontsize="small", frameon=False)
    panels[0].set_ylabel("milliseconds")
    figure.suptitle(f"{title}: growth of time")
    return figure


def _write(path, text):
    with _files.replacing(path) as partial:
        partial.write_text(text)


if __name__ == "__main__":
    main()
