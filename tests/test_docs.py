"""The site: it builds without a warning, has an entry for every public name, and no dead links.

The blocks of code in its pages are run, page by page, but for those with a line `% not run: REASON`
above them. Trainings of commands take one epoch here.
"""

import html.parser
import pathlib
import re
import shlex
import subprocess
import sys
import types
import urllib.parse

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw

import tfbind
from tfbind import cli

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
BLOCK = re.compile(
    r"^(% not run: (?P<reason>[^\n]+)\n)?```(?P<kind>python|sh)\n(?P<code>.*?)^```", re.M | re.S
)
PHONE = 390  # pixels

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, built as `make docs` does."""
    folder = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q"]
    command += ["-d", folder / "doctrees", DOCS, folder / "site"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert done.returncode == 0, done.stderr
    return folder / "site"


class Page(html.parser.HTMLParser):
    """What a page links to, and what in it can be linked to."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = set(), set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given["id"]} if "id" in given else set()
        self.links |= {given[name] for name in ("href", "src") if given.get(name)}


@pytest.fixture(scope="module")
def pages(site):
    """Every page of the site, parsed, by its path."""
    return {path: Page(path) for path in site.rglob("*.html")}


def public_names(module=tfbind):
    """Returns the full names of what a package and those in it call public."""
    names = set()
    for name in module.__all__:
        value = getattr(module, name)
        if not isinstance(value, types.ModuleType):
            names.add(f"{module.__name__}.{name}")
        elif value is not tfbind.models:  # whose names are those of `tfbind`
            names |= public_names(value) if hasattr(value, "__all__") else set()
    return names


def test_every_public_name_has_its_entry(pages):
    anchors = set().union(*(page.anchors for page in pages.values()))
    assert not public_names() - anchors


def test_every_module_of_a_package_has_a_page(site):
    modules = {
        name for name in tfbind.__all__ if isinstance(getattr(tfbind, name), types.ModuleType)
    }
    missing = {name for name in modules if not (site / f"made/tfbind.{name}.html").exists()}
    assert missing == {"models"}


def test_internal_links_lead_somewhere(pages):
    dead = []
    for path, page in pages.items():
        for link in page.links:
            url = urllib.parse.urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = (path.parent / urllib.parse.unquote(url.path)).resolve() if url.path else path
            known = pages[target].anchors if target in pages else set()
            if not target.exists() or (
                url.fragment and target in pages and url.fragment not in known
            ):
                dead.append(f"{path.name}: {link}")
    assert not dead


def test_a_docstring_becomes_an_entry(site):
    text = re.sub(r"<[^>]+>", "", (site / "made/tfbind.SelfLabeling.html").read_text("utf-8"))
    for part in ("num_clusters: int", "Parameters", "Returns", "Raises", "ValueError", "Example"):
        assert part in text
    assert "&gt;&gt;&gt; model = tfbind.SelfLabeling" in text
    assert "loss_terms" not in text  # what only the training protocol calls


def seen(chromium, page, tmp_path, width):
    """Opens a page in a frame of so many pixels; returns its text and how much it is too wide."""
    frame = f'<iframe id="f" src="{page.as_uri()}" width="{width}" height="2000"></iframe>'
    script = (
        "onload = () => { const page = document.getElementById('f').contentDocument;"
        "document.body.dataset.excess = page.documentElement.scrollWidth - "
        f"{width}; document.body.append(page.body.innerText); }}"
    )
    (tmp_path / "frame.html").write_text(f"<body>{frame}<script>{script}</script></body>")
    flags = "--headless --no-sandbox --disable-gpu --allow-file-access-from-files --dump-dom"
    command = [chromium, *flags.split(), f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--virtual-time-budget=5000", (tmp_path / "frame.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.stdout, int(re.search(r'data-excess="(-?\d+)"', done.stdout).group(1))


@pytest.mark.parametrize("width", [PHONE, 1300])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("index.html", "Load and use"),
        ("choose.html", "Do you have a few labels of"),
        ("made/tfbind.Tagger.html", "Learns to group the elements"),
    ],
)
def test_a_browser_shows_it(chromium, site, tmp_path, name, words, width):
    text, excess = seen(chromium, site / name, tmp_path, width)
    assert words in text
    assert excess <= 0


def scene(random, size=40):
    """Returns a picture of two outlines, dark on light."""
    picture = Image.new("L", (size, size), 255)
    draw = ImageDraw.Draw(picture)
    for shape in (draw.rectangle, draw.ellipse):
        x, y = random.integers(2, size - 18, size=2).tolist()
        shape((x, y, x + 14, y + 14), outline=0, width=3)
    return picture


def make_data(folder):
    """Writes what the pages call the reader's own: pictures, arrays, a table, texts."""
    random = np.random.default_rng(1)
    (folder / "drawings").mkdir()
    for n in range(20):
        scene(random).save(folder / f"drawings/{n}.png")
    for kind, color in (("leaf", (40, 160, 60)), ("sky", (60, 120, 220)), ("brick", (170, 70, 40))):
        (folder / "photos" / kind).mkdir(parents=True)
        for n in range(12):
            pixels = random.normal(color, 30, size=(50, 60, 3)).clip(0, 255)
            Image.fromarray(pixels.astype("uint8")).save(folder / "photos" / kind / f"{n}.png")
    kinds = np.repeat(range(3), 100)
    rows = (4 * random.normal(size=(3, 6))[kinds] + random.normal(size=(300, 6))).astype("float32")
    names = ",".join(f"x{i}" for i in range(6))
    np.savetxt(folder / "rows.csv", rows, delimiter=",", header=names, comments="")
    np.save(folder / "rows.npy", (rows - rows.mean(axis=0)) / rows.std(axis=0))
    pixels = [1 - np.asarray(scene(random, 28)) / 255 for _ in range(60)]
    np.save(folder / "images.npy", np.stack(pixels)[..., None].astype("float32"))
    words = np.array([[f"word{k}{i}" for i in range(12)] for k in "abc"])
    texts = [" ".join(random.choice(words[n % 3], 15)) for n in range(300)]
    (folder / "texts.txt").write_text("\n".join(texts))
    autoencoder = tfbind.DenoisingAutoencoder((28, 28, 1), hidden_units=10)
    (folder / "runs/rc-shapes").mkdir(parents=True)
    model = tfbind.ReconstructionClustering(autoencoder, num_groups=3)
    model.save(folder / "runs/rc-shapes/model.keras")


def run_command(line):
    """Runs a line of a shell block; trainings take one epoch."""
    words = shlex.split(line, comments=True)
    assert words[0] == "tfbind", line
    short = ["--set", "max_epochs=1"] if words[1] == "train" else []
    done = CliRunner().invoke(cli.main, words[1:] + short)
    assert done.exit_code == 0, f"{line}\n{done.output}{done.exception!r}"


# So short a training may well merge two clusters.
@pytest.mark.filterwarnings("ignore:For . epochs only:UserWarning")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_runs(page, tmp_path, monkeypatch):
    blocks = [b for b in BLOCK.finditer(page.read_text("utf-8")) if not b["reason"]]
    if not blocks:
        pytest.skip("no block to run")
    monkeypatch.chdir(tmp_path)
    make_data(tmp_path)
    names = {}
    for block in blocks:
        if block["kind"] == "python":
            exec(compile(block["code"], page.name, "exec"), names)
        else:
            for line in block["code"].splitlines():
                run_command(line)


def test_every_finding_is_explained():
    names = re.findall(
        r'Finding\(\n\s+"([\w ]+)"', (ROOT / "tfbind/training/diagnosis.py").read_text()
    )
    headings = re.findall(r"^### (.+)$", (DOCS / "failures.md").read_text("utf-8"), re.M)
    assert names == headings


def test_blocks_that_are_not_run_say_why():
    for page in PAGES:
        for reason in re.findall(r"^% not run:(.*)$", page.read_text("utf-8"), re.M):
            assert len(reason.split()) > 2, page.name
