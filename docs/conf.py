"""Sphinx configuration."""

from importlib.metadata import version as installed

project = "altmin"
author = "the altmin developers"
copyright = "2026, the altmin developers"
release = version = installed("altmin")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = "altmin"
exclude_patterns = ["_build"]
default_role = "code"
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
