"""Settings of the documentation site; ``make docs`` builds it, and a warning fails the build."""

project = "pdray"
extensions = ["myst_parser"]
exclude_patterns = ["README.md"]  # index.md includes it
html_theme = "furo"
html_title = "pdray"
html_show_copyright = False
html_show_sourcelink = False
html_show_sphinx = False
myst_heading_anchors = 3  # a link may name a heading of a page
