"""The table of all metrics: names, units and attributes by the semantic conventions of OpenTelemetry.

Prometheus has the same metrics under the names that OpenTelemetry's specification translates them to, so that one dashboard and one
set of rules fit both ways.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum


class MetricKind(Enum):
    """How a metric's values are to be read."""

    COUNTER = "counter"
    """It only grows, from 0 at the start of the run."""
    GAUGE = "gauge"
    """A value of this moment."""
    HISTOGRAM = "histogram"
    """How many values there were, their sum, and how they are spread."""


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One metric. ``unit`` is by UCUM. ``bounds`` are the upper bounds of a histogram's buckets, in the unit."""

    name: str
    kind: MetricKind
    unit: str
    description: str
    attributes: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()

    @property
    def prometheus_name(self) -> str:
        """The name in Prometheus: underscores, then the unit, and for a counter ``_total``."""
        parts = [label_of(self.name)]
        if (unit := _PROMETHEUS_UNITS.get(self.unit, "")) and not parts[0].endswith(f"_{unit}"):
            parts.append(unit)
        if self.kind is MetricKind.COUNTER:
            parts.append("total")
        return "_".join(parts)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the attributes in Prometheus."""
        return tuple(label_of(name) for name in self.attributes)


_PROMETHEUS_UNITS = {"s": "seconds", "{request}/s": "per_second"}
"""Units that a name has in Prometheus. What stands in braces only explains, and has none."""

OUTCOME = "purgeengine.outcome"
SCOPE = "purgeengine.wait.scope"
STATUS = "http.response.status_code"
ERROR = "error.type"
METHOD = "http.request.method"
HOST = "server.address"
PORT = "server.port"

_CALL_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Those that the semantic conventions advise for the duration of HTTP requests."""
_COMMIT_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""From a fast disk to one that holds up a run."""
_WAIT_BOUNDS = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 21_600.0)
"""From a pause to the longest wait that a run accepts."""

ROWS_SETTLED = Metric(
    "purgeengine.rows.settled",
    MetricKind.COUNTER,
    "{row}",
    "Rows that got their outcome in this run.",
    (OUTCOME,),
)
SUBREQUESTS = Metric(
    "purgeengine.subrequests",
    MetricKind.COUNTER,
    "{request}",
    "Sub-requests whose call has ended, by the status of their answer. One without an answer has an error type instead.",
    (STATUS, ERROR),
)
CALL_DURATION = Metric(
    "http.client.request.duration",
    MetricKind.HISTOGRAM,
    "s",
    "Duration of HTTP client requests.",
    (METHOD, HOST, PORT, STATUS, ERROR),
    _CALL_BOUNDS,
)
CALLS_LOST = Metric(
    "purgeengine.calls.lost", MetricKind.COUNTER, "{call}", "Calls to Graph that ended without a usable answer."
)
CALLS_IN_FLIGHT = Metric(
    "purgeengine.calls.in_flight", MetricKind.GAUGE, "{call}", "Batches that have left and whose call has not ended."
)
WAIT_DURATION = Metric(
    "purgeengine.wait.duration",
    MetricKind.HISTOGRAM,
    "s",
    "Waits that began, by what they hold back: one mailbox, or the whole app. Most are what Graph asked for.",
    (SCOPE,),
    _WAIT_BOUNDS,
)
APP_WAIT_LEFT = Metric(
    "purgeengine.app.wait_left",
    MetricKind.GAUGE,
    "s",
    "Time for which nothing may be sent at all. 0 while calls may leave.",
)
APP_LIMIT = Metric(
    "purgeengine.app.limit",
    MetricKind.GAUGE,
    "{request}/s",
    "Requests that Graph takes from the whole app, as the run has found out. Missing if it has met no such limit.",
)
MAILBOXES_BLOCKED = Metric(
    "purgeengine.mailboxes.blocked", MetricKind.GAUGE, "{mailbox}", "Mailboxes that wait because Graph throttled them."
)
MAILBOXES_CLOSED = Metric(
    "purgeengine.mailboxes.closed", MetricKind.COUNTER, "{mailbox}", "Mailboxes that the run gave up."
)
COMMIT_DURATION = Metric(
    "purgeengine.ledger.commit.duration",
    MetricKind.HISTOGRAM,
    "s",
    "Time until a turn of the run was durable in the ledger.",
    (),
    _COMMIT_BOUNDS,
)
LEDGER_ROWS = Metric(
    "purgeengine.ledger.rows",
    MetricKind.GAUGE,
    "{row}",
    "Rows of the whole ledger that have their outcome, earlier runs included.",
    (OUTCOME,),
)
ROWS_LEFT = Metric("purgeengine.rows.left", MetricKind.GAUGE, "{row}", "Rows of the ledger without an outcome.")
TIME_LEFT = Metric(
    "purgeengine.time_left",
    MetricKind.GAUGE,
    "s",
    "Time that the run will probably still take. Missing if it is not known.",
)
TOKEN_AGE = Metric("purgeengine.token.age", MetricKind.GAUGE, "s", "Age of the access token in use.")
TOKEN_TIME_LEFT = Metric(
    "purgeengine.token.time_left", MetricKind.GAUGE, "s", "Time until the access token in use expires."
)
RUN_ACTIVE = Metric(
    "purgeengine.run.active", MetricKind.GAUGE, "{run}", "1 while the run goes on, and 0 once it has ended."
)
RUN_START_TIME = Metric(
    "purgeengine.run.start_time", MetricKind.GAUGE, "s", "When the run began, in seconds since 1970."
)
RUN_HELD = Metric(
    "purgeengine.run.held",
    MetricKind.GAUGE,
    "{run}",
    "1 while the hours of sending (`--window`) hold the run back, and 0 otherwise.",
)
RUN_SEEN_TIME = Metric(
    "purgeengine.run.seen_time",
    MetricKind.GAUGE,
    "s",
    "When these figures were read, in seconds since 1970. In a file of a run that was killed it stands still.",
)
RUN_END_TIME = Metric(
    "purgeengine.run.end_time", MetricKind.GAUGE, "s", "When the run ended, in seconds since 1970. Missing until then."
)
RUN_EXIT_CODE = Metric(
    "purgeengine.run.exit_code", MetricKind.GAUGE, "{code}", "The exit code of the run. Missing until it has ended."
)

METRICS = (
    ROWS_SETTLED,
    SUBREQUESTS,
    CALL_DURATION,
    CALLS_LOST,
    CALLS_IN_FLIGHT,
    WAIT_DURATION,
    APP_WAIT_LEFT,
    APP_LIMIT,
    MAILBOXES_BLOCKED,
    MAILBOXES_CLOSED,
    COMMIT_DURATION,
    LEDGER_ROWS,
    ROWS_LEFT,
    TIME_LEFT,
    TOKEN_AGE,
    TOKEN_TIME_LEFT,
    RUN_ACTIVE,
    RUN_HELD,
    RUN_START_TIME,
    RUN_SEEN_TIME,
    RUN_END_TIME,
    RUN_EXIT_CODE,
)
"""All metrics, in the order in which the documentation lists them."""


def label_of(name: str) -> str:
    """Return the name of an attribute or a metric in Prometheus: ``http.request.method`` becomes ``http_request_method``."""
    return re.sub(r"\W", "_", name)
