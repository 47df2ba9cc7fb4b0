"""Tests of the counts: what each event of a run changes in them."""

from __future__ import annotations

import threading

import pytest

from purgeengine.core.messages import (
    BatchAnswered,
    BatchEnded,
    BatchLost,
    BatchSent,
    MailboxBlocked,
    MailboxClosed,
    Returned,
    RunBlocked,
    Settled,
)
from purgeengine.core.model import NOT_FROM_GRAPH, Answer, Attempt, Batch, FirstAttempts, MailboxShare, Outcome, Reply
from purgeengine.edges.telemetry import metric_table as table
from purgeengine.edges.telemetry.ended_call import OTHER, EndedCall
from purgeengine.edges.telemetry.histogram import Histogram
from purgeengine.edges.telemetry.measurements import (
    NOTED_MAX,
    STATUSES_MAX,
    Labels,
    Measurements,
    RunGauges,
    known_labels,
)
from purgeengine.edges.telemetry.metric_table import METRICS, Metric
from purgeengine.engine.ports import Observer

URL = "https://graph.microsoft.com/v1.0/$batch"
GONE = Reply(204)


def a_batch(number: int = 1, rows: int = 3) -> Batch:
    """Return a batch of one mailbox."""
    return Batch(number, f"client-{number}", (MailboxShare(7, FirstAttempts(range(rows))),))


def answered(batch: Batch, *replies: Reply | None, outer: Reply = Reply(200)) -> BatchAnswered:  # noqa: B008 - a value
    """Return the answer to a batch with these replies."""
    return BatchAnswered(batch.number, Answer(outer, dict(enumerate(replies)), request_id="graph-1"))


@pytest.fixture
def counts() -> Measurements:
    """Return measurements of a run that sends to Graph, on a clock that stands at 1,000 s."""
    measurements = Measurements(utc=lambda: 1_000.0)
    measurements.begins(URL)
    return measurements


def observed(counts: Measurements) -> Observer:
    """Return the measurements as the engine knows them; mypy holds them to the port here."""
    return counts


def call(counts: Measurements, batch: Batch, end: BatchAnswered | BatchLost | None, took_s: float = 0.2) -> None:
    """Let a call leave and end."""
    observed(counts).call_left(batch, 10.0)
    observed(counts).call_ended(batch, end, 10.0 + took_s)


def subrequests(counts: Measurements) -> dict[Labels, float]:
    """Return how many sub-requests ended in each way that occurred."""
    return {
        end: value
        for end, value in counts.read(table.SUBREQUESTS).items()
        if not isinstance(value, Histogram) and value
    }


def spread_of(counts: Measurements, metric: Metric, *labels: str | int | None) -> tuple[int, float]:
    """Return how many values a histogram has, and their sum."""
    found = counts.read(metric)[labels]
    assert isinstance(found, Histogram)
    return sum(found.counts), found.total


def test_rows_are_counted_by_outcome(counts: Measurements) -> None:
    """Settled rows are counted by outcome, ranges of rows as all their rows, and those of a closed mailbox as skipped."""
    counts.recorded(
        [
            BatchSent(1, "c", a_batch().shares),
            Settled(0, Outcome.PURGED, 1, False, 1, GONE, rows=20),
            Settled(20, Outcome.REFUSED, 1, False, 1, Reply(403)),
            Returned(21, 1, 0, False),
            MailboxClosed(3, Reply(403), skipped=5),
        ],
        0.004,
    )
    rows = {labels[0]: value for labels, value in counts.read(table.ROWS_SETTLED).items()}
    assert {outcome: value for outcome, value in rows.items() if value} == {"purged": 20, "refused": 1, "skipped": 5}
    assert set(rows) == {outcome.value for outcome in Outcome}
    assert counts.read(table.MAILBOXES_CLOSED) == {(): 1}
    assert spread_of(counts, table.COMMIT_DURATION) == (1, 0.004)


def test_sub_requests_are_counted_by_the_status_of_their_reply(counts: Measurements) -> None:
    """Each sub-request of a call that ended is counted once: by its own status, or as one that got no reply."""
    batch = a_batch(rows=5)
    call(counts, batch, answered(batch, GONE, GONE, Reply(429), None))
    assert subrequests(counts) == {(204, None): 2, (429, "429"): 1, (None, "no_answer"): 2}


def test_a_call_that_was_refused_as_a_whole_counts_for_all_its_sub_requests(counts: Measurements) -> None:
    """The status of a call without sub-responses is that of each of its sub-requests."""
    call(counts, a_batch(), BatchAnswered(1, Answer(Reply(503, "Busy"), None)))
    assert subrequests(counts) == {(503, "503"): 3}
    assert spread_of(counts, table.CALL_DURATION, "POST", "graph.microsoft.com", 443, 503, "503") == (
        1,
        pytest.approx(0.2),
    )


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (BatchLost(1, sent=False, reason="no route"), "not_sent"),
        (BatchLost(1, sent=True, reason="cut"), "no_answer"),
        (BatchLost(1, sent=True, reason="half a body", running=False), "unreadable_answer"),
        (BatchLost(1, sent=True, reason="a page", running=False, intercepted=True), "intercepted"),
        (None, "abandoned"),
    ],
)
def test_a_call_without_an_answer_is_counted_with_a_word_for_its_cause(
    counts: Measurements, end: BatchLost | None, error: str
) -> None:
    """A call without an answer has no status and one of five words, and so have its sub-requests."""
    call(counts, a_batch(), end)
    assert subrequests(counts) == {(None, error): 3}
    assert spread_of(counts, table.CALL_DURATION, "POST", "graph.microsoft.com", 443, None, error)[0] == 1


def test_an_answer_that_is_not_graphs_is_told_apart(counts: Measurements) -> None:
    """The answer of a proxy keeps its status, and is marked as intercepted."""
    call(counts, a_batch(), BatchAnswered(1, Answer(Reply(403, NOT_FROM_GRAPH, "a proxy"), None)))
    assert subrequests(counts) == {(403, "intercepted"): 3}


def test_a_batch_that_never_left_is_no_call(counts: Measurements) -> None:
    """A batch that was kept back is not counted, because no call was made."""
    counts.call_ended(a_batch(), BatchLost(1, sent=False, reason="held", held=True), 11.0)
    assert counts.read(table.CALL_DURATION) == {}
    assert subrequests(counts) == {}


def test_calls_are_in_flight_from_leaving_to_their_end(counts: Measurements) -> None:
    """A call is in flight from the moment that it leaves until it has ended, however it ends."""
    first, second = a_batch(1), a_batch(2)
    counts.call_left(first, 1.0)
    counts.call_left(second, 1.0)
    assert counts.read(table.CALLS_IN_FLIGHT) == {(): 2}
    counts.call_ended(first, None, 2.0)
    counts.call_ended(second, answered(second, GONE, GONE, GONE), 2.0)
    assert counts.read(table.CALLS_IN_FLIGHT) == {(): 0}


def test_lost_calls_and_waits_are_those_that_the_ledger_records(counts: Measurements) -> None:
    """Lost calls are ended batches without a status. Waits are counted by what they hold back, with their seconds."""
    counts.recorded(
        [
            BatchEnded(1, None, ""),
            BatchEnded(2, 200, "r"),
            MailboxBlocked(4, 10.0),
            MailboxBlocked(5, 30.0),
            RunBlocked(60.0),
        ],
        0.001,
    )
    assert counts.read(table.CALLS_LOST) == {(): 1}
    assert spread_of(counts, table.WAIT_DURATION, "mailbox") == (2, 40.0)
    assert spread_of(counts, table.WAIT_DURATION, "app") == (1, 60.0)


def test_statuses_that_somebody_makes_up_share_one_count(counts: Measurements) -> None:
    """However many statuses answers have, the counts stay few, and none is lost."""
    for number in range(1, 500):
        batch = a_batch(number, rows=1)
        call(counts, batch, answered(batch, Reply(100 + number), outer=Reply(100 + number)))
    for metric in (table.SUBREQUESTS, table.CALL_DURATION):
        assert len(counts.read(metric)) == STATUSES_MAX + 1, metric.name
    found = counts.read(table.SUBREQUESTS)
    assert sum(value for value in found.values() if not isinstance(value, Histogram)) == 499
    assert found[(None, OTHER)] == 499 - STATUSES_MAX
    assert spread_of(counts, table.CALL_DURATION, "POST", "graph.microsoft.com", 443, None, OTHER)[0] == 459


def test_gauges_are_missing_until_they_are_known(counts: Measurements) -> None:
    """A gauge has no value before the run was looked at, and none afterwards where nothing is known."""
    gauges = (table.ROWS_LEFT, table.TIME_LEFT, table.TOKEN_AGE, table.TOKEN_TIME_LEFT, table.APP_LIMIT, table.RUN_HELD)
    assert [metric.name for metric in gauges if counts.read(metric)] == []
    counts.gauges = RunGauges({Outcome.PURGED: 3}, rows_left=7, token_issued_utc=400.0, token_expires_utc=4_000.0)
    assert counts.read(table.ROWS_LEFT) == {(): 7}
    assert counts.read(table.TIME_LEFT) == {}
    assert counts.read(table.TOKEN_AGE) == {(): 600.0}
    assert counts.read(table.TOKEN_TIME_LEFT) == {(): 3_000.0}
    assert counts.read(table.LEDGER_ROWS)[("purged",)] == 3
    assert counts.read(table.LEDGER_ROWS)[("absent",)] == 0


def test_the_end_is_told_once(counts: Measurements) -> None:
    """A run is active from its first call on until its first exit code; a second one changes nothing."""
    assert Measurements().read(table.RUN_ACTIVE) == {(): False}
    assert counts.read(table.RUN_ACTIVE) == {(): True}
    assert counts.read(table.RUN_EXIT_CODE) == counts.read(table.RUN_END_TIME) == {}
    counts.ended(3)
    counts.ended(4)
    assert counts.read(table.RUN_ACTIVE) == {(): False}
    assert counts.read(table.RUN_EXIT_CODE) == {(): 3}
    assert counts.read(table.RUN_END_TIME) == {(): 1_000.0}


class Broken:
    """A listener that makes a mistake."""

    def __init__(self) -> None:
        self.told = 0

    def call_ended(self, call: EndedCall) -> None:
        self.told += 1
        raise ZeroDivisionError("a mistake")


class Listening:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.calls: list[EndedCall] = []

    def call_ended(self, call: EndedCall) -> None:
        self.calls.append(call)


def test_a_mistake_of_a_listener_reaches_neither_the_run_nor_the_others(counts: Measurements) -> None:
    """A listener that raises is told no more, the others are told everything, and the counts are whole."""
    broken, listening = Broken(), Listening()
    counts.listen(broken)
    counts.listen(listening)
    for number in (1, 2):
        batch = a_batch(number, rows=1)
        call(counts, batch, answered(batch, GONE))
    counts.count()
    assert broken.told == 1
    assert [ended.client_request_id for ended in listening.calls] == ["client-1", "client-2"]
    assert listening.calls[0].request_id == "graph-1"
    (labels,) = counts.read(table.CALL_DURATION)
    assert dict(known_labels(table.CALL_DURATION, labels)) == {
        "http.request.method": "POST",
        "server.address": "graph.microsoft.com",
        "server.port": 443,
        "http.response.status_code": 200,
    }
    assert subrequests(counts) == {(204, None): 2}


def test_a_mistake_of_its_own_ends_the_counting_and_not_the_run(counts: Measurements) -> None:
    """Entries that the counts cannot understand end the counting, and nothing is raised, then or later."""
    counts.recorded([Settled(0, "melted", 1, False, 1, GONE)], 0.1)  # type: ignore[arg-type]
    counts.count()
    batch = a_batch()
    call(counts, batch, answered(batch, GONE, GONE, GONE))
    counts.recorded([BatchEnded(1, None, "")], 0.1)
    assert counts.read(table.CALLS_LOST) == {(): 0}
    assert subrequests(counts) == {}


def test_calls_are_told_soon_also_if_nobody_reads(counts: Measurements) -> None:
    """Of a hundred calls that nobody asks for, all but the last few have been counted and told."""
    listening = Listening()
    counts.listen(listening)
    for number in range(NOTED_MAX + 1):
        assert len(listening.calls) == (NOTED_MAX if number >= NOTED_MAX else 0)
        batch = a_batch(number, rows=1)
        call(counts, batch, answered(batch, GONE))
    counts.ended(0)
    assert [ended.client_request_id for ended in listening.calls] == [f"client-{n}" for n in range(NOTED_MAX + 1)]


def test_threads_that_read_lose_no_call_and_count_none_twice(counts: Measurements) -> None:
    """While other threads read all the time, every call is counted once, and the listener is told of each once."""
    calls, done = 3_000, threading.Event()
    listening = Listening()
    counts.listen(listening)

    def read() -> None:
        while not done.is_set():
            counts.read(table.SUBREQUESTS)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(calls):
        batch = a_batch(number, rows=2)
        call(counts, batch, answered(batch, GONE, Reply(404)))
        counts.recorded([BatchEnded(number, None, "")], 0.1)
    done.set()
    for thread in threads:
        thread.join()
    assert subrequests(counts) == {(204, None): calls, (404, "404"): calls}
    assert counts.read(table.CALLS_LOST) == {(): calls}
    assert [ended.client_request_id for ended in listening.calls] == [f"client-{n}" for n in range(calls)]


def test_every_metric_can_be_read_at_any_time(counts: Measurements) -> None:
    """Every metric of the table can be read before, during and after a run, with as many labels as it has attributes."""
    batch = a_batch()
    for step in (
        lambda: None,
        lambda: call(counts, batch, answered(batch, GONE, GONE, GONE)),
        lambda: setattr(counts, "gauges", RunGauges(left_s=4.0)),
        lambda: counts.ended(0),
    ):
        step()
        for metric in METRICS:
            assert all(len(labels) == len(metric.attributes) for labels in counts.read(metric)), metric.name


def test_attempts_of_later_sendings_count_as_well(counts: Measurements) -> None:
    """The sub-requests of a batch are all of its attempts, also of rows that are sent again."""
    batch = Batch(1, "c", (MailboxShare(1, (Attempt(4, 2), Attempt(9, 3))), MailboxShare(2, (Attempt(11, 2),))))
    call(counts, batch, BatchLost(1, sent=True, reason="cut"))
    assert subrequests(counts) == {(None, "no_answer"): 3}
