"""k-means on the features of the preset kingdra-newsgroups, ten starts.

python -m benchmarks.cluster_newsgroups [--starts 10]
"""

import argparse
import time

import numpy as np
from scipy import sparse
from sklearn import cluster

from tfbind import data, metrics


def main(arguments=None):
    """Prints a row a start, and the one of the least inertia, which is what k-means would keep."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster_newsgroups")
    parser.add_argument("--starts", type=int, default=10, help="runs (default: 10)")
    options = parser.parse_args(arguments)
    weights, labels = data.load("newsgroups", "train", keys=("image", "label"))
    weights = sparse.csr_array(weights)
    rows = []
    for seed in range(options.starts):
        start = time.process_time()
        found = cluster.KMeans(20, n_init=1, random_state=seed).fit(weights)
        accuracy = metrics.clustering_accuracy(labels, found.labels_)
        rows.append((found.inertia_, accuracy))
        seconds = time.process_time() - start
        print(
            f"start {seed}: accuracy {accuracy:.3f}, inertia {found.inertia_:.6g}, {seconds:.0f} s"
        )
    accuracies = np.array(rows)[:, 1]
    print(
        f"mean {accuracies.mean():.3f}, {accuracies.min():.3f} to {accuracies.max():.3f}; "
        f"of the least inertia {min(rows)[1]:.3f}"
    )


if __name__ == "__main__":
    main()
