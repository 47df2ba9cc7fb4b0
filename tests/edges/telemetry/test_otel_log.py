"""Tests of the one sentence that is made of what the SDK complains of."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from purgeengine import log_events
from purgeengine.edges.telemetry.otel_log import SdkComplaints
from tests.support.telemetry_fixtures import Told, told  # noqa: F401 - a fixture

REFUSED = (
    "Transient error HTTPConnectionPool(host='127.0.0.1', port=9): Max retries exceeded with url: /v1/metrics (Caused by "
    "NewConnectionError(\"HTTPConnection(host='127.0.0.1', port=9): Failed to establish a new connection: [Errno 111] "
    'Connection refused")) encountered while exporting metrics batch, retrying in 1.02s.'
)


@pytest.fixture
def complaints(monkeypatch: pytest.MonkeyPatch) -> Iterator[SdkComplaints]:
    """Return what listens to the SDK, without the handlers of pytest."""
    logger = logging.getLogger("opentelemetry")
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "handlers", [])
    listening = SdkComplaints("http://127.0.0.1:9")
    yield listening
    listening.close()


@pytest.mark.usefixtures("complaints")
def test_the_cause_is_what_the_system_said(told: Told) -> None:  # noqa: F811
    """Of what three libraries made of a failure, the sentence keeps what the system said."""
    logging.getLogger("opentelemetry.exporter.x").warning(REFUSED)
    assert told(log_events.TELEMETRY_FAILED) == [
        "Telemetry to http://127.0.0.1:9 may not be complete: Connection refused. The run goes on. This is said once."
    ]


@pytest.mark.usefixtures("complaints")
def test_only_the_first_complaint_is_told(told: Told) -> None:  # noqa: F811
    """A thousand complaints are one sentence, and what is no complaint is none."""
    log = logging.getLogger("opentelemetry.sdk.x")
    log.info("all is well")
    assert told(log_events.TELEMETRY_FAILED) == []
    for number in range(1_000):
        log.error("Failed to export %s, and again.", number)
    (sentence,) = told(log_events.TELEMETRY_FAILED)
    assert "may not be complete: Failed to export 0, and again. The run" in sentence


def test_one_more_is_told_once_the_export_has_started(complaints: SdkComplaints, told: Told) -> None:  # noqa: F811
    """A complaint about a variable does not use up the sentence about the collector."""
    log = logging.getLogger("opentelemetry.sdk.x")
    log.warning("Found invalid value for export interval, using default")
    assert not complaints.is_failing
    complaints.started()
    log.error("Failed to export spans batch code: 401, reason: Unauthorized")
    log.error("Failed to export spans batch code: 401, reason: Unauthorized")
    assert [("401" in one) for one in told(log_events.TELEMETRY_FAILED)] == [False, True]
    assert complaints.is_failing


@pytest.mark.usefixtures("complaints")
def test_an_exception_is_told_with_its_own_words(told: Told) -> None:  # noqa: F811
    """A complaint with an exception ends with what the exception says, on one line and not too long."""
    try:
        raise ValueError("bad\nthings " * 100)
    except ValueError:
        logging.getLogger("opentelemetry.sdk.x").exception("Exception while exporting Span.")
    (sentence,) = told(log_events.TELEMETRY_FAILED)
    assert "Exception while exporting Span: bad" in sentence
    assert "\n" not in sentence
    assert len(sentence) < 400
