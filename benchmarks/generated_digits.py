"""Whether what an adversarial mixture generates is of the class that the component stands for.

    python -m benchmarks.generated_digits RUN [--images 500]

A convolutional classifier, which learns from all training labels and is there for this alone, reads
samples of every component. A component stands for the class that the best matching of clusters and
classes gives it, on the test images; of a model with labels for the class of its number.
"""

import argparse
import pathlib

import keras
import numpy as np

from tfbind import metrics, training
from tfbind.models import SemiSupervisedAdversarialMixture

_BATCH = 500
_EPOCHS = 3


def main(arguments=None):
    """Prints the share that is read as the component's class, in all and for each component."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generated_digits")
    parser.add_argument("run", type=pathlib.Path, help="folder of a finished run")
    parser.add_argument("--images", type=int, default=500, help="samples a component")
    parser.add_argument("--data-dir", help="folder of TFDS data sets (default: TFDS' own)")
    options = parser.parse_args(arguments)
    run = training.Run(options.run)
    source, model = run.source(options.data_dir), run.load()
    scored = source.test()
    classifier = trained(source.training().floats(), run.preset.seed)
    read = classifier.predict(scored.image, _BATCH, verbose=0).argmax(axis=1)
    names = classes_of(model, scored)
    shares = shares_read(model, classifier, names, options.images, run.preset.seed)
    print(f"classifier, test images: {np.mean(read == scored.label):.4f}")
    print(f"generated images read as their component's class: {shares.mean():.4f}")
    print(", ".join(f"{name}: {share:.3f}" for name, share in zip(names, shares, strict=True)))


def trained(examples, seed):
    """Returns a classifier of images that has learned their labels."""
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Input(examples.image.shape[1:])]
    for channels in (32, 64):
        layers += [keras.layers.Conv2D(channels, 3, activation="relu"), keras.layers.MaxPooling2D()]
    layers += [keras.layers.Flatten(), keras.layers.Dropout(0.3)]
    layers += [keras.layers.Dense(int(examples.label.max()) + 1, activation="softmax")]
    model = keras.Sequential(layers)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(examples.image, examples.label, batch_size=100, epochs=_EPOCHS, verbose=0)
    return model


def classes_of(model, scored):
    """Returns the class that each component stands for, -1 for one that is left over."""
    if isinstance(model, SemiSupervisedAdversarialMixture):
        return np.arange(model.num_clusters)
    found = model.cluster(scored.image, _BATCH)
    classes, clusters, table = metrics.class_table(scored.label, found)
    rows, columns = metrics.best_matching(table)
    names = np.full(model.num_clusters, -1)
    names[clusters[columns]] = classes[rows]
    return names


def shares_read(model, classifier, names, num_images, seed):
    """Returns the share of each component's samples that are read as its class."""
    random = np.random.default_rng(seed)
    shares = []
    for component, name in enumerate(names):
        noise = random.standard_normal((num_images, model.latent_dim)).astype("float32")
        images = model.generate([component] * num_images, noise)
        read = classifier.predict(np.asarray(images), _BATCH, verbose=0).argmax(axis=1)
        shares.append(np.mean(read == name))
    return np.array(shares)


if __name__ == "__main__":
    main()
