"""The object of ``simulate``."""

from __future__ import annotations

from purgeengine.json_output.envelope import Output


class SimulateOutput(Output, frozen=True, kw_only=True):
    """Where the simulated tenant listens, and how to sign in to it. It is printed when the tenant is ready."""

    exit_code: None = None
    """Null: the command still runs."""
    graph_url: str
    """The address of Graph."""
    authority_url: str
    """The address of the login."""
    ca_file: str | None
    """The file with the certificate to trust. Null without TLS."""
    tenant_id: str
    """The id of the tenant."""
    client_id: str
    """The id of the app."""
    client_secret: str
    """The secret of the app. It opens nothing but this simulated tenant."""
    other_ways: dict[str, dict[str, str]]
    """The environment variables for each other way to sign in, by its name for ``--auth``."""
