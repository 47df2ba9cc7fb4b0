"""Turn findings into HTML: one file that needs nothing else, no network and no script.

The template engine escapes every text. The page also contains the findings as JSON, for programs.
"""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import msgspec
from markupsafe import Markup

from purgeengine.edges.ledger.outputs.exporting import appearing
from purgeengine.edges.paths import refuse_unspellable
from purgeengine.edges.report_page import charts
from purgeengine.edges.report_page.report_json import report_output
from purgeengine.words import duration

TEMPLATE = "report.html.j2"


def write_page(findings: dict[str, Any], out: Path) -> None:
    """Write the page to a file, which appears when it is whole. Raises `LedgerError` if that fails."""
    refuse_unspellable(out)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.new")
    with appearing(temporary, out):
        temporary.write_text(render(findings), encoding="utf-8", newline="\n")


def render(findings: dict[str, Any]) -> str:
    """Return the page as HTML."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=_number, duration=_duration, moment=_moment)
    template = environment.from_string((files(__package__) / TEMPLATE).read_text("utf-8"))
    outcomes = {**findings["outcomes"], "waiting": findings["waiting"], "in_doubt": findings["in_doubt"]}
    return template.render(
        f=findings,
        states=outcomes,
        bar=charts.segments(outcomes),
        courses=[charts.course(ledger["timeline"]) for ledger in findings["ledgers"]],
        bar_width=charts.BAR_WIDTH,
        width=charts.COURSE_WIDTH,
        height=charts.COURSE_HEIGHT,
        as_json=_embedded(findings),
    )


def _embedded(findings: dict[str, Any]) -> Markup:
    """Return what ``report --json`` prints, as JSON that cannot end the element around it."""
    text = msgspec.json.format(msgspec.json.encode(report_output(findings)), indent=1).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - nothing in it can be markup any more


def _number(value: float) -> str:
    return f"{value:,}"


def _duration(seconds: float | None) -> str:
    """A dash where it is not known. No-break spaces keep each number on the line of its unit."""
    return "–" if seconds is None else duration(seconds, tenths=True).replace(" ", "\u00a0")


def _moment(text: str | None) -> str:
    """Return a time like 2026-01-31 12:00:00 UTC."""
    return "–" if text is None else f"{text[:19].replace('T', ' ')} UTC"
