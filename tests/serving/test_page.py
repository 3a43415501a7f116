"""The page: whole, with nothing from elsewhere; in Chromium its numbers are Python's."""

import base64
import hashlib
import json
import pathlib
import re
import signal
import subprocess
import sys
import urllib.request

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import tfbind
from tfbind import _web_verb, export, serving

from .browsing import ask

SOURCES = pathlib.Path(serving.__file__).parent / "web"
BOXED = ("rc-shapes", "sela-mnist")

browser = [pytest.mark.browser, pytest.mark.tflite]
pytestmark = pytest.mark.tflite

# Opens the page in the frame, waits for the models, and has a few words for what tests do.
OPENED = """
frame.src = "/index.html";
await new Promise((resolve) => frame.addEventListener("load", resolve, {once: true}));
const page = frame.contentDocument, view = frame.contentWindow;
const get = (id) => page.getElementById(id), text = (id) => get(id).textContent;
const wait = (done) => new Promise((resolve, reject) => {
  let left = 600;
  const look = () =>
    done() ? resolve() : left-- ? setTimeout(look, 50) : reject(Error(String(done)));
  look();
});
const key = (id, key) =>
  get(id).dispatchEvent(new view.KeyboardEvent("keydown", {key, bubbles: true}));
const pixels = (id) => {
  const {width, height} = get(id);
  return [...get(id).getContext("2d").getImageData(0, 0, width, height).data];
};
await wait(() => "ready" in page.body.dataset);
await wait(() => text("timing") !== "");
"""


def toy_tagger():
    """Returns a model that is not trained, but whose groups differ."""
    keras.utils.set_random_seed(1)
    model = tfbind.Tagger((20, 20, 1), 4, 5, units=(60, 30), normalization="layer", seed=0)
    random = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign_add(random.normal(0, 0.3, weight.shape))
    return model


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The page with the presets in the box, as the command writes it; and its command's words."""
    folder = tmp_path_factory.mktemp("page") / "web"
    done = CliRunner().invoke(_web_verb.web, ["--out", str(folder)])
    assert done.exit_code == 0, done.output
    return folder, done.stdout


@pytest.fixture(scope="module")
def folder(written):
    return written[0]


@pytest.fixture(scope="module")
def with_tagger(folder, tmp_path_factory):
    file = tmp_path_factory.mktemp("files") / "toy tagger.tflite"
    export.export_tflite(toy_tagger(), file)
    files = [file, *(folder / f"{name}.tflite" for name in BOXED)]
    return serving.write_page(files, tmp_path_factory.mktemp("page"))


def test_the_folder_is_whole(written):
    folder, said = written
    files = {path.relative_to(SOURCES) for path in SOURCES.rglob("*") if path.is_file()}
    more = {f"{name}.tflite{card}" for name in BOXED for card in ("", ".json")}
    found = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    assert found == files | {pathlib.Path(name) for name in (*more, "models.json")}
    assert json.loads((folder / "models.json").read_text()) == list(BOXED)
    assert re.fullmatch(
        rf"Wrote {folder}, \d\d MB, with rc-shapes, sela-mnist\.\n"
        rf"Next: python -m http\.server --directory {folder}\n",
        said,
    )


@pytest.mark.slow
def test_the_command_shows_it(folder, tmp_path):
    heed = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # as at a shell
    )
    program = f"{heed}; from tfbind import _web_verb; _web_verb.web()"
    arguments = [folder / "sela-mnist.tflite", "--out", tmp_path / "web", "--port", "0"]
    command = [sys.executable, "-c", program, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline().endswith(" MB, with sela-mnist.\n")
            url = re.search(r"http://\S+", process.stdout.readline())[0]
            with urllib.request.urlopen(f"{url}/models.json", timeout=20) as answer:
                assert json.load(answer) == ["sela-mnist"]
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()


def test_nothing_comes_from_elsewhere():
    ours = [path for path in SOURCES.iterdir() if path.suffix in (".html", ".css", ".js")]
    assert len(ours) > 5
    for path in ours:
        assert "//" not in re.sub(r"^ *//.*$| // .*$", "", path.read_text("utf-8"), flags=re.M)
    index = (SOURCES / "index.html").read_text("utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', index)
    assert "default-src 'none'" in policy and "http" not in policy
    (imports,) = re.findall(r'<script type="importmap">(.*?)</script>', index)
    digest = base64.b64encode(hashlib.sha256(imports.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy


def test_the_runtime_is_the_one_that_is_told():
    told = (SOURCES / "vendor" / "README.md").read_text("utf-8")
    sums = dict(re.findall(r"^\| `([\w.]+)` \|.*\| `([0-9a-f]{64})` \|$", told, re.M))
    found = {path.name for path in (SOURCES / "vendor").iterdir()}
    assert found == {*sums, "LICENSE", "README.md"}
    for name, expected in sums.items():
        data = (SOURCES / "vendor" / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == expected


@pytest.mark.slow
def test_what_the_page_cannot_show_is_refused(tmp_path):
    export.export_tflite(tfbind.DenoisingAutoencoder((8, 8, 1)), tmp_path / "dae.tflite")
    model = tfbind.ReconstructionClustering(tfbind.DenoisingAutoencoder((9,)), num_groups=2)
    export.export_tflite(model, tmp_path / "flat.tflite")
    tagger = tmp_path / "tagger.tflite"
    export.export_tflite(toy_tagger(), tagger, batch_size=2)
    for files, message in (
        ([tmp_path / "dae.tflite"], "a DenoisingAutoencoder for images"),
        ([tmp_path / "flat.tflite"], r"a ReconstructionClustering for images \[1, 9\]"),
        ([tagger], "one at a time"),
        ([tmp_path / "saved_model"], "must be .tflite files"),
        ([], "must have names"),
        ([tagger, tagger], "each its own"),
    ):
        with pytest.raises(ValueError, match=message):
            serving.write_page(files, tmp_path / "web")
    assert not (tmp_path / "web").exists()


def in_browser(chromium, folder, user, name, signature, inputs):
    """Returns the outputs of a model in Chromium."""
    index = (folder / "index.html").read_text("utf-8")
    head = re.search(r'<script type="importmap">.*?</script>', index)[0]
    given = json.dumps({key: np.ravel(array).tolist() for key, array in inputs.items()})
    script = f"""
    const {{Model, startRuntime}} = await import("/models.js");
    await startRuntime();
    const model = await Model.load({json.dumps(name)});
    const inputs = {given};
    for (const key in inputs) inputs[key] = Float32Array.from(inputs[key]);
    const found = await model.run({json.dumps(signature)}, inputs);
    for (const key in found) found[key] = [...found[key]];
    return found;
    """
    return ask(chromium, folder, script, user, head=head)[0]


def grouping_inputs(model):
    images = (np.random.default_rng(0).random((1, *model.event_shape)) < 0.3).astype("float32")
    return {"image": images, "initial_assignments": model.initial_assignments(1, seed=2)}


CASES = {
    "rc-shapes": ("trace", lambda: tfbind.load("rc-shapes"), grouping_inputs),
    "toy tagger": ("trace", toy_tagger, grouping_inputs),
    "sela-mnist": (
        "serving_default",
        lambda: tfbind.load("sela-mnist"),
        lambda model: {
            "image": np.random.default_rng(0).random((1, *model.event_shape)).astype("float32")
        },
    ),
}


class TestInChromium:
    pytestmark = browser

    @pytest.mark.parametrize("name", CASES)
    def test_numbers_are_those_of_python(self, name, with_tagger, tmp_path, chromium):
        signature, load, draw = CASES[name]
        model = load()
        inputs = draw(model)
        found = in_browser(chromium, with_tagger, tmp_path, name, signature, inputs)
        endpoint = model.serving_endpoints()[signature]
        lite = export.TFLiteRunner(with_tagger / f"{name}.tflite")(signature, inputs)
        if signature == "trace":
            assert np.ptp(lite["assignments"][0, -1]) > 0.5
        keras_ = endpoint.function(*(inputs[spec.name] for spec in endpoint.inputs))
        for key in endpoint.outputs:
            for expected in (lite[key], np.asarray(keras_[key])):
                tolerance = {"rtol": 1e-4} if key in ("log_likelihood", "features") else {}
                values = np.reshape(found[key], expected.shape)
                np.testing.assert_allclose(values, expected, **{"rtol": 0, **tolerance}, atol=1e-4)

    def test_shapes_are_pulled_apart(self, folder, tmp_path, chromium):
        script = f"""{OPENED}
        get("play").click();
        const slide = (value) => {{
          get("iteration").value = value;
          get("iteration").dispatchEvent(new view.Event("input"));
        }};
        const seen = {{}};
        for (const t of [0, 10]) {{
          slide(t);
          seen[t] = [text("iteration-says"), pixels("groups")];
        }}
        get("back").click();
        seen.back = text("iteration-says");
        get("clear").click();
        await wait(() => text("iteration-says").includes("; 0 %"));
        const blank = pixels("picture");
        get("picture").focus();
        key("picture", "ArrowUp"); key("picture", " ");
        await wait(() => !text("iteration-says").includes("; 0 %"));
        get("picture").blur();
        const dot = pixels("picture").filter((x, i) => i % 4 === 0 && x > 100).length;
        page.querySelector("[value=square]").click();
        key("picture", " ");
        const square = pixels("picture").filter((x, i) => i % 4 === 0 && x > 100).length;
        return {{seen, dot, square, blank: Math.max(...blank.filter((x, i) => i % 4 === 0)),
          parts: get("parts").children.length, tagger: !get("no-tagger").hidden}};
        """
        found, asked = ask(chromium, folder, script, tmp_path)
        says, groups = zip(*(found["seen"][t] for t in ("0", "10")), strict=True)
        assert says[0].startswith("The groups after iteration 0 of 10; ")
        assert says[1].startswith("The groups after iteration 10 of 10; ")
        assert found["seen"]["back"].startswith("The groups after iteration 9 of 10; ")
        assert groups[0] != groups[1]
        assert (found["dot"], found["square"], found["blank"]) == (1, 41, 0)
        assert (found["parts"], found["tagger"]) == (3, True)
        known = {f"/{path.relative_to(folder).as_posix()}" for path in folder.rglob("*")}
        assert set(asked) <= known | {"/test.html", "/favicon.ico"}

    def test_a_tagger_is_shown_where_there_is_one(self, with_tagger, tmp_path, chromium):
        script = f"""{OPENED}
        return {{parts: get("parts").children.length, none: !get("no-tagger").hidden,
          names: [...get("grouping-model").options].map((option) => option.value)}};
        """
        found, _ = ask(chromium, with_tagger, script, tmp_path)
        assert found == {"parts": 4, "none": False, "names": ["toy tagger", "rc-shapes"]}

    def test_a_digit_is_placed_with_keys_alone(self, folder, tmp_path, chromium):
        script = f"""{OPENED}
        key("digit", " ");
        for (let i = 0; i < 10; i++) key("digit", "ArrowDown");
        await wait(() => text("placed").startsWith("Cluster"));
        const told = text("placed");
        key("digit", "Enter");
        const kept = [...get("clusters").children].map((x) => x.querySelectorAll("canvas").length);
        return {{told, kept}};
        """
        found, _ = ask(chromium, folder, script, tmp_path)
        (cluster,) = re.findall(r"^Cluster (\d), \d+ % sure, in [\d.]+ ms\.$", found["told"])
        assert found["kept"] == [int(k == int(cluster)) for k in range(10)]

    @pytest.mark.parametrize("dark", [False, True])
    def test_a_phone_shows_it_by_day_and_by_night(self, folder, tmp_path, chromium, dark):
        script = f"""{OPENED}
        const focus = (id) => {{ get(id).focus(); return page.activeElement === get(id); }};
        return {{width: page.documentElement.scrollWidth,
          ground: view.getComputedStyle(page.body).backgroundColor,
          text: view.getComputedStyle(page.body).color,
          keys: ["shuffle", "picture", "iteration", "digit", "keep"].map(focus)}};
        """
        found, _ = ask(chromium, folder, script, tmp_path, size=(390, 844), dark=dark)
        light, shown = (
            np.mean([int(x) for x in re.findall(r"\d+", found[key])]) for key in ("ground", "text")
        )
        assert found["width"] == 390 and all(found["keys"])
        assert (light < 50 and shown > 200) if dark else (light > 200 and shown < 60)
