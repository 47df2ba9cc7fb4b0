"""Tests of which workers of a scheduler get shards: each is checked before, and each refusal is a sentence."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from purgeengine import version
from purgeengine.edges.cluster import CallFailed
from purgeengine.errors import TokenError, UsageProblem
from purgeengine.jobs.coordination.introductions import SKEW_S_MAX, Introductions, WorkerTokens
from purgeengine.jobs.coordination.worker_tasks import Introduction
from purgeengine.jobs.purge_request import PurgeRequest

GOOD = Introduction(version.__version__, 0.0, "/disk", "d1", "tenant", "app", ("Contacts.ReadWrite",))
REQUEST = PurgeRequest(ledger="x")


class FakeCluster:
    """Workers that answer as they are told to, by name. Their address is the name behind ``tls://``."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers

    def workers(self) -> dict[str, str]:
        return {f"tls://{name}": name for name in self.answers}

    def call(self, function: Any, *arguments: Any, address: str, within_s: float) -> Any:
        answer = self.answers[address.removeprefix("tls://")]
        if isinstance(answer, Exception):
            raise answer
        return replace(answer, utc=time.time() + answer.utc)


def asked(**answers: Any) -> Introductions:
    """Ask these workers, and wait for all of them."""
    found = Introductions(FakeCluster(answers), REQUEST)  # type: ignore[arg-type]
    try:
        found.wait()
    finally:
        found.close()
    return found


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (replace(GOOD, version="0.0.9"), "runs purgeengine 0.0.9"),
        (replace(GOOD, utc=SKEW_S_MAX + 60.0), "The clock of worker bad differs by 65 s"),
        (replace(GOOD, utc=-SKEW_S_MAX - 60.0), "The clock of worker bad differs by 65 s"),
        (replace(GOOD, problem="AZURE_CLIENT_ID is missing."), "cannot purge: AZURE_CLIENT_ID is missing."),
        (CallFailed("ModuleNotFoundError: no purgeengine"), "does not answer (ModuleNotFoundError"),
        (TokenError("The login refused it."), "cannot purge: The login refused it."),
    ],
)
def test_a_worker_that_cannot_purge_gets_no_shard(answer: Any, said: str) -> None:
    """The others are used. If there are none, the purge is refused with the reason."""
    found = asked(bad=answer, good=GOOD)
    assert list(found.found) == ["tls://good"]
    assert said in found.problems["tls://bad"]
    with pytest.raises(UsageProblem, match="No worker can purge") as refused:
        asked(bad=answer)
    assert str(refused.value).endswith("Nothing was sent.")


def test_all_workers_sign_in_to_the_tenant_of_the_ledger() -> None:
    """A ledger that exists decides which tenant that is."""
    found = Introductions(FakeCluster({"a": GOOD, "b": replace(GOOD, tenant_id="other")}), REQUEST)  # type: ignore[arg-type]
    found.tenant_id = "other"
    found.wait()
    found.close()
    assert list(found.found) == ["tls://b"]
    assert "signs in to another tenant (tenant)" in found.problems["tls://a"]


def test_a_worker_that_is_gone_is_forgotten_and_asked_again_when_it_comes_back() -> None:
    """Its environment may have changed meanwhile."""
    found = asked(a=GOOD)
    found.look({})
    assert (dict(found.found), dict(found.problems)) == ({}, {})


async def test_the_coordinator_has_no_token() -> None:
    """It knows whose tokens the workers have, and a use of its own fails."""
    tokens = WorkerTokens(GOOD)
    assert (tokens.describe().tenant_id, tokens.describe().client_id, await tokens.token()) == ("tenant", "app", "")
    with pytest.raises(TokenError):
        await tokens.renew("")
