"""Worker processes, by dask.distributed: those of this machine, and those that an administrator has started on others.

Dask starts the processes of this machine, and brings calls, messages and results from here to there. It decides nothing: it may run
a task twice, and messages may be lost. Who may send is decided by leases (`purgeengine.core.coordination`). Of the modules of the
program, only this one and `purgeengine.edges.worker_channel` import Dask.

Whoever reaches the port of a Dask process can run code in it. So the processes of this machine listen on loopback only, and all
speak TLS with certificates of both sides. For those of this machine the key is made anew for each run, and is never written to a
disk. For others it is the administrator's, as Dask's own configuration names it.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from purgeengine.edges.extras import needs_extra
from purgeengine.edges.scheduler_address import SchedulerAddress
from purgeengine.edges.worker_channel import DOWN, UP
from purgeengine.errors import PurgeEngineError, RunStopped, UsageProblem

THREADS = 2
"""Threads of a worker of this machine. A run leaves its thread, so there is always room for what is asked meanwhile."""
START_S_MAX = 120.0
"""Seconds in which the processes must be there. Each imports everything, maybe from a slow disk."""
CONNECT_S_MAX = 30.0
"""Seconds in which a scheduler on another machine must have answered."""
CLOSE_S_MAX = 10.0
"""Seconds for an orderly end of the processes. What is left then ends with this process."""
SEEN_S_MAX = 6.0
"""A worker that was not heard of for so many seconds gets no shard. Dask's own heartbeat is 0.5 s for a few workers, and 2 s for
200."""
SILENT_S_MAX = 60.0
"""Seconds after which Dask kills a worker of this machine that says nothing, and starts another. Its leases (30 s, and 15 s of
margin) are over by then."""

START_METHOD = "forkserver" if sys.platform == "linux" else "spawn"
"""How a process of this machine begins: forked from one that has imported everything already, where forking is safe."""
IMPORTED_ONCE = (
    "distributed",
    "purgeengine.jobs.coordination.shard_task",
    "purgeengine.edges.login",
    "purgeengine.edges.http.transport",
    "purgeengine.edges.worker_channel",
    "aiohttp",
    "msal",
    "pyarrow.parquet",
)
"""Modules that the first process imports for all others. They start no threads when they are imported."""

Message = Mapping[str, Any]


class CallFailed(Exception):
    """A call on a worker did not return: the worker is gone, hangs, or has another version. The text says what Dask said."""


def refuse_without_dask(option: str) -> None:
    """Raise `UsageProblem` if dask.distributed is not installed."""
    _silence_dask()
    with needs_extra("dask", f"{option} needs dask.distributed"):
        import distributed  # noqa: F401


class WorkerCluster:
    """The workers, by the address of each. Every method may be called in any thread."""

    def __init__(self, client: Any) -> None:
        """Only `here` and `at` call this."""
        self._client = client
        self._purge = ""
        self._beats: dict[str, tuple[float, float]] = {}

    @classmethod
    @contextmanager
    def here(cls, workers: int, scratch: Path) -> Iterator[WorkerCluster]:
        """Start so many processes on this machine, and end them at the end. ``scratch`` is a folder for Dask's own files.

        Raises `RunStopped` if they do not start.
        """
        settings = {
            "distributed.scheduler.http.routes": [],
            "distributed.worker.http.routes": [],
            "distributed.scheduler.allowed-failures": 0,  # a task whose worker has died is not run elsewhere
            "distributed.scheduler.worker-ttl": f"{SILENT_S_MAX:.0f}s",
            "distributed.worker.preload": ["purgeengine.edges.worker_channel"],
            "distributed.worker.multiprocessing-method": START_METHOD,
        }
        with _quiet_dask(settings):
            from distributed import Client, LocalCluster
            from distributed.security import Security

            _import_once()

            try:
                cluster = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=THREADS,
                    processes=True,
                    memory_limit=0,
                    host="127.0.0.1",
                    protocol="tls://",
                    security=Security.temporary(),
                    dashboard_address=None,
                    silence_logs=50,
                    local_directory=str(scratch),
                )
                client = Client(cluster, set_as_default=False)
                client.wait_for_workers(workers, timeout=START_S_MAX)
            except (OSError, RuntimeError, TimeoutError) as error:
                raise RunStopped(f"The worker processes did not start: {error}. Nothing was sent by them.") from error
            try:
                yield cls(client)
            finally:
                for closed in (client, cluster):
                    with suppress(Exception):  # the processes end with this one at the latest
                        closed.close(timeout=CLOSE_S_MAX)

    @classmethod
    @contextmanager
    def at(cls, address: SchedulerAddress) -> Iterator[WorkerCluster]:
        """Connect to a scheduler that somebody else has started.

        Raises `UsageProblem` if Dask's configuration names no certificates, and `RunStopped` if the scheduler cannot be reached.
        """
        with _quiet_dask({}):
            from distributed import Client
            from distributed.security import Security

            security = Security(require_encryption=True) if address.is_encrypted else None
            if security is not None:
                address.refuse_missing_certificates(security.tls_ca_file, security.tls_client_cert)
            try:
                client = Client(address.text, security=security, set_as_default=False, timeout=CONNECT_S_MAX)
            except (OSError, RuntimeError, TimeoutError) as error:  # a refused certificate is an OSError, too
                raise RunStopped(
                    f"The scheduler at {address.text} could not be reached: {error or type(error).__name__}. Is it running there, "
                    "and do both sides have certificates of one authority? Nothing was sent."
                ) from error
            except ValueError as error:
                raise UsageProblem(
                    f"The scheduler at {address.text} cannot be used: {error}. Nothing was sent."
                ) from error
            try:
                yield cls(client)
            finally:
                with suppress(Exception):
                    client.close(timeout=CLOSE_S_MAX)

    def workers(self) -> dict[str, str]:
        """Return the names of the workers that are there now, by address. It compares no clocks of several machines.

        Raises `ConnectionError` if the scheduler is gone. A client that connects again would not hear what it listened to.
        """
        if self._client.status != "running":
            raise ConnectionError("the scheduler is gone, and without it all runs stop within half a minute")
        try:
            known = self._client.scheduler_info(n_workers=-1)["workers"]
        except (OSError, TimeoutError):
            return {}
        now = time.monotonic()
        for address, one in known.items():  # of a scheduler that is gone, Dask returns what it knew last
            if self._beats.get(address, (None, 0.0))[0] != one["last_seen"]:
                self._beats[address] = (one["last_seen"], now)
        self._beats = {address: beat for address, beat in self._beats.items() if address in known}
        return {
            address: str(one["name"]) for address, one in known.items() if now - self._beats[address][1] < SEEN_S_MAX
        }

    def listen(self, purge: str, hear: Callable[[Message], None]) -> None:
        """Call ``hear`` with each message of a run of this purge, in a thread of Dask's. It must neither wait nor raise.

        ``purge`` names the purge, because several may use one scheduler.
        """
        self._purge = purge
        self._client.subscribe_topic(UP + purge, lambda event: hear(event[1]["said"]))

    def tell(self, message: Message) -> None:
        """Send a message to all runs of the purge that is listened to. It may be lost."""
        with suppress(OSError):
            self._client.log_event(DOWN + self._purge, dict(message))

    def start(self, function: Callable[..., Any], *arguments: Any, key: str, address: str) -> Any:
        """Call ``function`` on the worker at this address, and on no other. Return the future."""
        with warnings.catch_warnings(action="ignore"):  # Dask warns of large arguments; ours are bounded
            return self._client.submit(
                function, *arguments, key=key, workers=[address], allow_other_workers=False, pure=False, retries=0
            )

    def call(self, function: Callable[..., Any], *arguments: Any, address: str, within_s: float) -> Any:
        """Call ``function`` on this worker, and return what it returns.

        Raises `CallFailed` if that takes longer, or if the worker is gone. Errors of the program itself pass.
        """
        key = f"{function.__name__}-{os.urandom(8).hex()}"
        try:
            future = self.start(function, *arguments, key=key, address=address)
            try:
                return future.result(timeout=within_s)
            except TimeoutError:
                future.cancel()
                raise
        except (PurgeEngineError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # of Dask, whose errors share no class, or of another version of this program
            raise CallFailed(f"{type(error).__name__}: {error}") from error


def _silence_dask() -> None:
    """Keep Dask from logging, also in the processes that it starts. A lost worker is told by ourselves, in a sentence."""
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "critical")
    logging.getLogger("distributed").setLevel(logging.CRITICAL)


def _import_once() -> None:
    """Let the processes that follow be forked from one that has imported what they need, if they are forked at all."""
    if START_METHOD == "forkserver":
        from distributed.utils import get_mp_context

        get_mp_context().set_forkserver_preload([*IMPORTED_ONCE])  # after Dask's own list, which it sets once


@contextmanager
def _quiet_dask(settings: Mapping[str, Any]) -> Iterator[None]:
    """Use Dask with these settings."""
    _silence_dask()
    with warnings.catch_warnings(action="ignore"):
        import dask

        with dask.config.set(settings):
            yield
