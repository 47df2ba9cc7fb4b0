"""Tests of certificate files and federated token files: which can be used, and what the message says about one that cannot."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509.oid import NameOID

from purgeengine.edges.login.certificate import CertificateFile
from purgeengine.edges.login.credentials import ClientSecret, FederatedToken
from purgeengine.errors import TokenError
from purgeengine.sim.login.credential_files import KeyPair
from tests.support.identity_fixtures import PASSWORD, key_pair, other_pair

DAY_S = 86_400.0


def certificate_pem(pair: KeyPair) -> bytes:
    """Return the certificate alone, as PEM."""
    return pair.certificate.public_bytes(Encoding.PEM)


def key_pem(pair: KeyPair) -> bytes:
    """Return the private key alone, as PEM."""
    return pair.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def elliptic(as_pfx: bool) -> bytes:
    """Return a certificate with an elliptic-curve key, as PFX or PEM."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    begins = datetime.now(UTC) - timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(begins).not_valid_after(begins + timedelta(days=9))
    certificate = builder.sign(key, hashes.SHA256())
    if as_pfx:
        return serialize_key_and_certificates(b"x", key, certificate, None, NoEncryption())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)


def written(folder: Path, content: bytes) -> Path:
    """Write the content to a file and return its path."""
    path = folder / "credential"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (lambda: key_pair().pem(), ""),
        (lambda: key_pair().pem(), "not needed"),
        (lambda: key_pair().pem(PASSWORD), PASSWORD),
        (lambda: certificate_pem(key_pair()) + key_pem(key_pair()), ""),
        (lambda: certificate_pem(other_pair()) + key_pair().pem(), ""),  # another certificate may stand before it
        (lambda: b"Bag Attributes\r\n  friendlyName: \xe4\r\n" + key_pair().pem().replace(b"\n", b"\r\n"), ""),
        (lambda: key_pair().pfx(), ""),
        (lambda: key_pair().pfx(PASSWORD), PASSWORD),
    ],
)
def test_a_key_and_its_certificate_are_found(content: Callable[[], bytes], password: str, tmp_path: Path) -> None:
    """A key and its certificate are found in PEM and PFX files, in any order, with or without a password.

    Of several certificates, the one that belongs to the key is taken.
    """
    file = CertificateFile(written(tmp_path, content()), password)
    form = file.read()
    assert isinstance(form, dict)
    assert form["public_certificate"].encode() == certificate_pem(key_pair())
    assert form is file.read()
    assert "PRIVATE KEY" not in repr(file) + file.told


@pytest.mark.parametrize(
    ("content", "password", "message"),
    [
        (lambda: b"", "", "is empty. Check AZURE_CLIENT_CERTIFICATE_PATH."),
        (lambda: b"hello", "", "is neither a PEM nor a PFX file. Check"),
        (lambda: b"\xff" * 100, PASSWORD, "is neither a PEM nor a PFX file"),
        (
            lambda: certificate_pem(key_pair()),
            "",
            "holds no private key. Export the certificate together with its key.",
        ),
        (lambda: key_pem(key_pair()), "", "holds a key, but no certificate for it"),
        (lambda: key_pem(key_pair()) + certificate_pem(other_pair()), "", "holds a key, but no certificate for it"),
        (lambda: key_pair().pem(PASSWORD), "", "is protected by a password. Set AZURE_CLIENT_CERTIFICATE_PASSWORD."),
        (
            lambda: key_pair().pem(PASSWORD),
            "wr0ng~one",
            "does not open with the password in AZURE_CLIENT_CERTIFICATE_PASSWORD",
        ),
        (
            lambda: key_pair().pfx(PASSWORD),
            "",
            "needs a password, or is damaged. Set AZURE_CLIENT_CERTIFICATE_PASSWORD.",
        ),
        (
            lambda: key_pair().pfx(PASSWORD),
            "wr0ng~one",
            "does not open with the password in AZURE_CLIENT_CERTIFICATE_PASSWORD",
        ),
        (lambda: key_pair().pfx()[:500], "", "needs a password, or is damaged"),
        (lambda: key_pair().pem()[:700] + b"\n-----END PRIVATE KEY-----\n", "", "holds a damaged private key"),
        (
            lambda: key_pem(key_pair()) + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
            "",
            "holds a damaged certificate",
        ),
        (
            lambda: elliptic(as_pfx=False),
            "",
            "holds a key that is not RSA, and Microsoft's login library signs with RSA keys only",
        ),
        (lambda: elliptic(as_pfx=True), "", "holds a key that is not RSA"),
        (lambda: b"x" * 1_100_000, "", "is larger than any credential"),
    ],
)
def test_a_certificate_file_that_cannot_be_used(
    content: Callable[[], bytes], password: str, message: str, tmp_path: Path
) -> None:
    """An unusable certificate file raises `TokenError` with one sentence that names file and remedy, but not the password."""
    path = written(tmp_path, content())
    with pytest.raises(TokenError) as caught:
        CertificateFile(path, password).read()
    said = str(caught.value)
    assert message in said
    assert said.endswith(".")
    assert str(path) in said
    assert not password or password not in said


def test_a_certificate_outside_its_time(tmp_path: Path) -> None:
    """A certificate that has expired or is not yet valid is refused before the login is asked, with the date and the remedy."""
    now = time.time()
    old = KeyPair.make(valid_from_utc=now - 10 * DAY_S, valid_s=9 * DAY_S)
    with pytest.raises(
        TokenError, match=r"expired on 2\d\d\d-.* UTC\. Make a new certificate, register it for the app"
    ):
        CertificateFile(written(tmp_path, old.pem())).read()
    young = KeyPair.make(valid_from_utc=now + DAY_S)
    with pytest.raises(TokenError, match=r"is not valid before .* Check this machine's clock, which says 2\d\d\d-"):
        CertificateFile(written(tmp_path, young.pfx())).read()


def test_a_certificate_file_is_read_again(tmp_path: Path) -> None:
    """A certificate file is read again after it changed, and a file that was deleted is reported as missing."""
    file = CertificateFile(written(tmp_path, key_pair().pem()))
    first = file.read()
    written(tmp_path, other_pair().pfx())
    assert file.read() != first
    (tmp_path / "credential").unlink()
    with pytest.raises(TokenError, match=r"of AZURE_CLIENT_CERTIFICATE_PATH does not exist\. Check the path\."):
        file.read()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "of AZURE_FEDERATED_TOKEN_FILE does not exist"),
        (b" \n", "is empty. Whoever issues the token must write it there"),
        (b'{"value":"eyJ"}', "holds JSON. Write the token alone into it"),
        (b"two words", "holds something that is no token"),
        (b"\x00\xff", "holds something that is no token"),
    ],
)
def test_a_federated_token_file_that_cannot_be_used(content: bytes | None, message: str, tmp_path: Path) -> None:
    """An unusable federated token file raises `TokenError` with one sentence that names the file, but not its content."""
    path = tmp_path / "token" if content is None else written(tmp_path, content)
    with pytest.raises(TokenError) as caught:
        FederatedToken(path).read()
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "words" not in str(caught.value)


def test_a_folder_is_no_credential(tmp_path: Path) -> None:
    """A folder in place of a token file is refused."""
    with pytest.raises(TokenError, match="cannot be read"):
        FederatedToken(tmp_path).read()


def test_no_credential_shows_itself(tmp_path: Path) -> None:
    """No credential shows its secret in its ``repr`` or description."""
    federated = FederatedToken(written(tmp_path, b"eyJhbGciOi.header.signature\n"))
    federated.read()
    shown = repr(federated) + federated.told + repr(ClientSecret("hunter2")) + repr(CertificateFile(tmp_path, PASSWORD))
    for secret in ("eyJhbGciOi", "hunter2", PASSWORD):
        assert secret not in shown
    assert federated.secrets == ("eyJhbGciOi.header.signature",)
