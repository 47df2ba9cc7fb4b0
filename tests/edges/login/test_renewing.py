"""Tests of renewing: when tokens are renewed, that one renewal serves all callers, and what is said if it fails."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import random
from typing import Any

import jwt
import pytest

from purgeengine import logs
from purgeengine.edges.login import (
    Issued,
    LoginPending,
    LoginUnavailable,
    ReadyToken,
    RenewingTokens,
    tokens_from_environment,
)
from purgeengine.edges.login.identity import TOKEN_LENGTH_MAX, claims_of
from purgeengine.errors import TokenError, UsageProblem

HOUR_S = 3600.0


class ManualClock:
    """A monotonic and a wall clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept = 0.0
        """The seconds of sleep that the monotonic clock has missed."""

    def monotonic(self) -> float:
        return self.now

    def utc(self) -> float:
        return 1_767_225_600.0 + self.now + self.slept


class ScriptedLogin:
    """A login that issues ``t1``, ``t2``, … after it raised each of its ``troubles``."""

    method, tenant_id, client_id = "client secret", "tenant", "client"
    remedy, credential, skew_s, claims = "Check the network.", "", None, ""

    def __init__(self, life_s: float = HOUR_S, *troubles: Exception) -> None:
        self.life_s = life_s
        self.troubles = list(troubles)
        self.asked = 0
        self.issued = 0

    def acquire(self) -> Issued:
        self.asked += 1
        if self.troubles:
            raise self.troubles.pop(0)
        self.issued += 1
        return Issued(f"t{self.issued}", self.life_s)


def some_tokens(login: ScriptedLogin, clock: ManualClock, **options: Any) -> tuple[RenewingTokens, list[float]]:
    """Return tokens of the login in manual time, and the list of waits between their tries."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.now += seconds

    return RenewingTokens(login, clock=clock, rng=random.Random(1), sleep=sleep, **options), waits


@pytest.fixture
def log() -> io.StringIO:
    """Return the stream that gets the log as JSON lines."""
    out = io.StringIO()
    logs.configure_logs("json", stream=out)
    return out


async def settled(tokens: RenewingTokens) -> None:
    """Wait for a renewal that is under way."""
    if tokens._renewal is not None:
        await asyncio.wait([tokens._renewal])


def a_jwt(**claims: Any) -> str:
    """Return a JWT with these claims."""
    return jwt.encode(claims, bytes(32), algorithm="HS256")


# ----------------------------------------------------------------------------------------------------------- renewing


async def test_a_token_is_asked_for_once_and_kept() -> None:
    """A token is asked for once and handed out until its renewal is due."""
    login, clock = ScriptedLogin(), ManualClock()
    tokens, _ = some_tokens(login, clock)
    assert [await tokens.token() for _ in range(3)] == ["t1"] * 3
    clock.now += HOUR_S - 301
    assert await tokens.token() == "t1"
    assert login.asked == 1


async def test_fifty_waiters_share_one_renewal() -> None:
    """Fifty callers share one renewal, both at the start and after Graph refused the token."""
    login = ScriptedLogin()
    tokens, _ = some_tokens(login, ManualClock())
    assert set(await asyncio.gather(*(tokens.token() for _ in range(50)))) == {"t1"}
    assert set(await asyncio.gather(*(tokens.renew("t1") for _ in range(50)))) == {"t2"}
    assert login.asked == 2


async def test_a_token_is_renewed_ahead_of_its_end_and_nobody_waits() -> None:
    """With less than five minutes left, the old token is handed out while the new one is fetched, so that nobody waits."""
    login, clock = ScriptedLogin(), ManualClock()
    tokens, _ = some_tokens(login, clock)
    await tokens.token()
    clock.now += HOUR_S - 299
    assert await tokens.token() == "t1"
    await settled(tokens)
    assert await tokens.token() == "t2"
    assert login.asked == 2


async def test_a_token_that_is_about_to_end_is_waited_for() -> None:
    """With less than a minute left, the caller waits for the new token, because the old one could expire on its way to Graph."""
    login, clock = ScriptedLogin(), ManualClock()
    tokens, _ = some_tokens(login, clock)
    await tokens.token()
    clock.now += HOUR_S - 59
    assert await tokens.token() == "t2"


async def test_a_short_lived_token_is_renewed_at_half_its_life() -> None:
    """A short-lived token is renewed at half its life, because five minutes ahead would mean a renewal with every call."""
    login, clock = ScriptedLogin(240.0), ManualClock()
    tokens, _ = some_tokens(login, clock)
    await tokens.token()
    clock.now += 119
    await tokens.token()
    assert login.asked == 1
    clock.now += 2
    await tokens.token()
    await settled(tokens)
    assert login.asked == 2


async def test_a_token_ages_while_the_machine_sleeps() -> None:
    """A token expires while the machine sleeps: the wall clock shows it where the monotonic clock stands still."""
    clock = ManualClock()
    tokens, _ = some_tokens(ScriptedLogin(), clock)
    await tokens.token()
    clock.slept += 2 * HOUR_S
    assert await tokens.token() == "t2"


async def test_a_wall_clock_set_back_keeps_no_token_alive() -> None:
    """A token expires by the monotonic clock, even if the wall clock is set back."""
    clock = ManualClock()
    tokens, _ = some_tokens(ScriptedLogin(), clock)
    await tokens.token()
    clock.slept -= 10 * HOUR_S
    clock.now += HOUR_S
    assert await tokens.token() == "t2"


async def test_a_refused_token_is_replaced_once() -> None:
    """A refused token is replaced once: a second caller with the old token gets the new one without another renewal."""
    login = ScriptedLogin()
    tokens, _ = some_tokens(login, ManualClock())
    first = await tokens.token()
    assert await tokens.renew(first) == "t2"
    assert await tokens.renew(first) == "t2"
    assert login.asked == 2


async def test_a_waiter_that_gives_up_does_not_take_the_renewal_along() -> None:
    """A caller that is cancelled does not cancel the renewal, and the other callers still get their token."""
    login = ScriptedLogin()
    tokens, _ = some_tokens(login, ManualClock())
    first, second = (asyncio.ensure_future(tokens.token()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "t1"
    assert login.asked == 1


async def test_troubles_that_pass_are_waited_out() -> None:
    """An outage of the login is waited out with longer waits each time, and each wait is at least as long as the login asks."""
    login = ScriptedLogin(HOUR_S, LoginUnavailable("x"), LoginUnavailable("x", 12.0), LoginUnavailable("x"))
    tokens, waits = some_tokens(login, ManualClock())
    assert await tokens.token() == "t1"
    assert len(waits) == 3
    assert 0.5 <= waits[0] <= 1.0
    assert waits[1] == 12.0
    assert 2.0 <= waits[2] <= 4.0


async def test_patience_ends_sooner_at_the_start_than_on_the_way() -> None:
    """The first token is awaited for 30 s, because a failure there is a mistake in the set-up.

    A later one is awaited for 900 s.
    """
    login, clock = ScriptedLogin(), ManualClock()
    login.troubles = [LoginUnavailable("the login at x could not be reached")] * 1000
    tokens, waits = some_tokens(login, clock)
    with pytest.raises(TokenError, match=r"within 30 s: the login at x could not be reached\. Check the network"):
        await tokens.token()
    assert sum(waits) <= 30.0
    login.troubles = []
    assert await tokens.token() == "t1"
    login.troubles = [LoginUnavailable("x")] * 1000
    waits.clear()
    with pytest.raises(TokenError, match="within 900 s"):
        await tokens.renew("t1")
    assert 840.0 < sum(waits) <= 900.0


async def test_a_person_who_waits_is_told_at_once_that_the_login_cannot_be_reached() -> None:
    """For a check, a login that cannot be reached is asked once, and one that is busy is asked again as usual."""
    login = ScriptedLogin()
    login.troubles = [LoginUnavailable("the login at x could not be reached", unreached=True)] * 5
    tokens, waits = some_tokens(login, ManualClock())
    tokens.give_up_unreached()
    with pytest.raises(
        TokenError, match=r"^No token was to be had: the login at x could not be reached\. Check the network"
    ):
        await tokens.token()
    assert (waits, len(login.troubles)) == ([], 4)
    login.troubles = [LoginUnavailable("the login at x answered 503")]
    assert await tokens.token() == "t1"
    assert len(waits) == 1


async def test_a_wait_longer_than_patience_is_said_and_not_begun() -> None:
    """A login that asks for a wait beyond the time limit raises `TokenError` at once, and no wait begins."""
    tokens, waits = some_tokens(ScriptedLogin(HOUR_S, LoginUnavailable("busy", 950.0)), ManualClock())
    with pytest.raises(TokenError, match="busy and asks to wait 950 s"):
        await tokens.token()
    assert waits == []


async def test_a_person_who_signs_in_is_waited_for() -> None:
    """A person who signs in is waited for at the login's intervals, beyond the time limit of an outage.

    An outage in between has its own time limit.
    """
    out = [LoginUnavailable("out", 20.0)]
    login = ScriptedLogin(HOUR_S, *[LoginPending(5.0)] * 50, *out, LoginPending(10.0), *out)
    tokens, waits = some_tokens(login, ManualClock())
    assert await tokens.token() == "t1"
    assert waits == [*[5.0] * 50, 20.0, 10.0, 20.0]


async def test_an_outage_is_told_once_in_a_renewal(log: io.StringIO) -> None:
    """A renewal logs an outage once, with its reason.

    A renewal that fails while the old token is valid is logged too.
    """
    login, clock = ScriptedLogin(HOUR_S, *[LoginUnavailable("the login answered 503")] * 3), ManualClock()
    tokens, _ = some_tokens(login, clock)
    await tokens.token()
    clock.now += HOUR_S - 299
    login.troubles = [TokenError("The secret has expired.")]
    await tokens.token()
    await settled(tokens)
    events = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [(event["event"], event["reason"]) for event in events] == [
        ("token.delayed", "the login answered 503"),
        ("token.delayed", "The secret has expired."),
    ]


async def test_a_final_refusal_is_raised_at_once_to_all() -> None:
    """A final refusal is raised at once to all callers, because another try would not help."""
    login = ScriptedLogin(HOUR_S, TokenError("The secret is wrong."))
    tokens, waits = some_tokens(login, ManualClock())
    found = await asyncio.gather(*(tokens.token() for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in found] == ["The secret is wrong."] * 3
    assert (login.asked, waits) == (1, [])


async def test_a_renewal_that_fails_leaves_the_old_token_in_use_while_it_is_good() -> None:
    """After a failed renewal the old token stays in use and a new try follows after half a minute.

    Once the token has expired, every caller gets the error.
    """
    login, clock = ScriptedLogin(), ManualClock()
    tokens, _ = some_tokens(login, clock)
    await tokens.token()
    clock.now += HOUR_S - 299
    login.troubles = [TokenError("No.")] * 3
    for _ in range(3):
        assert await tokens.token() == "t1"
        await settled(tokens)
    assert login.asked == 2
    clock.now += 31
    assert await tokens.token() == "t1"
    await settled(tokens)
    assert login.asked == 3
    clock.now += 240
    with pytest.raises(TokenError, match="No"):
        await tokens.token()
    assert await tokens.token() == "t2"


def test_tokens_outlive_an_event_loop() -> None:
    """Tokens work in a second event loop: the command asks for the first token, and the run continues in another loop."""
    login = ScriptedLogin()
    tokens, _ = some_tokens(login, ManualClock())
    assert asyncio.run(tokens.token()) == "t1"
    assert asyncio.run(tokens.renew("t1")) == "t2"


async def test_who_we_are_is_known_in_parts_before_the_first_token() -> None:
    """The tenant and app are known before the first token; roles and expiry come with it. The result shows no token."""
    clock, login = ManualClock(), ScriptedLogin()
    tokens, _ = some_tokens(login, clock)
    before = tokens.describe()
    assert (before.tenant_id, before.client_id, before.roles, before.expires_utc) == ("tenant", "client", (), None)
    login.acquire = lambda: Issued(a_jwt(tid="T", appid="C", roles=["Contacts.ReadWrite"]), HOUR_S)  # type: ignore[method-assign]
    token = await tokens.token()
    identity = tokens.describe()
    assert (identity.tenant_id, identity.client_id, identity.roles) == ("T", "C", ("Contacts.ReadWrite",))
    assert (identity.method, identity.expires_utc) == ("client secret", clock.utc() + HOUR_S)
    assert token not in repr(tokens) + repr(identity) + repr(tokens._held)


# -------------------------------------------------------------------------------------------------------- ready tokens


async def test_a_ready_token_is_handed_out_as_it_is() -> None:
    """A ready token is handed out without the word Bearer and without white space around it, which people copy along."""
    tokens = ReadyToken(" Bearer abc.def\n")
    assert await tokens.token() == "abc.def"
    assert tokens.describe().method == "ready token"
    assert tokens.describe().expires_utc is None
    assert "abc" not in repr(tokens)


async def test_a_ready_token_cannot_be_renewed() -> None:
    """A ready token that Graph refuses raises `TokenError`, and the message says what to do."""
    with pytest.raises(
        TokenError, match=r"cannot be renewed\. Put a new token there, or set AZURE_TENANT_ID"
    ) as caught:
        await ReadyToken("secret-token").renew("secret-token")
    assert "secret-token" not in str(caught.value)


async def test_a_ready_token_that_has_run_out_is_refused() -> None:
    """An expired ready token is refused, both at the start and during a run."""
    clock = ManualClock()
    token = a_jwt(exp=clock.utc() + 10, tid="T", azp="C", scp="Contacts.ReadWrite User.Read")
    tokens = ReadyToken(token, clock)
    assert tokens.describe().roles == ("Contacts.ReadWrite", "User.Read")
    assert tokens.describe().client_id == "C"
    clock.now += 10
    with pytest.raises(TokenError, match="expired at 2026-01-01 00:01:50 UTC"):
        await tokens.token()
    with pytest.raises(TokenError, match="expired"):
        ReadyToken(token, clock)


@pytest.mark.parametrize("text", ["", "a b", "a\nb", "tökен", "Bearer "])
def test_what_is_no_token_is_refused(text: str) -> None:
    """A text that cannot stand in an HTTP header is refused as a ready token."""
    with pytest.raises(TokenError, match="no token"):
        ReadyToken(text)


@pytest.mark.parametrize("token", ["", "abc", "a.b.c", "a..c", "....", "e30.W10.x", "e30.!!!.x", "a.e30"])
def test_claims_of_what_is_no_jwt_are_none(token: str) -> None:
    """A text that is not a JWT has no claims, and is still allowed as a token."""
    assert claims_of(token) == {}


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (jwt.encode({"tid": "T"}, "", algorithm="none"), "without a signature"),
        (a_jwt(tid="T").rpartition(".")[0] + ".", "without a signature"),
        ("x" * (TOKEN_LENGTH_MAX + 1), "longer than the 65,536 characters"),
        (a_jwt(tid="x" * TOKEN_LENGTH_MAX), "longer than the 65,536 characters"),
    ],
    ids=["alg none", "no signature", "long", "long claims"],
)
def test_a_token_that_graph_can_never_accept_is_refused_before_anything_is_sent(token: str, reason: str) -> None:
    """A ready token that Graph can never accept is refused with its variable and the fault, and is not shown."""
    with pytest.raises(TokenError, match=f"PURGEENGINE_ACCESS_TOKEN holds is .*{reason}") as refused:
        ReadyToken(token)
    assert token[:20] not in str(refused.value)


def test_claims_nested_beyond_measure_are_none() -> None:
    """Claims with too deep nesting count as none, and their token may still be valid."""
    header, payload = (base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (b"{}", b"[" * 40_000))
    assert claims_of(f"{header}.{payload}.c2ln") == {}


def test_hostile_claims_do_no_harm() -> None:
    """Hostile claims are cleaned of control characters before people see them, and claims of a wrong type become empty."""
    identity = ReadyToken(a_jwt(tid="\x1b[2J", appid=7, roles=["a\u202eb", 5], exp="soon")).describe()
    assert (identity.tenant_id, identity.client_id, identity.roles) == ("\ufffd[2J", "", ("a\ufffdb", ""))
    assert identity.expires_utc is None


# -------------------------------------------------------------------------------------------------------- environment

APP = {"AZURE_TENANT_ID": "contoso.example", "AZURE_CLIENT_ID": "11111111-1111-4111-8111-111111111111"}


def from_environment(environment: dict[str, str], authority_url: str = "https://login.microsoftonline.com") -> Any:
    """Make tokens from this environment for the global cloud."""
    return tokens_from_environment(
        environment, authority_url=authority_url, graph_url="https://graph.microsoft.com", ca_file=None
    )


def test_a_ready_token_comes_first() -> None:
    """A ready token is used before an app's secret, because whoever sets it wants it."""
    assert isinstance(
        from_environment({**APP, "AZURE_CLIENT_SECRET": "s", "PURGEENGINE_ACCESS_TOKEN": "t"}), ReadyToken
    )


def test_an_app_signs_in_with_its_secret() -> None:
    """An app with a secret signs in by secret; nothing is asked for yet, and the secret is not shown."""
    tokens = from_environment({**APP, "AZURE_CLIENT_SECRET": " hunter2 "})
    assert isinstance(tokens, RenewingTokens)
    identity = tokens.describe()
    assert (identity.tenant_id, identity.client_id, identity.method) == (*APP.values(), "client secret")
    assert "hunter2" not in repr(tokens) + repr(tokens._login) + repr(identity)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "AZURE_TENANT_ID and AZURE_CLIENT_ID and a credential must be set: AZURE_CLIENT_SECRET"),
        ({**APP, "AZURE_CLIENT_SECRET": "  "}, "A credential must be set: AZURE_CLIENT_SECRET"),
        ({**APP, "IDENTITY_ENDPOINT": "http://localhost/"}, "which --auth managed-identity uses"),
        (
            {"AZURE_CLIENT_SECRET": "hunter2"},
            "AZURE_TENANT_ID and AZURE_CLIENT_ID are not set, which signing in by secret needs (AZURE_CLIENT_SECRET is set)",
        ),
        (
            {**APP, "AZURE_CLIENT_SECRET": "hunter2", "AZURE_TENANT_ID": "../x"},
            "AZURE_TENANT_ID is '../x', which is no id",
        ),
        (
            {**APP, "AZURE_CLIENT_SECRET": "hunter2", "AZURE_CLIENT_ID": "a b"},
            "AZURE_CLIENT_ID is 'a b', which is no id",
        ),
    ],
)
def test_what_is_missing_is_said(environment: dict[str, str], message: str) -> None:
    """The message about missing variables names them and says what to do, and repeats no secret."""
    with pytest.raises(TokenError) as caught:
        from_environment(environment)
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("authority_url", "message"),
    [
        ("http://login.example", "https://"),
        ("http://localhost:1", "on this machine too: Microsoft's login library refuses plain http"),
        ("https://login.example/fabrikam.example", "'fabrikam.example', which is not the tenant contoso.example"),
        ("login.example", "authority URL"),
    ],
)
def test_an_authority_that_cannot_be_used_is_a_usage_problem(authority_url: str, message: str) -> None:
    """An unusable authority URL raises `UsageProblem`, so that nothing is sent there."""
    with pytest.raises(UsageProblem) as caught:
        from_environment({**APP, "AZURE_CLIENT_SECRET": "hunter2"}, authority_url)
    assert message in str(caught.value)


def test_an_authority_may_end_in_the_tenant() -> None:
    """The authority URL may end in the tenant, as people copy it."""
    for ending in ("", "/", "/contoso.example", "/CONTOSO.example/"):
        tokens = from_environment({**APP, "AZURE_CLIENT_SECRET": "s"}, "https://login.microsoftonline.com" + ending)
        assert tokens._login._authority == "https://login.microsoftonline.com/contoso.example"
