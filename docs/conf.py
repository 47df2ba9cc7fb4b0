"""How Sphinx builds the site: `python -m sphinx -c docs -W --keep-going . build/site`, from the root of the repository.

The root is the source, so that a link between pages is the same on the site and in the repository. `-W` makes every warning
an error: a page that is in no table of contents, a link to a page that does not exist, a link to a heading that does not exist.
"""

from __future__ import annotations

from pathlib import Path

_version: dict[str, str] = {}
exec((Path(__file__).parents[1] / "purgeengine" / "version.py").read_text(encoding="utf-8"), _version)  # noqa: S102

project = "purgeengine"
version = release = _version["__version__"]
language = "en"

extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "benchmarks/RESULTS.md"]
myst_heading_anchors = 4
"""Headings of these levels have anchors, spelt as GitHub spells them."""
templates_path = ["_templates"]
html_theme = "furo"
html_title = f"purgeengine {version}"
html_additional_pages = {"index": "redirect.html"}
"""The root of the site leads to docs/index.html, where the first page is."""
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0f5ea8", "color-brand-content": "#0f5ea8"},
    "dark_css_variables": {"color-brand-primary": "#7ab8f5", "color-brand-content": "#7ab8f5"},
}
# Nothing is fetched from elsewhere: furo has fonts of the system only, and Sphinx searches in the browser.
html_static_path = ["_static"]
html_css_files = ["site.css"]
