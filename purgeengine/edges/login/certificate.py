"""A certificate with its private key, from a PEM or PFX (PKCS #12) file: read, checked, and converted for MSAL.

MSAL for Python (seen in 1.39) signs in two ways: PS256 with the certificate's SHA-256 thumbprint, which Entra ID
wants today, and RS256 with the SHA-1 thumbprint, for services that know no other. It computes only the SHA-256
thumbprint itself, it fails on elliptic-curve keys with an unclear message, and it lets the login notice an expired
certificate. This module handles each of these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

from purgeengine.core.graph.text import printable
from purgeengine.edges.clock import SystemClock
from purgeengine.edges.login.credentials import MsalForm, file_content
from purgeengine.engine.ports import Clock
from purgeengine.errors import TokenError

PATH, PASSWORD = "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_CLIENT_CERTIFICATE_PASSWORD"
SIGNATURE = "PURGEENGINE_CERTIFICATE_SIGNATURE"
Signature = Literal["PS256", "RS256"]

_PEM_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----.*?-----END \1-----", re.DOTALL)
_PEM_BLOCKS_MAX = 20
"""Most PEM blocks that are read from a file. No chain has as many certificates."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """A private key, its certificate, and the other certificates of the file."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate
    others: tuple[x509.Certificate, ...] = ()


class CertificateFile:
    """The certificate of an app. The file is read again for every token, so a replaced file is used at once."""

    method = "certificate"

    def __init__(
        self,
        path: Path,
        password: str = "",
        *,
        signature: Signature = "PS256",
        send_chain: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self._path = path
        self._password = password
        self._signature = signature
        self._send_chain = send_chain
        self._clock = clock or SystemClock()
        self._content = b""
        self._pair: _Pair | None = None
        self._form: MsalForm = {}

    def __repr__(self) -> str:
        return f"CertificateFile({str(self._path)!r}, {self._signature})"

    def read(self) -> MsalForm:
        """Return the certificate in the form that MSAL takes.

        Raises `TokenError` if the file has no usable key and certificate, or if the certificate is not valid now.
        """
        content = file_content(self._path, PATH)
        if content != self._content or self._pair is None:
            pair = self._read_pair(content)
            self._content, self._pair, self._form = content, pair, self._form_of(pair)
        self._check_time(self._pair.certificate)
        return self._form

    @property
    def secrets(self) -> tuple[str, ...]:
        """The password, if there is one."""
        return (self._password,) if self._password else ()

    @property
    def told(self) -> str:
        """The certificate's subject, the thumbprint that Entra ID shows for it, and its end."""
        if self._pair is None:
            return ""
        certificate = self._pair.certificate
        return (
            f"{printable(certificate.subject.rfc4514_string(), 100)}, SHA-1 thumbprint "
            f"{certificate.fingerprint(hashes.SHA1()).hex().upper()}, valid until {_day(certificate.not_valid_after_utc)}"  # noqa: S303
        )

    # ------------------------------------------------------------------------------------------------------- reading

    def _read_pair(self, content: bytes) -> _Pair:
        if not content.strip():
            raise self._unusable("is empty")
        key, certificates = self._from_pem(content) if b"-----BEGIN" in content else self._from_pfx(content)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise self._unusable(
                "holds a key that is not RSA, and Microsoft's login library signs with RSA keys only. Make a certificate with "
                "an RSA key of 2,048 bits or more",
                remedy="",
            )
        public = _public_bytes(key.public_key())
        own = [certificate for certificate in certificates if _public_bytes(certificate.public_key()) == public]
        if not own:
            raise self._unusable("holds a key, but no certificate for it")
        return _Pair(key, own[0], tuple(certificate for certificate in certificates if certificate is not own[0]))

    def _from_pem(self, content: bytes) -> tuple[Any, list[x509.Certificate]]:
        blocks = [(match.group(1), match.group(0)) for match in _PEM_BLOCK.finditer(content)][:_PEM_BLOCKS_MAX]
        keys = [block for name, block in blocks if name.endswith(b"PRIVATE KEY")]
        if not keys:
            raise self._unusable("holds no private key. Export the certificate together with its key")
        try:
            certificates = [x509.load_pem_x509_certificate(block) for name, block in blocks if name == b"CERTIFICATE"]
        except ValueError as error:
            raise self._unusable("holds a damaged certificate") from error
        encrypted = b"ENCRYPTED" in keys[0]
        if encrypted and not self._password:
            raise self._unusable(f"is protected by a password. Set {PASSWORD}", remedy="")
        try:
            return load_pem_private_key(keys[0], self._password.encode("utf-8") if encrypted else None), certificates
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            if encrypted:
                raise self._unusable(
                    f"does not open with the password in {PASSWORD}, or is damaged", remedy=""
                ) from error
            raise self._unusable("holds a damaged private key") from error

    def _from_pfx(self, content: bytes) -> tuple[Any, list[x509.Certificate]]:
        # some tools write an empty password
        passwords = [self._password.encode("utf-8")] if self._password else [None, b""]
        for password in passwords:
            try:
                key, certificate, others = load_key_and_certificates(content, password)
            except (ValueError, TypeError, UnsupportedAlgorithm):
                continue
            if key is None:
                raise self._unusable("holds no private key. Export the certificate together with its key")
            return key, [*([certificate] if certificate else []), *others]
        if content[:1] != b"\x30":  # every PKCS #12 file begins with this byte
            raise self._unusable("is neither a PEM nor a PFX file")
        if self._password:
            raise self._unusable(f"does not open with the password in {PASSWORD}, or is damaged", remedy="")
        raise self._unusable(f"needs a password, or is damaged. Set {PASSWORD}", remedy="")

    def _unusable(self, why: str, remedy: str = f"Check {PATH}") -> TokenError:
        return TokenError(f"The certificate file {self._path} {why}.{f' {remedy}.' if remedy else ''}")

    def _check_time(self, certificate: x509.Certificate) -> None:
        now = datetime.fromtimestamp(self._clock.utc(), UTC)
        if now > certificate.not_valid_after_utc:
            raise self._unusable(
                f"expired on {_day(certificate.not_valid_after_utc)}. Make a new certificate, register it for the app, and put "
                "it there",
                remedy="",
            )
        if now < certificate.not_valid_before_utc:
            raise self._unusable(
                f"is not valid before {_day(certificate.not_valid_before_utc)}. Check this machine's clock, which says "
                f"{_day(now)}",
                remedy="",
            )

    # ------------------------------------------------------------------------------------------------------- for MSAL

    def _form_of(self, pair: _Pair) -> MsalForm:
        """Return the form for MSAL.

        Without a thumbprint MSAL uses PS256, SHA-256 and the certificate; with one, RS256 and SHA-1.
        """
        key = pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
        if self._signature == "PS256":
            return {"private_key": key, "public_certificate": _pem(pair.certificate)}
        form = {"private_key": key, "thumbprint": pair.certificate.fingerprint(hashes.SHA1()).hex()}  # noqa: S303 - the service's
        if self._send_chain:
            form["public_certificate"] = "".join(_pem(each) for each in (pair.certificate, *pair.others))
        return form


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode("ascii")


def _public_bytes(key: Any) -> bytes:
    der: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return der


def _day(when: datetime) -> str:
    return when.strftime("%Y-%m-%d %H:%M UTC")
