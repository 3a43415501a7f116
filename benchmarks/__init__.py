"""Ratios between two ways to do the same work, measured side by side; the tests time nothing.

`python -m benchmarks` from the root of the repository runs all of them. A benchmark is a module
`bench_NAME` with a function `run()` that returns rows, dicts with `name`, `unit`, `value`, `goal`
(None where there is none), `at_most` if the goal is an upper limit, and what else it has to say;
`*_seconds` are the two sides compared.
"""

NAMES = (
    "reconstruction_clustering",
    "tracing",
    "training",
    "gemm_share",
    "scaling",
    "metrics",
    "tagger",
    "untapped_vae",
    "adversarial_mixture",
    "pseudo_label_ensemble",
    "labeling",
    "serving",
    "streaming",
    "workers",
)
