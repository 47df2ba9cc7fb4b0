"""Read jobs against the simulated tenant in simulated time: patience, whose a refusal is, and the limits of mailboxes."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import pytest

from purgeengine.core.graph.bodies import found_in
from purgeengine.core.graph.operations import GET_USER, LIST_CONTACTS, IdType, Operation, get_contact
from purgeengine.core.messages import MailboxBlocked, RunBlocked
from purgeengine.core.model import Item, Reply
from purgeengine.core.policy.probing import Standing
from purgeengine.engine import answer_ledger
from purgeengine.engine.ports import RawAnswer
from purgeengine.errors import NoAnswer, RunStopped, TokenError
from purgeengine.jobs.reads.preflight import organization
from purgeengine.jobs.reads.probe import probe, waits_left
from purgeengine.jobs.reads.reading import HASTY, PATIENT, ReadSession
from purgeengine.run_limits import Limits
from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.login.login_endpoint import LoginEndpoint
from purgeengine.sim.server.simulated_transport import SimulatedTransport
from purgeengine.sim.tenant_settings import TenantSettings
from purgeengine.sim.wire.answers import Trouble
from tests.simulation.virtual_time import VirtualClock, run_virtually
from tests.simulation.world import SimulatedTokens

Answer = TypeVar("Answer")
Question = Callable[[ReadSession], Coroutine[Any, Any, Answer]]
ANN = "ann@contoso.example"
USERS = [f"user{number}@contoso.example" for number in range(90)]


def named(*users: str) -> list[Item]:
    """Rows that name a user alone."""
    return [Item(upn(user), "", "") for user in users]


def upn(user: str) -> str:
    """A user principal name."""
    return user if "@" in user else f"{user}@x.example"


def a_tenant(faults: Faults | None = None, **settings: Any) -> Tenant:
    """A tenant in which every second of these users exists."""
    tenant = Tenant(TenantSettings(**settings), faults=faults, seed=3)
    for user in USERS[::2]:
        tenant.truth.add_mailbox(user)
    return tenant


def asking(tenant: Tenant, question: Question[Answer], limits: Limits = PATIENT) -> Answer:
    """What a session with this tenant is told, in simulated time."""

    async def main() -> Answer:
        login = LoginEndpoint()
        clock = VirtualClock(asyncio.get_running_loop(), tenant.utc_at_zero_s)
        transport = SimulatedTransport(tenant, login=login, timeout_s=30.0)
        session = ReadSession(transport, SimulatedTokens(login, clock, 0.0), limits, clock=clock, rng=random.Random(1))
        answer = await question(session)
        assert abs(session.skew_s or 0.0) < 1.0
        return answer

    return run_virtually(main())


def statuses(tenant: Tenant, rows: Sequence[Item], operation: Operation = GET_USER) -> list[int]:
    """Those of the replies."""

    async def question(session: ReadSession) -> list[int]:
        return [reply.status for reply in await session.read(operation, rows)]

    return asking(tenant, question)


def careful(tenant: Tenant) -> bool:
    """Whether nothing was sent that a careful client does not send."""
    counters = tenant.counters
    return not (counters.early_retries or counters.early_calls or counters.violations)


# --------------------------------------------------------------------------------------------------- the simulated tenant


@pytest.mark.parametrize(
    "faults",
    [
        Faults(),
        Faults(item_throttled_before=0.2, item_missing=0.1, reset_after=0.1, odd_body=0.1),
        Faults(call_throttled=0.2, truncated=0.1, item_repeated=0.1, item_unknown=0.5, bare_item=0.5),
        Faults(call_error_after=0.1, hang_after=0.05, item_error_before=0.2, item_not_attempted=0.1),
    ],
)
def test_every_row_has_its_own_answer_whatever_goes_wrong(faults: Faults) -> None:
    """Answers come in any order, late, twice or not at all; each row gets its own, and no Retry-After is cut short."""
    tenant = a_tenant(faults)

    async def question(session: ReadSession) -> list[tuple[int, str]]:
        replies = await session.read(GET_USER, named(*USERS))
        return [(reply.status, found_in(reply).get("userPrincipalName", "")) for reply in replies]

    found = asking(tenant, question)
    assert found == [(404, "") if number % 2 else (200, user) for number, user in enumerate(USERS)]
    assert careful(tenant)


@pytest.mark.parametrize("concurrent", [1, 2, 4])
@pytest.mark.parametrize("seed", range(5))
def test_reads_keep_the_limits_of_a_mailbox(concurrent: int, seed: int) -> None:
    """Forty reads of one mailbox among others, on a service that runs a batch all at once, with its own refusals and some more.

    Never more than four at once, never before a Retry-After is over, and each is answered.
    """
    contacts = [(ANN, "", f"a-{n}") for n in range(40)] + [(USERS[0], "", f"u-{n}") for n in range(10)]
    settings = TenantSettings(mailbox_concurrent_max=concurrent, dispatch="all")
    faults = Faults(item_throttled_before=0.1, reset_after=0.02, retry_after_s_max=20)
    tenant = Tenant(settings, contacts=contacts, faults=faults, seed=seed)
    tenant.truth.add_mailbox(ANN)
    assert statuses(tenant, [Item(*row) for row in contacts], get_contact(IdType.DEFAULT)) == [200] * 50
    assert careful(tenant)
    assert tenant.counters.mailbox_running_max <= 4
    if concurrent < 4:
        assert tenant.counters.refused_concurrency > 0, "the limit was never met"
    else:
        assert tenant.counters.refused_concurrency == 0


def test_an_expired_token_is_renewed_and_a_refused_one_reported() -> None:
    """One renewal suffices where the login gives a good one."""
    tenant = a_tenant(Faults(item_unauthorized=0.05))
    assert statuses(tenant, named(*USERS[:20])) == [200, 404] * 10
    assert tenant.counters.requests > 20, "nothing was refused"
    with pytest.raises(TokenError, match="401 to every request, with a renewed token as well"):
        statuses(a_tenant(Faults(item_unauthorized=1.0)), named(*USERS[:2]))


@pytest.mark.parametrize("limits", [HASTY, PATIENT], ids=["hasty", "patient"])
def test_a_service_that_was_never_reached_is_given_up_within_seconds(limits: Limits) -> None:
    """Within seconds where nothing was ever answered, as with a wrong address; nothing was deleted."""
    tenant = a_tenant(Faults(unreachable=1.0))
    with pytest.raises(RunStopped, match=r"could not be reached: .* Nothing was deleted\. Check the network"):
        asking(tenant, lambda session: session.read(GET_USER, named(*USERS[:2])), limits)
    assert tenant.now < (5 if limits is HASTY else 27)


@pytest.mark.parametrize(("limits", "at_least_s", "at_most_s"), [(HASTY, 60, 120), (PATIENT, 120, 400)])
def test_who_was_reached_before_is_waited_for(limits: Limits, at_least_s: float, at_most_s: float) -> None:
    """After an answer, an outage is likelier than a wrong address. It is bounded all the same."""
    tenant = a_tenant()

    async def lost_later(session: ReadSession) -> None:
        assert [reply.status for reply in await session.read(GET_USER, named(USERS[0]))] == [200]
        tenant.set_faults(Faults(unreachable=1.0))
        await session.read(GET_USER, named(USERS[0]))

    with pytest.raises(RunStopped, match="could not be reached"):
        asking(tenant, lost_later, limits)
    assert at_least_s < tenant.now < at_most_s


def test_a_tenant_is_named_where_that_may_be_read_and_no_answer_is_not_taken_for_one() -> None:
    """Who may not read the name has been answered all the same; a service that says nothing has not."""
    assert asking(a_tenant(), organization) == "Simulated tenant"
    assert asking(a_tenant(directory=False), organization) == ""
    with pytest.raises(RunStopped, match="no proper answer"):
        asking(a_tenant(Faults(item_missing=1.0)), organization)


def test_more_than_a_batch_of_mailboxes_are_looked_at_and_each_keeps_its_standing() -> None:
    """Fifty, with every kind of trouble among them; who is not let in is asked nothing more."""
    troubles = [None, Trouble.ACCESS_POLICY, Trouble.MISSING, Trouble.OTHER_MAILBOX, Trouble.MOVED]
    standings = [Standing.FINE, Standing.DENIED, Standing.NO_MAILBOX, Standing.OTHER_MAILBOX, Standing.NO_ANSWER]
    rows = [Item(user, "", f"c-{number}") for number, user in enumerate(USERS[:50])]
    tenant = Tenant(TenantSettings(), contacts=rows, seed=3)
    for number, row in enumerate(rows):
        tenant.truth.add_mailbox(row.user, troubles[number % 5])
    found = asking(tenant, lambda session: probe(session, rows, IdType.DEFAULT), HASTY)
    assert [mailbox.user for mailbox in found] == USERS[:50]
    assert [mailbox.standing for mailbox in found] == standings * 10
    assert careful(tenant)
    assert tenant.now < 60


# ------------------------------------------------------------------------------------------------- answers as captured


class Raw(NamedTuple):
    """An answer as a transport brings it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    received_utc: float


OK: dict[str, Any] = {"status": 200, "body": {"value": [{"id": "c"}]}}


def refusal(status: int, code: str, message: str = "", **headers: str) -> dict[str, Any]:
    """A sub-response as Graph gives it."""
    return {"status": status, "headers": headers, "body": {"error": {"code": code, "message": message}}}


class ScriptedGraph:
    """Says to each user what is written for it, in order, the last for ever; good for all others. Notes what came when."""

    def __init__(self, said: Mapping[str, Sequence[Any]] | None = None, *, outer: Sequence[Any] = ()) -> None:
        self._said = {user: list(one) for user, one in (said or {}).items()}
        self._outer = list(outer)
        self.asked: dict[str, list[float]] = {}
        self.tokens: list[str] = []
        self.renewals = 0

    async def post(self, body: bytes, client_request_id: str, token: str) -> RawAnswer:
        """Take a tenth of a second, and answer."""
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(0.1)
        self.tokens.append(token)
        outer = self._outer.pop(0) if self._outer else None
        if isinstance(outer, Exception):
            raise outer
        if isinstance(outer, tuple):
            return Raw(*outer, received_utc=now)
        requests = json.loads(body)["requests"]
        users = Counter(request["url"].split("/")[2] for request in requests)
        assert max(users.values()) <= 4, "more at once than a mailbox bears"
        responses = []
        for request in requests:
            user = request["url"].split("/")[2].split("@")[0]
            self.asked.setdefault(user, []).append(now)
            written = self._said.get(user, [OK])
            responses.append({"id": request["id"], **(written.pop(0) if len(written) > 1 else written[0])})
        return Raw(200, {"request-id": "r"}, json.dumps({"responses": responses[::-1]}).encode(), now)

    # It hands out the tokens as well.

    async def token(self) -> str:
        """The current one."""
        return f"token-{self.renewals}"

    async def renew(self, stale: str, claims: str = "") -> str:
        """Another."""
        self.renewals += 1
        return await self.token()

    def ask(
        self, question: Question[Answer], limits: Limits = HASTY, *, token_renewable: bool = True
    ) -> tuple[Answer, float]:
        """What a session is told, and how many seconds that took."""

        async def main() -> tuple[Answer, float]:
            loop = asyncio.get_running_loop()
            session = ReadSession(
                self, self, limits, clock=VirtualClock(loop), rng=random.Random(1), token_renewable=token_renewable
            )
            return await question(session), loop.time()

        return run_virtually(main())

    def statuses(self, *users: str, limits: Limits = HASTY) -> list[tuple[int, str]]:
        """Status and code of the replies."""

        async def question(session: ReadSession) -> list[tuple[int, str]]:
            return [(reply.status, reply.code) for reply in await session.read(LIST_CONTACTS, named(*users))]

        return self.ask(question, limits)[0]


THROTTLED = refusal(429, "ApplicationThrottled", "over its MailboxConcurrency limit", **{"Retry-After": "4"})
LONG = refusal(429, "ApplicationThrottled", "over its limit", **{"Retry-After": "300"})
ON_PREMISES = refusal(401, "SomethingNew", "Error authenticating with resource")


def test_a_throttled_mailbox_is_asked_again_after_its_wait_and_holds_nobody_up() -> None:
    """Four seconds were asked for; the others were answered at once."""
    graph = ScriptedGraph({"b": [THROTTLED, THROTTLED, OK]})
    assert graph.statuses("a", "b", "c") == [(200, "")] * 3
    first, second, third = graph.asked["b"]
    assert second - first >= 4
    assert third - second >= 4
    assert len(graph.asked["a"]) == len(graph.asked["c"]) == 1


def test_a_mailbox_that_is_throttled_for_ever_is_given_up_within_seconds() -> None:
    """Three times asked, no Retry-After given: the waits of our own are short in a hasty look."""
    graph = ScriptedGraph({"b": [refusal(429, "TooManyRequests")]})
    found, took_s = graph.ask(lambda session: probe(session, rows_of("a", "b"), IdType.DEFAULT))
    assert [mailbox.standing for mailbox in found] == [Standing.FINE, Standing.WAITING]
    assert len(graph.asked["b"]) == 3
    assert took_s < 10


@pytest.mark.parametrize(
    "trouble",
    [
        refusal(503, "ServiceUnavailable"),
        refusal(503, "ErrorMailboxMoveInProgress"),
        refusal(503, "MailboxInfoStale"),
        refusal(429, "TooManyRequests"),
        refusal(429, "TooManyRequests", **{"Retry-After": "9"}),
        refusal(429, "TooManyRequests", **{"Retry-After": "600"}),
        refusal(409, "ErrorIrresolvableConflict"),
        refusal(424, ""),
        refusal(404, ""),
        ON_PREMISES,
    ],
)
@pytest.mark.parametrize("bad", [1, 100])
def test_a_look_at_a_hundred_mailboxes_ends_in_bounded_time_whatever_they_say(
    trouble: dict[str, Any], bad: int
) -> None:
    """Each is asked three times at most, with short waits between; one that is fine is shown."""
    users = [f"u{number}" for number in range(101)]
    graph = ScriptedGraph({user: [trouble] for user in users[:bad]})
    found, took_s = graph.ask(lambda session: probe(session, rows_of(*users), IdType.DEFAULT))
    assert [mailbox.standing is Standing.FINE for mailbox in found] == [False] * bad + [True] * (101 - bad)
    assert max(len(times) for user, times in graph.asked.items() if user in users[:bad]) <= 3
    assert took_s < 60


def rows_of(*users: str) -> list[Item]:
    """A row of each."""
    return [Item(upn(user), "", "AAA=") for user in users]


@pytest.mark.parametrize(("limits", "asked"), [(HASTY, 1), (PATIENT, 1)])
def test_a_wait_longer_than_patience_is_not_sat_out_and_handed_on(limits: Limits, asked: int) -> None:
    """The mailbox is told as one that asks to wait; what is left of the wait stands ready for the ledger of a run."""
    graph = ScriptedGraph({"b": [LONG]})

    async def question(session: ReadSession) -> tuple[list[Standing], list[Any]]:
        found = await probe(session, rows_of("a", "b"), IdType.DEFAULT)
        return [mailbox.standing for mailbox in found], waits_left(session, {7: named("a")[0], 9: named("B")[0]})

    (standings, waits), took_s = graph.ask(question, limits)
    assert standings == [Standing.FINE, Standing.WAITING]
    assert len(graph.asked["b"]) == asked
    assert took_s < 5
    assert waits == [MailboxBlocked(9, pytest.approx(300, abs=5))]


def test_no_job_comes_before_a_wait_that_an_earlier_one_was_told() -> None:
    """Of a mailbox, and of the whole app: the next job of the session waits for what is left, or says that it does not."""
    calm = (200, {"request-id": "r", "retry-after": "8"}, json.dumps({"responses": [{"id": "0", **OK}]}).encode())
    graph = ScriptedGraph({"b": [LONG, OK]}, outer=[None, calm])

    async def question(session: ReadSession) -> list[Reply]:
        found = []
        for user in ("b", "a", "c", "b"):
            (reply,) = await session.read(LIST_CONTACTS, named(user))
            found.append(reply)
            if user == "a":
                assert waits_left(session, {}) == [RunBlocked(pytest.approx(8, abs=0.5))]
        return found

    (first, *good, last), _ = graph.ask(question)
    assert [reply.status for reply in good] == [200, 200]
    assert (first.status, first.code, first.message) == (
        429,
        "ApplicationThrottled",
        "The mailbox asked to wait 5 min.",
    )
    assert (last.status, last.message) == (429, "The mailbox asked to wait 4 min 52 s.")
    assert last.retry_after_s == pytest.approx(292, abs=1)
    assert len(graph.asked["b"]) == 1
    assert graph.asked["c"][0] >= 8


def test_a_lost_answer_is_asked_for_again() -> None:
    """Half a second later, because a lost call holds one slot of each mailbox only; reading twice does no harm."""
    graph = ScriptedGraph(outer=[NoAnswer("the connection was reset")])
    found, took_s = graph.ask(lambda session: session.read(LIST_CONTACTS, named("a", "b")))
    assert [reply.status for reply in found] == [200, 200]
    assert 0.25 <= took_s < 1


@pytest.mark.parametrize(("limits", "tries"), [(HASTY, 3), (PATIENT, 8)])
def test_answers_that_are_always_lost_are_told_as_that(limits: Limits, tries: int) -> None:
    """Three times, and the row has the reason; a patient job goes on for longer. Who never answered is given up sooner."""
    lost = [NoAnswer("the connection was reset")] * 99
    graph = ScriptedGraph(outer=[None, *lost])

    async def question(session: ReadSession) -> Reply:
        await session.read(LIST_CONTACTS, named("a"))
        (reply,) = await session.read(LIST_CONTACTS, named("b"))
        return reply

    reply, took_s = graph.ask(question, limits)
    assert (reply.status, reply.message) == (0, "the connection was reset")
    assert len(graph.tokens) == 1 + tries
    assert took_s < (20 if limits is HASTY else 300)
    with pytest.raises(RunStopped, match="could not be reached: the connection was reset"):
        ScriptedGraph(outer=lost).statuses("a", limits=limits)


def test_a_401_of_one_mailbox_is_its_own_where_others_go_through() -> None:
    """Another token was tried; with the same token the other is good."""
    for renewable in (True, False):
        graph = ScriptedGraph({"b": [ON_PREMISES]})
        found, _ = graph.ask(
            lambda session: probe(session, rows_of("a", "b"), IdType.DEFAULT), token_renewable=renewable
        )
        assert [mailbox.standing for mailbox in found] == [Standing.FINE, Standing.NOT_SERVED]
        assert graph.renewals == renewable


def test_a_401_is_its_mailboxes_own_where_others_were_refused_otherwise() -> None:
    """A refusal by Exchange shows that the token was read."""
    graph = ScriptedGraph({"a": [refusal(403, "ErrorAccessDenied")], "b": [ON_PREMISES]})
    assert graph.statuses("a", "b") == [(403, "ErrorAccessDenied"), (401, "SomethingNew")]


def test_thirty_mailboxes_on_premises_do_not_hide_the_one_that_is_not() -> None:
    """All are asked: a look is not a run that would send them thousands of rows."""
    users = [f"u{number}" for number in range(31)]
    graph = ScriptedGraph({user: [ON_PREMISES] for user in users[:30]})
    assert graph.statuses(*users) == [(401, "SomethingNew")] * 30 + [(200, "")]


def test_a_401_of_all_is_the_tokens() -> None:
    """With the captured words, and what to look at."""
    with pytest.raises(TokenError, match=r"401 to every request.*SomethingNew Error authenticating with resource"):
        ScriptedGraph({"a": [ON_PREMISES], "b": [ON_PREMISES]}).statuses("a", "b")


def whole(status: int, code: str, message: str = "", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """An answer without sub-responses, as Graph gives it."""
    body = json.dumps({"error": {"code": code, "message": message, "innerError": {"request-id": "r"}}})
    return status, {"request-id": "r", "content-type": "application/json", **headers}, body.encode()


@pytest.mark.parametrize(
    ("outer", "error", "sentence"),
    [
        (whole(403, "Authorization_RequestDenied", "No."), TokenError, "Graph refused the app: 403 Auth.* No.. Check its"),
        (whole(400, "BadRequest", "Invalid."), TokenError, "Graph refused the app: 400 BadRequest Invalid"),
        (whole(401, "InvalidAuthenticationToken", "Bad."), TokenError, "Graph refused the token: 401 .* Bad. Check the app"),
        (
            whole(
                401,
                "InvalidAuthenticationToken",
                "TokenCreatedWithOutdatedPolicies",
                **{"www-authenticate": 'Bearer error="insufficient_claims", claims="eyJhIjoxfQ=="'},
            ),
            TokenError,
            "This is continuous access evaluation",
        ),
        (
            (200, {"content-type": "text/html"}, b"<html><title>Sign in</title></html>"),
            RunStopped,
            "Something between here and Graph answered instead of Graph .*, then call purge with the same request again",
        ),
        (
            (302, {"location": "https://portal.hotel.example/login?session=hunter2"}, b""),
            RunStopped,
            "redirects to the host portal.hotel.example.*, then call purge with the same request again",
        ),
        (whole(429, "TooManyRequests", "", **{"retry-after": "600"}), RunStopped, "asks to wait 10 min before"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("limits", [HASTY, PATIENT], ids=["hasty", "patient"])
def test_who_refuses_everything_ends_the_job_with_its_sentence(
    outer: Any, error: type[Exception], sentence: str, limits: Limits
) -> None:
    """The app, its token, a proxy's page, a sign-in page, a long wait: within seconds, with the words that were said."""
    graph = ScriptedGraph(outer=[outer] * 99)
    with pytest.raises(error, match=sentence) as raised:
        graph.statuses("a", "b", limits=limits)
    assert "hunter2" not in str(raised.value)
    assert len(graph.tokens) <= 7


def test_an_app_that_may_not_read_one_thing_may_read_another() -> None:
    """The directory's refusal of one question is the answer to that question."""
    denied = refusal(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
    assert ScriptedGraph({"a": [denied]}).statuses("a", "b") == [(403, "Authorization_RequestDenied"), (200, "")]


def test_what_was_found_is_kept_where_the_rest_is_lost() -> None:
    """Twenty mailboxes answered, then the network went: the others have no answer, and nothing is thrown away."""
    users = [f"u{number}" for number in range(25)]
    graph = ScriptedGraph(outer=[None, *[NoAnswer("the network is down")] * 99])
    found = graph.statuses(*users)
    assert found == [(200, "")] * 20 + [(0, "")] * 5


def test_a_job_keeps_no_more_in_memory_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies are bounded by their bytes, and rows by their number; beyond that the job stops, and says so."""
    monkeypatch.setattr(answer_ledger, "BODY_BYTES_MAX", 100)
    with pytest.raises(RunStopped, match="longer than the 0 MiB that are kept in memory"):
        ScriptedGraph().statuses(*[f"u{number}" for number in range(60)])
    monkeypatch.setattr(answer_ledger, "ROWS_MAX", 10)
    with pytest.raises(AssertionError, match="11 rows"):
        ScriptedGraph().statuses(*[f"u{number}" for number in range(11)])


def test_nothing_is_asked_for_nothing() -> None:
    """A job without rows ends at once."""
    graph = ScriptedGraph()
    assert graph.statuses() == []
    assert graph.tokens == []
