"""A run of the adversarial mixture: scores and pictures by hand, its answers wherever it runs."""

import collections
import re
import warnings

import keras
import numpy as np
import PIL.Image
import pytest
import scipy.optimize
import tensorflow_datasets as tfds
from sklearn import metrics as oracle

from tfbind import data, training
from tfbind.training import callbacks, presets
from tfbind.training.run import Source

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tfbind, tmp_path_factory, data_dir):
    """The run folder of amm-tiny, as the command line makes it."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    result = tfbind("train", "amm-tiny", "--run", folder, "--data-dir", data_dir)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def digits(data_dir):
    return data.load("digits", "test", data_dir, keys=("image", "label"))


def matched_error(labels, clusters, num_clusters=10):
    """Share of examples outside the best matching, by SciPy from scikit-learn's table."""
    table = oracle.confusion_matrix(labels, clusters, labels=range(num_clusters))
    kept = table[scipy.optimize.linear_sum_assignment(table, maximize=True)].sum()
    return 1 - kept / len(labels)


def clusters_by_latent(model, images):
    latents = model.predict(images, verbose=0)["latent"]
    return np.argmax(model.component_probabilities(latents), axis=1)


def test_the_scores_are_those_of_both_rules(run, model, digits, data_dir):
    found = training.evaluate(run, data_dir)
    images, labels = digits
    clusters = np.asarray(model(images)["probabilities"]).argmax(axis=1)
    assert found["error"] == pytest.approx(matched_error(labels, clusters))
    frequent = [
        collections.Counter(labels[clusters == k]).most_common(1)[0][1] for k in set(clusters)
    ]
    expected = 1 - sum(frequent) / len(labels)
    assert found["majority_error"] == pytest.approx(expected)
    assert found["majority_error"] <= found["error"]
    by_latent = clusters_by_latent(model, images)
    assert found["latent_error"] == pytest.approx(matched_error(labels, by_latent))
    assert found["num_images"] == 360
    assert found["error"] < 0.85  # ten equal clusters drawn at random have about 84


def test_the_errors_are_followed_during_training(run, digits):
    last = training.Run(run).history[-1]
    assert {"val_error", "val_majority_error", "used_clusters"} <= last.keys()
    images, labels = digits
    clusters = training.Run(run).load().cluster(images)
    assert last["val_error"] == pytest.approx(matched_error(labels, clusters))
    assert 0 < last["marginal_entropy"] <= np.log(10) + 1e-5


def test_the_learning_rate_falls(run):
    rates = [row["learning_rate"] for row in training.Run(run).history]
    expected = [1e-3 * (1 + np.cos(np.pi * epoch / 10)) / 2 for epoch in range(10)]
    np.testing.assert_allclose(rates, expected, rtol=1e-5)


def test_the_pictures_are_of_the_run(run, model, digits, data_dir):
    images, _ = digits
    for name in ("components", "clusters", "reconstructions", "interpolations", "embedding"):
        with PIL.Image.open(run / f"{name}.png") as picture:
            assert min(picture.size) > 150
            assert len(np.unique(np.asarray(picture.convert("L")))) > 20, name


@pytest.mark.serving
@pytest.mark.tflite
def test_answers_are_alike_wherever_it_runs(answer, model, digits):
    images = digits[0][:9]
    random = np.random.default_rng(0)
    class_noise = random.standard_normal((9, 10)).astype("float32")
    noise = random.standard_normal((9, 4)).astype("float32")
    label = np.arange(9, dtype="int32")
    outputs = model.predict(images, verbose=0)
    probabilities, latent = model.encode(images, class_noise, noise)
    everything = {
        "serving_default": ({"image": images}, outputs),
        "classify": (
            {"image": images},
            {
                "probabilities": outputs["probabilities"],
                "latent_probabilities": model.component_probabilities(outputs["latent"]),
            },
        ),
        "encode": (
            {"image": images, "class_noise": class_noise, "noise": noise},
            {"probabilities": probabilities, "latent": latent},
        ),
        "generate": (
            {"label": label, "noise": noise},
            {"generated": model.generate(label, noise)},
        ),
    }
    assert everything.keys() == model.serving_endpoints().keys()
    for endpoint, (inputs, expected) in everything.items():
        found = answer(endpoint, inputs)
        assert np.all(found.pop("valid") == 1)
        assert found.keys() == expected.keys()
        for key, values in expected.items():
            np.testing.assert_allclose(found[key], values, atol=1e-4, err_msg=f"{endpoint} {key}")


@pytest.mark.serving
@pytest.mark.parametrize("answer", ["session", "grpc", "rest"], indirect=True)
def test_a_component_that_is_not_there_gets_no_answer(answer):
    inputs = {"label": np.int32([0, 10]), "noise": np.zeros((2, 4), "float32")}
    found = answer("generate", inputs)
    assert found["valid"].tolist() == [1, 0]
    assert np.all(np.isfinite(found["generated"][0])) and np.all(np.isnan(found["generated"][1]))


# Labels.


def score(preset, model, data_dir):
    return preset.task.score(model, Source(preset.task, data_dir, None).test(), seed=preset.seed)


def training_data_of(preset, data_dir):
    examples = Source(preset.task, data_dir, None).training()
    return preset.task.training_data(examples, preset.batch_size, preset.seed)


def test_the_scores_with_labels(digits, data_dir):
    preset = presets.get("samm-tiny")
    model = preset.build((8, 8, 1))
    found = score(preset, model, data_dir)
    images, labels = digits
    wrong = np.asarray(model(images)["probabilities"]).argmax(axis=1) != labels
    assert found["error"] == pytest.approx(wrong.mean())
    wrong = clusters_by_latent(model, images) != labels
    assert found["latent_error"] == pytest.approx(wrong.mean())
    dataset, _ = training_data_of(preset, data_dir).stream(0)
    kept = {
        (image.tobytes(), int(label))
        for batch in dataset.take(3).as_numpy_iterator()
        for image, label in zip(batch["image"], batch["label"], strict=True)
    }
    assert collections.Counter(label for _, label in kept) == dict.fromkeys(range(10), 10)


# SVHN, which has to be downloaded: made images in the form in which TFDS keeps it.


class SvhnCropped(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Stands in for the builder of TFDS: the same name, version and features."""

    VERSION = tfds.core.Version("3.1.0")

    def _info(self):
        features = {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=(32, 32, 3)),
            "label": tfds.features.ClassLabel(num_classes=10),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(30), "test": self._generate_examples(20)}

    def _generate_examples(self, size):
        images = np.random.default_rng(size).integers(0, 256, (size, 32, 32, 3), np.uint8)
        for key, image in enumerate(images):
            yield key, {"id": str(key), "image": image, "label": key % 10}


@pytest.fixture(scope="module")
def svhn_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("svhn")
    SvhnCropped(data_dir=folder).download_and_prepare()
    return folder


@pytest.mark.parametrize("name", ["amm-svhn", "samm-svhn"])
def test_svhn(name, svhn_dir):
    settings = {"batch_size": 10, "train_split": "train", "watched_split": "train[20:]"}
    settings |= {"num_labels": 20} if name.startswith("samm") else {}
    preset = presets.get(name).changed(**settings)
    training_data = training_data_of(preset, svhn_dir)
    assert training_data.event_shape == (32, 32, 3)
    model = preset.build((32, 32, 3))
    means = np.asarray(model.prior_mean(np.eye(model.num_clusters, dtype="float32")))
    model.compile(keras.optimizers.Adam(2e-4, beta_1=0.5), run_eagerly=True)
    history = model.fit(
        training_data.stream(0)[0], steps_per_epoch=1, shuffle=False, verbose=0
    ).history
    assert np.isfinite(history["loss"]).all()
    np.testing.assert_array_equal(model.prior_mean(np.eye(len(means), dtype="float32")), means)
    scores = score(preset, model, svhn_dir)
    assert scores["num_images"] == 20
    assert 0 <= scores["error"] <= 1


# The warning.


def logs(used=10, entropy=2.3, inferred=0.6, generated=0.6):
    return {
        "used_clusters": used,
        "marginal_entropy": entropy,
        "inferred_accuracy": inferred,
        "generated_accuracy": generated,
    }


COLLAPSED = r"For 2 epochs only 3 of 10 clusters are in use \(marginal entropy 0.90 of 2.30 nats\)"
LOST = r"For 2 epochs the discriminator tells .* \(0.99 and 0.97 right\)"


def collapse_warnings(callback, model, epochs, num_steps):
    """Returns what is said in a training of epochs that log so."""
    callback.set_model(model)
    callback.on_train_begin()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for epoch, row in enumerate(epochs):
            callback.on_train_batch_end(num_steps - 1)
            callback.on_epoch_end(epoch, row)
        callback.on_train_end()
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize(
    ("epochs", "sentences"),
    [
        ([logs()] * 5, []),
        ([logs(3, 0.9), logs(), logs(3, 0.9), logs()], []),
        ([logs(3, 0.9)] * 2, [COLLAPSED]),
        ([logs(3, 0.9)] * 5, [COLLAPSED]),
        ([logs(inferred=0.99, generated=0.97)] * 2, [LOST]),
        ([logs(inferred=0.99, generated=0.5)] * 3, []),
        ([logs(3, 0.9, 0.99, 0.97)] * 2, [COLLAPSED, LOST]),
        ([{"used_clusters": 10, "marginal_entropy": 2.3}] * 2, []),  # of a model without a game
        ([{"used_clusters": 3, "marginal_entropy": 0.9}] * 2, [COLLAPSED]),
    ],
)
def test_a_collapse_is_said_once(epochs, sentences, model):
    callback = callbacks.CollapseWarning(patience=2, min_steps=20)
    found = collapse_warnings(callback, model, epochs, num_steps=10)
    assert len(found) == len(sentences)
    for sentence, expected in zip(found, sentences, strict=True):
        assert re.match(expected, sentence), sentence
        assert sentence.endswith(".")


@pytest.mark.parametrize(
    ("epochs", "after"),
    [
        ([logs(3, 0.9)] * 3 + [logs()] * 3, None),  # too few steps to tell
        ([logs(3, 0.9)] * 3, 3),  # as many as there are
        ([logs(3, 0.9)] * 9, 5),
        ([logs()] * 3 + [logs(3, 0.9)], None),
    ],
)
def test_a_collapse_of_few_steps_is_said_if_it_lasts(epochs, after, model):
    callback = callbacks.CollapseWarning(patience=2, min_steps=50)
    found = collapse_warnings(callback, model, epochs, num_steps=10)
    assert [text.split(" only")[0] for text in found] == ([f"For {after} epochs"] if after else [])
