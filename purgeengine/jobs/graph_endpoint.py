"""Where Graph and its login are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from purgeengine.run_limits import Auth


@dataclass(frozen=True, slots=True)
class GraphEndpoint:
    """Where Graph and its login are, whom to trust there, and how to sign in."""

    graph_url: str
    authority_url: str
    ca_file: Path | None
    cloud: str = "global"
    """A name in `CLOUDS`, or ``unknown``."""
    auth: Auth = "auto"
