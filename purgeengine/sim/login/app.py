"""An app registration of the simulated tenant, and the answers and refusals that all parts of the login share."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class App:
    """An app registration of the simulated tenant. Its secret opens nothing but this simulation."""

    tenant_id: str = "5157a1ed-0000-4000-8000-000000000001"
    client_id: str = "5157a1ed-0000-4000-8000-000000000002"
    client_secret: str = "simulated-secret"  # noqa: S105 - opens nothing but a simulation on this machine
    roles: tuple[str, ...] = ("Contacts.ReadWrite",)
    scopes: tuple[str, ...] = ("Contacts.ReadWrite",)
    """What the app may do in the name of a person who signed in."""
    public_flows: bool = True
    """True if people may sign in with a device code."""


class LoginAnswer(NamedTuple):
    """An HTTP answer. The body is JSON unless ``content_type`` says otherwise."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"


class Refused(Exception):
    """A request for a token is refused, with this status, error, AADSTS number and text."""

    def __init__(self, status: int, error: str, number: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.error = error
        self.number = number


def base64url(data: bytes) -> str:
    """Encode bytes as the parts of a JWT are."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
