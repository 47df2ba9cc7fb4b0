"""Tests of which address of a scheduler may be used."""

from __future__ import annotations

import pytest

from purgeengine.edges.scheduler_address import SchedulerAddress
from purgeengine.errors import UsageProblem


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("tls://scheduler.example:8786", "tls://scheduler.example:8786"),
        ("tls://10.0.0.4", "tls://10.0.0.4:8786"),
        ("tls://[2001:db8::1]:99", "tls://[2001:db8::1]:99"),
        ("tcp://127.0.0.1:5000", "tcp://127.0.0.1:5000"),
        ("tcp://[::1]:5000", "tcp://[::1]:5000"),
        ("tcp://localhost:5000", "tcp://localhost:5000"),
    ],
)
def test_an_address_that_may_be_used(given: str, text: str) -> None:
    """TLS anywhere, and without it this machine only."""
    found = SchedulerAddress.of(given)
    assert (found.text, found.is_encrypted) == (text, given.startswith("tls"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("tcp://10.0.0.4:8786", "has no TLS"),
        ("tcp://localhost.example:8786", "has no TLS"),
        ("tcp://127.0.0.1.example:1", "has no TLS"),
        ("tcp://0.0.0.0:1", "has no TLS"),
        ("tls://", "is no address"),
        ("tls://host:port", "is no address"),
        ("tls://user@host:1", "is no address"),
        ("tls://host:1/path", "is no address"),
        ("ws://127.0.0.1:1", "is no address"),
        ("inproc://1", "is no address"),
        ("10.0.0.4:8786", "is no address"),
        ("tls://[::1", "is no address"),
    ],
)
def test_an_address_that_is_refused(given: str, said: str) -> None:
    """With a sentence that ends with what was sent: nothing."""
    with pytest.raises(UsageProblem, match=said) as refused:
        SchedulerAddress.of(given)
    assert str(refused.value).endswith("Nothing was sent.")


def test_certificates_are_named_by_their_settings() -> None:
    """The sentence names the variables that are missing, and no others."""
    address = SchedulerAddress.of("tls://host:1")
    address.refuse_missing_certificates("ca.pem", "node.pem")
    with pytest.raises(UsageProblem) as refused:
        address.refuse_missing_certificates("ca.pem", None)
    assert "set DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT (and" in str(refused.value)
    assert "CA_FILE" not in str(refused.value)
