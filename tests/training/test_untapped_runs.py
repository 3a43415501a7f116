"""A run of the untapped VAE: its scores and pictures by hand, its answers wherever it runs."""

import numpy as np
import PIL.Image
import pytest
from sklearn import linear_model

from tfbind import data
from tfbind.training import evaluate, figures, presets
from tfbind.training.tasks import Examples, unseen_classes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tfbind, tmp_path_factory, data_dir):
    """The run folder of untapped-tiny, as the command line makes it."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    result = tfbind("train", "untapped-tiny", "--run", folder, "--data-dir", data_dir)
    assert result.exit_code == 0, result.output
    assert "with classes.png, manifold.png, report.html" in " ".join(result.stdout.split())
    return folder


@pytest.fixture(scope="module")
def digits(data_dir):
    """A function from a split to images of zeros and ones, and labels."""

    def digits(split):
        images, labels = data.load("digits", split, data_dir, keys=("image", "label"))
        return (images >= 0.5).astype("float32"), labels

    return digits


@pytest.fixture(scope="module")
def decoded(model, digits):
    """What each output decodes to, and a digit's probability given that picture."""
    images, labels = digits("train+test")
    latent = model.encode(images[labels < 5], labels[labels < 5]).numpy().mean(axis=0)
    pictures = model.decode(np.arange(10), np.tile(latent, (10, 1))).numpy()
    regression = linear_model.LogisticRegression(C=0.01, max_iter=1000)
    regression.fit(images.reshape(-1, 64), labels)
    return pictures, regression.predict_proba(pictures.reshape(10, 64))


def test_the_scores_are_those_of_unseen_classes(run, model, digits, decoded, data_dir):
    found = evaluate(run, data_dir)
    images, labels = digits("train+test")
    outputs = model.predict(images, verbose=0)["probabilities"]
    names = unseen_classes.name_classes(decoded[1], 5).tolist()
    correct = [row[names.index(y)] for row, y in zip(outputs, labels, strict=True) if y >= 5]
    assert found["cross_entropy"] == pytest.approx(-np.log(correct).mean(), rel=1e-4)
    assert found["num_images"] == len(correct) == (labels >= 5).sum()
    right = np.array(names)[outputs.argmax(axis=1)] == labels
    assert found["accuracy"] == pytest.approx(right[labels >= 5].mean())
    assert found["seen_accuracy"] == pytest.approx(right[labels < 5].mean())
    assert found["seen_accuracy"] > 0.8


def test_the_pictures_are_of_what_it_decodes(run, model, decoded, data_dir):
    drawn = figures(run, data_dir)
    classes = [axes for part in drawn["classes.png"].subfigs for axes in part.axes]
    for axes, picture in zip(classes, decoded[0], strict=True):
        shown = axes.images[0].get_array()[..., :1] / 255
        np.testing.assert_allclose(shown, picture, atol=0.51 / 255)
    names = unseen_classes.name_classes(decoded[1], 5)
    titles = [f"{y} \u2192 {name}" for y, name in enumerate(names)]
    assert [axes.get_title() for axes in classes] == titles
    grids = [axes for axes in drawn["manifold.png"].axes if axes.images]
    assert [axes.get_title() for axes in grids] == titles
    corner = model.decode([7], np.float32([[-1.5, 1.5]]) * 7 / 8)[0]  # top left
    np.testing.assert_allclose(grids[7].images[0].get_array()[:8, :8], corner[..., 0], atol=1e-6)
    for name in drawn:
        with PIL.Image.open(run / name) as picture:
            assert min(picture.size) > 90


def test_pictures_are_classified_as_the_images_it_learned_from(
    tfbind, run, model, digits, tmp_path
):
    """Grey pictures become zeros and ones, as the data did."""
    image = digits("test[:1]")[0][0]
    grey = PIL.Image.fromarray(np.uint8(60 + 100 * image[..., 0]))
    grey.save(tmp_path / "grey.png")
    result = tfbind("cluster", run, tmp_path / "grey.png", "--out", tmp_path / "labels.csv")
    assert result.exit_code == 0, result.output
    expected = model.predict(image[None], verbose=0)["probabilities"][0]
    _, row = (tmp_path / "labels.csv").read_text().split()
    name, file, label, probability = row.split(",")
    assert (name, file) == ("grey", str(tmp_path / "grey.png"))
    assert int(label) == expected.argmax()
    assert float(probability) == pytest.approx(expected.max(), abs=1e-5)


@pytest.mark.serving
@pytest.mark.tflite
def test_answers_are_alike_wherever_it_runs(answer, model, digits):
    images, labels = digits("test[:9]")
    random = np.random.default_rng(0)
    labels = labels.astype("int32")
    noise = random.standard_normal((9, 2)).astype("float32")
    latent = random.uniform(*model.latent_range, (9, 2)).astype("float32")
    outputs = model.predict(images, verbose=0)
    everything = {
        "serving_default": ({"image": images}, outputs),
        "classify": ({"image": images}, {"probabilities": outputs["probabilities"]}),
        "encode": (
            {"image": images, "label": labels, "noise": noise},
            {"latent": model.encode(images, labels, noise)},
        ),
        "decode": (
            {"label": labels, "latent": latent},
            {"reconstruction": model.decode(labels, latent)},
        ),
    }
    assert everything.keys() == model.serving_endpoints().keys()
    for endpoint, (inputs, expected) in everything.items():
        found = answer(endpoint, inputs)
        assert np.all(found.pop("valid") == 1)
        assert found.keys() == expected.keys()
        for key, values in expected.items():
            np.testing.assert_allclose(found[key], values, atol=2e-5, err_msg=f"{endpoint} {key}")


@pytest.mark.serving
@pytest.mark.parametrize("answer", ["session", "grpc", "rest"], indirect=True)
@pytest.mark.parametrize(
    ("endpoint", "changes", "bad"),
    [
        ("encode", {"label": np.int32([3, 10])}, 1),
        ("encode", {"label": np.int32([-1, 0])}, 0),
        ("decode", {"label": np.int32([10, 3])}, 0),
        ("decode", {"latent": np.float32([[0, 0], [0, -1.6]])}, 1),
        ("decode", {"latent": np.float32([[np.nan, 0], [0, 0]])}, 0),
    ],
)
def test_a_row_out_of_range_gets_no_answer_and_spoils_no_other(answer, endpoint, changes, bad):
    inputs = {"label": np.int32([0, 9])}
    if endpoint == "encode":
        inputs |= {"image": np.zeros((2, 8, 8, 1), "float32"), "noise": np.zeros((2, 2), "float32")}
    else:
        inputs["latent"] = np.float32([[-1.5, 1.5], [0, 0]])  # the walls belong to the box
    assert np.all(answer(endpoint, inputs)["valid"] == 1)
    found = answer(endpoint, inputs | changes)
    assert found.pop("valid").tolist() == [int(row != bad) for row in range(2)]
    for array in found.values():
        assert np.all(np.isnan(array[bad])) and np.all(np.isfinite(array[1 - bad]))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("num_seen=0", "`num_seen` must be an integer >= 1."),
        ("num_seen=10", "`num_classes` must be an integer >= 11."),
        ("num_unlabeled=0", "`num_unlabeled` must be an integer >= 1."),
        ("reverse=True", "`reverse` must be one of 'bound', 'marginal', False."),
        ("reverse_weight=-1", "`reverse_weight` must be a number in [0, inf)."),
        ("latent_dim=0", "`latent_dim` must be an integer >= 1."),
    ],
)
def test_settings_that_do_not_fit(tfbind, change, sentence, data_dir, tmp_path):
    run = tmp_path / "run"
    result = tfbind("train", "untapped-tiny", "--run", run, "--data-dir", data_dir, "--set", change)
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ") and sentence in line


def test_classes_above_the_last_are_left_out(data_dir):
    task = presets.get("untapped-tiny").changed(num_classes=4, num_seen=2).task
    images, labels, _ = task.load("test", data_dir)
    assert set(labels) == {0, 1, 2, 3}
    assert set(np.unique(images)) == {0.0, 1.0}
    dataset, _ = task.training_data(Examples(images, labels), 50, seed=1).stream(0)
    batch = next(dataset.as_numpy_iterator())
    assert set(batch["label"]) == {0, 1} and set(batch["unfeatured_label"]) == {0, 1, 2, 3}
