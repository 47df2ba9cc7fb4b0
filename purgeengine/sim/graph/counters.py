"""What a simulated tenant has counted so far. The tenant's parts write it; tests and summaries read it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Totals since the tenant began. Refusals count only for real limits; injected 429s count as faults."""

    calls: int = 0
    requests: int = 0
    """Sub-requests of the batches that were started."""
    reads: int = 0
    """Sub-requests that only read."""
    purged: int = 0
    """Contacts purged, whether or not the client learnt it."""
    refused_batches: int = 0
    """Calls refused as a whole because of their content."""
    refused_tokens: int = 0
    """Calls refused because of their token."""
    refused_concurrency: int = 0
    refused_rate: int = 0
    refused_app: int = 0
    """Sub-requests refused because the app sent too many over all mailboxes."""
    early_retries: int = 0
    """Sub-requests that came before the end of the Retry-After that their mailbox was given."""
    early_calls: int = 0
    """Calls that came before the end of the Retry-After that a whole call was given."""
    mailbox_running_max: int = 0
    """The most requests that ever ran at once in one mailbox. The tenant never lets it exceed the limit."""
    violations: int = 0
    """Requests that no careful client sends (see ``Tenant.violations``)."""
