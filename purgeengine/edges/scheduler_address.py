"""The address of a Dask scheduler, and which of them may be used: whoever reaches a Dask process can run code in it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from purgeengine.core.graph.text import printable
from purgeengine.errors import UsageProblem

USUAL_PORT = 8786
"""The port of a scheduler that is given none."""
CA_VARIABLE = "DASK_DISTRIBUTED__COMM__TLS__CA_FILE"
CERT_VARIABLE = "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT"
KEY_VARIABLE = "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY"


@dataclass(frozen=True, slots=True)
class SchedulerAddress:
    """An address that may be used: ``tls://`` anywhere, ``tcp://`` on this machine only."""

    text: str
    is_encrypted: bool

    @classmethod
    def of(cls, given: str) -> SchedulerAddress:
        """Check an address as it was given. Raises `UsageProblem` if it is none, or if it may not be used."""
        shown = printable(given, 100)
        try:
            parts = urlsplit(given)
            host, port = parts.hostname, parts.port or USUAL_PORT
        except ValueError:
            host, port = None, 0
        if (
            not host
            or parts.scheme not in ("tls", "tcp")
            or parts.path not in ("", "/")
            or parts.query
            or parts.username
        ):
            raise UsageProblem(
                f"--scheduler {shown!r} is no address of a Dask scheduler. It is written tls://HOST:PORT. Nothing was sent."
            )
        if parts.scheme == "tcp" and not _is_loopback(host):
            raise UsageProblem(
                f"The scheduler at {shown} has no TLS, and whoever reaches it could purge. Start scheduler and workers with "
                "certificates, and name it as tls://HOST:PORT; see docs/several-machines.md. Nothing was sent."
            )
        name = f"[{host}]" if ":" in host else host
        return cls(f"{parts.scheme}://{name}:{port}", parts.scheme == "tls")

    def refuse_missing_certificates(self, ca_file: str | None, certificate: str | None) -> None:
        """Raise `UsageProblem` if Dask's configuration names no certificate authority, or no certificate for this side."""
        missing = [name for name, value in ((CA_VARIABLE, ca_file), (CERT_VARIABLE, certificate)) if not value]
        if missing:
            raise UsageProblem(
                f"The scheduler at {self.text} wants certificates, and Dask's configuration names none: set "
                f"{' and '.join(missing)} (and {KEY_VARIABLE}, unless the key stands in the certificate's file). See "
                "docs/several-machines.md. Nothing was sent."
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
