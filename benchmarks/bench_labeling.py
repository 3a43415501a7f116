"""Labels that trainings make: graphs of tuples against pairs, Sinkhorn's iterations against POT."""

import json
import subprocess
import sys
import time

import numpy as np
import ot
import scipy.stats
import tensorflow as tf

from benchmarks import _measure
from tfbind.labeling import agreement_buckets, balanced_labels

_NUM_KINDS = 10
SIZES = (5_000, 10_000, 20_000, 35_000, 70_000, 140_000)
_ROWS_AT_ONCE = 250  # of the N x N table, of which counts and one row at a time are all we need


def run(
    *, sizes=SIZES, target=70_000, num_members=10, num_pot=5_000, num_large=1_000_000,
    num_clusters=128, rounds=3,
):  # fmt: skip
    """Returns rows on the graph step of an ensemble, then on the balanced labels of SeLa.

    The table of all pairs is timed at the smallest of `sizes` and extrapolated as its square to
    `target`. Times are of the CPU, all threads together, since other jobs share the machine.
    """
    return [
        *_graph("realistic", sizes, target, num_members, rounds),
        *_graph("adversarial", sizes, target, num_members, rounds),
        *[_against_pot(kind, num_pot, num_clusters, rounds) for kind in ("equal", "unequal")],
        *_large(num_large, num_clusters),
    ]


def members_clusters(kind, num_rows, num_members, seed=0):
    """Returns int32 `[N, M]`: members with a tenth of errors each way, or that draw at random."""
    random = np.random.default_rng(seed)
    drawn = random.integers(0, _NUM_KINDS, (num_rows, num_members), dtype="int32")
    if kind == "adversarial":
        return drawn
    truth = random.integers(0, _NUM_KINDS, (num_rows, 1), dtype="int32")
    hard = random.random((num_rows, 1)) < 0.1  # all agree on the others
    return np.where(hard & (random.random(drawn.shape) < 0.5), drawn, truth)


def _graph(kind, sizes, target, num_members, rounds):
    clusters = {size: members_clusters(kind, size, num_members) for size in {*sizes, target}}
    sides = {
        str(size): lambda x=x: agreement_buckets(x, num_buckets=_NUM_KINDS)
        for size, x in sorted(clusters.items())
    }
    _check(clusters[sizes[0]])
    pairs = {"pairs": lambda: pairs_buckets(clusters[sizes[0]], _NUM_KINDS)}
    times = _measure.interleaved({**sides, **pairs}, rounds)
    ours, theirs = times[str(target)].cpu_seconds, times["pairs"].cpu_seconds
    extrapolated = theirs * (target / sizes[0]) ** 2
    ratio = {
        "name": f"agreement_{kind}_{target}_rows_against_pairs",
        "unit": "ratio, extrapolated",
        "value": extrapolated / ours,
        "goal": 1000.0 if kind == "realistic" else None,
        "tuples_seconds": ours,
        "pairs_extrapolated_seconds": extrapolated,
        f"pairs_of_{sizes[0]}_rows_seconds": theirs,
        "unique_tuples": len(np.unique(clusters[target], axis=0)),
    }
    return [ratio, _slope(kind, sizes, [times[str(size)].cpu_seconds for size in sizes])]


def _slope(kind, sizes, times):
    fit = scipy.stats.linregress(np.log(sizes), np.log(times))
    return {
        "name": f"agreement_{kind}_growth",
        "unit": "slope",
        "value": float(fit.slope),
        "goal": 1.0,
        "at_most": True,
        "noise": 0.15,  # and the sorting
        "intercept": float(fit.intercept),
        "sizes": list(sizes),
        "times": times,
        "axis": "N, rows",
        "fixed": f"{kind} members",
    }


def _check(clusters):
    ours = agreement_buckets(clusters, num_buckets=_NUM_KINDS)
    if not np.array_equal(ours, pairs_buckets(clusters, _NUM_KINDS)):
        raise RuntimeError("Buckets of tuples and of pairs differ.")


def pairs_buckets(clusters, num_buckets):
    """Returns the buckets of `agreement_buckets` from how many members agree on each pair."""
    agreeing = np.concatenate(
        [
            (clusters[start : start + _ROWS_AT_ONCE, None] == clusters).sum(axis=-1, dtype="int8")
            for start in range(0, len(clusters), _ROWS_AT_ONCE)
        ]
    )  # [N, N]
    friends, kin = agreeing == clusters.shape[1], agreeing > 1
    left = np.ones(len(clusters), bool)
    found = np.full(len(clusters), -1, "int32")
    for bucket in range(num_buckets):
        counts = np.where(left, friends @ left.astype("int32"), 0)
        if not counts.any():
            break
        chosen = friends[counts.argmax()] & left
        found[chosen] = bucket
        left &= ~kin[chosen].any(axis=0)
    return found


def some_logits(num_rows, num_clusters, seed=0):
    random = np.random.default_rng(seed)
    return random.standard_normal((num_rows, num_clusters), dtype="float32")


def some_shares(kind, num_clusters):
    shares = np.ones(num_clusters) if kind == "equal" else np.arange(1.0, num_clusters + 1)
    return shares / shares.sum()


def _against_pot(kind, num_rows, num_clusters, rounds, strength=10.0):
    """Both stop at an error of 1e-3 of the marginals: POT of the norm, we of the sum."""
    logits, shares = some_logits(num_rows, num_clusters), some_shares(kind, num_clusters)
    cost, rows = -logits.astype("float64"), np.full(num_rows, 1 / num_rows)
    sides = {
        "pot": lambda: ot.sinkhorn(
            rows, shares, cost, 1 / strength, "sinkhorn_log", stopThr=1e-3, numItermax=1000
        ),
        "tfbind": lambda: balanced_labels(logits, strength, shares),
    }
    plan, found = sides["pot"](), sides["tfbind"]()
    times = _measure.interleaved(sides, rounds)
    return _measure.compare(
        f"sinkhorn_{kind}_{num_rows}x{num_clusters}", times, "pot", "tfbind",
        goal=1.0,
        iterations=int(found.num_iterations),
        cluster_error=float(found.cluster_error),
        cluster_error_of_pot=float(np.abs(plan.sum(axis=0) - shares).sum()),
    )  # fmt: skip


def _large(num_rows, num_clusters):
    """Returns rows on a problem that a child process solves, so that its memory is its own."""
    command = [sys.executable, "-m", "benchmarks.bench_labeling", str(num_rows), str(num_clusters)]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    name = f"sinkhorn_{num_rows}x{num_clusters}"
    memory = {"name": f"{name}_peak_memory", "unit": "GB", "value": found.pop("gigabytes")}
    error = {"name": f"{name}_unequal_error", "unit": "sum of differences"}
    return [
        {**memory, "goal": 24.0, "at_most": True, **found},
        {**error, "value": found["cluster_error"], "goal": 1e-3, "at_most": True},
    ]


def _solve_large(num_rows, num_clusters):
    logits = tf.constant(some_logits(num_rows, num_clusters))
    shares = some_shares("unequal", num_clusters)
    start, cpu_start = time.perf_counter(), time.process_time()
    found = balanced_labels(logits, 10.0, shares)
    return {
        "solve_seconds": time.perf_counter() - start,
        "solve_cpu_seconds": time.process_time() - cpu_start,
        "iterations": int(found.num_iterations),
        "cluster_error": float(found.cluster_error),
        "gigabytes": _measure.peak_megabytes() / 1024,
    }


if __name__ == "__main__":
    print(json.dumps(_solve_large(*map(int, sys.argv[1:]))))
