"""Tests of the built site: it builds without a warning, every link of the HTML leads somewhere, and nothing comes from elsewhere.

They are skipped where Sphinx is not installed; it is in the dependency group `docs`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
BUILD = [sys.executable, "-m", "sphinx", "-q", "-c", "docs", "-W", "--keep-going"]
PAGES_MIN = 20
LINKS_MIN = 1_000
LOADING = {
    ("script", "src"),
    ("img", "src"),
    ("link", "href"),
    ("iframe", "src"),
    ("source", "src"),
    ("object", "data"),
}
"""Attributes whose address a browser loads without being asked. A canonical or alternate link is not loaded."""
INSTALLED = bool(find_spec("sphinx") and find_spec("myst_parser") and find_spec("furo"))

pytestmark = pytest.mark.skipif(
    not INSTALLED, reason="Sphinx is not installed: the dependency group docs has it, and .ci/run installs it"
)


class Page(HTMLParser):
    """What a page has: the ids that links can name, the links, and what a browser loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        named = {name: value or "" for name, value in attrs}
        self.ids |= {named[name] for name in ("id", "name") if name in named}
        if tag == "a" and "href" in named:
            self.links.append(named["href"])
        for name, value in named.items():
            if (tag, name) in LOADING and named.get("rel") not in ("canonical", "next", "prev", "index", "search"):
                self.loaded.append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site once, strictly."""
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [*BUILD, "-d", str(out / "trees"), ".", str(out / "html")],
        cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False, timeout=110,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return out / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Read every page of the site with a parser that knows nothing of Sphinx."""
    return {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_every_link_of_the_site_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    """The file of every link exists, and so does the id that it names."""
    broken, followed = [], 0
    for path, page in pages.items():
        for link in page.links:
            address = urlsplit(link)
            if address.scheme or address.netloc:
                continue
            followed += 1
            target = (path.parent / unquote(address.path)).resolve() if address.path else path
            ids = pages[target].ids if target in pages else set()
            if not target.is_file() or (address.fragment and unquote(address.fragment) not in ids):
                broken.append((path.relative_to(site.resolve()).as_posix(), link))
    assert broken == []
    assert len(pages) >= PAGES_MIN
    assert followed >= LINKS_MIN


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    """No page loads a script, a style, a font or an image from another host, and no style sheet does."""
    loaded = [address for page in pages.values() for address in page.loaded]
    assert [address for address in loaded if urlsplit(address).netloc] == []
    assert [path.name for path in site.rglob("*.css") if "url(http" in path.read_text(encoding="utf-8")] == []
    assert len(loaded) > 100


def test_every_page_of_docs_is_on_the_site(site: Path) -> None:
    """Each Markdown page of docs/ and of the root has its HTML page, and the root leads to the first."""
    wanted = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]
    assert [page for page in wanted if not (site / page.relative_to(ROOT)).with_suffix(".html").is_file()] == []
    assert "docs/index.html" in (site / "index.html").read_text(encoding="utf-8")


def test_the_search_finds_a_code_in_a_browser(site: Path, tmp_path: Path) -> None:
    """A real browser, without a network, opens the site's search from a file and finds the page that has a code of the login."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("there is no Chromium here; Debian's package chromium has one")
    address = f"{(site / 'search.html').as_uri()}?q=AADSTS7000222"
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--proxy-server=127.0.0.1:9", f"--user-data-dir={tmp_path}",
         "--virtual-time-budget=10000", "--dump-dom", address],
        capture_output=True, text=True, encoding="utf-8", check=False, timeout=100, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    found = [link for link in Page(done.stdout).links if "when-something-fails" in link]
    assert found, done.stderr[-2_000:]
