"""What a ledger was made for: tenant, action, kind of ids, input and options. Another purge is not mixed into it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from purgeengine.core.graph.text import printable
from purgeengine.edges.ledger.staging.background import ThreadedCall
from purgeengine.edges.ledger.staging.folder import refuse_other_input, refuse_other_options
from purgeengine.edges.ledger.store import database
from purgeengine.edges.ledger.store.storage import reading_records
from purgeengine.errors import LedgerMismatch

if TYPE_CHECKING:
    from purgeengine.edges.ledger.staging.survey import Input


def refuse_other_purge(
    folder: Path,
    source: Input | None,
    digest: ThreadedCall[str] | None,
    about: dict[str, Any],
    given: Mapping[str, Any],
) -> None:
    """Raise `LedgerMismatch` where the staged ledger was made for another purge than is asked for now.

    ``about`` is the purpose now, ``given`` the options that change rows, ``digest`` the input's, being computed.
    """
    with reading_records(folder):
        connection = database.connect_to_read(folder)
        try:
            kept = database.read_meta(connection)
        finally:
            connection.close()
    ours = about if source is not None else {name: value for name, value in about.items() if value is not None}
    refuse_other_purpose(f"The ledger in {folder}", kept, ours, "Use another folder for this purge")
    if about["resolve_users"] and not kept["resolve_users"]:
        raise LedgerMismatch(
            f"The ledger in {folder} was made without --resolve-users, and its rows have their mailboxes already. Nothing was "
            "sent. Leave the option out to resume, or use another folder for this purge."
        )
    if source is not None and digest is not None:
        refuse_other_options(folder, kept.get("given", {}), given)
        refuse_other_input(folder, kept, source, digest.result())


def refuse_other_purpose(which: str, kept: Mapping[str, Any], about: Mapping[str, Any], advice: str) -> None:
    """Raise `LedgerMismatch` unless tenant, action and kind of ids, as far as ``about`` names them, are those that were kept."""
    for what, name, option in (
        ("tenant", "tenant_id", ""),
        ("action", "action", "--action"),
        ("id type", "id_type", "--id-type"),
    ):
        its = kept[name]
        if name == "tenant_id" and its != about.get(name, its) and "" in (its, about[name]):
            raise LedgerMismatch(f"{_tenant_not_told(which, its, about[name])} Nothing was sent. {advice}.")
        if name in about and its != about[name]:
            cure = f", or give {option} {its} to resume the old one" if option else ""
            raise LedgerMismatch(
                f"{which} belongs to the {what} {printable(its)}, not {about[name]}. Nothing was sent. {advice}{cure}."
            )


def _tenant_not_told(which: str, its: str, now: str) -> str:
    """Return a sentence about two tenants of which one is not known, because an opaque token does not tell its tenant."""
    if its:
        return (
            f"{which} belongs to the tenant {printable(its)}, and the token of now does not say of which tenant it is, so that "
            "they cannot be compared. Sign in by another way, or give a token that can be read (a JWT)."
        )
    return (
        f"{which} was made with a token that did not say of which tenant it was, and the token of now is one of the tenant {now}, "
        "so that they cannot be compared. To resume, sign in as before."
    )
