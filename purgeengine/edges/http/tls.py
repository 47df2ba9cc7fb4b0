"""Whom to trust: the certificates of a PEM file, or what this machine trusts. For the login and for Graph alike.

On macOS and Windows the system itself verifies, through truststore: a Python from python.org has no authorities at all on macOS,
and OpenSSL sees neither the keychain's nor those that Windows fetches when it first needs them. Elsewhere OpenSSL reads the
system's bundle, once for each context. (There truststore would read it again for each connection, 0.1 s on the event loop.)
"""

from __future__ import annotations

import os
import re
import ssl
import sys
from contextlib import suppress
from pathlib import Path

from purgeengine.errors import UsageProblem

SYSTEM_VERIFIES_ON = ("win32", "darwin")
"""Platforms whose own verifier is asked."""
TRUST_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables by which a person tells OpenSSL whom to trust; where one is set, OpenSSL verifies on every platform."""
BUNDLES = (
    Path("/etc/ssl/certs/ca-certificates.crt"),  # Debian, Ubuntu, Alpine, Arch
    Path("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),  # Fedora, RHEL
    Path("/etc/ssl/ca-bundle.pem"),  # SUSE
    Path("/etc/ssl/cert.pem"),  # macOS, the BSDs
)
"""Where systems keep their authorities, for a Python that was built elsewhere and whose OpenSSL looks where nothing is."""
_NAME_IN_FOLDER = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""How OpenSSL wants certificates in a folder to be named."""


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Trust in the certificates of the PEM file alone, or in the system's when there is none.

    Certificates and host names are always verified. An intermediate certificate may be named as well as a root. Not
    `ssl.create_default_context`: that one writes the keys of every connection, tokens and all, to the file of
    ``SSLKEYLOGFILE``. Raises `UsageProblem` for a file that cannot be read or holds no certificates.
    """
    context = _verified_by_the_system() if ca_file is None else None
    if context is not None:
        return context
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if ca_file is None:
        _load_bundle(context)
        return context
    try:
        context.load_verify_locations(cafile=str(ca_file))
        return context
    except ssl.SSLError as error:
        raise UsageProblem(f"The CA file {ca_file} holds no certificates in PEM form. Nothing was sent.") from error
    except OSError as error:
        raise UsageProblem(f"The CA file {ca_file} cannot be read: {error.strerror}. Nothing was sent.") from error


def _verified_by_the_system() -> ssl.SSLContext | None:
    """A context whose certificates the system verifies; None where it is not to, or cannot."""
    if sys.platform not in SYSTEM_VERIFIES_ON or _is_told_whom_to_trust():
        return None
    try:
        import truststore

        context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    except (ImportError, OSError):  # a macOS or a Python that it does not know
        return None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _load_bundle(context: ssl.SSLContext) -> None:
    """Trust in what OpenSSL finds, or in the system's bundle where it finds nothing and nobody said where to look."""
    context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if context.cert_store_stats()["x509"] or _is_told_whom_to_trust() or _has_folder_of_certificates():
        return
    for bundle in BUNDLES:
        with suppress(OSError):  # not there, or no certificates in it
            context.load_verify_locations(cafile=str(bundle))
            return


def _is_told_whom_to_trust() -> bool:
    return any(os.environ.get(name) for name in TRUST_VARIABLES)


def _has_folder_of_certificates() -> bool:
    """Whether OpenSSL's own folder holds certificates, which it reads one by one as they are needed."""
    folder = ssl.get_default_verify_paths().capath
    with suppress(OSError):
        return folder is not None and any(_NAME_IN_FOLDER.fullmatch(path.name) for path in Path(folder).iterdir())
    return False
