"""New credentials for the simulated app: a certificate as PEM and PFX, and a federated token of a simulated issuer.

They are registered with the login that they are made for, and open nothing else.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from purgeengine.errors import UsageProblem
from purgeengine.sim.login.assertions import FederatedCredential
from purgeengine.sim.login.login_endpoint import LoginEndpoint

PFX_PASSWORD = "simulated-password"  # noqa: S105 - opens nothing but a simulation on this machine
FEDERATED_S = 86_400.0
"""Seconds that a federated token written for `purgeengine simulate` is valid."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An RSA key and a self-signed certificate for it."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, *, valid_from_utc: float | None = None, valid_s: float = 30 * 86_400.0) -> KeyPair:
        """Make a new pair. It is valid from ``valid_from_utc`` on, or since a minute ago, for ``valid_s`` seconds."""
        key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "purgeengine simulation")])
        begins = datetime.fromtimestamp(time.time() - 60 if valid_from_utc is None else valid_from_utc, UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + timedelta(seconds=valid_s))
            .sign(key, hashes.SHA256())
        )
        return cls(key, certificate)

    def pem(self, password: str = "") -> bytes:
        """Return key and certificate as PEM. With a password, the key is encrypted."""
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password:
            encryption = serialization.BestAvailableEncryption(password.encode())
        key = self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        return key + self.certificate.public_bytes(serialization.Encoding.PEM)

    def pfx(self, password: str = "") -> bytes:
        """Return key and certificate as PKCS #12. With a password, they are encrypted."""
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password:
            encryption = serialization.BestAvailableEncryption(password.encode())
        return pkcs12.serialize_key_and_certificates(b"app", self.key, self.certificate, None, encryption)


class Issuer:
    """A foreign issuer of tokens that the app trusts, such as a Kubernetes cluster."""

    def __init__(self, login: LoginEndpoint) -> None:
        self._key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        self.credential = FederatedCredential(self._key.public_key())
        login.assertions.federated.append(self.credential)

    def token(self, now_utc: float, life_s: float = 3_600.0, **claims: str) -> str:
        """Return a token for the app's workload, valid from ``now_utc`` on. ``claims`` override its content."""
        said = {
            "iss": self.credential.issuer, "sub": self.credential.subject, "aud": self.credential.audience,
            "iat": int(now_utc), "nbf": int(now_utc), "exp": int(now_utc + life_s), **claims,
        }  # fmt: skip
        return jwt.encode(said, self._key, algorithm="RS256")


@dataclass(frozen=True, slots=True)
class CredentialFiles:
    """The files with the credentials."""

    pem: Path
    pfx: Path
    federated_token: Path


def write_credentials(folder: Path, login: LoginEndpoint, now_utc: float) -> CredentialFiles:
    """Make credentials for the login's app, register them, and write them into the folder, readable by its owner only.

    Raises `UsageProblem` if they cannot be written.
    """
    pair, issuer = KeyPair.make(), Issuer(login)
    login.assertions.certificates.append(pair.certificate)
    files = CredentialFiles(folder / "app.pem", folder / "app.pfx", folder / "federated-token")
    contents = {
        files.pem: pair.pem(),
        files.pfx: pair.pfx(PFX_PASSWORD),
        files.federated_token: issuer.token(now_utc, FEDERATED_S).encode("ascii"),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in contents.items():
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
    except OSError as error:
        raise UsageProblem(f"The simulated credentials cannot be written to {folder}: {error.strerror}.") from error
    return files
