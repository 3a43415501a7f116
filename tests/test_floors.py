"""Reads the sources: every file imports from lower floors or from its own folder, never in rings.

The floors are those of CONTRIBUTING.md. Imports inside functions count too.
"""

import ast
import graphlib
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDERS = {"tfbind": ROOT / "tfbind"}
FOLDERS |= {f"tfbind.{name}": ROOT / name for name in ("export", "serving")}
FLOORS = (
    (
        *("_backend", "_catalogue", "_files", "_forms", "_numbers", "_registration", "_replicas"),
        *("_rows", "_stored", "_validation", "seeds"),
    ),
    ("data", "metrics", "reading"),
    ("plots",),
    ("distributions", "labeling", "layers", "losses"),
    ("models",),
    ("training",),
    ("reporting",),
    ("export", "sklearn"),
    ("serving",),
    (
        *("_bench_verb", "_console", "_data_options", "_export_verbs", "_image_files"),
        *("_image_verbs", "_inputs", "_jobs", "_listing", "_models", "_report_verb", "_serve_verb"),
        *("_training", "_web_verb"),
        *("cli", "quickstart", "__main__"),
    ),
)
FLOOR = {f"tfbind.{name}": floor for floor, names in enumerate(FLOORS) for name in names}


def _sources():
    """Returns the path of every module by its full name."""
    paths = {}
    for package, folder in FOLDERS.items():
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            paths[".".join((package, *parts))] = path
    return paths


SOURCES = _sources()
PACKAGES = {name for name, path in SOURCES.items() if path.name == "__init__.py"}


def imported(tree, sources):
    """Returns the modules among `sources` that a syntax tree imports, wherever it does so."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", None) == "tfbind":
            names.add(f"tfbind.{node.attr}")  # `import tfbind` loads on use
    return {
        name if name in sources else name.rpartition(".")[0]
        for name in names
        if name in sources or name.rpartition(".")[0] in sources
    }


def unit(module):
    """The folder or top-level file that a module belongs to, as `tfbind.data`."""
    return ".".join(module.split(".")[:2])


def upward(module, targets):
    """Returns the targets that are on a higher floor, or on the same one in another folder."""
    floor, top = FLOOR[unit(module)], _top_folder(module)
    return sorted(
        target
        for target in targets - {"tfbind"}  # lazy: it holds the version and loads nothing
        if FLOOR[unit(target)] > floor
        or (FLOOR[unit(target)] == floor and _top_folder(target) != top)
    )


def _top_folder(module):
    """The folder of `tfbind` that a module is in, however deep; None if in `tfbind` itself."""
    return unit(module) if unit(module) in PACKAGES else None


IMPORTS = {
    module: imported(ast.parse(path.read_text("utf-8")), SOURCES)
    for module, path in SOURCES.items()
}


def test_every_file_has_a_floor():
    assert sorted({unit(module) for module in SOURCES} - {"tfbind", *FLOOR}) == []


@pytest.mark.parametrize("module", sorted(IMPORTS.keys() - {"tfbind"}))
def test_imports_point_downwards(module):
    assert upward(module, IMPORTS[module]) == []


def test_the_top_of_the_package_imports_nothing_heavy():
    assert IMPORTS["tfbind"] == {"tfbind._registration"}
    assert IMPORTS["tfbind._registration"] == set()


def test_no_file_imports_itself_in_a_ring():
    list(graphlib.TopologicalSorter(IMPORTS).static_order())


def test_serving_never_sees_a_model():
    folders = {
        unit(target)
        for module, targets in IMPORTS.items()
        if unit(module) == "tfbind.serving"
        for target in targets
    }
    assert folders <= {"tfbind", "tfbind._validation", "tfbind.export", "tfbind.serving"}


@pytest.mark.parametrize(
    "line",
    [
        "from tfbind.models import DenoisingAutoencoder",
        "from tfbind import models",
        "import tfbind.models",
        "import tfbind\ntfbind.models.DenoisingAutoencoder()",
        "def f():\n    from tfbind import models",
    ],
)
def test_an_upward_import_is_seen_in_every_form(line):
    targets = imported(ast.parse(line), SOURCES)
    assert upward("tfbind.layers", targets) == ["tfbind.models"]
    assert upward("tfbind.models", targets) == []
    assert upward("tfbind.training", targets) == []
