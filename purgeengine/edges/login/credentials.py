"""What an app shows the login to prove who it is, in the form that MSAL takes: a secret, or a token of another issuer.

A credential is read again for every token, because its file may be replaced during a run. Certificates are in
`certificate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from purgeengine.core.graph.text import printable
from purgeengine.edges.login.identity import is_token
from purgeengine.errors import TokenError

FILE_BYTES_MAX = 1_048_576
"""Largest file in bytes that is read as a credential. Certificates with their chains take some kilobytes."""

MsalForm = str | Mapping[str, object]
"""What MSAL takes as ``client_credential``."""


class Credential(Protocol):
    """Proves who the app is."""

    method: str
    """The name of this kind of credential, for people."""

    def read(self) -> MsalForm:
        """Return what MSAL takes, as it is now. It equals the last one as long as nothing has changed.

        Raises `TokenError` if the credential cannot be used.
        """

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not be shown."""

    @property
    def told(self) -> str:
        """What may be shown of the credential, for people. Empty if there is nothing to show."""


class ClientSecret:
    """A secret from the environment. It cannot change while the program runs."""

    method = "client secret"
    told = ""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def __repr__(self) -> str:
        return "ClientSecret()"

    def read(self) -> str:
        """Return the secret."""
        return self._secret

    @property
    def secrets(self) -> tuple[str, ...]:
        """The client secret."""
        return (self._secret,)


class FederatedToken:
    """A token of another issuer (Kubernetes, GitHub, another cloud), in a file that some other program keeps fresh."""

    method = "workload federation"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._token = ""
        self._form: MsalForm = {}

    def __repr__(self) -> str:
        return f"FederatedToken({str(self._path)!r})"

    def read(self) -> MsalForm:
        """Read the token. Raises `TokenError` if the file holds none."""
        content = file_content(self._path, "AZURE_FEDERATED_TOKEN_FILE")
        token = content.decode("utf-8-sig", errors="replace").strip()
        if not token:
            raise TokenError(f"The file {self._path} of AZURE_FEDERATED_TOKEN_FILE is empty. {_FEDERATED_REMEDY}")
        if token.startswith("{"):
            raise TokenError(
                f"The file {self._path} of AZURE_FEDERATED_TOKEN_FILE holds JSON. Write the token alone into it, without what is "
                "around it."
            )
        if not is_token(token):
            raise TokenError(
                f"The file {self._path} of AZURE_FEDERATED_TOKEN_FILE holds something that is no token. {_FEDERATED_REMEDY}"
            )
        if token != self._token:
            self._token, self._form = token, {"client_assertion": lambda: token}  # MSAL deprecates a plain text here
        return self._form

    @property
    def secrets(self) -> tuple[str, ...]:
        """The token that was read last."""
        return (self._token,) if self._token else ()

    @property
    def told(self) -> str:
        """The path of the token's file."""
        return f"token in {printable(str(self._path), 200)}"


_FEDERATED_REMEDY = "Whoever issues the token must write it there, and a new one before it expires."


def file_content(path: Path, name: str) -> bytes:
    """Return the bytes of a credential's file.

    ``name`` is the variable that names it. Raises `TokenError` if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise TokenError(f"The file {path} of {name} does not exist. Check the path.") from error
    except OSError as error:
        raise TokenError(
            f"The file {path} of {name} cannot be read: {error.strerror}. Check the path and its rights."
        ) from error
    if len(content) > FILE_BYTES_MAX:
        raise TokenError(f"The file {path} of {name} is larger than any credential. Check the path.")
    return content
