"""Sentences about refusals of the login, with the reason and a remedy, by AADSTS number.

Sources: Microsoft's reference of AADSTS error codes (entra/identity-platform/reference-error-codes), and the texts of
the errors themselves. Temporary errors are told apart from those that need a person.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from purgeengine.core.graph.redaction import TEXT_LENGTH_MAX, told, told_name

_CONSENT = "nobody has consented to the app. An administrator must grant Contacts.ReadWrite to it, with admin consent."
_SCOPE = "the Graph address is not accepted as a scope. Check --graph-url and --cloud."
_TENANT = "the tenant {tenant} is not known at {host}. Check AZURE_TENANT_ID and --cloud."
_MFA = (
    "the person who signed in must pass multifactor authentication, and has not. Give the same command again and sign in with "
    "it, or let an app sign in by itself."
)
_DEVICE = (
    "a Conditional Access policy wants a managed device, and the device code comes from none. An administrator must exempt the "
    "sign-in, or let an app sign in by itself."
)
_BLOCKED = (
    "a Conditional Access policy blocks the sign-in. An administrator must let it in (see the sign-in logs of Entra ID for the "
    "policy), or run it from an allowed network."
)
_AGAIN = "the sign-in has ended. Give the same command again, and sign in once more."
_NEW_CODE = "the code has expired. Give the same command again for a new one."
_FEDERATED = (
    "the app has no federated credential for this token. Compare its issuer, subject and audience with those that are "
    "registered for the app {client}: each must be the same to the letter."
)

REMEDIES_BY_NUMBER = {
    # The app and its secret
    7000215: "the client secret is wrong. Set AZURE_CLIENT_SECRET to the secret's value, not to its id.",
    7000222: "the client secret has expired. Make a new one for the app and set AZURE_CLIENT_SECRET to its value.",
    7000112: "the app {client} is disabled in this tenant. An administrator can enable it under Enterprise applications.",
    700016: "the app {client} is not known in tenant {tenant}. Check AZURE_CLIENT_ID and AZURE_TENANT_ID.",
    7000229: "the app {client} has no service principal in tenant {tenant}. An administrator must consent to it there first.",
    7000216: "no credential came along. Set one of AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PATH, AZURE_FEDERATED_TOKEN_FILE.",
    7000218: "the app {client} may not sign in without a credential. For --auth device-code, allow public client flows in the "
    "app's registration (Authentication).",
    700025: "the app {client} is registered as a public client, which has no credential. Register it as a confidential one, or "
    "say --auth device-code.",
    50194: "the app {client} belongs to one tenant only, and that is not {tenant}. Check AZURE_TENANT_ID.",
    650056: "the app is not set up completely. Give it the permission Contacts.ReadWrite of Microsoft Graph, with admin consent.",
    # Certificates and assertions
    700027: "the certificate is not the app's, or has expired. Register it for the app {client} (Certificates and secrets), and "
    "compare the thumbprints.",
    700030: "the certificate's subject name is not one that is trusted for the app {client}. Check the certificate, and the "
    "app's trusted subject names and authorities.",
    700024: "the assertion is not valid at this time. Check this machine's clock; where AZURE_FEDERATED_TOKEN_FILE is used, the "
    "token in it may have expired, and whoever issues it must write a new one.",
    700021: "the assertion was made for another app than {client}. Check AZURE_CLIENT_ID.",
    700023: "the assertion was made for another audience. A federated token needs the audience api://AzureADTokenExchange.",
    50027: "the assertion is not a valid token. Check the certificate, or what is written to AZURE_FEDERATED_TOKEN_FILE.",
    # Federation
    70021: _FEDERATED,
    700211: _FEDERATED.replace("for this token", "for this token's issuer"),
    700212: _FEDERATED.replace("for this token", "for this token's audience"),
    700213: _FEDERATED.replace("for this token", "for this token's subject"),
    700222: "a token of Entra ID itself is not accepted as a federated one here. Use a token of the workload's own issuer.",
    50166: "the issuer of the federated token could not be asked for its keys. It must be reachable from the internet.",
    # The tenant
    90002: _TENANT,
    900021: _TENANT,
    900023: "{tenant} is neither a tenant's id nor one of its domains. Check AZURE_TENANT_ID.",
    50059: "no tenant could be told from the request. Check AZURE_TENANT_ID.",
    90013: "something in the request is not valid. Check AZURE_CLIENT_ID and AZURE_TENANT_ID.",
    90072: "the account is not one of tenant {tenant}. Sign in with another, or check AZURE_TENANT_ID.",
    50020: "the account is not one of tenant {tenant}. Sign in with another, or check AZURE_TENANT_ID.",
    50034: "the account is not one of tenant {tenant}. Sign in with another, or check AZURE_TENANT_ID.",
    500021: "your network allows other tenants only (tenant restrictions of its proxy). Its administrators must allow {tenant}.",
    500212: "your organisation's policy for outbound access does not allow the app {client}. Its administrators must allow it.",
    500213: "the tenant {tenant} does not let in apps and people from yours. Its administrators must allow it.",
    # Permissions
    65001: _CONSENT,
    65004: "the person who signed in declined to consent. Sign in once more, or let an administrator grant Contacts.ReadWrite.",
    90094: _CONSENT,
    650052: "the tenant has no service for what the app asks for. An administrator must grant it with admin consent.",
    650057: "the app does not ask for Microsoft Graph. Add Contacts.ReadWrite to its registration, with admin consent.",
    50105: "the account is not assigned to the app {client}. An administrator must assign it under Enterprise applications.",
    501051: "the app {client} is not assigned to what it asks for. An administrator must assign it.",
    500011: "the Graph address is not known in tenant {tenant}. Check --graph-url and --cloud.",
    500014: "Microsoft Graph is disabled in tenant {tenant}. An administrator must enable it.",
    1002012: _SCOPE,
    70011: _SCOPE,
    # Conditional Access, and people
    53003: _BLOCKED,
    530032: _BLOCKED,
    530035: "the tenant's security defaults block the sign-in. An administrator must let it in, or let an app sign in by itself.",
    53000: _DEVICE,
    53001: _DEVICE,
    530003: _DEVICE,
    50097: _DEVICE,
    50005: _DEVICE,
    53004: _MFA,
    50072: _MFA,
    50074: _MFA,
    50076: _MFA,
    50078: _MFA,
    50079: _MFA,
    50158: _MFA,
    53011: "the account is blocked because it is at risk. An administrator must clear the risk in Entra ID Protection.",
    50053: "the account is locked, or the sign-in came from a suspicious address. Wait, or ask an administrator.",
    50055: "the password of the account has expired. Change it, then sign in again.",
    50126: "the user name or the password was wrong. Give the same command again, and sign in once more.",
    50057: "the account is disabled. An administrator can enable it.",
    # Device codes and refresh tokens
    70016: "nobody has signed in with the code yet.",
    70018: "the code was not accepted. Give the same command again for a new one.",
    70019: _NEW_CODE,
    70020: _NEW_CODE,
    70008: _AGAIN,
    70043: "the tenant wants people to sign in again after some time (sign-in frequency). "
    + _AGAIN[0].upper()
    + _AGAIN[1:],
    700082: _AGAIN,
    50132: _AGAIN,
    50133: _AGAIN,
    50173: _AGAIN,
}
"""The reason and the remedy for each AADSTS number: half a sentence that names {tenant}, {client} and {host}."""
REMEDIES_BY_ERROR = {
    "invalid_client": "the app's credential is not accepted. Check AZURE_CLIENT_ID and the credential.",
    "unauthorized_client": "the app may not sign in this way. Check AZURE_CLIENT_ID and AZURE_TENANT_ID.",
    "invalid_tenant": _TENANT,
    "invalid_scope": _SCOPE,
    "authorization_declined": "the person who was asked to sign in declined. Give the same command again to ask once more.",
    "access_denied": "the person who was asked to sign in declined. Give the same command again to ask once more.",
    "expired_token": _NEW_CODE,
    "bad_verification_code": _NEW_CODE,
    "consent_required": _CONSENT,
}
"""The same for errors without a known number, by the name that OAuth gives them."""
PASSING_NUMBERS = frozenset({50196, 50180, 90006, 90024, 90033, 90055, 90085})
"""Numbers of temporary errors: overload, loops that the service noticed, transient faults."""
PASSING_ERRORS = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
"""Names of temporary errors."""


def error_number(error: Mapping[str, Any]) -> int | None:
    """Return the AADSTS number of an error answer, or None."""
    found = re.search(r"AADSTS([0-9]{1,9})", str(error.get("error_description") or ""))
    if found:
        return int(found.group(1))
    numbers = error.get("error_codes")
    return numbers[0] if isinstance(numbers, list) and numbers and isinstance(numbers[0], int) else None


def will_pass(error: Mapping[str, Any]) -> bool:
    """True if the same request may succeed later."""
    return error_number(error) in PASSING_NUMBERS or str(error.get("error")) in PASSING_ERRORS


def refusal_sentence(
    error: Mapping[str, Any], *, host: str, tenant: str, client: str, secrets: Iterable[str] = ()
) -> str:
    """Return a sentence for people: the login's names for the error, the reason and the remedy. It never contains a secret."""
    number, name = error_number(error), told_name(error.get("error"))
    known = REMEDIES_BY_NUMBER.get(number or 0) or REMEDIES_BY_ERROR.get(name)
    reason = known.format(host=host, tenant=tenant, client=client) if known else _own_words(error, secrets)
    names = ", ".join(part for part in (f"AADSTS{number}" if number else "", name) if part) or "no reason given"
    return f"The login at {host} refused a token ({names}): {reason}"


def _own_words(error: Mapping[str, Any], secrets: Iterable[str]) -> str:
    """Return the first part of the login's own description. The rest of it is ids and times."""
    text = told(error.get("error_description"), TEXT_LENGTH_MAX, secrets=secrets)
    text = re.split(r"\s*(?:Trace ID|Correlation ID|Timestamp):", text)[0]
    text = re.sub(r"^AADSTS[0-9]+:\s*", "", text)[:300].strip()
    return text or "check the app registration and the tenant."
