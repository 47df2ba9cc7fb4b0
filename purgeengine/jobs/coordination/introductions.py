"""Which workers of a scheduler can purge: each is asked once who it is, and is checked before it gets a shard."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from purgeengine import log_events, logs, version
from purgeengine.core.graph.text import printable
from purgeengine.edges.cluster import START_S_MAX, CallFailed, WorkerCluster
from purgeengine.edges.login import Identity
from purgeengine.errors import PurgeEngineError, RunStopped, TokenError, UsageProblem
from purgeengine.jobs.coordination.worker_tasks import Introduction, introduce
from purgeengine.jobs.purge_request import PurgeRequest

AT_ONCE = 8
"""Workers that are asked at once."""
ASK_AGAIN_S = 60.0
"""Seconds after which a worker that could not purge is asked again: somebody may have corrected its environment."""
LOOK_S = 0.2
SKEW_S_MAX = 5.0
"""Most seconds by which the clock of a worker may differ from that of the head's machine. Request windows and waits are recorded by
one clock and kept by another if a shard moves."""


class WorkerTokens:
    """Stands for the sign-in where only the workers sign in. It knows whose tokens they have, and has none."""

    def __init__(self, one: Introduction) -> None:
        self._identity = Identity(one.tenant_id, one.client_id, "that of the workers", one.roles)

    async def token(self) -> str:
        """Return no token."""
        return ""

    async def renew(self, stale: str, claims: str = "") -> str:
        """Raise `TokenError`."""
        raise TokenError("This process has no token. Only the workers sign in.")

    def describe(self) -> Identity:
        """Return the identity of the workers."""
        return self._identity


class Introductions:
    """What the workers say of themselves, by address. Only one thread may use it. It asks the workers in threads of its own."""

    def __init__(self, cluster: WorkerCluster, request: PurgeRequest) -> None:
        self._cluster = cluster
        self._request = replace(request, inputs=(), columns=None, user=None)
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="introductions")
        self._asked: dict[str, float] = {}
        self._told: set[str] = set()
        self.found: dict[str, Introduction] = {}
        """Those that can purge."""
        self.problems: dict[str, str] = {}
        """Why others cannot, as sentences."""
        self.tenant_id: str | None = None
        """The tenant that all must sign in to. The first that can purge decides, unless the ledger has decided before."""

    def look(self, known: Mapping[str, str]) -> None:
        """Ask the workers, known by address and name, that were not asked yet. Forget those that are gone."""
        for kept in (self.found, self.problems, self._asked):
            for address in [address for address in kept if address not in known]:
                del kept[address]
        now = time.monotonic()
        for address in known:
            if address in self.found or now < self._asked.get(address, 0.0):
                continue
            self._asked[address] = now + START_S_MAX + ASK_AGAIN_S
            self._pool.submit(self._ask, address, known[address])

    def wait(self) -> None:
        """Wait until the workers that are there have answered.

        Raises `RunStopped` if no worker comes, and `UsageProblem` if none of them can purge.
        """
        end = time.monotonic() + START_S_MAX
        while time.monotonic() < end:
            known = self._cluster.workers()
            self.look(known)
            if known and all(address in self.found or address in self.problems for address in known):
                if not self.found:
                    raise UsageProblem(f"No worker can purge. {next(iter(self.problems.values()))} Nothing was sent.")
                return
            time.sleep(LOOK_S)
        if self.found:
            return
        raise RunStopped(
            f"No worker was ready within {START_S_MAX:.0f} s. Start workers for this scheduler (dask worker); see "
            "docs/several-machines.md. Nothing was sent."
        )

    def close(self) -> None:
        """Wait for no answer any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, address: str, name: str) -> None:
        before = time.time()
        try:
            said: Introduction = self._cluster.call(introduce, self._request, address=address, within_s=START_S_MAX)
            problem = self._problem_of(said, name, before, time.time())
        except PurgeEngineError as error:
            problem = f"Worker {name} cannot purge: {error}"
        except CallFailed as error:
            problem = (
                f"Worker {name} does not answer ({printable(str(error), 200)}). It needs purgeengine {version.__version__} with "
                "the extra dask."
            )
        if problem is None:
            self.problems.pop(address, None)
            self.found[address] = said
            return
        self._asked[address] = time.monotonic() + ASK_AGAIN_S
        self.problems[address] = problem
        if problem not in self._told:
            self._told.add(problem)
            logs.get_logger().warning(log_events.WORKER_REFUSED, because=problem)

    def _problem_of(self, said: Introduction, name: str, before: float, after: float) -> str | None:
        if said.version != version.__version__:
            return f"Worker {name} runs purgeengine {said.version}, and this is {version.__version__}. Nothing is sent to it."
        if said.problem is not None:
            return f"Worker {name} cannot purge: {said.problem}"
        if not before - SKEW_S_MAX <= said.utc <= after + SKEW_S_MAX:
            return (
                f"The clock of worker {name} differs by {abs(said.utc - after):.0f} s from that of this machine. Set both by a "
                "time server. Nothing is sent to it."
            )
        if self.tenant_id is None:
            self.tenant_id = said.tenant_id
        if said.tenant_id != self.tenant_id:
            return f"Worker {name} signs in to another tenant ({printable(said.tenant_id, 60)}). Nothing is sent to it."
        return None
