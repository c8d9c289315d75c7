"""How the documentation is built; `make docs` does it, with every warning an error."""

from __future__ import annotations

from kpro_graph import __version__

project = "kpro_graph"
author = "kpro_graph's authors"
version = release = __version__
language = "en"

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
# Headings down to the third level can be linked to: page.md#heading.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]

html_theme = "furo"
html_title = f"kpro_graph {version}"
html_copy_source = False
html_show_sourcelink = False

# The highlighter knows neither psql's own commands nor directives on GraphQL input types, and then does its best.
suppress_warnings = ["misc.highlighting_failure"]
