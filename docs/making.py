"""Pages and pictures of the site that are made from the code."""

import importlib
import inspect
import pathlib
import re
import types
from collections.abc import Iterable

import choice
import click
import keras
import stories
from sphinx.util.inspect import signature, stringify_signature

from tfbind import cli
from tfbind.training import presets

# Public modules that no `__all__` names, and the one whose names are those of `tfbind` itself.
FURTHER = (
    "tfbind.losses",
    "tfbind.models.adversarial_networks",
    "tfbind.seeds",
    "tfbind.training.search",
)
ELSEWHERE = "tfbind.models"


def public(module: types.ModuleType) -> dict[str, object]:
    """Returns the public names of a module, from `__all__` where it has one, with their values."""
    own = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    ]
    return {name: getattr(module, name) for name in getattr(module, "__all__", own)}


def modules(name: str = "tfbind") -> dict[str, types.ModuleType]:
    """Returns every public module by its full name, `name` first."""
    found = {name: importlib.import_module(name)}
    for value in public(found[name]).values():
        if inspect.ismodule(value) and value.__name__ != ELSEWHERE:
            found |= modules(value.__name__)
    further = FURTHER if name == "tfbind" else ()
    return found | {each: importlib.import_module(each) for each in further}


def write_pages(folder: pathlib.Path) -> None:
    """Writes what is made from the code into the folder `made` in a folder of sources."""
    made = folder / "made"
    made.mkdir(exist_ok=True)
    pages = {"command_line.rst": _command_line_page(), "presets.rst": _presets_page()}
    pages |= {"api.rst": _api_contents(), "choice.svg": choice.svg()}
    pages |= stories.pages()
    for name, module in modules().items():
        pages |= _api_pages(name, module)
    for name, content in pages.items():
        content = content.encode() if isinstance(content, str) else content
        if not (made / name).exists() or (made / name).read_bytes() != content:
            (made / name).write_bytes(content)
    for path in made.iterdir():
        if path.name not in pages:
            path.unlink()


API = """
Every public class and function. What begins with an underscore is not public, nor is a module that
is not listed here. Models, layers and metrics are Keras' own kinds: what they have from
`keras.Model`, `keras.Layer` and `keras.Metric` is told in Keras' documentation.
"""


def _title(text: str, line: str = "=") -> str:
    return f"{text}\n{line * len(text)}\n"


def _api_contents() -> str:
    return f"{_title('API')}{API}\n{_toctree(sorted(modules()))}"


def _toctree(names: Iterable[str]) -> str:
    return ".. toctree::\n   :titlesonly:\n\n" + "".join(f"   {name}\n" for name in names)


def _api_pages(name: str, module: types.ModuleType) -> dict[str, str]:
    """Returns a page with a table of a module's names and their entries, and one a model."""
    names = {key: value for key, value in public(module).items() if not inspect.ismodule(value)}
    models = [key for key, value in names.items() if _is_model(value)]
    table = "".join(f"   {key}\n" for key in names)
    entries = "".join(_entry(key, value) for key, value in names.items() if key not in models)
    head = f".. currentmodule:: {name}\n\n"
    contents = _toctree(f"{name}.{key}" for key in models) if models else ""
    pages = {
        f"{name}.rst": f"{_title(name)}\n.. automodule:: {name}\n\n{head}"
        f".. autosummary::\n   :nosignatures:\n\n{table}\n{contents}{entries}"
    }
    for key in models:
        pages[f"{name}.{key}.rst"] = f"{_title(key)}\n{head}{_entry(key, names[key])}"
    return pages


def _is_model(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, keras.Model)


def _entry(name: str, value: object) -> str:
    if inspect.isclass(value):
        return f"\n.. autoclass:: {name}\n   :members:\n   :inherited-members:\n"
    return f"\n.. {'autofunction' if callable(value) else 'autodata'}:: {name}\n"


def _command_line_page() -> str:
    """Returns a page with what `--help` says of each verb."""
    top = click.Context(
        cli.main, info_name="tfbind", terminal_width=76, **cli.main.context_settings
    )
    verbs = sorted(cli.main.commands.items())
    contexts = [click.Context(verb, parent=top, info_name=name) for name, verb in verbs]
    return _title("Command line") + "".join(map(_help, (top, *contexts)))


def _help(context: click.Context) -> str:
    text = "".join(f"   {line}\n" for line in context.get_help().splitlines())
    return f"\n{_title(context.command_path, '-')}\n.. code-block:: text\n\n{text}"


def _presets_page() -> str:
    """Returns a page with a table of all presets."""
    rows = "".join(
        f"   * - ``{each['preset']}``\n     - {each['model']}\n"
        f"     - {each['data']}\n     - {_escaped(each['summary'])}\n"
        for each in presets.described()
    )
    head = "   * - Preset\n     - Model\n     - Data\n     - What it is\n"
    table = (
        f".. list-table::\n   :header-rows: 1\n   :widths: auto\n   :class: presets\n\n{head}{rows}"
    )
    return f"{_title('Presets')}{PRESETS}\n{table}"


PRESETS = """
Settings of published results, and our own: ``tfbind train PRESET`` trains one, ``tfbind list``
shows the papers' scores too, and ``tfbind.training.presets.get`` returns one in Python.
"""


def _escaped(text: str) -> str:
    return re.sub(r"([*`|_])", r"\\\1", text)


# What a model says to the training protocol and to Keras; CONTRIBUTING.md has it.
_PROTOCOL = frozenset(
    "adopt_labels answering build build_pseudo_classes calibrate call check_alone "
    "check_distribution check_optimizer check_same_seed check_scope check_training_keys "
    "compute_loss end_training fields get_config has_other_workers loss_terms noise_seed "
    "num_replicas optimizers own_callbacks players predict_on_batch relabel relabels_before "
    "relabels_now restore_from scores step_seed term_weights test_on_batch train_on_batch".split()
)


def is_left_out(app, what, name, value, skip, options):
    """Leaves out what classes have from elsewhere, and what only the training protocol calls."""
    for holder in ("fget", "func", "__func__"):  # of properties and class methods
        value = getattr(value, holder, value)
    is_ours = str(getattr(value, "__module__", None)).startswith("tfbind")
    return None if is_ours and name not in _PROTOCOL else True


def head_examples(app, what, name, value, options, lines):
    """Makes a heading of "Example:", which Napoleon knows only before what is indented."""
    lines[:] = [".. rubric:: Example" if line == "Example:" else line for line in lines]


def signature_of(app, what, name, value, options, given, returned):
    """Returns the arguments of `__init__`: Keras' classes have a `__new__` that takes any."""
    if what != "class" or not issubclass(value, keras.Layer | keras.Metric | keras.Optimizer):
        return None
    arguments = signature(value.__init__, bound_method=True)
    return stringify_signature(
        arguments, unqualified_typehints=True, show_return_annotation=False
    ), ""


# Links of the files at the top of the tree, as a person sees them on the site.
_LINKS = {
    r"\]\(docs/": "](",
    r"\]\(CONTRIBUTING\.md": "](contributing.md",
    r"\]\(CHANGELOG\.md": "](changelog.md",
    r"\]\(results\.md": "](measured.md",
    r"\[([^\]]+)\]\((?:benchmarks|colab)[^)]*\)": r"\1",
}


def link_to_pages(app, name, source):
    """Turns links between files of the checkout into links between pages."""
    source[0] = _linked(source[0])


def link_to_pages_of_included(app, path, name, source):
    """Likewise in included files."""
    source[0] = _linked(source[0])


def _linked(text: str) -> str:
    for pattern, replacement in _LINKS.items():
        text = re.sub(pattern, replacement, text)
    return text
