"""How Sphinx builds the site: `make docs`.

Pages of the API are written here from what the packages call public, so that a new public name
has its entry with no further work; so are the page of the command line, the table of presets and
the picture of the choice between models. They lie in `docs/made`, which git ignores.
"""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # its neighbours below; Sphinx does not add it

from tfbind import _console  # noqa: E402

_console.load_tensorflow()  # quietly

import making  # noqa: E402

import tfbind  # noqa: E402

project = "tfbind"
author = "the authors of tfbind"
version = release = tfbind.__version__
html_title = f"tfbind {version}"
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = html_show_sphinx = html_copy_source = False

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
]
root_doc = "index"
exclude_patterns = ["results.md"]  # `measured.md` includes it
myst_heading_anchors = 3

# Types are in the signatures, whose docstrings tell shapes and ranges beside them.
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False  # those of Keras' methods are Keras' to document
autosummary_generate = False
maximum_signature_line_length = 120
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
default_role = "py:obj"  # `name` in docstrings leads to its entry, where there is one
napoleon_custom_sections = [("Call arguments", "params_style"), ("Attributes", "params_style")]
napoleon_use_rtype = False

making.write_pages(HERE)


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-skip-member", making.is_left_out)
    app.connect("autodoc-process-signature", making.signature_of)
    app.connect("autodoc-process-docstring", making.head_examples, priority=400)
    app.connect("source-read", making.link_to_pages)
    app.connect("include-read", making.link_to_pages_of_included)
