"""Looks up whose names an input holds, so that a mailbox that stands there under two names is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from purgeengine.core.graph.identifiers import is_object_id, mailbox_key, user_problem
from purgeengine.core.graph.queries import user_url
from purgeengine.core.graph.text import printable
from purgeengine.core.graph.verdicts import Verdict, judge
from purgeengine.edges.http.reading import GraphReader, QueryAnswer, told
from purgeengine.edges.http.transport import HttpTransport
from purgeengine.edges.ledger.staging.names import Names, Resolve, User
from purgeengine.edges.login import AccessTokens
from purgeengine.engine.event_loop import run_loop
from purgeengine.errors import RunStopped, TokenError
from purgeengine.jobs.graph_endpoint import GraphEndpoint
from purgeengine.words import counted, number

NAMES_AT_ONCE = 2_000
"""Looked up before something is said of it: a hundred calls, about half a minute."""


def resolver(tokens: AccessTokens, endpoint: GraphEndpoint, *, quiet: bool, tell: Callable[[str], None]) -> Resolve:
    """What a ledger is given to look names up with; it tells by `tell` how it goes."""

    def resolve(users: Sequence[str]) -> Names:
        names = run_loop(_look_up(users, tokens, endpoint, quiet=quiet, tell=tell))
        if not quiet:
            tell(_summary(names))
        return names

    return resolve


async def _look_up(
    users: Sequence[str], tokens: AccessTokens, endpoint: GraphEndpoint, *, quiet: bool, tell: Callable[[str], None]
) -> Names:
    """The users behind these names.

    Raises `TokenError` where the app may not look up users, and `RunStopped` where Graph does not answer for one of them: a
    ledger that was made with half of the answers could not be mended.
    """
    names: dict[str, User | None] = {}
    async with HttpTransport.open(graph_url=endpoint.graph_url, connections=1, ca_file=endpoint.ca_file) as transport:
        reader = GraphReader(transport, tokens)
        for start in range(0, len(users), NAMES_AT_ONCE):
            some = users[start : start + NAMES_AT_ONCE]
            said = await reader.read([user_url(user) for user in some])
            names.update({mailbox_key(user): _user(user, answer) for user, answer in zip(some, said, strict=True)})
            if not quiet and len(users) > NAMES_AT_ONCE:
                tell(f"Looking up users: {number(len(names))} of {number(len(users))}")
    return names


def _user(name: str, said: QueryAnswer) -> User | None:
    """The cases: found; nobody goes by that name; the app may not ask; no answer that says anything."""
    if said.went_well:
        object_id, upn = said.body.get("id"), said.body.get("userPrincipalName")
        if isinstance(object_id, str) and is_object_id(object_id):
            return User(object_id, upn if isinstance(upn, str) and user_problem(upn) is None else "")
    elif said.reply.status in (401, 403):
        raise TokenError(
            f"Graph does not let the app look up users ({told(said.reply)}). Grant it the application permission "
            "User.ReadBasic.All with admin consent, or leave --resolve-users out. Nothing was sent."
        )
    elif said.reply.status in (400, 404) and judge(said.reply) is not Verdict.UNCLEAR:
        return None
    raise RunStopped(
        f"The user {printable(name)} could not be looked up: {told(said.reply) or 'no answer came'}. Nothing was sent. The same "
        "command tries again."
    )


def _summary(names: Names) -> str:
    found = [user.object_id for user in names.values() if user is not None]
    text = f"Looked up {counted(len(names), 'name')}: {counted(len(set(found)), 'user')}"
    if len(found) > len(set(found)):
        text += f", {number(len(found) - len(set(found)))} of them under a second name"
    if len(found) < len(names):
        text += f". {counted(len(names) - len(found), 'name')} nobody's: Graph will refuse their rows"
    return f"{text}."
