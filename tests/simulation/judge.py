"""Compares what the ledger says with what the service saw, and knows nothing else of a run.

It reads the tenant's own record, and the ledger as a user gets it (its export and its batches). It does not ask the
engine.
"""

from __future__ import annotations

import csv
from collections import Counter
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from purgeengine.core.model import Outcome
from purgeengine.edges.ledger import LedgerReader, export
from purgeengine.edges.ledger.store.database import connect_to_read
from purgeengine.edges.ledger.store.request_ids import packed
from purgeengine.sim.graph.request_log import Seen
from purgeengine.sim.wire.answers import Trouble
from tests.simulation.scenario import upn_of

if TYPE_CHECKING:
    from tests.simulation.world import World

GONE = (Outcome.PURGED, Outcome.ABSENT)
CLEARLY_NOT_DONE = {401, 409, 412, 423, 424, 429}
"""Statuses of requests that the tenant did not carry out, so that the row need not be in doubt."""
BUSY = {409, 412, 423}
GONE_STATUSES = {403, 404}
"""Statuses for a contact that is gone, by its immutable or its default id."""
NO_FAULT = {401, 424, 429}
"""Statuses that say nothing about a row, so that no row is given up for them."""
NEVER_SENT = ("duplicate", "invalid")
ENDLESS = {Trouble.MOVED, Trouble.QUOTA_FULL}
"""Mailboxes that ask for waits again and again, for hours, and get them."""
SLACK_S = 420.0
"""Seconds that a run may take besides its work: the longest backoff, a hanging call, cooldowns, and the breaker's trial calls."""
CALL_S = 2.0
"""Generous seconds for a call of 20 rows: five rounds of four at a median of 80 ms."""


class Judge:
    """Checks the promises: when batches leave, between the runs of a job, and at its end."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._watched: Path | None = None
        self._eye: Any = None
        self._settled: dict[int, str] = {}
        """The outcome that the ledger had for a row when a run had ended, by row."""
        self._left_before = frozenset[str]()
        """The batches that had left by then. What the tenant still runs of them is not a new sending."""

    # ------------------------------------------------------------------------------------------------------ meanwhile

    def sees_a_batch_leave(self, client_request_id: str) -> None:
        """Check that the ledger has recorded this batch before it leaves: another connection must find it."""
        if self._watched != self._world.folder:
            self.stops_watching()
            self._watched, self._eye = self._world.folder, connect_to_read(self._world.folder)
        query = "SELECT count(*) FROM (SELECT * FROM batch ORDER BY number DESC LIMIT 64) WHERE client_request_id = ?"
        found = self._eye.execute(query, (packed(client_request_id),)).fetchone()
        assert found == (1,), f"{self._world}: batch {client_request_id} left, recorded {found[0]} times"

    def stops_watching(self) -> None:
        """Close the connection, because between runs nobody holds the ledger open."""
        if self._eye is not None:
            self._eye.close()
        self._watched = self._eye = None

    def looks_between_runs(self) -> bool:
        """Check that no outcome was lost or changed, and that no settled row was sent again. Return whether the job is done."""
        world = self._world
        rows = self.exported()
        for number, outcome in self._settled.items():
            assert rows[number]["outcome"] == outcome, (
                f"{world}: row {number} was {outcome} and is {rows[number]['outcome']}"
            )
        for number, said in world.acknowledged.items():
            assert rows[number]["outcome"] == said.value, (
                f"{world}: row {number} was recorded as {said}, and that is lost"
            )
        again = {entry.contact for entry in world.tenant.log if entry.client_request_id not in self._left_before}
        for number in self._settled:
            assert rows[number]["contact"] not in again, f"{world}: row {number} had its outcome and was sent again"
        self._settled = {
            number: row["outcome"] for number, row in enumerate(rows) if row["outcome"] not in ("", *NEVER_SENT)
        }
        self._left_before = frozenset(world.left)
        return all(row["outcome"] for row in rows)

    # -------------------------------------------------------------------------------------------------------- the end

    def exported(self) -> list[dict[str, str]]:
        """Export the ledger and read the file back."""
        out = self._world.folder.with_name("export.csv")
        with LedgerReader.open(self._world.folder) as reader:
            export(reader, out)
        with out.open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))

    def judges(self) -> None:
        """Check every promise, for a job that has ended."""
        rows = self.exported()
        self._every_row_has_one_outcome(rows)
        self._what_is_gone_is_gone(rows)
        self._who_doubts_has_reason(rows)
        self._nobody_gave_up_early(rows)
        self._the_service_was_respected()
        self._it_ended_in_time()

    def _every_row_has_one_outcome(self, rows: list[dict[str, str]]) -> None:
        world = self._world
        asked = [(user, contact) for user, _, contact in world.rows]
        assert [(row["user"], row["contact"]) for row in rows] == asked, f"{world}: the export is not the input"
        assert [row["row"] for row in rows] == [str(number) for number in range(len(rows))], world
        with LedgerReader.open(world.folder) as reader:
            counts = reader.counts()
            assert reader.complete, f"{world}: not complete"
        assert {name: count for name, count in counts.outcomes.items() if count} == Counter(
            Outcome(row["outcome"]) for row in rows
        ), f"{world}: the counts do not add up"
        firsts: set[tuple[str, str]] = set()
        for row in rows:
            name = upn_of(row["user"]) if world.scenario.resolved else row["user"]
            key = (name.lower(), row["contact"])
            assert (row["outcome"] == "invalid") == (not row["contact"]), f"{world}: row {row}"
            if row["contact"]:
                assert (row["outcome"] == "duplicate") == (key in firsts), f"{world}: row {row}"
            firsts.add(key)

    def _what_is_gone_is_gone(self, rows: list[dict[str, str]]) -> None:
        """Check outcomes against the truth.

        Purged and absent rows are gone. Skipped rows were never sent. A refused or exhausted row that is gone all the
        same is in doubt.
        """
        world = self._world
        seen = Counter(entry.contact for entry in world.tenant.log)
        # A row behind one that broke its lane gets 424: it was never tried, so it counts as never sent.
        tried = Counter(entry.contact for entry in world.tenant.log if entry.status != 424)
        calls = {(entry.contact, entry.client_request_id, entry.status) for entry in world.tenant.log}
        sent_unasked = set(seen) - {row["contact"] for row in rows}
        assert not sent_unasked, f"{world}: {sent_unasked} stand in no row"
        for row in rows:
            outcome, user, contact = Outcome(row["outcome"]), row["user"], row["contact"]
            where = f"{world}: row {row}"
            if outcome != Outcome.DUPLICATE:
                assert tried[contact] <= int(row["attempts"] or 0), f"{where}: it was tried {tried[contact]} times"
            if outcome in GONE:
                assert not world.tenant.truth.exists(user, contact), f"{where}: it still exists"
            if outcome in GONE:
                told = (contact, row["client_request_id"], int(row["status"]))
                assert told in calls, f"{where}: Graph did not say that to this contact in that call"
            if outcome is Outcome.ABSENT and not world.scenario.faults.item_throttled_after:
                assert not world.existed[contact], f"{where}: it was there before"
            if outcome is Outcome.SKIPPED:
                assert not tried[contact], f"{where}: it was sent"
            purge = world.tenant.truth.purge_of(user, contact) if contact else None
            purged = purge is not None and purge.at >= 0
            assert not purged or purge.ask == world.scenario.action, f"{where}: it was not asked to be deleted so"
            # a 429 for a request that was carried out: nobody can know
            deceived = world.scenario.faults.item_throttled_after
            if purged and outcome in (Outcome.REFUSED, Outcome.EXHAUSTED) and not deceived:
                assert row["in_doubt"] == "true", f"{where}: it was purged and nobody doubts"

    def _who_doubts_has_reason(self, rows: list[dict[str, str]]) -> None:
        """Check that a row purged without a 204 had an earlier sending that may have purged it."""
        world = self._world
        seen: dict[str, list[Seen]] = {}
        for entry in world.tenant.log:
            if entry.status != 424:  # not tried
                seen.setdefault(entry.contact, []).append(entry)
        for row in rows:
            if row["outcome"] != Outcome.PURGED or row["status"] == "204":
                continue
            attempts, said = int(row["attempts"]), seen[row["contact"]]
            assert attempts > 1, f"{world}: row {row}: its only sending found it gone"
            lost = world.deaths or world.answers_lost_in_death
            if lost or world.scenario.faults.item_repeated or len(said) != attempts:
                # an answer was not recorded, was contradicted, or its call never arrived or was refused as a whole
                continue
            before = said[:-1]
            if any(entry.client_request_id in world.given_up for entry in said):
                continue  # an answer came late, when the row had been sent again
            assert not all(entry.answered and entry.status in CLEARLY_NOT_DONE for entry in before), (
                f"{world}: row {row}: no earlier sending can have done it"
            )

    def _nobody_gave_up_early(self, rows: list[dict[str, str]]) -> None:
        """Check that skipped rows had a closed mailbox, refused rows a final answer, and exhausted rows all attempts."""
        world, limits = self._world, self._world.scenario.limits
        for row in rows:
            outcome, where = row["outcome"], f"{world}: row {row}"
            if outcome not in (Outcome.SKIPPED, Outcome.REFUSED, Outcome.EXHAUSTED):
                continue
            if world.tenant.truth.mailbox(row["user"]).trouble is not None:
                continue
            status, attempts = int(row["status"] or 0), int(row["attempts"])
            if status == 401 and world.scenario.faults.item_unauthorized:
                continue  # if 401s come by chance, a few in a row look like those of a mailbox that cannot be served
            assert outcome != Outcome.SKIPPED, f"{where}: nothing is wrong with its mailbox"
            if outcome == Outcome.REFUSED:
                mangled = world.scenario.faults.odd_body and not row["code"]  # "gone" without the code that says so
                assert status in BUSY or (status in GONE_STATUSES and mangled), f"{where}: that is not final"
                assert attempts >= limits.unclear_attempts_max, f"{where}: given up early"
            else:
                assert attempts >= limits.attempts_max, f"{where}: given up early"
                assert status not in NO_FAULT or attempts >= limits.sends_max, f"{where}: that was no failure"

    def _the_service_was_respected(self) -> None:
        world, counters = self._world, self._world.tenant.counters
        # Only a service that runs a batch all at once may refuse, and only as many rows as the test of the fanout is
        # wide: 4 of 8, three times if unclear, and 16 of each of 3 times 20. Each process tests anew.
        deceived = world.scenario.settings.dispatch == "all" and world.scenario.limits.fanout == "auto"
        unseen = sum(
            entry.status == 429 and not entry.answered for entry in world.tenant.log
        )  # the client learnt nothing from these
        probing = 72 * (1 + world.deaths) + unseen if deceived else 0
        allowed = probing + (self._refused_beside_endless_calls() if counters.refused_concurrency > probing else 0)
        assert counters.refused_concurrency <= allowed, f"{world}: {counters}"
        refusals = self._app_refusals_allowed()
        assert counters.refused_app <= refusals, (
            f"{world}: {counters.refused_app} refused by the app's limit, not {refusals}"
        )
        assert counters.refused_rate == 0, f"{world}: the window was overrun: {counters}"
        if not world.answers_lost_in_death:  # a process that died with the answer in hand cannot know the wait in it
            assert counters.early_retries == counters.early_calls == 0, (
                f"{world}: a Retry-After was cut short: {counters}"
            )
        assert counters.violations == 0, f"{world}: {world.tenant.violations[:1]}"

    def _refused_beside_endless_calls(self) -> int:
        """Count the rows refused beside a call that ran for longer than any cooldown that could be learned.

        That is twice as long as any call before, and as long as the shortest cooldown. docs/reliability.md names this case.
        """
        log, shortest_s = self._world.tenant.log, self._world.scenario.limits.quarantine_s_min
        began: dict[str, float] = {}
        ended: dict[str, float] = {}
        for entry in log:
            number = entry.client_request_id
            began[number] = min(began.get(number, entry.started_at), entry.started_at)
            ended[number] = max(ended.get(number, entry.ended_at), entry.ended_at)
        count = 0
        for refused in log:
            if refused.status != 429:
                continue
            now = refused.started_at
            slowest_s = max((ended[one] - began[one] for one in began if ended[one] <= now), default=0.0)
            count += any(
                entry.mailbox == refused.mailbox
                and entry.started_at < now < entry.ended_at
                and now - began[entry.client_request_id] >= max(shortest_s, 2.0 * slowest_s)
                for entry in log
            )
        return count

    def _app_refusals_allowed(self) -> int:
        """Return how many rows the limit of the whole app may refuse: one for each row, and what no client can know before.

        Each process may find all its batches in flight refused before the first answer tells it. If most rows are refused
        by chance as well, no rate helps for as long as that lasts, and each mailbox waits on its own.
        """
        world = self._world
        limits = world.scenario.limits
        at_once = limits.connections * limits.batch_items_max
        deceived = len(world.tenant.log) // 2 if world.scenario.faults.item_throttled_before > 0.25 else 0
        return len(world.rows) + at_once * (1 + world.deaths) + deceived

    def _it_ended_in_time(self) -> None:
        """Check that once the faults have stopped, only the limits take time: no deadlock, no livelock."""
        world, scenario = self._world, self._world.scenario
        if world.faults_ended_at is None or scenario.crashes or ENDLESS & set(scenario.troubles.values()):
            return
        largest = max(scenario.rows_by_mailbox)
        most_asked = max(Counter(entry.mailbox for entry in world.tenant.log).values())
        # Requests that were lost on the way count in our window, and not in the tenant's record: at most once more
        # for each row. So do requests that were recorded and did not leave because the run broke off.
        windows = max(most_asked, (2 + world.broken_off) * largest) // scenario.limits.mailbox_requests
        calls = sum(scenario.rows_by_mailbox) / scenario.limits.connections / 4
        work_s = max(CALL_S * ceil(largest / 4), CALL_S * calls) + 2 * windows * scenario.limits.mailbox_window_s
        settings = scenario.settings
        if settings.app_requests is not None:
            work_s += 3.0 * len(world.tenant.log) * settings.app_window_s / settings.app_requests
        took_s = world.duration_s - world.faults_ended_at - sum(for_s for _, for_s in scenario.suspensions)
        assert took_s <= SLACK_S + 1.2 * work_s, f"{world}: {took_s:.0f} s after the last fault"
