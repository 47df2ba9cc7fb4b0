"""Looks up the users that an input names, so that a mailbox with two names in it is treated as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from purgeengine.core.graph.bodies import found_in
from purgeengine.core.graph.identifiers import is_object_id, mailbox_key, user_problem
from purgeengine.core.graph.operations import GET_USER
from purgeengine.core.graph.text import printable
from purgeengine.core.graph.verdicts import Verdict, judge, one_line
from purgeengine.core.model import Item, Reply
from purgeengine.core.policy.probing import went_well
from purgeengine.edges.ledger.staging.names import Names, Resolve, User
from purgeengine.edges.login import AccessTokens
from purgeengine.engine.answer_ledger import ROWS_MAX
from purgeengine.engine.event_loop import run_loop
from purgeengine.errors import RunStopped, TokenError
from purgeengine.jobs.graph_endpoint import GraphEndpoint
from purgeengine.jobs.reads.reading import read_session
from purgeengine.words import AGAIN, Spelling, as_fields, counted, number


def resolver(tokens: AccessTokens, endpoint: GraphEndpoint, *, quiet: bool, tell: Callable[[str], None]) -> Resolve:
    """Return the function with which a new ledger looks up names. It reports by `tell`, unless ``quiet``."""

    def resolve(users: Sequence[str]) -> Names:
        names = run_loop(_look_up(users, tokens, endpoint, quiet=quiet, tell=tell))
        if not quiet:
            tell(_summary(names))
        return names

    return resolve


async def _look_up(
    users: Sequence[str], tokens: AccessTokens, endpoint: GraphEndpoint, *, quiet: bool, tell: Callable[[str], None]
) -> Names:
    """Return the users with these names.

    Raises `TokenError` if the app may not look up users, and `RunStopped` if Graph gives no answer for one of them: a ledger made
    with some of the answers could not be corrected later.
    """
    names: dict[str, User | None] = {}
    async with read_session(tokens, endpoint) as session:
        for start in range(0, len(users), ROWS_MAX):
            some = users[start : start + ROWS_MAX]
            replies = await session.read(GET_USER, [Item(user, "", "") for user in some])
            for user, reply in zip(some, replies, strict=True):
                names[mailbox_key(user)] = user_in(user, reply, endpoint.spelling)
            if not quiet and len(users) > ROWS_MAX:
                tell(f"Looking up users: {number(len(names))} of {number(len(users))}")
    return names


def user_in(name: str, reply: Reply, spelling: Spelling = as_fields) -> User | None:
    """Return the user in Graph's reply. None if nobody has that name.

    Raises `TokenError` if the app may not look up users, and `RunStopped` if the reply does not answer the question.
    """
    if went_well(reply):
        found = found_in(reply)
        object_id, upn = found.get("id"), found.get("userPrincipalName")
        if isinstance(object_id, str) and is_object_id(object_id):
            return User(object_id, upn if isinstance(upn, str) and user_problem(upn) is None else "")
    elif reply.status in (401, 403):
        raise TokenError(
            f"Graph does not let the app look up users ({one_line(reply)}). Grant it the application permission "
            f"{GET_USER.permission} with admin consent, or leave {spelling('resolve_users')} out. Nothing was sent."
        )
    elif reply.status in (400, 404) and judge(reply, GET_USER.verdicts) is not Verdict.UNCLEAR:
        return None
    raise RunStopped(
        f"The user {printable(name)} could not be looked up: {one_line(reply) or 'no answer came'}. Nothing was sent. To look up "
        f"all users again, {spelling(AGAIN)}."
    )


def _summary(names: Names) -> str:
    found = [user.object_id for user in names.values() if user is not None]
    text = f"Looked up {counted(len(names), 'name')}: {counted(len(set(found)), 'user')}"
    if len(found) > len(set(found)):
        text += f" with {counted(len(found) - len(set(found)), 'further name')}"
    if len(found) < len(names):
        unknown = len(names) - len(found)
        text += f". Graph does not know {counted(unknown, 'name')} and will refuse {'its' if unknown == 1 else 'their'} rows"
    return f"{text}."
