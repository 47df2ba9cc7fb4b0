"""Tests of the page in a real browser: Chromium with the rules of axe, on a desk and on a telephone, by day, by night, on paper.

They need the dependency group ``browser`` and the system's Chromium. Without them they are skipped, unless BROWSER_REQUIRED is set.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from purgeengine.core.model import Outcome, Reply
from purgeengine.edges.ledger import Chain, failures_of
from purgeengine.edges.report_page import findings_of, write_page
from tests.cli.commands.test_retry import ending
from tests.support.ledger_fixtures import NOW, FakeSource, a_source, open_ledger
from tests.support.report_fixtures import LONG_CONTACT, LONG_USER, a_busy_ledger

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DESK, TELEPHONE, PAPER = (1280, 900), (390, 844), (688, 1000)
CELL_WIDTH_MIN = 30
"""Pixels that a cell with text must have at least: three letters. A vanished column has fewer."""
OVERFLOWING = """() => [...document.querySelectorAll('body *')].filter(e => {
    const box = e.getBoundingClientRect();
    return box.width && getComputedStyle(e).clipPath === 'none' && !e.closest('thead, svg') && box.right > innerWidth + 1;
}).map(e => e.tagName + '.' + e.className)"""
NARROW = """least => [...document.querySelectorAll('th, td')].filter(e => {
    const box = e.getBoundingClientRect();
    return e.innerText.trim() && box.height && box.width < least && getComputedStyle(e.closest('thead') || e).clipPath === 'none';
}).map(e => e.innerText)"""

Opened = Callable[..., Any]


def need(found: object, what: str) -> None:
    """Skip the test if something is missing, or fail if it is required."""
    if not found:
        if os.environ.get("BROWSER_REQUIRED"):
            pytest.fail(f"{what} is missing.")
        pytest.skip(f"{what} is missing")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start the system's Chromium without a window."""
    need(find_spec("playwright") and find_spec("axe_playwright_python"), "the dependency group 'browser'")
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    need(chromium, "Chromium (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Opened]:
    """Return a function that opens a page in a size, a colour scheme or on paper. A page that asks a network fails the test."""
    contexts = []
    complaints: list[str] = []

    def open_page(path: Path, size: tuple[int, int] = DESK, scheme: str = "light", media: str = "screen") -> Any:
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda request: complaints.append(request.url) if request.url != path.as_uri() else None)
        page.emulate_media(media=media, color_scheme=scheme)
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def written(ledger: Path, refresh_s: int | None = None) -> Path:
    """Write the page of a ledger beside it."""
    with Chain.open([ledger]) as chain:
        final = chain.final()
        write_page(
            findings_of(chain, final, failures_of(chain, final), 20), out := ledger.with_suffix(".html"), refresh_s
        )
    return out


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of a ledger with every kind of row, and with hostile and long texts."""
    folder = tmp_path_factory.mktemp("busy") / "a ledger"
    a_busy_ledger(folder)
    return written(folder)


def complaints_of_axe(page: Any) -> list[str]:
    """Return what axe finds wrong with a page: rule, element and reason."""
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text("utf-8"))
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, TELEPHONE], ids=["desk", "telephone"])
def test_nothing_vanishes_and_axe_finds_nothing(busy: Path, opened: Opened, size: tuple[int, int], scheme: str) -> None:
    """Long and hostile texts fit into the page, every cell can be read, and axe has no finding, also with all details open."""
    page = opened(busy, size, scheme)
    for details in page.locator("details").all():
        details.evaluate("e => e.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert page.evaluate(OVERFLOWING) == []
    assert page.evaluate(NARROW, CELL_WIDTH_MIN) == []
    assert page.get_by_text(LONG_USER).first.is_visible()
    assert complaints_of_axe(page) == []


def test_examples_are_folded_on_a_screen_and_open_on_paper(busy: Path, opened: Opened) -> None:
    """Examples are folded on a screen and open on paper. Nothing is wider than the paper, and colours are those of the day."""
    example = f"{LONG_CONTACT}000"
    assert not opened(busy).get_by_text(example).first.is_visible()
    paper = opened(busy, PAPER, "dark", "print")
    assert all(cell.bounding_box()["height"] > 0 for cell in paper.get_by_text(example).all())
    assert paper.evaluate("document.documentElement.scrollWidth") <= PAPER[0]
    assert paper.evaluate(OVERFLOWING) == []
    assert paper.evaluate(NARROW, CELL_WIDTH_MIN) == []
    assert paper.evaluate("getComputedStyle(document.body).color") == "rgb(26, 33, 41)"
    assert paper.pdf(format="A4").startswith(b"%PDF")


def test_the_work_over_time_is_drawn(busy: Path, opened: Opened) -> None:
    """Rate, requests put off and lost calls lie on one axis as wide as the page. Each large mailbox has a strip of its work."""
    page = opened(busy, TELEPHONE)
    course = page.get_by_role("img", name="Rows settled per s over time, requests sent again after an answer")
    widths = [curve.bounding_box()["width"] for curve in course.locator("path").all()]
    assert len(widths) == 4
    assert widths[0] > 300
    assert min(widths) > 250
    assert page.locator(".strips tbody tr").count() == 10
    assert page.get_by_text("Calls without an answer:").is_visible()


def test_a_command_never_breaks_inside_a_word(busy: Path, opened: Opened) -> None:
    """On a telephone a command goes on in the next line, and every word of it that fits into a line stays whole."""
    page = opened(busy, TELEPHONE)
    heights = page.evaluate(
        "() => [...document.querySelectorAll('pre .whole')].map(e => [e.innerText, e.getBoundingClientRect().height])"
    )
    line = min(height for _, height in heights)
    assert {"retry", "--ledger", "--only", "CORRECTED-FOLDER"} <= {word for word, _ in heights}
    assert [word for word, height in heights if height > line and len(word) < 30] == []
    assert max(box["height"] for box in (pre.bounding_box() for pre in page.locator("pre").all())) > 2 * line


@pytest.mark.parametrize("size", [DESK, TELEPHONE], ids=["desk", "telephone"])
def test_lines_of_later_runs_cross_no_text(busy: Path, opened: Opened, size: tuple[int, int]) -> None:
    """The line that tells where a run was resumed stands in the curves only: it strikes through no text."""
    page = opened(busy, size)
    lines = [line.bounding_box() for line in page.locator(".resumed line").all()]
    assert len(lines) == 3
    for text in page.locator(".plot text").all():
        if (box := text.bounding_box()) is not None:
            for line in lines:
                beside = line["x"] < box["x"] or line["x"] > box["x"] + box["width"]
                above_or_below = line["y"] + line["height"] <= box["y"] or line["y"] >= box["y"] + box["height"]
                assert beside or above_or_below, text.inner_text()


def test_what_holds_for_many_kinds_is_said_once(busy: Path, opened: Opened) -> None:
    """What to do about invalid rows stands above their kinds, once."""
    assert opened(busy).get_by_text("These rows were never sent.").count() == 1


def test_other_endings_have_a_sentence_and_no_finding(opened: Opened, tmp_path: Path) -> None:
    """An empty list, one of which nothing was found, and a new ledger are told by a headline. Axe has no finding."""
    with open_ledger(tmp_path / "absent", a_source(12)) as ledger:
        ending(ledger, 0, *[(Outcome.ABSENT, Reply(404, "ErrorItemNotFound"), False)] * 12)
    open_ledger(tmp_path / "empty", FakeSource([])).close()
    open_ledger(tmp_path / "new", a_source(3)).close()
    for name, title in (
        ("absent", "Nothing was purged: none of the 12 contacts of the list was found."),
        ("empty", "Nothing was purged: the list was empty."),
        ("new", "Not finished: 3 of 3 rows have no outcome yet."),
    ):
        page = opened(written(tmp_path / name))
        assert page.get_by_role("heading", level=1).inner_text() == title
    assert complaints_of_axe(opened(tmp_path / "absent.html")) == []


def test_a_page_that_refreshes_itself_shows_what_was_written_since(opened: Opened, tmp_path: Path) -> None:
    """A browser loads a page anew that asks for it, in spite of its content policy, and stops once the page asks no more."""
    from playwright.sync_api import expect

    with open_ledger(tmp_path / "L", a_source(3)) as ledger:
        page = opened(written(tmp_path / "L", refresh_s=1))
        assert page.title().startswith("Purge report: Running: 0 of 3 rows")
        ending(ledger, 0, *[(Outcome.PURGED, Reply(204), False)] * 3, at_ms=NOW)
        written(tmp_path / "L")
        expect(page).to_have_title("Purge report: Every row of the list ended well.")
        assert page.locator("meta[http-equiv=refresh]").count() == 0
