"""The object of ``check``."""

from __future__ import annotations

from typing import Literal

import msgspec

from purgeengine.json_output.envelope import Utc
from purgeengine.json_output.shared import InputOutput


class CheckFinding(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check."""

    level: Literal["ok", "note", "warning", "failed"]
    """How serious it is."""
    topic: str
    """What was checked, such as ``token``, ``clock`` or ``probe``."""
    message: str
    """The result, in a sentence."""


class ProbedMailbox(msgspec.Struct, frozen=True, kw_only=True):
    """A mailbox of the input that was looked at."""

    user: str
    """The mailbox, as the list names it."""
    standing: str
    """Its state, such as ``reachable``, ``denied`` or ``contact not found``."""
    status: int | None
    """The HTTP status of the answer. Null if none came."""
    code: str
    """Graph's code. Empty if there is none."""
    message: str
    """Graph's message. May be empty."""


class CheckOutput(InputOutput, frozen=True, kw_only=True):
    """Who signs in, what the token permits, and whether Graph and some mailboxes can be reached."""

    cloud: str
    """The cloud, such as ``global``."""
    graph_url: str
    """The address of Graph."""
    authority_url: str
    """The address of the login."""
    tenant_id: str | None
    """The id of the tenant. Null if nobody has signed in."""
    tenant_name: str | None
    """The name of the tenant. Null if the app may not read it."""
    client_id: str | None
    """The id of the app. Null if nobody has signed in."""
    app_name: str | None
    """The name of the app. Null if the token does not have it."""
    method: str | None
    """How the app signed in, such as ``client secret``. Null if it did not."""
    chosen_because: str | None
    """Why that way was chosen. Null if it was asked for."""
    credential: str | None
    """What the app signed in with, without anything secret. Null if there is nothing to tell."""
    signed_in_as: str | None
    """The person who signed in with a device code. Null if it was no person."""
    login_skew_s: float | None
    """How far this machine's clock is ahead of the login's, in seconds. Null if the login did not tell."""
    roles: list[str]
    """The permissions in the token."""
    expires_utc: Utc | None
    """When the token expires. Null if it is not known."""
    proxy: str | None
    """The proxy on the way to Graph, without its password. Null if there is none."""
    latency_s: float | None
    """How long Graph took to answer, in seconds. Null if it did not."""
    skew_s: float | None
    """How far this machine's clock is ahead of Graph's, in seconds. Null if Graph did not tell."""
    findings: list[CheckFinding]
    """The results of the checks, in order."""
    probed: list[ProbedMailbox]
    """The mailboxes that were looked at."""
