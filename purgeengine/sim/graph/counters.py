"""What a simulated tenant counted so far; written by the tenant's parts, read by tests and summaries."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Totals since the tenant began. Refusals of a mailbox's limits are real ones; injected 429s are counted as faults."""

    calls: int = 0
    requests: int = 0
    """Sub-requests of the batches that were set to work."""
    reads: int = 0
    """Those of them that asked to read something."""
    purged: int = 0
    """Contacts purged, whether the client learnt it or not."""
    refused_batches: int = 0
    """Calls refused whole for what was in them."""
    refused_tokens: int = 0
    """Calls refused for their token."""
    refused_concurrency: int = 0
    refused_rate: int = 0
    early_retries: int = 0
    """Sub-requests that came before the end of the Retry-After that their mailbox was given."""
    early_calls: int = 0
    """Calls that came before the end of the Retry-After that a whole call was given."""
    mailbox_running_max: int = 0
    """The most requests that ever ran at once in one mailbox; the tenant never lets it pass its limit."""
    violations: int = 0
    """Requests that no careful client sends; see ``Tenant.violations``."""
