"""Settings of the documentation site; ``make docs`` builds it, and a warning fails the build."""

project = "pdray"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["README.md"]  # index.md includes it
html_theme = "furo"
html_title = "pdray"
html_show_copyright = False
html_show_sourcelink = False
html_show_sphinx = False
autodoc_typehints = "signature"
napoleon_google_docstring = True
napoleon_use_ivar = True
myst_heading_anchors = 3  # a link may name a heading of a page
