"""Every public function and method says what it takes and what it gives.

That the types are true is for mypy to say, in `make lint`; a function without any it lets pass.
"""

import ast
import pathlib
import tomllib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mypy"]
LEFT_OUT = [
    pattern
    for override in SETTINGS.get("overrides", ())
    if override.get("ignore_errors")
    for pattern in override["module"]
]


def modules():
    """Returns the path of every file of the library by its module's name."""
    paths = {}
    for folder, package in (("tfbind", ""), ("export", "tfbind."), ("serving", "tfbind.")):
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            paths[package + ".".join(parts).removesuffix(".__init__")] = path
    return paths


MODULES = {
    name: path
    for name, path in modules().items()
    if not any(f"{name}.".startswith(pattern.removesuffix("*")) for pattern in LEFT_OUT)
}


def is_public(name):
    return not name.startswith("_") or name.endswith("__")


def unannotated(tree):
    """Returns the public functions and methods in a syntax tree that lack an annotation."""
    scopes = [tree]
    scopes += [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_"]
    return [
        f"line {node.lineno}: {node.name}"
        for scope in scopes
        for node in scope.body
        if isinstance(node, ast.FunctionDef) and is_public(node.name) and not _is_complete(node)
    ]


def _is_complete(node):
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    arguments += [each for each in (node.args.vararg, node.args.kwarg) if each is not None]
    names = {each.arg for each in arguments if each.annotation is None}
    return names <= {"self", "cls"} and node.returns is not None


@pytest.mark.parametrize("module", sorted(MODULES))
def test_what_is_public_is_annotated(module):
    assert unannotated(ast.parse(MODULES[module].read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "source, found",
    [
        ("def f(a: int) -> int: ...", 0),
        ("def _f(a): ...", 0),
        ("class _A:\n    def f(self): ...", 0),
        ("def f(a: int): ...", 1),
        ("def f(a) -> int: ...", 1),
        ("def f(*a) -> int: ...", 1),
        ("def f(*, a) -> int: ...", 1),
        ("class A:\n    def f(self): ...\n    def __init__(self, a): ...", 2),
    ],
)
def test_what_is_missing_is_seen(source, found):
    assert len(unannotated(ast.parse(source))) == found
