"""Check whether a client assertion proves that its sender is the app: a registered certificate or a trusted issuer signed it.

The checks and the numbers of the refusals are those of the real service: thumbprint, signature, audience, subject,
time.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from purgeengine.sim.login.app import Refused

LEEWAY_S = 300.0
"""Seconds by which times in an assertion may be off, as in the real service."""
TOKEN_LENGTH_MAX = 64 * 1024
"""Characters of the longest token or assertion that is looked at; honest ones have a few thousand."""
UNCHECKED_CLAIMS: Any = {"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False}
"""For PyJWT: it checks the signature alone, and we the claims, by the simulated time and with the service's own refusals."""
EXCHANGE_AUDIENCE = "api://AzureADTokenExchange"


@dataclass(frozen=True, slots=True)
class FederatedCredential:
    """A trusted issuer. The app accepts its tokens for this subject if they are signed with this key."""

    key: rsa.RSAPublicKey
    issuer: str = "https://issuer.simulated.example"
    subject: str = "system:serviceaccount:purge:purgeengine"
    audience: str = EXCHANGE_AUDIENCE


class Assertions:
    """The certificates and federated credentials that are registered for an app."""

    def __init__(self) -> None:
        self.certificates: list[x509.Certificate] = []
        self.federated: list[FederatedCredential] = []
        self.seen: list[dict[str, Any]] = []
        """The headers of the accepted assertions, oldest first: the last hundred."""

    def check(self, assertion: str, client_id: str, token_endpoint: str, utc_s: float) -> None:
        """Raise `Refused` unless the assertion is valid for the app, at this endpoint, now."""
        malformed = Refused(401, "invalid_client", 50027, "JWT token is invalid or malformed.")
        if len(assertion) > TOKEN_LENGTH_MAX:
            raise malformed
        try:
            header = jwt.get_unverified_header(assertion)
            claims = jwt.decode(assertion, options={"verify_signature": False})
        except (jwt.PyJWTError, ValueError, RecursionError) as error:  # the last two come out of older versions
            raise malformed from error
        if claims.get("iss") == claims.get("sub"):
            self._check_own(assertion, header, claims, client_id, token_endpoint)
        else:
            self._check_federated(assertion, claims)
        self._check_time(claims, utc_s)
        self.seen = [*self.seen[-99:], header]

    def _check_own(
        self, assertion: str, header: dict[str, Any], claims: dict[str, Any], client_id: str, token_endpoint: str
    ) -> None:
        certificate = next((each for each in self.certificates if _is_named(each, header)), None)
        if certificate is None:
            text = "The certificate with identifier used to sign the client assertion is not registered on application."
            raise Refused(401, "invalid_client", 700027, text)
        key = certificate.public_key()
        assert isinstance(key, rsa.RSAPublicKey), "only RSA certificates are registered"
        _verify(assertion, key, ["PS256", "RS256"])
        if claims.get("iss") != client_id:
            raise Refused(401, "invalid_client", 700021, "Client assertion application identifier doesn't match.")
        if claims.get("aud") != token_endpoint:
            raise Refused(401, "invalid_client", 700023, "Client assertion audience claim does not match Realm issuer.")

    def _check_federated(self, assertion: str, claims: dict[str, Any]) -> None:
        """Check in the order of the real service: issuer, subject, audience, then the signature."""
        matching = self.federated
        for name, number in (("iss", 700211), ("sub", 700213), ("aud", 700212)):
            attribute = {"iss": "issuer", "sub": "subject", "aud": "audience"}[name]
            matching = [each for each in matching if getattr(each, attribute) == claims.get(name)]
            if not matching:
                text = f"No matching federated identity record found for presented assertion {attribute}."
                raise Refused(401, "invalid_client", number, text)
        _verify(assertion, matching[0].key, ["RS256"])

    def _check_time(self, claims: dict[str, Any], utc_s: float) -> None:
        expires, begins = claims.get("exp"), claims.get("nbf") or claims.get("iat")
        good = isinstance(expires, int | float) and utc_s < expires + LEEWAY_S
        if not good or (isinstance(begins, int | float) and utc_s < begins - LEEWAY_S):
            text = "Client assertion is not within its valid time range."
            raise Refused(401, "invalid_client", 700024, text)


def _is_named(certificate: x509.Certificate, header: dict[str, Any]) -> bool:
    """True if the assertion's header has this certificate's thumbprint, of either kind."""
    return (
        _decoded(header.get("x5t#S256")) == certificate.fingerprint(hashes.SHA256())
        or _decoded(header.get("x5t")) == certificate.fingerprint(hashes.SHA1())  # noqa: S303 - the service's
    )


def _decoded(thumbprint: object) -> bytes | None:
    try:
        return base64.urlsafe_b64decode(str(thumbprint) + "==") if thumbprint else None
    except (binascii.Error, ValueError):
        return None


def _verify(assertion: str, key: rsa.RSAPublicKey, algorithms: list[str]) -> None:
    try:
        jwt.decode(assertion, key, algorithms=algorithms, options=UNCHECKED_CLAIMS)
    except jwt.PyJWTError as error:
        text = "Client assertion contains an invalid signature."
        raise Refused(401, "invalid_client", 700027, text) from error
