"""Makes the object of ``status --json``, for one ledger or for a ledger and its retries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from purgeengine.cli.output.json_printing import running_command
from purgeengine.core.graph.text import well_formed
from purgeengine.core.model import WORTH_RETRYING
from purgeengine.core.policy.absent_rows import Absence
from purgeengine.core.policy.advice import Advice
from purgeengine.edges.ledger import Chain, Counts, Failures, Final, LedgerReader, Review, WorstMailbox
from purgeengine.edges.ledger.sharding.overview import ShardedPurge, ShardStanding
from purgeengine.json_output.shard_output import ShownShard
from purgeengine.json_output.shared import NothingFound, Outcomes, ShownFailure, ShownWorstMailbox, advised_steps
from purgeengine.json_output.status_output import LedgerShare, ShownAppLimit, StatusOutput
from purgeengine.words import utc_text

NOT_KNOWN: Mapping[str, Any] = {
    "left_s": None,
    "waiting_for": None,
    "waiting_count": None,
    "waiting_s": None,
    "held_until_utc": None,
}
"""The keys about the time left, if nothing is known of it."""


def status_of_ledger(
    reader: LedgerReader, folder: str, review: Review, worst: int, advice: Sequence[Advice], left: Mapping[str, Any]
) -> StatusOutput:
    """Return the object for one ledger. ``worst`` limits the mailboxes and the answers listed.

    ``left`` has the keys of `NOT_KNOWN`, and ``running``.
    """
    counts = review.counts
    share = LedgerShare(
        ledger=well_formed(folder),
        rows=counts.rows,
        decided=Outcomes.of(counts.outcomes),
        rows_decided=sum(counts.outcomes.values()),
    )
    mailboxes = [
        ShownWorstMailbox(
            user=one.user,
            refused=one.refused,
            exhausted=one.exhausted,
            skipped=one.skipped,
            reason=one.reason,
            rows=one.rows,
            waits=one.waits,
        )
        for one in reader.worst_mailboxes(worst)
    ]
    rows: Counter[tuple[int, str, str]] = Counter()
    for told in review.told:
        rows[told.status, told.code, told.message] += told.rows
    failures = [_failure(*reply, count) for reply, count in rows.most_common(worst)]
    return _status(
        [reader], counts, reader.left_in_doubt(), [share], [], mailboxes, failures, review.absence, advice, left
    )


def status_of_chain(
    chain: Chain,
    final: Final,
    endings: Failures,
    worst: int,
    absence: Absence | None,
    advice: Sequence[Advice],
    *,
    running: bool,
) -> StatusOutput:
    """Return the object for a ledger and its retries. ``worst`` limits the mailboxes and the answers listed."""
    shares = [
        LedgerShare(
            ledger=well_formed(str(share.folder)),
            rows=share.rows,
            decided=Outcomes.of(share.holds),
            rows_decided=share.holds.total(),
        )
        for share in final.shares
    ]
    mailboxes = [
        ShownWorstMailbox(
            user=one.user,
            **{outcome.value: one.outcomes[outcome] for outcome in WORTH_RETRYING},
            reason=" ".join(str(word) for word in one.reason[:3] if word),
        )
        for one in endings.worst(worst)
    ]
    failures = [
        _failure(group.told.status, group.told.code, group.told.message, group.rows) for group in endings.groups(worst)
    ]
    return _status(
        chain.ledgers,
        final.counts(),
        final.left_in_doubt(),
        shares,
        chain.unnamed,
        mailboxes,
        failures,
        absence,
        advice,
        {"running": running, **NOT_KNOWN},
    )


def status_of_shards(
    purge: ShardedPurge,
    standings: Sequence[ShardStanding],
    reviews: Sequence[Review],
    worst: int,
    advice: Sequence[Advice],
) -> StatusOutput:
    """Return the object for a ledger that was cut and its shards. ``reviews`` are those of the head and of the open shards."""
    ledgers = [purge.head, *purge.shards.values()]
    shares = [
        LedgerShare(
            ledger=well_formed(str(ledger.folder)),
            rows=review.counts.rows,
            decided=Outcomes.of(review.counts.outcomes),
            rows_decided=sum(review.counts.outcomes.values()),
        )
        for ledger, review in zip(ledgers, reviews, strict=True)
    ]
    told: Counter[tuple[int, str, str]] = Counter()
    for review in reviews:
        for one in review.told:
            told[one.status, one.code, one.message] += one.rows
    return _status(
        ledgers,
        purge.counts(standings),
        sum(ledger.left_in_doubt() for ledger in ledgers),
        shares,
        [],
        _worst_of_shards(ledgers, worst),
        [_failure(*reply, count) for reply, count in told.most_common(worst)],
        None,
        advice,
        {"running": any(ledger.live() is not None for ledger in ledgers), **NOT_KNOWN},
        [
            ShownShard(
                number=one.number,
                ledger=None if one.folder is None else well_formed(str(one.folder)),
                rows=one.rows,
                state=one.state,
                waiting=None if one.counts is None else one.counts.waiting,
                in_doubt=None if one.counts is None else one.counts.in_doubt,
            )
            for one in standings
        ],
    )


def _worst_of_shards(ledgers: Sequence[LedgerReader], worst: int) -> list[ShownWorstMailbox]:
    """Return the mailboxes with the most failed or skipped rows. A mailbox is in one shard, and perhaps in the head as well."""
    found: dict[str, WorstMailbox] = {}
    for one in (mailbox for ledger in ledgers for mailbox in ledger.worst_mailboxes(worst)):
        same = found.get(one.user)
        found[one.user] = one if same is None else same.joined(one)
    order = sorted(found.values(), key=lambda one: (-one.failed - one.skipped, one.user))
    return [
        ShownWorstMailbox(
            user=one.user,
            refused=one.refused,
            exhausted=one.exhausted,
            skipped=one.skipped,
            reason=one.reason,
            rows=one.rows,
            waits=one.waits,
        )
        for one in order[:worst]
    ]


def _failure(status: int, code: str, message: str, rows: int) -> ShownFailure:
    return ShownFailure(status=status or None, code=code, message=message, rows=rows)


def _average(ledgers: Sequence[LedgerReader], *, together: bool) -> float:
    """Return the rows settled per second while runs were at work. ``together``: the ledgers were run at the same time."""
    worked = [ledger.average_work() for ledger in ledgers]
    if together:
        return sum(rows / seconds for rows, seconds in worked if seconds > 0)
    seconds = sum(seconds for _, seconds in worked)
    return sum(rows for rows, _ in worked) / seconds if seconds > 0 else 0.0


def _status(
    ledgers: Sequence[LedgerReader],
    counts: Counts,
    left_in_doubt: int,
    shares: list[LedgerShare],
    unnamed: Iterable[Path],
    mailboxes: list[ShownWorstMailbox],
    failures: list[ShownFailure],
    absence: Absence | None,
    advice: Sequence[Advice],
    left: Mapping[str, Any],
    shards: Sequence[ShownShard] = (),
) -> StatusOutput:
    paces, calls = [ledger.pace() for ledger in ledgers], [ledger.batches() for ledger in ledgers]
    recent = sum(pace.per_s for pace in paces)
    limits = [limit for ledger in ledgers if (limit := ledger.app_limit()) is not None]
    limit = max(limits, key=lambda limit: limit.at_ms, default=None)
    slowest_s = [one.slowest_s for one in calls if one.slowest_s is not None]
    first_sent = [pace.first_sent_utc for pace in paces if pace.first_sent_utc is not None]
    last_settled = [pace.last_settled_utc for pace in paces if pace.last_settled_utc is not None]
    return StatusOutput(
        command=running_command(),
        exit_code=0,
        action=ledgers[0].deletion.action.value,
        rows=counts.rows,
        outcomes=Outcomes.of(counts.outcomes),
        waiting=counts.waiting,
        in_doubt=counts.in_doubt,
        complete=counts.waiting + counts.in_doubt == 0,
        left_in_doubt=left_in_doubt,
        ledgers=shares,
        shards=list(shards),
        unnamed_before=[well_formed(str(folder)) for folder in unnamed],
        calls=sum(one.calls for one in calls),
        answered_calls=sum(one.answered for one in calls),
        lost_calls=sum(one.lost for one in calls),
        refused_calls=sum(one.refused for one in calls),
        unanswered_calls=sum(one.in_flight for one in calls),
        slowest_call_s=max(slowest_s, default=None),
        items_per_s=round(recent if left["running"] else _average(ledgers, together=bool(shards)), 1),
        items_per_s_recent=round(recent, 1),
        settled_last_minute=sum(pace.last_minute for pace in paces),
        settled_last_10_minutes=sum(pace.last_10_minutes for pace in paces),
        first_sent_utc=utc_text(min(first_sent).timestamp()) if first_sent else None,
        last_settled_utc=utc_text(max(last_settled).timestamp()) if last_settled else None,
        **left,
        app_limit_per_s=None if limit is None else round(limit.per_s, 1),
        app_limit_found_utc=None if limit is None else utc_text(limit.at_ms / 1000),
        app_limit=None if limit is None else ShownAppLimit(per_s=limit.per_s, at_ms=limit.at_ms),
        worst_mailboxes=mailboxes,
        failures=failures,
        nothing_found=NothingFound.of(None if absence is None else absence.as_json()),
        advice=advised_steps((one.sentence, one.commands) for one in advice),
    )
