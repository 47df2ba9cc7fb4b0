"""The help of a command: its options in groups, in the order in which a newcomer needs them.

It is click's own formatter. A library that draws help (rich-click) would import rich, which takes longer than all of ``--help``.
"""

from __future__ import annotations

import click

from purgeengine.cli.setting_names import key_of

GROUPS: dict[str, tuple[str, ...]] = {
    "What": (
        "from",
        "columns",
        "name_column",
        "user",
        "clean",
        "users",
        "all_users",
        "group",
        "ledger",
        "action",
        "id_type",
        "only",
        "codes",
        "unfinished",
        "retry_unread",
        "shards",
        "only_users",
        "exclude_users",
        "resolve_users",
    ),
    "Filters": (
        "folder",
        "folder_id",
        "company",
        "domain",
        "email",
        "emails",
        "category",
        "name",
        "file_as",
        "note",
        "created_before",
        "created_after",
        "modified_before",
        "modified_after",
        "any",
        "not",
        "duplicates",
        "keep",
        "counts",
    ),
    "Safety": (
        "dry_run",
        "probe",
        "strict",
        "yes",
        "protected_users",
        "max_items",
        "max_items_per_mailbox",
        "max_failures",
        "auto_stop",
        "allow_unread",
    ),
    "Schedule": ("window", "until", "time_zone"),
    "Sign-in": ("auth", "cloud", "graph_url", "authority", "ca_file"),
    "Speed": ("rate", "connections", "workers", "scheduler", "lost_after"),
    "Output": (
        "output",
        "force",
        "refresh",
        "format",
        "json",
        "worst",
        "most",
        "quiet",
        "verbose",
        "log_file",
        "log_format",
        "metrics_port",
        "metrics_file",
    ),
    "Advanced": (
        "fanout",
        "lanes",
        "mailbox_requests",
        "mailbox_window_s",
        "quarantine_s",
        "seed",
        "config",
        "help",
    ),
}
"""The keys of options by group, in the order of the help. Some belong to commands of extras."""
OTHERS = "Options"
"""The group of options that stand in no other. It comes first."""


class GroupedCommand(click.Command):
    """A command whose help lists the options in `GROUPS`."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each group that the command has options of."""
        found: dict[str, list[tuple[int, tuple[str, str]]]] = {name: [] for name in (OTHERS, *GROUPS)}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                name, place = place_of(parameter)
                found[name].append((place, record))
        for name, records in found.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl([record for _, record in sorted(records, key=lambda pair: pair[0])])


def place_of(option: click.Option) -> tuple[str, int]:
    """Return the group of an option, and its place within it."""
    key = key_of(option) or ""
    for name, keys in GROUPS.items():
        if key in keys:
            return name, keys.index(key)
    return OTHERS, 0
