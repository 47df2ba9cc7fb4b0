"""Messages and records as plain values, which JSON and msgpack can carry: dicts with text keys, lists, texts, numbers, True, None.

A message of another form, as another version of the program may send, raises `ValueError`. It must be dropped, like a lost one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

from purgeengine.core.coordination.lease_messages import (
    Grant,
    Notice,
    Over,
    PassedWait,
    Question,
    ReportedWait,
    Said,
    Tenure,
)
from purgeengine.core.coordination.quota_book import AppQuota
from purgeengine.core.coordination.shard_record import AppWait, HeadRecord, ShardRecord
from purgeengine.core.model import Outcome, Reply
from purgeengine.core.policy.run_figures import RunFigures, StopFigures

Plain = Mapping[str, Any]
Read = TypeVar("Read")
REPLY_PARTS = 4
"""Status, code, message and wait of a reply. Its body is for read jobs only, and is bytes."""
KINDS: dict[str, type[Grant | Over | Notice]] = {"grant": Grant, "over": Over, "notice": Notice}


def plain_question(question: Question) -> dict[str, Any]:
    """Return the question as a plain value."""
    figures = question.figures
    plain: dict[str, Any] = {field.name: getattr(question, field.name) for field in fields(question)}
    stop = question.stop_figures
    return plain | {
        "tenure": asdict(question.tenure),
        "holds": list(question.holds),
        "wait": None if question.wait is None else asdict(question.wait),
        "figures": asdict(figures) | {"settled": {str(outcome): rows for outcome, rows in figures.settled.items()}},
        "stop_figures": stop._asdict()
        | {
            "recent": [list(one) for one in stop.recent],
            "denial": None if stop.denial is None else list(stop.denial[:REPLY_PARTS]),
        },
    }


def question_of(plain: Plain) -> Question:
    """Return the question that a plain value holds. Raises `ValueError` if it holds none."""

    def read() -> Question:
        figures, stop, wait = plain["figures"], plain["stop_figures"], plain["wait"]
        settled = {Outcome(outcome): int(rows) for outcome, rows in figures["settled"].items()}
        recent = tuple((mailbox, bool(denied)) for mailbox, denied in stop["recent"])
        denial = None if stop["denial"] is None else Reply(*stop["denial"])
        return Question(
            **{
                **plain,
                "tenure": Tenure(**plain["tenure"]),
                "holds": AppQuota(*plain["holds"]),
                "wait": None if wait is None else ReportedWait(**wait),
                "figures": RunFigures(**{**figures, "settled": settled}),
                "stop_figures": StopFigures(**{**stop, "recent": recent, "denial": denial}),
            }
        )

    return _or_refused(read, "a question")


def plain_said(said: Said) -> dict[str, Any]:
    """Return a message of the coordinator to a run as a plain value, from which `said_of` makes it again."""
    kind = next(kind for kind, made in KINDS.items() if type(said) is made)
    plain: dict[str, Any] = {"kind": kind, **asdict(said)}
    if isinstance(said, Grant):
        plain["quota"] = list(said.quota)
    return plain


def said_of(plain: Plain) -> Said:
    """Return the message of the coordinator that `plain_said` wrote. Raises `ValueError` if the value is none."""

    def read() -> Said:
        told = {name: value for name, value in plain.items() if name != "kind"}
        if told.get("wait") is not None:
            told["wait"] = PassedWait(**told["wait"])
        if "quota" in told:
            told["quota"] = AppQuota(*told["quota"])
        return KINDS[plain["kind"]](**told)

    return _or_refused(read, "an answer")


def plain_record(record: HeadRecord) -> dict[str, Any]:
    """Return the record of a head as a plain value."""
    return {
        "term": record.term,
        "shards": {str(number): asdict(shard) for number, shard in record.shards.items()},
        "waits": {client_id: asdict(wait) for client_id, wait in record.waits.items()},
    }


def record_of(plain: Plain) -> HeadRecord:
    """Return the record that a plain value holds. Raises `ValueError` if it holds none."""
    return _or_refused(
        lambda: HeadRecord(
            int(plain["term"]),
            {int(number): ShardRecord(**shard) for number, shard in plain["shards"].items()},
            {client_id: AppWait(**wait) for client_id, wait in plain["waits"].items()},
        ),
        "the record of a head",
    )


def _or_refused(read: Callable[[], Read], what: str) -> Read:
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"this is not {what} of this version ({type(error).__name__}: {error})") from None
