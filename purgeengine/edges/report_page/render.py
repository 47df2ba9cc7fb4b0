"""Turn findings into HTML: one file that needs nothing else, no network and no script.

The template engine escapes every text. The page also contains the findings as JSON, for programs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import msgspec
from markupsafe import Markup

from purgeengine.core.graph.operations import Action
from purgeengine.edges.ledger.outputs.exporting import appearing
from purgeengine.edges.paths import refuse_missing_folder, refuse_unspellable
from purgeengine.edges.report_page import charts
from purgeengine.edges.report_page.headline import headline_of, rows_that_ended_badly
from purgeengine.edges.report_page.report_json import report_output
from purgeengine.edges.report_page.time_axis import MONTHS
from purgeengine.words import counted, duration, number

TEMPLATES = "templates"
PAGE = "page.html.j2"
MEANINGS = {
    "purged": "confirmed by Graph, or gone after an attempt of ours without an answer",
    "absent": "not found: already gone, or its id has changed",
    "refused": "Graph said no for good",
    "exhausted": "still failing after every attempt",
    "skipped": "never sent: its mailbox was closed, or a filter left it out",
    "invalid": "never sent: the row itself is wrong",
    "duplicate": "never sent: the same contact stands in an earlier row",
    "waiting": "not yet sent, or to be sent again",
    "in_doubt": "sent, and the answer is not known yet",
}
_MOVED = "moved to Deleted Items, or gone after an attempt of ours without an answer"


def write_page(findings: dict[str, Any], out: Path, refresh_s: int | None = None) -> None:
    """Write the page to a file, which appears when it is whole.

    With ``refresh_s`` a browser loads the file again every so many seconds. Raises `LedgerError` if it cannot be written, and
    `UsageProblem` if there is no such folder.
    """
    refuse_unspellable(out)
    refuse_missing_folder(out)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.new")
    with appearing(temporary, out):
        temporary.write_text(render(findings, refresh_s), encoding="utf-8", newline="\n")


def render(findings: dict[str, Any], refresh_s: int | None = None) -> str:
    """Return the page as HTML."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(lambda name: (files(__package__) / TEMPLATES / name).read_text("utf-8")),
    )
    environment.filters.update(
        number=number,
        counted=counted,
        verb=_verb,
        share=_share,
        duration=_duration,
        moment=_moment,
        days=_days,
        period=_period,
    )
    states = {**findings["outcomes"], "waiting": findings["waiting"], "in_doubt": findings["in_doubt"]}
    moved = {"purged": _MOVED} if findings["asked"]["action"] == Action.DELETE else {}
    return environment.get_template(PAGE).render(
        f=findings,
        headline=headline_of(findings),
        badly=rows_that_ended_badly(findings),
        states=states,
        meanings={**MEANINGS, **moved},
        bar=charts.segments(states),
        bar_width=charts.BAR_WIDTH,
        pictures=[_picture(ledger) for ledger in findings["ledgers"]],
        refresh_s=refresh_s,
        as_json=_embedded(findings),
    )


def _picture(ledger: Mapping[str, Any]) -> dict[str, Any]:
    """Return the curves of a ledger, and its largest mailboxes, each with its strip."""
    course = charts.course(ledger["timeline"], ledger["runs"])
    largest = ledger["largest_mailboxes"] if course else []
    strips = charts.strips(largest, course.intervals) if course else []
    return {"course": course, "strips": list(zip(largest, strips, strict=True))}


def _embedded(findings: dict[str, Any]) -> Markup:
    """Return what ``report --json`` prints, as JSON that cannot end the element around it."""
    text = msgspec.json.encode(report_output(findings)).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - nothing in it can be markup any more


def _verb(count: int, one: str, several: str) -> str:
    """Return the form of a verb that fits the number."""
    return one if count == 1 else several


def _share(count: int, rows: int) -> str:
    """Return a share of all rows in percent. It is never rounded to nothing or to all."""
    if not 0 < count < rows:
        return f"{100 if count else 0} %"
    share = f"{100 * count / rows:.1f}"
    return f"{'< 0.1' if share == '0.0' else '> 99.9' if share == '100.0' else share} %"


def _duration(seconds: float | None) -> str:
    """A dash where it is not known. No-break spaces keep each number on the line of its unit."""
    return "–" if seconds is None else duration(seconds, tenths=True).replace(" ", "\u00a0")


def _moment(text: str | None) -> str:
    """Return a time like 2026-01-31 12:00:00 UTC."""
    return "–" if text is None else f"{text[:19].replace('T', ' ')} UTC"


def _period(ledger: Mapping[str, Any]) -> str:
    """Return when a ledger's rows were sent and settled. A day that is the same is written once, and so is an instant."""
    first, last = (_moment(ledger[key]) for key in ("first_sent_utc", "last_settled_utc"))
    if first == last:
        return first
    day, time_of_first = first.split(" ")[:2]
    return f"{day} {time_of_first} to {last.removeprefix(f'{day} ')}"


def _days(ledger: Mapping[str, Any]) -> str:
    """Return the day or the days on which a ledger's rows were sent and settled."""
    texts = (ledger["first_sent_utc"], ledger["last_settled_utc"] or ledger["first_sent_utc"])
    first, last = (datetime.fromisoformat(text) for text in texts)
    written = [f"{at.day} {MONTHS[at.month - 1]} {at.year}" for at in (first, last)]
    return written[0] if written[0] == written[1] else " to ".join(written)
