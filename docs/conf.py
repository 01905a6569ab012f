"""Sphinx configuration."""

import sys
from dataclasses import fields, is_dataclass
from importlib.metadata import version as installed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for the order of the gallery

project = "altmin"
author = "the altmin developers"
copyright = "2026, the altmin developers"
release = version = installed("altmin")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
    "sphinx-mathjax-offline",  # formulas are read without a network, too
]
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "within_subsection_order": "gallery_order.LearningOrder",
    "filename_pattern": r"\.py$",  # all of them run
    "abort_on_example_error": True,
    "min_reported_time": 1e6,
    "show_signature": False,
    "write_computation_times": False,
}
html_theme = "furo"
html_title = "altmin"
html_static_path = ["_static"]
html_css_files = ["altmin.css"]
exclude_patterns = ["_build", "reproduction/*"]
default_role = "code"
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Class attributes", "Attributes")]


def add_numbers(app, what, name, obj, options, lines):
    """Append the help of a class's numbers (`altmin.checks.number`), so that it stands in one place."""
    if what != "class" or not is_dataclass(obj):
        return
    described = [f for f in fields(obj) if "help" in f.metadata]
    if described:
        lines += ["", "**Numbers**", ""]
        lines += [f"- ``{f.name}`` = ``{f.default!r}``: {number_text(f.metadata)}" for f in described]
        lines.append("")


def number_text(facts):
    """What a number means, what is allowed, and what the paper has."""
    signs = {"above": "> ", "least": ">= ", "most": "<= "}
    allowed = [f"{sign}{facts[name]:g}" for name, sign in signs.items() if facts[name] is not None]
    if facts["choices"]:
        allowed.append("one of " + ", ".join(f"``{choice}``" for choice in facts["choices"]))
    if facts["optional"]:
        allowed.append("or none")
    notes = ["; ".join(allowed)] if allowed else []
    notes += [f"paper: {facts['paper']}"] if facts["paper"] else []
    return facts["help"] + (f" ({'; '.join(notes)})" if notes else "")


def setup(app):
    """Hook `add_numbers` into autodoc, before Napoleon reads the docstring."""
    app.connect("autodoc-process-docstring", add_numbers, priority=400)
