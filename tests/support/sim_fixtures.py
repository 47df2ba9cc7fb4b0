"""Constructors for the simulated tenant's tests, with defaults. So whatever a test sets is what the test is about."""

from __future__ import annotations

import json
from typing import Any

from purgeengine.sim.graph.call import Call, Ending, EndKind
from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.tenant_settings import TenantSettings

ANN = "ann@contoso.example"
BOB = "bob@contoso.example"


def a_tenant(
    contacts: dict[str, int] | None = None, *, faults: Faults | None = None, seed: int = 1, **settings: Any
) -> Tenant:
    """Return a tenant without latency. Its mailboxes have so many contacts, ``<first letter>-0`` and so on, in folder ``F``."""
    settings = {"latency_median_s": 0.0, "overhead_s": 0.0, **settings}
    held = {ANN: 10} if contacts is None else contacts
    rows = [(user, "F", f"{user[0]}-{n}") for user, count in held.items() for n in range(count)]
    return Tenant(TenantSettings(**settings), contacts=rows, faults=faults, seed=seed)


def url_of(user: str, contact: str, folder: str = "") -> str:
    """Return the URL of a sub-request for permanentDelete."""
    between = f"/contactFolders/{folder}" if folder else ""
    return f"/users/{user}{between}/contacts/{contact}/permanentDelete"


def batch_asking(method: str, *urls: str, immutable: bool = False) -> bytes:
    """Return a well-formed batch of sub-requests without a body."""
    headers = {"headers": {"Prefer": 'IdType="ImmutableId"'}} if immutable else {}
    requests = [{"id": str(n), "method": method, "url": url, **headers} for n, url in enumerate(urls)]
    return json.dumps({"requests": requests}).encode()


def requests_of(*urls: str) -> list[dict[str, Any]]:
    """Return well-formed sub-requests with the ids 0, 1, and so on."""
    return [
        {"id": str(n), "method": "POST", "url": url, "headers": {"Content-Type": "application/json"}, "body": {}}
        for n, url in enumerate(urls)
    ]


def batch_of(*urls: str) -> bytes:
    """Return a well-formed unordered batch."""
    return json.dumps({"requests": requests_of(*urls)}).encode()


def contacts_of(user: str, *numbers: int) -> bytes:
    """Return a well-formed unordered batch for contacts of one user."""
    return batch_of(*(url_of(user, f"{user[0]}-{n}") for n in numbers))


def chain_of(*urls: str) -> bytes:
    """Return a batch in which each sub-request depends on the one before it."""
    requests = requests_of(*urls)
    for n in range(1, len(requests)):
        requests[n]["dependsOn"] = [str(n - 1)]
    return json.dumps({"requests": requests}).encode()


def run_to_end(tenant: Tenant, call: Call) -> Ending:
    """Let time pass until the call has ended and all its work is done."""
    while tenant.next_event_at is not None:
        tenant.advance(tenant.next_event_at)
    assert call.ending is not None
    return call.ending


def ask(tenant: Tenant, body: bytes, now: float | None = None, **more: Any) -> dict[str, tuple[int, str]]:
    """Post a batch, wait for its end, and return the status and code of each sub-response by its id."""
    ending = run_to_end(tenant, tenant.begin(body, tenant.now if now is None else now, **more))
    assert ending.kind is EndKind.ANSWERED
    assert ending.status == 200, ending.body
    return {name: (said["status"], code_of(said)) for name, said in responses_of(ending).items()}


def responses_of(ending: Ending) -> dict[str, dict[str, Any]]:
    """Return the sub-responses by id."""
    return {said["id"]: said for said in json.loads(ending.body)["responses"]}


def code_of(said: dict[str, Any]) -> str:
    """Return the error code of a sub-response. Empty if there is none."""
    body = said.get("body")
    return str(body["error"]["code"]) if isinstance(body, dict) and "error" in body else ""
