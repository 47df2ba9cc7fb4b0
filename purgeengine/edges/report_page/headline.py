"""The one sentence at the top of the page: how the purge ended. It never calls a success what people must look at first."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from purgeengine.core.graph.operations import Action
from purgeengine.core.model import Outcome
from purgeengine.words import counted, number

LOOK = "Look at a few of these contacts before you take this for done."


class Tone(StrEnum):
    """How a headline is meant: the purge is unfinished (``open``), ended ``well`` or ``badly``, or must be looked at."""

    OPEN = "open"
    WELL = "well"
    BADLY = "badly"
    DOUBT = "doubt"


class Headline(NamedTuple):
    """A sentence in large letters, and what to know or to do about it."""

    tone: Tone
    title: str
    lead: str


def headline_of(findings: Mapping[str, Any]) -> Headline:
    """Return the headline of a report, from its findings."""
    rows, badly = findings["rows"], rows_that_ended_badly(findings)
    purged, absent = findings["outcomes"][Outcome.PURGED], findings["outcomes"][Outcome.ABSENT]
    if not findings["complete"]:
        return _unfinished(findings, badly)
    if not rows:
        return Headline(Tone.DOUBT, "Nothing was purged: the list was empty.", "Check that it is the right list.")
    if findings["left_out_rows"] and not badly:
        return _left_out(findings)
    if badly:
        if badly == rows:
            title = (
                "The row of the list did not end well." if rows == 1 else f"None of the {number(rows)} rows ended well."
            )
            return Headline(Tone.BADLY, title, f"{_done(findings)} Below is why, and what to do about it.")
        whose = "the other one" if badly == 1 else "the others"
        told = (
            f"{_done(findings)}{_left_out_words(findings)} Below is what happened to {whose}, and what to do about it."
        )
        return Headline(Tone.BADLY, f"{number(badly)} of {counted(rows, 'row')} did not end well.", told)
    if not purged:
        if findings["nothing_found"]:
            none = "the one contact" if absent == 1 else f"none of the {number(absent)} contacts"
            verb = "was not found" if absent == 1 else "was found"
            return Headline(Tone.DOUBT, f"Nothing was purged: {none} of the list {verb}.", "")
        return Headline(Tone.DOUBT, "Nothing was purged: no contact of the list was found.", LOOK)
    if findings["nothing_found"]:
        title = f"Check this result: {number(absent)} of {counted(rows, 'contact')} {_were(absent)} not found."
        return Headline(Tone.DOUBT, title, _done(findings))
    title = "The contact of the list is gone." if rows == 1 else "Every row of the list ended well."
    return Headline(Tone.WELL, title, _done(findings))


def rows_that_ended_badly(findings: Mapping[str, Any]) -> int:
    """Return the number of rows that were refused, exhausted, skipped or invalid. Those that a filter left out are not counted."""
    badly = sum(findings["outcomes"][outcome] for outcome in Outcome if outcome.ended_badly)
    return int(badly - findings["left_out_rows"])


def _left_out(findings: Mapping[str, Any]) -> Headline:
    """Return the headline of a purge of which filters left rows out, and whose other rows ended well."""
    rows, left_out = findings["rows"], findings["left_out_rows"]
    if rows == left_out:
        title = f"Nothing was purged: {_option_names(findings)} left out all {counted(rows, 'row')}."
        return Headline(Tone.DOUBT, title, "Check that it is the right list of users.")
    if findings["nothing_found"]:
        absent = findings["outcomes"][Outcome.ABSENT]
        title = (
            f"Check this result: {number(absent)} of {counted(rows - left_out, 'contact')} {_were(absent)} not found."
        )
        return Headline(Tone.DOUBT, title, f"{_done(findings)}{_left_out_words(findings)}")
    title = f"{counted(rows - left_out, 'row')} ended well, {number(left_out)} {_were(left_out)} left out as asked."
    return Headline(Tone.WELL, title, f"{_done(findings)}{_left_out_words(findings)}")


def _left_out_words(findings: Mapping[str, Any]) -> str:
    """Return the sentence about rows that filters left out, with a space in front. Empty if there are none."""
    count = findings["left_out_rows"]
    by = _option_names(findings)
    return f" {counted(count, 'row')} {_were(count)} left out by {by}, as asked." if count else ""


def _option_names(findings: Mapping[str, Any]) -> str:
    return " and ".join(findings["left_out_by"])


def _unfinished(findings: Mapping[str, Any], badly: int) -> Headline:
    rows, doubt = findings["rows"], findings["in_doubt"]
    left = findings["waiting"] + doubt
    failed = f" {number(badly)} did not end well so far." if badly else ""
    if findings["running"]:
        title = f"Running: {number(rows - left)} of {counted(rows, 'row')} {_have(rows - left)} an outcome."
        return Headline(Tone.OPEN, title, f"{counted(left, 'row')} {_are(left)} left.{failed}")
    title = f"Not finished: {number(left)} of {counted(rows, 'row')} {_have(left)} no outcome yet."
    sent = f" {number(doubt)} of them {_are(doubt)} in doubt: sent, and the answer is not known." if doubt else ""
    resume = "To resume, give the same command again"
    resume = f"{resume}, unless a run is going on." if findings["running"] is None else f"No run is going on. {resume}."
    return Headline(Tone.OPEN, title, f"{resume}{sent}{failed}")


def _done(findings: Mapping[str, Any]) -> str:
    """Return what was purged, what was not found, and what was repeated. It claims of no contact that it exists nowhere."""
    outcomes = findings["outcomes"]
    purged, absent, repeated = outcomes[Outcome.PURGED], outcomes[Outcome.ABSENT], outcomes[Outcome.DUPLICATE]
    done = "moved to Deleted Items" if findings["asked"]["action"] == Action.DELETE else "purged"
    said = f"{counted(purged, 'contact') if purged else 'No contact'} {_were(purged or 1)} {done}"
    if absent:
        said += f", and {number(absent)} {_were(absent)} not found"
    if repeated:
        said += f". {counted(repeated, 'row')} {'repeats' if repeated == 1 else 'repeat'} an earlier row"
    return f"{said}."


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _have(count: int) -> str:
    return "has" if count == 1 else "have"
