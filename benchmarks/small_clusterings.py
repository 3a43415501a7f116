"""Clustering of small sets of vectors that nobody tuned for: one setting a method, for all sets.

    python -m benchmarks.small_clusterings [--seeds 3] [--only NAME ...] [--sets NAME ...]

Prints a table in Markdown: accuracy after the best matching of clusters and classes, mean and range
over the seeds, and seconds of a processor a run. Features are standardised.
Methods whose package is missing are left out: ClustPy needs torch, which an environment of its own
may have, with this file, scikit-learn and no tfbind: `python benchmarks/small_clusterings.py`.
Every run of a row is reported as it ends, since those of ours take tens of seconds of a processor,
most of which goes into tracing and compiling each model anew.

The settings of our models were chosen on other sets: scikit-learn's iris, made sets of five and
eight clusters in 15 and 30 dimensions, four arcs in 12, and four newsgroups in 30.
"""

import argparse
import sys
import time
import warnings

import numpy as np
from scipy import optimize
from sklearn import cluster, datasets, mixture, preprocessing

_EPOCHS, _STEPS = 60, 10  # of every training of ours, whatever the size of the set


def _blobs():
    """Five Gaussian clusters of unequal size and spread in 20 dimensions."""
    spreads = [1.0, 1.5, 2.0, 2.5, 3.0]
    return datasets.make_blobs(
        [500, 250, 120, 60, 30], 20, cluster_std=spreads, center_box=(-2, 2), random_state=0
    )


def _arcs():
    """Two half moons and a spot of a third of their size, turned into 10 dimensions with noise."""
    random = np.random.default_rng(0)
    moons, kinds = datasets.make_moons(600, noise=0.08, random_state=0)
    spot = [0.5, 2.0] + 0.2 * random.standard_normal((100, 2))
    flat = np.concatenate([moons, spot])
    turned = flat @ np.linalg.qr(random.standard_normal((10, 10)))[0][:2]
    kinds = np.concatenate([kinds, np.full(100, 2)])
    return turned + 0.05 * random.standard_normal(turned.shape), kinds


SETS = {
    "wine": lambda: datasets.load_wine(return_X_y=True),
    "breast cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "digits": lambda: datasets.load_digits(return_X_y=True),
    "unequal blobs": _blobs,
    "arcs": _arcs,
}


def _k_means(x, num_clusters, seed):
    return cluster.KMeans(num_clusters, n_init=10, random_state=seed).fit_predict(x)


def _spectral(x, num_clusters, seed):
    method = cluster.SpectralClustering(
        num_clusters, affinity="nearest_neighbors", random_state=seed
    )
    return method.fit_predict(x)


def _gaussians(x, num_clusters, seed):
    method = mixture.GaussianMixture(num_clusters, n_init=10, random_state=seed)
    return method.fit_predict(x.astype("float64"))


def _dec(x, num_clusters, seed):
    from clustpy import deep
    from clustpy.deep.neural_networks import FeedforwardAutoencoder

    layers = [x.shape[1], 64, 64, min(10, x.shape[1])]  # as large as ours
    method = deep.DEC(
        num_clusters,
        neural_network=(FeedforwardAutoencoder, {"layers": layers}),
        embedding_size=layers[-1],
        random_state=seed,
        device="cpu",
    )
    return method.fit(x).labels_


def _ours(name, rate, *sizes, **settings):
    """Returns what trains a model of tfbind, as a newcomer would."""

    def find(x, num_clusters, seed):
        import keras

        import tfbind

        keras.utils.set_random_seed(seed)
        make = getattr(tfbind, name)
        model = make(x.shape[1:], num_clusters, *sizes, seed=seed, **settings)
        model.compile(keras.optimizers.Adam(rate))
        model.fit(x, batch_size=-(-len(x) // _STEPS), epochs=_EPOCHS, verbose=0)
        return model.cluster(x, batch_size=500)

    return find


METHODS = {
    "k-means": _k_means,
    "spectral": _spectral,
    "Gaussian mixture": _gaussians,
    "DEC (ClustPy)": _dec,
    "PseudoLabelEnsemble": _ours("PseudoLabelEnsemble", 1e-2, first_epochs=30, round_epochs=6),
    "SelfLabeling": _ours("SelfLabeling", 1e-2),
    'SelfLabeling, marginal="learned"': _ours("SelfLabeling", 1e-2, marginal="learned"),
    "AdversarialMixture": _ours(
        "AdversarialMixture", 1e-3, 4, hidden_units=(64, 64), output_activation="linear"
    ),
}


def accuracy(labels, clusters):
    """Returns the share of examples in the best matching of clusters and classes."""
    table = np.zeros((labels.max() + 1, clusters.max() + 1))
    np.add.at(table, (labels, clusters), 1)
    return table[optimize.linear_sum_assignment(-table)].sum() / len(labels)


def scored(find, x, labels, seeds):
    """Returns a cell of the table."""
    start, num_clusters = time.process_time(), labels.max() + 1
    found = []
    for seed in range(seeds):
        found.append(accuracy(labels, find(x, num_clusters, seed)))
        print(f"  seed {seed}: {found[-1]:.3f}", file=sys.stderr, flush=True)
    seconds = (time.process_time() - start) / seeds
    return f"{np.mean(found):.3f} ({min(found):.3f}–{max(found):.3f}), {seconds:.3g} s"


def main(arguments=None):
    """Prints the table, one row a method, as they come."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.small_clusterings")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each (default: 3)")
    parser.add_argument("--only", action="append", choices=METHODS, help="of the methods")
    parser.add_argument("--sets", action="append", choices=SETS, help="of the data sets")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")  # of rounds without agreement, among others
    names = options.sets or list(SETS)
    print(f"| method | {' | '.join(names)} |\n|---|{'---|' * len(names)}", flush=True)
    for method in options.only or METHODS:
        try:
            print(f"| {method} | {' | '.join(_row(method, names, options.seeds))} |", flush=True)
        except ImportError as error:
            print(f"{method} is left out: {error}", file=sys.stderr)


def _row(method, names, seeds):
    for name in names:
        x, labels = SETS[name]()
        x = preprocessing.StandardScaler().fit_transform(x).astype("float32")
        cell = scored(METHODS[method], x, labels, seeds)
        print(f"{method}, {name}: {cell}", file=sys.stderr, flush=True)  # they may take long
        yield cell


if __name__ == "__main__":
    main()
