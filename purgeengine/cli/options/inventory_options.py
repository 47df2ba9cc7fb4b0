"""The filters of an inventory, as options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from purgeengine.core.inventory.conditions import Addresses, Condition, ConditionKind, ContactFilter
from purgeengine.core.inventory.equal_contacts import DuplicateKey, Keep
from purgeengine.core.inventory.listed_rows import DuplicateSearch
from purgeengine.errors import UsageProblem

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_TIMES = frozenset(
    (
        ConditionKind.CREATED_BEFORE,
        ConditionKind.CREATED_AFTER,
        ConditionKind.MODIFIED_BEFORE,
        ConditionKind.MODIFIED_AFTER,
    )
)
_HELP: dict[ConditionKind, tuple[str, str]] = {
    ConditionKind.FOLDER: ("GLOB", "In a folder of this name, or with this path, such as Contacts/Fabrikam/**."),
    ConditionKind.FOLDER_ID: ("ID", "In the folder with this id."),
    ConditionKind.COMPANY: ("TEXT", "With this company. In all texts, * is any text and ? one character."),
    ConditionKind.DOMAIN: ("DOMAIN", "With an address of this domain."),
    ConditionKind.EMAIL: ("ADDRESS", "With this address."),
    ConditionKind.CATEGORY: ("TEXT", "With this category."),
    ConditionKind.NAME: ("TEXT", "With this display name."),
    ConditionKind.FILE_AS: ("TEXT", "Filed under this name."),
    ConditionKind.NOTE: ("TEXT", "With this note. Usually with *: --note '*SyncTool*'."),
    ConditionKind.CREATED_BEFORE: ("WHEN", "Created before this day or time (ISO 8601; UTC unless it has a zone)."),
    ConditionKind.CREATED_AFTER: ("WHEN", "Created at this day or time, or later."),
    ConditionKind.MODIFIED_BEFORE: ("WHEN", "Changed last before this day or time."),
    ConditionKind.MODIFIED_AFTER: ("WHEN", "Changed last at this day or time, or later."),
}


def contact_options(command: Decorated) -> Decorated:
    """Add a filter for each `ConditionKind`, and how filters are joined."""
    joined = (
        click.option(
            "--emails", "emails", type=click.Path(), metavar="FILE", multiple=True, help="With an address of this file."
        ),
        click.option(
            "--any/--all",
            "any_kind",
            default=False,
            help="Whether one kind of filter is enough, or each kind that is given is needed. One kind given several times is "
            "always a choice. [default: all]",
        ),
        click.option(
            "--not",
            "unwanted",
            metavar="FILTER=VALUE",
            multiple=True,
            help="Leave out contacts that such a filter finds, whatever else they have: --not company=Contoso.",
        ),
        click.option(
            "--duplicates",
            metavar="KEY,...",
            help="Only contacts that are in their mailbox more than once, but for the one that stays: equal in "
            f"{', '.join(DuplicateKey)} (content is everything).",
        ),
        click.option(
            "--keep",
            type=click.Choice([keep.value for keep in Keep]),
            default=Keep.OLDEST.value,
            show_default=True,
            help="Which of equal contacts stays out of the list.",
        ),
    )
    for option in reversed(joined):
        command = option(command)
    for kind in reversed(ConditionKind):
        metavar, text = _HELP[kind]
        command = click.option(f"--{kind}", kind.replace("-", "_"), metavar=metavar, multiple=True, help=text)(command)
    return command


def filter_from(options: Mapping[str, Any]) -> ContactFilter:
    """Return the filter that the options describe. Raises `UsageProblem` and `InputError` for what cannot be understood."""
    wanted: list[Condition | Addresses] = [
        _condition(kind, value, f"--{kind}") for kind in ConditionKind for value in options[kind.replace("-", "_")]
    ]
    if options["emails"]:
        from purgeengine.edges.inventory.address_file import read_addresses

        wanted.append(Addresses(address for path in options["emails"] for address in read_addresses(path)))
    unwanted: list[Condition | Addresses] = []
    for text in options["unwanted"]:
        name, separator, value = text.partition("=")
        kind = next((kind for kind in ConditionKind if kind == name.strip().lower()), None)
        if not separator or kind is None:
            raise UsageProblem(
                f"--not takes a filter and its value, such as company=Contoso, not {text!r}. Filters: {', '.join(ConditionKind)}."
            )
        unwanted.append(_condition(kind, value, f"--not {kind}"))
    return ContactFilter(wanted, unwanted, options["any_kind"])


def duplicates_from(options: Mapping[str, Any]) -> DuplicateSearch | None:
    """Return what is asked about duplicates. Raises `UsageProblem` for an unknown key."""
    if options["duplicates"] is None:
        return None
    names = [name.strip().lower() for name in options["duplicates"].split(",")]
    unknown = [name for name in names if name not in list(DuplicateKey)]
    if unknown:
        raise UsageProblem(f"--duplicates knows {', '.join(DuplicateKey)}, not {unknown[0]!r}.")
    return DuplicateSearch(tuple(map(DuplicateKey, names)), Keep(options["keep"]))


def _condition(kind: ConditionKind, value: str, option: str) -> Condition:
    if kind in _TIMES:
        try:
            when = datetime.fromisoformat(value.strip())
        except ValueError as error:
            raise UsageProblem(
                f"{option} takes a day or a time such as 2024-05-01 or 2024-05-01T12:00+02:00, not {value!r}."
            ) from error
        when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
        value = when.strftime("%Y-%m-%dT%H:%M:%SZ")
    return Condition(kind, value)
