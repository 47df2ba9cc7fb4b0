"""Tests of what a person at a terminal is told: sentences about what they must know, each once."""

from __future__ import annotations

from typing import Any

import pytest

from purgeengine import log_events, logs
from purgeengine.cli.output.notices import CLOSED_SHOWN, SAME_WAIT_S, Notices


class Told:
    """Notices with a clock in hand."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self._notices = Notices(lambda: self.now, lambda: "12:00:00")

    def of(self, name: str, level: str = "warning", **values: Any) -> str | None:
        """Return the sentence for an event, without its time."""
        said = self._notices.sentence({"event": name, "level": level, "timestamp": "t", **values})
        return None if said is None else said.removeprefix("12:00:00  ")


ALL_EVENTS = [value for name, value in vars(logs).items() if name.isupper() and isinstance(value, str) and "." in value]
MUST_KNOW: dict[str, dict[str, Any]] = {
    log_events.ANSWER_INTERCEPTED: {"said": "A proxy answered."},
    log_events.APP_LIMITED: {"per_s": 18.0},
    log_events.CLOCK_SKEWED: {"skew_s": 70.0},
    log_events.FILTER_APPLIED: {"because": "A filter leaves rows out."},
    log_events.LEDGER_OPENED: {"rows": 1_200, "settled": 620, "waiting": 580, "resumed": True},
    log_events.MAILBOX_CLOSED: {"mailbox": "ann@x.example", "status": 403, "code": "C", "message": "No.", "skipped": 7},
    log_events.PREFLIGHT_WARNED: {"topic": "roles", "said": "A role is missing."},
    log_events.RUN_BLOCKED: {"for_s": 30.0},
    log_events.RUN_DOUBTED: {"because": "Nothing was found."},
    log_events.RUN_PAUSED: {"for_s": 3_600},
    log_events.RUN_RELEASED: {},
    log_events.METRICS_SERVED: {"url": "http://127.0.0.1:9464/metrics"},
    log_events.TELEMETRY_FAILED: {"because": "The collector cannot be reached. The run goes on."},
    log_events.TOKEN_DELAYED: {"reason": "the login is busy"},
}


@pytest.mark.parametrize("name", ALL_EVENTS)
def test_each_event_is_told_or_counted_and_never_shown_as_names_and_values(name: str) -> None:
    """Every event of the log has a sentence or is only counted: a new one must be put into one of the two lists."""
    said = Told().of(name, **MUST_KNOW.get(name, {"for_s": 2.0, "rows": 1}))
    assert (said is not None) == (name in MUST_KNOW)
    if said is not None:
        assert "=" not in said
        assert said.endswith(".")
        assert name not in said


def test_a_wait_of_the_whole_app_is_told_once() -> None:
    """A wait that is asked for again and again is told once, a much longer one again, and one after a quiet time again."""
    told = Told()
    assert (
        told.of(log_events.RUN_BLOCKED, for_s=30.0)
        == "Graph asks the whole app to wait 30 s. Nothing is sent meanwhile."
    )
    told.now += 31
    assert told.of(log_events.RUN_BLOCKED, for_s=30.0) is None
    assert told.of(log_events.RUN_BLOCKED, for_s=120.0) is not None
    told.now += 120 + SAME_WAIT_S + 1
    assert told.of(log_events.RUN_BLOCKED, for_s=30.0) is not None
    assert Told().of(log_events.RUN_BLOCKED, for_s=2.0) is None


def test_closed_mailboxes_are_named_up_to_a_bound() -> None:
    """The first five closed mailboxes are named with the reason, then one sentence stands for all others."""
    told = Told()
    said = [
        told.of(log_events.MAILBOX_CLOSED, mailbox=f"u{number}@x", status=404, code="C", message="No.", skipped=number)
        for number in range(100)
    ]
    shown = [sentence for sentence in said if sentence is not None]
    assert shown[0] == "The mailbox u0@x cannot be served: 404 C No."
    assert shown[1] == "The mailbox u1@x cannot be served: 404 C No. 1 row of it is skipped."
    assert len(shown) == CLOSED_SHOWN + 1
    assert "--log-file" in shown[-1]


def test_a_limit_of_the_app_is_told_when_it_begins_and_when_it_ends() -> None:
    """A limit that is learned more and more exactly is told once, and its end is told."""
    told = Told()
    said = [told.of(log_events.APP_LIMITED, "info", per_s=per_s) for per_s in (18.0, 17.2, 16.9, 0.0, 0.0)]
    assert said == [
        "Graph limits the app to about 18 requests/s. The run slows down to that.",
        None,
        None,
        "Graph limits the app no longer.",
        None,
    ]


def test_a_resumed_run_says_how_many_rows_are_done() -> None:
    """A resumed ledger tells what is done and what is left. A new one tells nothing."""
    told = Told()
    assert told.of(log_events.LEDGER_OPENED, "info", rows=1_200, settled=620, resumed=True) == (
        "Resuming: 620 of 1,200 rows are done, 580 left."
    )
    assert told.of(log_events.LEDGER_OPENED, "info", rows=1_200, settled=3, resumed=False) is None


def test_the_same_sentence_is_told_once() -> None:
    """A warning that comes twice is told once."""
    told = Told()
    assert told.of(log_events.PREFLIGHT_WARNED, said="Look out.") == "Look out."
    assert told.of(log_events.PREFLIGHT_WARNED, said="Look out.") is None


def test_a_warning_without_a_sentence_is_not_lost() -> None:
    """A warning that is not known here is shown as it is. Information is not."""
    assert Told().of("metrics.delayed", port=9_000) == "metrics.delayed port=9000."
    assert Told().of("metrics.delayed", "info", port=9_000) is None


def test_text_of_others_steers_no_terminal() -> None:
    """Control characters in Graph's words do not reach the terminal."""
    said = Told().of(log_events.MAILBOX_CLOSED, mailbox="a\x1b[2J", status=403, code="C", message="x\ny", skipped=0)
    assert said is not None
    assert said.isprintable()
