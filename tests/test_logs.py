"""Tests of the log: what it says at each level, and what it must never show."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from purgeengine import log_events, log_trace, logs
from purgeengine.core.messages import (
    AppLimited,
    BatchEnded,
    BatchSent,
    Entry,
    MailboxBlocked,
    MailboxClosed,
    Returned,
    RunBlocked,
    Settled,
)
from purgeengine.core.model import Attempt, MailboxShare, Outcome, Reply

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
DENIED = Reply(403, "ErrorAccessDenied", "Access is denied.")
ENTRIES: list[Entry] = [
    BatchSent(1, "c-1", (MailboxShare(0, (Attempt(0), Attempt(1))),)),
    BatchEnded(1, 200, "r-1"),
    BatchEnded(2, None, ""),
    Settled(0, Outcome.PURGED, 1, False, 1, Reply(204)),
    Settled(1, Outcome.REFUSED, 1, False, 1, DENIED),
    Returned(2, 1, 0, False),
    MailboxBlocked(0, 2.5),
    MailboxClosed(0, DENIED, 7),
    RunBlocked(30.0),
    AppLimited(18.04),
]


@pytest.fixture(autouse=True)
def unconfigured_afterwards() -> Iterator[None]:
    """Resets the log after the test."""
    yield
    logs.configure_logs()
    structlog.reset_defaults()


def logged(**options: Any) -> tuple[Any, io.StringIO]:
    """Return a logger that was made before the log was set up, and the stream that it writes to."""
    log, out = logs.get_logger(), io.StringIO()
    logs.configure_logs(**{"format": "json", "stream": out, **options})
    return log, out


def events(out: io.StringIO) -> list[dict[str, Any]]:
    """Return the written events."""
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_an_event_is_one_line_of_json_with_the_time() -> None:
    """An event is one line of JSON with level, values and a UTC time in ISO 8601."""
    log, out = logged()
    log.info(log_events.RUN_STARTED, rows=5)
    (event,) = events(out)
    assert (event["event"], event["level"], event["rows"]) == ("run.started", "info", 5)
    assert event["timestamp"].endswith("Z")
    assert event["timestamp"][10] == "T"


@pytest.mark.parametrize(
    ("options", "levels"),
    [({}, ["info", "warning"]), ({"quiet": True}, ["warning"]), ({"verbose": True}, ["debug", "info", "warning"])],
)
def test_how_much_is_told(options: dict[str, bool], levels: list[str]) -> None:
    """Warnings are always logged, information by default, and debug events with --verbose."""
    log, out = logged(**options)
    log.debug("a.told")
    log.info("a.told")
    log.warning("a.told")
    assert [event["level"] for event in events(out)] == levels


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {},
            ["item.settled", "mailbox.blocked", "mailbox.closed", "run.blocked", "app.limited"],
        ),
        ({"quiet": True}, ["mailbox.closed", "run.blocked"]),
        (
            {"verbose": True},
            [
                "batch.sent",
                "batch.answered",
                "item.settled",
                "item.settled",
                "item.returned",
                "mailbox.blocked",
                "mailbox.closed",
                "run.blocked",
                "app.limited",
            ],
        ),
    ],
)
def test_what_is_told_of_a_turn(options: dict[str, bool], told: list[str]) -> None:
    """Batches and rows that ended well are logged only with --verbose, because there are millions."""
    log, out = logged(**options)
    log_trace.trace(log, ENTRIES, "user{}@contoso.example".format)
    assert [event["event"] for event in events(out)] == told
    assert log_trace.tracing()


def test_a_failed_row_is_told_with_its_reason() -> None:
    """A failed row is logged with enough details to find it in the ledger."""
    log, out = logged()
    log_trace.trace(log, [ENTRIES[4]], str)
    (event,) = events(out)
    del event["timestamp"]
    assert event == {
        "event": "item.settled",
        "level": "info",
        "position": 1,
        "outcome": "refused",
        "status": 403,
        "code": "ErrorAccessDenied",
        "message": "Access is denied.",
        "attempts": 1,
        "in_doubt": False,
        "batch": 1,
    }


@pytest.mark.parametrize("format_", ["json", "console"])
@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("access_token", "abc123", "abc123"),
        ("Authorization", "abc123", "abc123"),
        ("client_secret", "abc123", "abc123"),
        ("certificate_password", "abc123", "abc123"),
        ("client_assertion", "abc123", "abc123"),
        ("reason", f"it was {JWT}!", JWT),
        ("reason", "sent Bearer abc123def456", "abc123def456"),
        ("reason", "header: bearer  abc123def456", "abc123def456"),
        ("reason", "Proxy-Authorization: Basic YW5uOmh1bnRlcjI=", "YW5uOmh1bnRlcjI"),
        ("reason", "https://ann:hunter2@proxy.example:1", "hunter2"),
        ("reason", "client_id=1&client_secret=hunter2&x=1", "hunter2"),
        ("details", {"headers": {"authorization": "abc123"}}, "abc123"),
        ("details", [{"note": JWT}], JWT),
        ("error", ValueError(f"Bearer {JWT}"), JWT),
        ("body", f"Bearer {JWT}".encode(), JWT),
        ("event_text", "Bearer abc123def456", "abc123def456"),
    ],
)
def test_secrets_do_not_reach_the_log(format_: str, name: str, value: object, secret: str) -> None:
    """A secret is redacted by the name of its value or by its shape, at any depth."""
    log, out = logged(format=format_)
    log.warning("a.told", **{name: value})
    log.warning(f"told {JWT}")
    assert secret not in out.getvalue()
    assert JWT not in out.getvalue()
    assert out.getvalue().count("(redacted)") == 2


def test_what_is_no_secret_is_told() -> None:
    """Numbers, short texts and words that only resemble a secret are not redacted."""
    log, out = logged()
    log.info(log_events.TOKEN_RENEWED, tokens=3, reason="The bearer of this.", ratio=0.5, none=None, ok=True)
    (event,) = events(out)
    assert event["event"] == "token.renewed"
    assert (event["tokens"], event["reason"], event["ratio"]) == (3, "The bearer of this.", 0.5)
    assert (event["none"], event["ok"]) == (None, True)


@pytest.mark.parametrize("format_", ["json", "console"])
def test_hostile_text_steers_no_terminal(format_: str) -> None:
    """Control characters, line separators and direction marks are escaped in the log."""
    log, out = logged(format=format_)
    log.warning("a.told", message="a\x1b[2Jb\r\nc\x85d\u202ee\u2028f", **{"k\x1b": "v"})
    text = out.getvalue()
    assert text.count("\n") == 1
    assert text.rstrip("\n").isprintable()


def test_a_long_value_is_cut() -> None:
    """A long value is cut."""
    log, out = logged()
    log.info("a.told", message="x" * 100_000)
    assert len(events(out)[0]["message"]) == logs.VALUE_LENGTH_MAX


class Terminal(io.StringIO):
    """A text stream that claims to be a terminal."""

    def isatty(self) -> bool:
        """Return True, as a terminal does."""
        return True


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours are used for a terminal only, and not with NO_COLOR."""
    for stream, no_colour, coloured in ((Terminal(), "", True), (Terminal(), "1", False), (io.StringIO(), "", False)):
        monkeypatch.setenv("NO_COLOR", no_colour)
        log, _ = logged(format="console", stream=stream)
        log.warning("a.told", message="x")
        assert ("\x1b[" in stream.getvalue()) is coloured
        assert "a.told" in stream.getvalue()


def test_names_are_a_noun_and_a_participle() -> None:
    """The names of events are unique, and each is a noun and a participle."""
    names = [value for name, value in vars(logs).items() if name.isupper() and isinstance(value, str) and "." in value]
    assert len(names) == len(set(names))
    for name in names:
        noun, participle = name.split(".")
        assert noun.isalpha()
        assert participle.endswith(("ed", "sent", "lost"))
