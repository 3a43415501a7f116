"""What the features of a clustering run are worth: neighbours, a linear probe, k-means beside it.

    python -m benchmarks.feature_scores RUN [--examples 10000]

Neighbours and the probe learn from training images and their labels, and are scored on test images;
k-means knows no labels, learns from training images, of pixels and of features, and is scored as
the run's clusters are: accuracy is that of the best matching with the classes.
"""

import argparse
import pathlib

import numpy as np
from sklearn import cluster, linear_model, neighbors, pipeline, preprocessing
from sklearn import metrics as sklearn_metrics

from tfbind import metrics, training

_BATCH = 500
_NUM_NEIGHBORS, _SIGMA = 50, 0.1  # of the authors of SeLa


def main(arguments=None):
    """Prints a table of one row, in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feature_scores")
    parser.add_argument("run", type=pathlib.Path, help="folder of a finished run")
    parser.add_argument("--examples", type=int, help="training images to learn from (default: all)")
    parser.add_argument("--data-dir", help="folder of TFDS data sets (default: TFDS' own)")
    options = parser.parse_args(arguments)
    run = training.Run(options.run)
    source, model = run.source(options.data_dir), run.load()
    learned = source.training().take(slice(options.examples)).floats()
    found = {"run": options.run.name, **scores(model, learned, source.test())}
    texts = [x if isinstance(x, str) else f"{x:.4f}" for x in found.values()]
    for cells in (found, ["---"] * len(found), texts):
        print(f"| {' | '.join(cells)} |")


def scores(model, learned, scored, seed=0):
    """Returns a dict of scores, fractions, of a model with `features` and `probabilities`.

    Args:
        model: A clustering model, such as a `SelfLabeling`.
        learned: `Examples` to learn from, with labels.
        scored: `Examples` to score on, with labels.
        seed: Integer, of k-means.
    """
    found, test = (model.predict(x.image, _BATCH, verbose=0) for x in (learned, scored))
    features = found["features"], test["features"]
    pixels = [x.image.reshape(len(x.image), -1) for x in (learned, scored)]
    clusters = test["probabilities"].argmax(axis=1)
    num_clusters = test["probabilities"].shape[1]
    by_features, by_pixels = (_k_means(*x, num_clusters, seed) for x in (features, pixels))
    return {
        "accuracy": metrics.clustering_accuracy(scored.label, clusters),
        "majority": metrics.purity(scored.label, clusters),
        "NMI": sklearn_metrics.normalized_mutual_info_score(scored.label, clusters),
        "kNN": neighbors_accuracy(*features, learned.label, scored.label),
        "kNN, pixels": neighbors_accuracy(*pixels, learned.label, scored.label),
        "linear probe": probe_accuracy(*features, learned.label, scored.label),
        "k-means, features": metrics.clustering_accuracy(scored.label, by_features),
        "k-means, pixels": metrics.clustering_accuracy(scored.label, by_pixels),
    }


def neighbors_accuracy(learned, scored, learned_labels, scored_labels):
    """Returns the accuracy of 50 neighbours, a vote of which weighs exp(cosine / 0.1)."""

    def weight(distances):  # of normalised vectors: cosine = 1 - distance^2 / 2
        return np.exp(-np.square(distances) / (2.0 * _SIGMA))

    classifier = pipeline.make_pipeline(
        preprocessing.Normalizer(),
        neighbors.KNeighborsClassifier(min(_NUM_NEIGHBORS, len(learned)), weights=weight),
    )
    return classifier.fit(learned, learned_labels).score(scored, scored_labels)


def probe_accuracy(learned, scored, learned_labels, scored_labels):
    """Returns the accuracy of a logistic regression on standardised features."""
    classifier = pipeline.make_pipeline(
        preprocessing.StandardScaler(), linear_model.LogisticRegression(max_iter=500)
    )
    return classifier.fit(learned, learned_labels).score(scored, scored_labels)


def _k_means(learned, scored, num_clusters, seed):
    k_means = cluster.KMeans(num_clusters, n_init=3, random_state=seed)
    return k_means.fit(learned).predict(scored)


if __name__ == "__main__":
    main()
