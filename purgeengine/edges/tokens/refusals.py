"""Why the login refuses a token, in sentences with a remedy, by AADSTS number.

Source: Microsoft's reference of AADSTS error codes. Numbers that pass by themselves are told apart from those that need a person.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from purgeengine.core.foreign import printable

_REMEDIES = {
    7000215: "the client secret is wrong. Set AZURE_CLIENT_SECRET to the secret's value, not to its id.",
    7000222: "the client secret has expired. Make a new one for the app and set AZURE_CLIENT_SECRET to its value.",
    7000112: "the app {client} is disabled in this tenant. An administrator can enable it under Enterprise applications.",
    700016: "the app {client} is not known in tenant {tenant}. Check AZURE_CLIENT_ID and AZURE_TENANT_ID.",
    90002: "the tenant {tenant} is not known at {host}. Check AZURE_TENANT_ID and --cloud.",
    900023: "{tenant} is neither a tenant's id nor one of its domains. Check AZURE_TENANT_ID.",
    90013: "something in the request is not valid. Check AZURE_CLIENT_ID and AZURE_TENANT_ID.",
    53003: "a Conditional Access policy blocks the app. An administrator must let it in, or run it from an allowed network.",
    500011: "the Graph address is not known in tenant {tenant}. Check --graph-url and --cloud.",
    1002012: "the Graph address is not accepted as a scope. Check --graph-url and --cloud.",
    70011: "the Graph address is not accepted as a scope. Check --graph-url and --cloud.",
    65001: "nobody has consented to the app. An administrator must grant Contacts.ReadWrite (application) with admin consent.",
    650052: "the tenant has no service for what the app asks for. An administrator must grant it with admin consent.",
    700027: "the certificate is not the app's, or has expired. Check what is registered for the app.",
    700024: "the assertion is not valid at this time. Check this machine's clock.",
}
_BY_ERROR = {
    "invalid_client": "the app's credential is not accepted. Check AZURE_CLIENT_ID and AZURE_CLIENT_SECRET.",
    "unauthorized_client": "the app may not sign in this way. Check AZURE_CLIENT_ID and AZURE_TENANT_ID.",
    "invalid_tenant": "the tenant {tenant} is not known at {host}. Check AZURE_TENANT_ID and --cloud.",
    "invalid_scope": "the Graph address is not accepted as a scope. Check --graph-url and --cloud.",
}
_PASSING_NUMBERS = frozenset({50196, 90006, 90033, 90055, 90085})
"""Overload, loops noticed by the service, transient faults."""
_PASSING_ERRORS = frozenset({"temporarily_unavailable", "server_error", "slow_down"})


def error_number(error: Mapping[str, Any]) -> int | None:
    """The AADSTS number of an error answer, or None."""
    found = re.search(r"AADSTS([0-9]{1,9})", str(error.get("error_description") or ""))
    if found:
        return int(found.group(1))
    numbers = error.get("error_codes")
    return numbers[0] if isinstance(numbers, list) and numbers and isinstance(numbers[0], int) else None


def will_pass(error: Mapping[str, Any]) -> bool:
    """Whether the same request may be granted in a while."""
    return error_number(error) in _PASSING_NUMBERS or str(error.get("error")) in _PASSING_ERRORS


def refusal_sentence(error: Mapping[str, Any], *, host: str, tenant: str, client: str, secret: str) -> str:
    """What the login said, for a person: its names for the error, the reason and the remedy. Never the secret."""
    number, name = error_number(error), printable(error.get("error"), 60)
    known = _REMEDIES.get(number or 0) or _BY_ERROR.get(name)
    reason = known.format(host=host, tenant=tenant, client=client) if known else _own_words(error)
    names = ", ".join(part for part in (f"AADSTS{number}" if number else "", name) if part) or "no reason given"
    return f"The login at {host} refused a token ({names}): {reason}".replace(secret or "\0", "***")


def _own_words(error: Mapping[str, Any]) -> str:
    """The first part of the login's own description, which goes on with ids and times."""
    text = printable(error.get("error_description"), 1000)
    text = re.split(r"\s*(?:Trace ID|Correlation ID|Timestamp):", text)[0]
    text = re.sub(r"^AADSTS[0-9]+:\s*", "", text)[:300].strip()
    return text or "check the app registration and the tenant."
