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

_table: list[Metric] = []


def _in_table(metric: Metric) -> Metric:
    _table.append(metric)
    return metric


def _counter(name: str, unit: str, description: str, *attributes: str) -> Metric:
    return _in_table(Metric(name, MetricKind.COUNTER, unit, description, attributes))


def _gauge(name: str, unit: str, description: str, *attributes: str) -> Metric:
    return _in_table(Metric(name, MetricKind.GAUGE, unit, description, attributes))


def _histogram(name: str, unit: str, description: str, bounds: tuple[float, ...], *attributes: str) -> Metric:
    return _in_table(Metric(name, MetricKind.HISTOGRAM, unit, description, attributes, bounds))


ROWS_SETTLED = _counter("purgeengine.rows.settled", "{row}", "Rows that got their outcome in this run.", OUTCOME)
SUBREQUESTS = _counter(
    "purgeengine.subrequests",
    "{request}",
    "Sub-requests whose call has ended, by the status of their answer. One that failed or got no answer has an error type.",
    STATUS,
    ERROR,
)
CALL_DURATION = _histogram(
    "http.client.request.duration",
    "s",
    "Duration of HTTP client requests.",
    _CALL_BOUNDS,
    METHOD,
    HOST,
    PORT,
    STATUS,
    ERROR,
)
CALLS_LOST = _counter("purgeengine.calls.lost", "{call}", "Calls to Graph that ended without a usable answer.")
CALLS_IN_FLIGHT = _gauge(
    "purgeengine.calls.in_flight", "{call}", "Batches that have left and whose call has not ended."
)
WAIT_DURATION = _histogram(
    "purgeengine.wait.duration",
    "s",
    "Waits that began, by what they hold back: one mailbox, or the whole app. Most are what Graph asked for.",
    _WAIT_BOUNDS,
    SCOPE,
)
APP_WAIT_LEFT = _gauge(
    "purgeengine.app.wait_left", "s", "Time for which nothing may be sent at all. 0 while calls may leave."
)
APP_LIMIT = _gauge(
    "purgeengine.app.limit",
    "{request}/s",
    "Requests that Graph takes from the whole app, as the run has found out. Missing if it has met no such limit.",
)
MAILBOXES_BLOCKED = _gauge(
    "purgeengine.mailboxes.blocked", "{mailbox}", "Mailboxes that wait because Graph throttled them."
)
MAILBOXES_CLOSED = _counter("purgeengine.mailboxes.closed", "{mailbox}", "Mailboxes that the run gave up.")
COMMIT_DURATION = _histogram(
    "purgeengine.ledger.commit.duration", "s", "Time until a turn of the run was durable in the ledger.", _COMMIT_BOUNDS
)
LEDGER_ROWS = _gauge(
    "purgeengine.ledger.rows",
    "{row}",
    "Rows of the whole ledger that have their outcome, earlier runs included.",
    OUTCOME,
)
ROWS_LEFT = _gauge("purgeengine.rows.left", "{row}", "Rows of the ledger without an outcome.")
TIME_LEFT = _gauge(
    "purgeengine.time_left", "s", "Time that the run will probably still take. Missing if it is not known."
)
TOKEN_AGE = _gauge("purgeengine.token.age", "s", "Age of the access token in use.")
TOKEN_TIME_LEFT = _gauge("purgeengine.token.time_left", "s", "Time until the access token in use expires.")
RUN_ACTIVE = _gauge("purgeengine.run.active", "{run}", "1 from when the run may send until it has ended, otherwise 0.")
RUN_HELD = _gauge(
    "purgeengine.run.held", "{run}", "1 while the hours of sending (`--window`) hold the run back, and 0 otherwise."
)
RUN_START_TIME = _gauge("purgeengine.run.start_time", "s", "When the run began, in seconds since 1970.")
RUN_SEEN_TIME = _gauge(
    "purgeengine.run.seen_time",
    "s",
    "When these figures were read, in seconds since 1970. In a file of a run that was killed it stands still.",
)
RUN_END_TIME = _gauge("purgeengine.run.end_time", "s", "When the run ended, in seconds since 1970. Missing until then.")
RUN_EXIT_CODE = _gauge("purgeengine.run.exit_code", "{code}", "The exit code of the run. Missing until it has ended.")

METRICS = tuple(_table)
"""All metrics, in the order in which the documentation lists them: that of their definition."""


def label_of(name: str) -> str:
    """Return the name of an attribute or a metric in Prometheus: ``http.request.method`` becomes ``http_request_method``."""
    return re.sub(r"\W", "_", name)
