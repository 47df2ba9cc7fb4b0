"""What to do about a ledger, from what became of its rows: sentences, each with commands that can be copied.

A command is given only if it helps: a retry only for rows that may succeed now, an export for rows that must be
corrected first, the same run again for rows without an outcome.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

from purgeengine.core.command_words import (
    CLOUD,
    CODES,
    EXCLUDE_USERS,
    ONLY,
    ONLY_USERS,
    PROTECTED_USERS,
    correct_commands,
    resume_command,
    retry_command,
)
from purgeengine.core.graph.text import printable
from purgeengine.core.model import Outcome
from purgeengine.core.policy.filters import is_left_out
from purgeengine.core.policy.remedies import Remedy, remedy_for
from purgeengine.core.policy.shell import quoted

CODES_MAX = 8
"""Most codes named in one command. With more, a retry of all rows is simpler than reading them."""
KINDS_MAX = 3
"""Kinds of failures whose remedy a text gives. The report has the others."""
LEDGERS_MAX = 5
"""Ledgers of a chain for which a command is given. A longer chain is rare."""
HIDDEN_NAME = "LEDGER-FOLDER"
"""Stands for a folder whose name a terminal cannot show."""
NEW_NAME = "NEW-FOLDER"
"""Stands for the folder of a ledger that a command will make."""

LEFT_OUT = Remedy(
    f"A filter ({ONLY_USERS}, {EXCLUDE_USERS}, {PROTECTED_USERS}) left these rows out. Nothing needs to be done. To purge these "
    "mailboxes after all, run their rows without the filter.",
    False,
)
_CODE = re.compile("[A-Za-z][A-Za-z0-9._-]{2,}")
_READ_AS_ANOTHER = re.compile("(?i)none|[1-5]xx")


class FailedRows(NamedTuple):
    """``rows`` rows with the same outcome and the same reply. Status 0 means that no answer came."""

    outcome: Outcome
    status: int
    code: str
    message: str
    rows: int

    @property
    def left_out(self) -> bool:
        """True if a filter kept the rows from being sent."""
        return is_left_out(self.status, self.code)

    @property
    def remedy(self) -> Remedy:
        """What can be done about these rows."""
        return remedy_of(self.status, self.code, self.message)


@dataclass(frozen=True, slots=True)
class Situation:
    """A ledger, as far as advice depends on it. ``told`` are its refused, exhausted and skipped rows."""

    folder: str
    unfinished: int
    """Rows without an outcome."""
    invalid: int
    told: Sequence[FailedRows]
    running: bool | None = False
    """Whether a run goes on over the ledger. None if that cannot be known."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do, as a sentence, and the commands for it.

    A word in capitals in a command, such as ``NEW-FOLDER``, stands for a name that whoever gives the command must fill in.
    """

    sentence: str
    commands: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"sentence": self.sentence, "commands": list(self.commands)}


def advice_lines(advice: Iterable[Advice]) -> list[str]:
    """Return the lines of a text with this advice. Each command stands on a line of its own."""
    return [line for one in advice for line in (one.sentence, *(f"  {command}" for command in one.commands))]


def remedy_of(status: int, code: str, message: str) -> Remedy:
    """Return what can be done about rows with this reply, also if a filter left them out."""
    return LEFT_OUT if is_left_out(status, code) else remedy_for(status, code, message)


def advice_for(situations: Sequence[Situation], *, windows: bool) -> list[Advice]:
    """Return what to do about a ledger, or about a chain of ledgers with the first one first.

    Each ledger of a chain counts only the rows that it decides. ``windows`` tells for which shell to quote.
    """
    found: list[Advice] = []
    unfinished = [situation for situation in situations if situation.unfinished]
    if stopped := [situation for situation in unfinished if not situation.running][:LEDGERS_MAX]:
        rows = sum(situation.unfinished for situation in stopped)
        unless = ", unless a run is going on" if any(situation.running is None for situation in stopped) else ""
        found.append(
            Advice(
                f"{_rows(rows)} {'has' if rows == 1 else 'have'} no outcome yet. To resume, give the same command again{unless}, "
                "or this one with the options that were given before:",
                [resume_command(_name(situation, windows)) for situation in stopped],
            )
        )
    told = [kind for situation in situations for kind in situation.told]
    found += _kinds(told)
    retries = [] if unfinished else [situation for situation in situations if _worth(situation.told)][:LEDGERS_MAX]
    if retries:
        found.append(_retry(retries, windows))
    if invalid := [situation for situation in situations if situation.invalid][:1]:
        found.append(_correct(invalid[0], windows))
    return found


def _kinds(told: Sequence[FailedRows]) -> list[Advice]:
    """Return the remedies of the most frequent failures, and how many kinds are left."""
    rows: Counter[Remedy] = Counter()
    example: dict[Remedy, FailedRows] = {}
    for kind in told:
        rows[kind.remedy] += kind.rows
        if kind.remedy not in example or kind.rows > example[kind.remedy].rows:
            example[kind.remedy] = kind
    found = []
    for remedy, count in rows.most_common(KINDS_MAX):
        kind = example[remedy]
        reply = (
            "left out"
            if kind.left_out
            else " ".join(w for w in (str(kind.status or "no answer"), printable(kind.code)) if w)
        )
        found.append(Advice(f"{_rows(count)} ({reply}): {remedy.sentence}"))
    if left := len(rows) - len(found):
        found.append(Advice(f"The report tells of {left} more kind{'' if left == 1 else 's'} of failures."))
    return found


def _worth(told: Iterable[FailedRows]) -> int:
    return sum(kind.rows for kind in told if _worth_retrying(kind))


def _worth_retrying(kind: FailedRows) -> bool:
    return kind.remedy.worth_retrying and not kind.left_out


def _retry(situations: Sequence[Situation], windows: bool) -> Advice:
    rows = sum(_worth(situation.told) for situation in situations)
    commands, others = [], 0
    for number, situation in enumerate(situations, start=1):
        options, more = selection_for(situation.told)
        others += more
        new = NEW_NAME if number == 1 else f"{NEW_NAME}-{number}"
        commands.append(retry_command(_name(situation, windows), new, options))
    again = f" ({_rows(others)} that will fail again {'is' if others == 1 else 'are'} taken along)" if others else ""
    return Advice(
        f"{_rows(rows)} may go through once the causes are mended{again}. With the options that were given before, such as {CLOUD} "
        "and the filters:",
        commands,
    )


def selection_for(told: Sequence[FailedRows]) -> tuple[str, int]:
    """Return the options of a retry that takes the rows worth retrying, and how many other rows it takes too.

    Rows that a filter left out are never taken as long as some rows can be chosen without them.
    """
    retried = [outcome for outcome in Outcome if outcome.worth_retrying]
    present = [outcome for outcome in retried if any(kind.outcome is outcome for kind in told)]
    choices = [frozenset(some) for size in range(len(present), 0, -1) for some in combinations(present, size)]
    best: tuple[tuple[int, int, int], str, int] | None = None
    for outcomes in choices:
        for codes in (None, _codes([kind for kind in told if kind.outcome in outcomes])):
            taken = [kind for kind in told if kind.outcome in outcomes and _takes(codes, kind)]
            left_out = sum(kind.rows for kind in taken if kind.left_out)
            others = sum(kind.rows for kind in taken if not _worth_retrying(kind))
            rank = (-left_out, _worth(taken), -others)
            if _worth(taken) and (best is None or rank > best[0]):
                only = (
                    "" if len(outcomes) == len(present) else f" {ONLY} " + ",".join(o for o in retried if o in outcomes)
                )
                best = (rank, only + (f" {CODES} {','.join(codes)}" if codes else ""), others)
    return ("", 0) if best is None else best[1:]


def _codes(told: Sequence[FailedRows]) -> tuple[str, ...] | None:
    """Codes and statuses for a retry that name what rows worth retrying were told; None where they are none or too many."""
    words: list[str] = []
    for kind in told:
        if _worth_retrying(kind):
            named = _CODE.fullmatch(kind.code) and not _READ_AS_ANOTHER.fullmatch(kind.code)
            word = kind.code if named else str(kind.status) if kind.status else "none"
            words += [] if word in words else [word]
    return tuple(words) if 0 < len(words) <= CODES_MAX else None


def _takes(codes: Sequence[str] | None, kind: FailedRows) -> bool:
    """Whether a retry with these codes and statuses, or without any, takes such rows. A filter's rows are taken by code only."""
    return not kind.left_out if codes is None else _fits(kind, codes)


def _fits(kind: FailedRows, words: Sequence[str]) -> bool:
    """Whether a retry of these codes and statuses takes such rows."""
    lowered = {word.lower() for word in words}
    return (
        kind.code.lower() in lowered - {"none"}
        or str(kind.status) in lowered
        or (kind.status == 0 and "none" in lowered and not kind.left_out)
    )


def _correct(situation: Situation, windows: bool) -> Advice:
    rows = situation.invalid
    return Advice(
        f"{_rows(rows)} {'was' if rows == 1 else 'were'} never sent, because {'it is' if rows == 1 else 'they are'} wrong in the "
        "list; trying again is of no use. Write to a file what is wrong, correct it there, and run that with a ledger of its own:",
        correct_commands(_name(situation, windows)),
    )


def _name(situation: Situation, windows: bool) -> str:
    return quoted(situation.folder, windows=windows) or HIDDEN_NAME


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
