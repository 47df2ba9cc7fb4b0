"""What can be known before the first deletion: of the token, the cloud, the way to Graph and the clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from purgeengine.core.graph.operations import GET_USER, LIST_ORGANIZATION, PERMANENT, Action
from purgeengine.core.graph.text import printable
from purgeengine.errors import RunStopped
from purgeengine.jobs.graph_endpoint import GraphEndpoint
from purgeengine.run_limits import CLOUDS, UNKNOWN_CLOUD
from purgeengine.words import duration

if TYPE_CHECKING:
    from purgeengine.edges.login import AccessTokens, Identity
    from purgeengine.jobs.reads.reading import ReadSession

PERMISSION = PERMANENT.permission
SHARED_PERMISSION = "Contacts.ReadWrite.Shared"
"""Another permission, which permanentDelete does not know (permissions of contact: permanentDelete)."""
LOOKUP_PERMISSION = GET_USER.permission
"""What --resolve-users needs (Graph's list of permissions); each of `LOOKUP_PERMISSIONS` does as well."""
LOOKUP_PERMISSIONS = frozenset({LOOKUP_PERMISSION, "User.Read.All", "User.ReadWrite.All", "Directory.Read.All"})
NEEDED = frozenset({PERMISSION, LOOKUP_PERMISSION, "User.Read", "User.Read.All"})
"""Roles and scopes that this program can use; the last ones serve --resolve-users."""
OF_EVERY_LOGIN = frozenset({"openid", "profile", "email", "offline_access", "Organization.Read.All"})
GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
SKEW_S_MAX = 60.0
"""A clock further off makes logs and ledgers hard to compare with Graph's, and waits told as dates a little wrong."""
SKEW_S_REFUSED = 300.0
"""Further off than this, logins refuse assertions and tokens look expired."""
SHORT_LIFE_S = 600.0


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    FAILED = "failed"


class Finding(NamedTuple):
    """Something found out, about one topic, as a sentence."""

    level: Level
    topic: str
    text: str


def about_token(
    identity: Identity, claims: dict[str, Any], endpoint: GraphEndpoint, now_utc: float
) -> Iterator[Finding]:
    """What the token says of itself: for whom it is, what it may do, how long it lives."""
    from purgeengine.edges.http.addresses import graph_root

    graph_url = graph_root(endpoint.graph_url).url
    audience = printable(claims.get("aud"), 200)
    if audience and audience.rstrip("/").lower() not in (GRAPH_APP_ID, graph_url.lower()):
        yield Finding(
            Level.WARNING, "token", f"The token is for {audience}, not for {graph_url}; Graph will refuse it."
        )
    yield from _about_roles(identity.roles, delegated="scp" in claims)
    if identity.expires_utc is None:
        return
    left_s = identity.expires_utc - now_utc
    if identity.method == "ready token":
        level = Level.WARNING if left_s < SHORT_LIFE_S else Level.NOTE
        text = f"The token lives for {duration(left_s)} and cannot be renewed; a longer run stops, and resumes with a new one."
        yield Finding(level, "expiry", text)
    else:
        yield Finding(Level.OK, "expiry", f"The token lives for {duration(left_s)} and is renewed by itself.")


def _about_roles(roles: tuple[str, ...], *, delegated: bool) -> Iterator[Finding]:
    if delegated:
        text = (
            "The token is a user's: it reaches that user's own mailbox and those shared with the user, and no others."
        )
        yield Finding(Level.WARNING, "roles", text)
    if PERMISSION in roles:
        text = f"The token holds {PERMISSION}, which is all that purging needs."
        if not LOOKUP_PERMISSIONS & set(roles):
            text += f" Looking users up (--resolve-users) needs {LOOKUP_PERMISSION} as well, which it does not show."
        yield Finding(Level.OK, "roles", text)
    else:
        shared = SHARED_PERMISSION in roles
        yield Finding(
            Level.WARNING,
            "roles",
            f"The token does not show {PERMISSION}. That is in order where the app has its role in Exchange (RBAC for "
            "Applications), which no token shows. Otherwise every mailbox will refuse it: grant the application permission with "
            "admin consent. --probe N shows which."
            + (
                f" {SHARED_PERMISSION}, which the token holds, is another permission and does not permit purging."
                * shared
            ),
        )
    more = sorted(set(roles) - NEEDED - OF_EVERY_LOGIN)
    if more:
        yield Finding(Level.NOTE, "roles", f"The token may do more than this job needs: {', '.join(more)}.")


def about_cloud(endpoint: GraphEndpoint, action: Action) -> Finding:
    """Whether what is to be done can be done there."""
    cloud = CLOUDS.get(endpoint.cloud, UNKNOWN_CLOUD)
    where = f"Graph at {endpoint.graph_url}, login at {endpoint.authority_url}"
    if cloud.has_permanent_delete is None:
        text = f"unknown cloud: {where}. The address is none of Microsoft's clouds, so that nobody knows"
        if action is Action.PERMANENT_DELETE:
            text += " whether contacts have permanentDelete there. Name the cloud behind it with --cloud"
        else:
            text += " what it can do. Name the cloud behind it with --cloud"
        return Finding(Level.WARNING, "cloud", f"{text}.")
    if action is Action.PERMANENT_DELETE and not cloud.has_permanent_delete:
        text = f"The {endpoint.cloud} cloud has no contact permanentDelete; there, a run needs --action delete."
        return Finding(Level.WARNING, "cloud", text)
    return Finding(Level.OK, "cloud", f"{endpoint.cloud}: {where}.")


def about_names(mixed: bool) -> Iterator[Finding]:
    """Whether a mailbox may stand in the input under two names."""
    if mixed:
        yield Finding(
            Level.WARNING,
            "names",
            "The input names mailboxes both by user principal name and by object id. One that stands there under both is taken for "
            "two: duplicates are not seen, and its limits may be overrun. --resolve-users in a new ledger joins them.",
        )


def about_clock(skew_s: float | None, whose: str = "Graph") -> Finding:
    """Whether this machine's clock agrees with that of Graph, or of whom else is named."""
    if skew_s is None:
        return Finding(Level.NOTE, "clock", f"{whose}'s answer held no date to compare this machine's clock with.")
    if abs(skew_s) <= SKEW_S_MAX:
        return Finding(
            Level.OK, "clock", f"This machine's clock agrees with {whose}'s within {max(1, round(abs(skew_s)))} s."
        )
    text = f"This machine's clock is {duration(abs(skew_s))} {'ahead of' if skew_s > 0 else 'behind'} {whose}'s. Set it right"
    if abs(skew_s) > SKEW_S_REFUSED:
        text += ": logins refuse certificates' assertions that are so far off, and tokens seem to have expired"
    return Finding(Level.WARNING, "clock", f"{text}.")


def tell_of_token(tokens: AccessTokens, identity: Identity, endpoint: GraphEndpoint) -> None:
    """Log who is about to purge, and what makes it unlikely that a run with this token goes well."""
    from purgeengine import logs
    from purgeengine.edges.clock import SystemClock
    from purgeengine.edges.login.identity import claims_of
    from purgeengine.engine.event_loop import run_loop

    logs.get_logger().info(
        logs.TOKEN_OBTAINED,
        tenant=identity.tenant_id,
        app=identity.client_id,
        method=identity.method,
        roles=list(identity.roles),
    )
    warn(about_token(identity, claims_of(run_loop(tokens.token())), endpoint, SystemClock().utc()))


def warn(findings: Iterable[Finding]) -> None:
    """Log the warnings among them."""
    from purgeengine import logs

    for finding in findings:
        if finding.level is Level.WARNING:
            logs.get_logger().warning(logs.PREFLIGHT_WARNED, topic=finding.topic, said=finding.text)


async def organization(session: ReadSession) -> str:
    """The tenant's name, empty where the app may not read it; in any case Graph has answered, or an error was raised.

    Raises `TokenError` when Graph refuses the token, and `RunStopped` when it cannot be reached or does not answer.
    """
    from purgeengine.core.graph.bodies import found_in
    from purgeengine.core.graph.verdicts import one_line
    from purgeengine.core.model import Item

    (reply,) = await session.read(LIST_ORGANIZATION, [Item("", "", "")])
    if reply.status == 0 or reply.status >= 429:
        raise RunStopped(f"Graph gives no proper answer ({one_line(reply)}). Try again when it does.")
    tenants = found_in(reply).get("value")
    first = tenants[0] if isinstance(tenants, list) and tenants else None
    return printable(first.get("displayName"), 200) if isinstance(first, dict) else ""
