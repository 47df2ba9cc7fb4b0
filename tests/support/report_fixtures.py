"""Ledgers that a report must show well: with long names, waits, lost calls and every outcome; and the parser of a page."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from purgeengine.core.messages import Entry, MailboxBlocked, MailboxClosed, Settled
from purgeengine.core.model import Attempt, Outcome, Reply
from purgeengine.edges.ledger import Ledger
from tests.support.ledger_fixtures import NOW, FakeSource, ended, open_ledger, returned, sent, settled

VOID = {"meta", "line", "br", "rect", "path", "circle"}
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7*7 }}\x1b[31m\u202e\u0000"
RIGHT_TO_LEFT = "שלום עולם@contoso.example"
LONG_USER = f"{'a-very-long-name.' * 3}mailbox@{'department.' * 22}contoso.example"
LONG_CONTACT = "AAMkAGI2" + "T" * 292
LONG_MESSAGE = "The_specified_object_was_not_found_in_the_store_" * 6
USERS = (LONG_USER, "closed@contoso.example", *(f"user{number}@contoso.example" for number in range(10)))
ROWS_EACH = 40
ROWS_A_BATCH = 4
STEP_MS = 1_500
DENIED = Reply(403, "ErrorAccessDenied", "Access is denied.")


class Page(HTMLParser):
    """Parses a page as a browser would, and keeps its elements, attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if "script" not in self.open and "style" not in self.open:
            self.text += data


@dataclass
class Told:
    """What a test told a ledger of its calls, counted as it was told."""

    calls: int = 0
    lost: int = 0
    requests: int = 0
    put_off: int = 0


def a_busy_ledger(folder: Path, *, finished: bool = True, hostile: bool = True) -> Told:
    """Write a ledger of twelve mailboxes whose rows were purged, put off, lost, refused, skipped, invalid or repeated.

    One name and its ids are as long as they may be. With ``hostile``, other texts hold markup, long words and writing from
    right to left. Unless it is ``finished``, the last rows wait.
    """
    rows = [(user, "F", f"{LONG_CONTACT}{number:03d}") for user in USERS for number in range(ROWS_EACH)]
    rows += [(RIGHT_TO_LEFT, "", "x"), (f"👩‍💻{'x' * 310}", "", "x"), rows[0]]
    if hostile:
        rows += [(HOSTILE.replace("\0", ""), "", "x")] * 2
    source = FakeSource(rows, files=(Path(f"{'a list with a very long name ' * 4}.csv"),))
    told = Told()
    with open_ledger(folder, source) as ledger:
        ledger.begin(NOW, {"connections": 16, "graph_host": "graph.microsoft.com"})
        steps = ROWS_EACH // ROWS_A_BATCH - (0 if finished else 4)
        for step in range(steps):
            if step == steps // 2:
                ledger.begin(NOW + step * STEP_MS, {"connections": 8})
            for mailbox in range(len(USERS)):
                if mailbox != 1 or step < 2:
                    _send(ledger, mailbox, step, told, hostile=hostile)
        ledger.write([MailboxClosed(1, DENIED, ROWS_EACH - 2 * ROWS_A_BATCH)], NOW + steps * STEP_MS)
    return told


def _send(ledger: Ledger, mailbox: int, step: int, told: Told, *, hostile: bool) -> None:
    """Send four rows of a mailbox. Every fifth call is put off in part, every seventh is lost, and both are sent again."""
    at_ms = NOW + step * STEP_MS
    first = mailbox * ROWS_EACH + step * ROWS_A_BATCH
    batch = ledger.next_batch_number
    positions = list(range(first, first + ROWS_A_BATCH))
    ledger.write([sent(batch, (mailbox, positions))], at_ms)
    told.calls += 1
    told.requests += len(positions)
    again: list[Attempt] = []
    ends: list[Entry] = [ended(batch)]
    if batch % 7 == 0:
        told.lost += 1
        ends = [ended(batch, None), *(returned(position, in_doubt=True) for position in positions)]
        again = [Attempt(position, 2, 0, True) for position in positions]
    else:
        put_off = positions[:2] if batch % 5 == 0 else []
        told.put_off += len(put_off)
        again = [Attempt(position, 2) for position in put_off]
        ends += [MailboxBlocked(mailbox, 1.0)] if put_off else []
        ends += [returned(position) for position in put_off]
        ends += [_decided(position, batch, hostile=hostile) for position in positions[len(put_off) :]]
    ledger.write(ends, at_ms + 400)
    if again:
        told.calls += 1
        told.requests += len(again)
        number = ledger.next_batch_number
        ledger.write([sent(number, (mailbox, again))], at_ms + 900)
        ends = [ended(number), *(settled(attempt.position, number, attempts=2) for attempt in again)]
        ledger.write(ends, at_ms + 1_200)


def _decided(position: int, batch: int, *, hostile: bool) -> Settled:
    if position % 13 == 0:
        message = LONG_MESSAGE if hostile else "The id is malformed."
        return settled(position, batch, Outcome.REFUSED, reply=Reply(400, "ErrorInvalidIdMalformed", message))
    if position % 29 == 0:
        said = HOSTILE.replace("\0", "") if hostile else "The service is unavailable."
        return settled(position, batch, Outcome.EXHAUSTED, in_doubt=True, reply=Reply(503, "ServiceUnavailable", said))
    return settled(position, batch, Outcome.ABSENT if position % 11 == 0 else Outcome.PURGED)
