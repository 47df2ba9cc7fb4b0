"""Makes a `PurgeRequest` from the options of a command. No other module reads these options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from purgeengine.cli.options.filter_options import excluded_users, only_users, protected_users
from purgeengine.cli.options.flags import as_flags
from purgeengine.cli.options.hour_options import hours_from
from purgeengine.cli.options.purge_options import column_map, limits_from
from purgeengine.cli.options.telemetry_options import TelemetryOptions
from purgeengine.jobs.purge_request import PurgeRequest

AS_THEY_ARE = (
    "action",
    "allow_unread",
    "auth",
    "auto_stop",
    "ca_file",
    "clean",
    "cloud",
    "graph_url",
    "id_type",
    "max_items",
    "max_items_per_mailbox",
    "probe",
    "resolve_users",
    "seed",
    "user",
    "yes",
)
"""Options that have the name and the meaning of a field of the request."""


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What a run prints and logs: the summary, the log and the progress."""

    as_json: bool = False
    log_format: Literal["console", "json"] = "console"
    quiet: bool = False
    verbose: bool = False
    log_file: Path | None = None
    telemetry: TelemetryOptions = field(default_factory=TelemetryOptions)
    """How the run is watched from outside."""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> OutputOptions:
        """Make them from the options of `purge_options`."""
        return cls(
            options["as_json"],
            options["log_format"],
            options["quiet"],
            options["verbose"],
            Path(options["log_file"]) if options["log_file"] else None,
            TelemetryOptions.of(options),
        )


def request_from(options: Mapping[str, Any], now_utc: float) -> PurgeRequest:
    """Return the request that the options describe. A field for which the command has no option keeps its default.

    ``now_utc`` (seconds since 1970) is the time from which ``--until 06:00`` is counted. It reads the lists of users. Raises
    `UsageProblem` for a value that cannot be used, and `InputError` for a list of users that cannot.
    """
    asked: dict[str, Any] = {name: options[name] for name in AS_THEY_ARE if name in options}
    if "inputs" in options:
        asked |= {"inputs": tuple(options["inputs"]), "columns": column_map(options["columns"])}
    if "ledger_folder" in options:
        asked["ledger"] = options["ledger_folder"]
    if "authority" in options:
        asked["authority_url"] = options["authority"]
    if "connections" in options:
        asked["limits"] = limits_from(options)
    if "max_failures" in options:
        asked["max_failures"] = options["max_failures"] or None
    if "window" in options:
        asked["hours"] = hours_from(options, now_utc)
    if "only_users" in options:
        asked |= {
            "protected_users": protected_users(options),
            "exclude_users": excluded_users(options),
            "only_users": only_users(options),
        }
    return PurgeRequest(**asked, spelling=as_flags)
