"""Checks before the first deletion: the token, the cloud, the way to Graph and the clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from purgeengine.core.graph.operations import GET_USER, LIST_ORGANIZATION, PERMANENT, Action
from purgeengine.core.graph.text import printable
from purgeengine.errors import GraphUnreachable
from purgeengine.jobs.graph_endpoint import GraphEndpoint
from purgeengine.run_limits import CLOUDS, UNKNOWN_CLOUD
from purgeengine.words import Spelling, as_fields, duration

if TYPE_CHECKING:
    from purgeengine.edges.login import AccessTokens, Identity
    from purgeengine.jobs.reads.reading import ReadSession

PERMISSION = PERMANENT.permission
SHARED_PERMISSION = "Contacts.ReadWrite.Shared"
"""Another permission. It does not allow permanentDelete (Graph's page on contact: permanentDelete)."""
LOOKUP_PERMISSION = GET_USER.permission
"""The least permission for looking up users (Graph's list of permissions). Each of `LOOKUP_PERMISSIONS` allows it."""
LOOKUP_PERMISSIONS = frozenset({LOOKUP_PERMISSION, "User.Read.All", "User.ReadWrite.All", "Directory.Read.All"})
NEEDED = frozenset({PERMISSION, LOOKUP_PERMISSION, "User.Read", "User.Read.All"})
"""Roles and scopes that this program can use. All but the first are for looking up users."""
OF_EVERY_LOGIN = frozenset({"openid", "profile", "email", "offline_access", "Organization.Read.All"})
GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
SKEW_S_MAX = 60.0
"""Largest difference of clocks, in seconds, that causes no warning. With a larger one, times in logs and ledgers are hard to
compare with Graph's, and waits that Graph gives as a date are a little wrong."""
SKEW_S_REFUSED = 300.0
"""Difference of clocks, in seconds, above which logins refuse assertions and tokens look expired."""
SHORT_LIFE_S = 600.0
"""A token that expires in fewer seconds and cannot be renewed causes a warning."""


class Level(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    FAILED = "failed"


class Finding(NamedTuple):
    """The result of one check: how serious it is, its topic, and a sentence."""

    level: Level
    topic: str
    text: str


def about_token(
    identity: Identity, claims: dict[str, Any], endpoint: GraphEndpoint, now_utc: float
) -> Iterator[Finding]:
    """Return what the token's claims say: which service it is for, what it permits, and when it expires."""
    from purgeengine.edges.http.addresses import graph_root

    graph_url = graph_root(endpoint.graph_url).url
    audience = printable(claims.get("aud"), 200)
    if audience and audience.rstrip("/").lower() not in (GRAPH_APP_ID, graph_url.lower()):
        yield Finding(
            Level.WARNING, "token", f"The token is for {audience}, not for {graph_url}; Graph will refuse it."
        )
    yield from _about_roles(identity.roles, endpoint.spelling, delegated="scp" in claims)
    if identity.expires_utc is None:
        return
    left_s = identity.expires_utc - now_utc
    if identity.method == "ready token":
        level = Level.WARNING if left_s < SHORT_LIFE_S else Level.NOTE
        text = (
            f"The token expires in {duration(left_s)} and cannot be renewed. A longer run stops then, and can be resumed with a "
            "new token."
        )
        yield Finding(level, "expiry", text)
    else:
        yield Finding(Level.OK, "expiry", f"The token expires in {duration(left_s)} and is renewed before that.")


def _about_roles(roles: tuple[str, ...], spelling: Spelling, *, delegated: bool) -> Iterator[Finding]:
    if delegated:
        text = (
            "The token belongs to a user. It reaches that user's mailbox and those shared with the user, and no others."
        )
        yield Finding(Level.WARNING, "roles", text)
    if PERMISSION in roles:
        text = f"The token holds {PERMISSION}, which is all that purging needs."
        if not LOOKUP_PERMISSIONS & set(roles):
            text += (
                f" To look up users ({spelling('resolve_users')}) the app also needs {LOOKUP_PERMISSION}, which the token does not "
                "show."
            )
        yield Finding(Level.OK, "roles", text)
    else:
        shared = SHARED_PERMISSION in roles
        yield Finding(
            Level.WARNING,
            "roles",
            f"The token does not show {PERMISSION}. If the app has its role in Exchange (RBAC for Applications), that is normal, "
            "because no token shows such a role. Otherwise every mailbox will refuse the app: grant it the application permission "
            "with admin consent. To find out which of the two it is, look at some mailboxes first "
            f"({spelling('probe')})."
            + (
                f" {SHARED_PERMISSION}, which the token holds, is another permission and does not permit purging."
                * shared
            ),
        )
    more = sorted(set(roles) - NEEDED - OF_EVERY_LOGIN)
    if more:
        yield Finding(Level.NOTE, "roles", f"The token permits more than this job needs: {', '.join(more)}.")


def about_cloud(endpoint: GraphEndpoint, action: Action) -> Finding:
    """Return whether this cloud supports the action."""
    cloud = CLOUDS.get(endpoint.cloud, UNKNOWN_CLOUD)
    where = f"Graph at {endpoint.graph_url}, login at {endpoint.authority_url}"
    if cloud.has_permanent_delete is None:
        named = endpoint.spelling("cloud")
        text = f"unknown cloud: {where}. The address belongs to none of Microsoft's clouds, so it is not known"
        text += " whether contacts have permanentDelete" if action is Action.PERMANENT_DELETE else " what Graph can do"
        return Finding(Level.WARNING, "cloud", f"{text} there. Name the cloud behind the address with {named}.")
    if action is Action.PERMANENT_DELETE and not cloud.has_permanent_delete:
        needed = endpoint.spelling("action=delete")
        text = f"The {endpoint.cloud} cloud has no contact permanentDelete. A run there needs {needed}."
        return Finding(Level.WARNING, "cloud", text)
    whose = (
        endpoint.cloud if endpoint.graph_url.startswith(cloud.graph_url) else f"taken for the {endpoint.cloud} cloud"
    )
    return Finding(Level.OK, "cloud", f"{whose}: {where}.")


def about_names(mixed: bool, spelling: Spelling = as_fields) -> Iterator[Finding]:
    """Return a warning if the input may name a mailbox in two ways."""
    if mixed:
        yield Finding(
            Level.WARNING,
            "names",
            "The input names mailboxes both by user principal name and by object id. A mailbox that it names in both ways counts "
            "as two: duplicates are not found, and the mailbox's limits may be exceeded. To join them, use "
            f"{spelling('resolve_users')} with a new ledger.",
        )


def about_clock(skew_s: float | None, whose: str = "Graph") -> Finding:
    """Return whether this machine's clock agrees with Graph's, or with that of ``whose`` service.

    ``skew_s`` is how many seconds this machine is ahead. None if the service gave no time.
    """
    if skew_s is None:
        return Finding(Level.NOTE, "clock", f"{whose}'s answer held no date to compare this machine's clock with.")
    if abs(skew_s) <= SKEW_S_MAX:
        return Finding(
            Level.OK, "clock", f"This machine's clock agrees with {whose}'s within {max(1, round(abs(skew_s)))} s."
        )
    text = f"This machine's clock is {duration(abs(skew_s))} {'ahead of' if skew_s > 0 else 'behind'} {whose}'s. Correct it"
    if abs(skew_s) > SKEW_S_REFUSED:
        text += ": with such a difference logins refuse certificates, and tokens seem to have expired"
    return Finding(Level.WARNING, "clock", f"{text}.")


def tell_of_token(tokens: AccessTokens, identity: Identity, endpoint: GraphEndpoint) -> None:
    """Log which app is about to purge, and warn of everything in its token that could make the run fail."""
    from purgeengine import log_events, logs
    from purgeengine.edges.clock import SystemClock
    from purgeengine.edges.login.identity import claims_of
    from purgeengine.engine.event_loop import run_loop

    logs.get_logger().info(
        log_events.TOKEN_OBTAINED,
        tenant=identity.tenant_id,
        app=identity.client_id,
        method=identity.method,
        roles=list(identity.roles),
    )
    warn(about_token(identity, claims_of(run_loop(tokens.token())), endpoint, SystemClock().utc()))


def warn(findings: Iterable[Finding]) -> None:
    """Log those findings that are warnings."""
    from purgeengine import log_events, logs

    for finding in findings:
        if finding.level is Level.WARNING:
            logs.get_logger().warning(log_events.PREFLIGHT_WARNED, topic=finding.topic, said=finding.text)


async def organization(session: ReadSession) -> str:
    """Return the tenant's name, or an empty text if the app may not read it. Graph has answered if this returns.

    Raises `TokenError` if Graph refuses the token, and `RunStopped` if Graph cannot be reached or does not answer.
    """
    from purgeengine.core.graph.bodies import found_in
    from purgeengine.core.graph.verdicts import one_line
    from purgeengine.core.model import Item

    (reply,) = await session.read(LIST_ORGANIZATION, [Item("", "", "")])
    if reply.status == 0 or reply.status >= 429:
        raise GraphUnreachable(
            f"Graph gives no proper answer ({one_line(reply)}). Nothing was deleted. Wait until it works again, "
            f"then {session.again}."
        )
    tenants = found_in(reply).get("value")
    first = tenants[0] if isinstance(tenants, list) and tenants else None
    return printable(first.get("displayName"), 200) if isinstance(first, dict) else ""
