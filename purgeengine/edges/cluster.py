"""Worker processes of this machine, by dask.distributed. No other module imports it.

Dask starts the processes, starts one again that has died, and brings calls, messages and results from here to there. It decides
nothing: it may run a task twice, and messages may be lost. Who may send is decided by leases (`purgeengine.core.sharing`).

Whoever reaches the port of a Dask process can run code in it. So all processes listen on loopback only and speak TLS, with a key
that is made anew for each run, that both sides must have, and that is never written to a disk.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from purgeengine.edges.extras import needs_extra
from purgeengine.errors import RunStopped

UP, DOWN = "purge-up", "purge-down"
"""Topics of the messages from the runs to the coordinator, and back."""
THREADS = 2
"""Threads of a worker: one more than it has shards, so that a task that hangs leaves room for the one that replaces it."""
START_S_MAX = 120.0
"""Seconds in which the processes must be there. Each imports everything, maybe from a slow disk."""
CLOSE_S_MAX = 10.0
"""Seconds for an orderly end of the processes. What is left then ends with this process."""
SEEN_S_MAX = 2.0
"""A worker that was not heard of for so many seconds (Dask's own heartbeat is 0.5 s) gets no shard."""
SILENT_S_MAX = 60.0
"""Seconds after which Dask kills a worker that says nothing, and starts another. Its leases (30 s, and 15 s of margin) are over by
then."""
GREETINGS_MAX, GREETING_S = 100, 0.1
"""How often, and how many seconds apart, a worker sends itself a message, to learn that it hears what is said."""

Message = Mapping[str, Any]


def refuse_without_dask() -> None:
    """Raise `UsageProblem` if dask.distributed is not installed."""
    with needs_extra("dask", "--workers needs dask.distributed"):
        import distributed  # noqa: F401


class WorkerCluster:
    """The worker processes, numbered from 0. Every method may be called in any thread."""

    def __init__(self, cluster: Any, client: Any) -> None:
        """Only `open` calls this."""
        self._cluster = cluster
        self._client = client

    @classmethod
    @contextmanager
    def open(cls, workers: int, scratch: Path) -> Iterator[WorkerCluster]:
        """Start the processes, and end them at the end. ``scratch`` is a folder for Dask's own files.

        Raises `RunStopped` if they do not start.
        """
        os.environ.setdefault(
            "DASK_LOGGING__DISTRIBUTED", "critical"
        )  # a lost worker is told by ourselves, in a sentence
        with warnings.catch_warnings(action="ignore"):
            import dask
            from distributed import Client, LocalCluster
            from distributed.security import Security

            settings = {
                "distributed.scheduler.http.routes": [],
                "distributed.worker.http.routes": [],
                "distributed.scheduler.allowed-failures": 0,  # a task whose worker has died is not run elsewhere
                "distributed.scheduler.worker-ttl": f"{SILENT_S_MAX:.0f}s",
                "distributed.worker.preload": ["purgeengine.edges.cluster"],
            }
            with dask.config.set(settings):
                try:
                    security = Security.temporary()
                    cluster = LocalCluster(
                        n_workers=workers,
                        threads_per_worker=THREADS,
                        processes=True,
                        memory_limit=0,
                        host="127.0.0.1",
                        protocol="tls://",
                        security=security,
                        dashboard_address=None,
                        silence_logs=50,
                        local_directory=str(scratch),
                    )
                    client = Client(cluster, set_as_default=False)
                    client.wait_for_workers(workers, timeout=START_S_MAX)
                except (OSError, RuntimeError, TimeoutError) as error:
                    raise RunStopped(
                        f"The worker processes did not start: {error}. Nothing was sent by them."
                    ) from error
                try:
                    yield cls(client=client, cluster=cluster)
                finally:
                    with suppress(Exception):  # the processes end with this one at the latest
                        client.close(timeout=CLOSE_S_MAX)
                    with suppress(Exception):
                        cluster.close(timeout=CLOSE_S_MAX)

    def workers(self) -> dict[int, str]:
        """Return the addresses of the workers that are there now, by number."""
        try:
            known = self._client.scheduler_info(n_workers=-1)["workers"]
        except (OSError, TimeoutError):
            return {}
        now = time.time()
        return {int(one["name"]): address for address, one in known.items() if now - one["last_seen"] < SEEN_S_MAX}

    def listen(self, hear: Callable[[Message], None]) -> None:
        """Call ``hear`` with each message of a run, in a thread of Dask's. It must neither wait nor raise."""
        self._client.subscribe_topic(UP, lambda event: hear(event[1]["said"]))

    def tell(self, message: Message) -> None:
        """Send a message to all runs. It may be lost."""
        with suppress(OSError):
            self._client.log_event(DOWN, dict(message))

    def start(self, function: Callable[..., Any], argument: Any, *, key: str, address: str) -> Any:
        """Call ``function`` on the worker at this address, and on no other. Return the future."""
        return self._client.submit(
            function, argument, key=key, workers=[address], allow_other_workers=False, pure=False, retries=0
        )


# ------------------------------------------------------------------------------------------------------------- a worker


def dask_setup(worker: Any) -> None:
    """Prepare a worker process. A Ctrl-C at the terminal reaches it too, but it is the coordinator who stops it in order."""
    for name in ("SIGINT", "SIGHUP", "SIGTERM", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None and threading.current_thread() is threading.main_thread():
            signal.signal(number, signal.SIG_IGN)


class WorkerChannel:
    """The way from the tasks of this process to the coordinator, and back. One for each process."""

    def __init__(self) -> None:
        """Subscribe. To be called in a task."""
        from distributed import get_client, get_worker

        self._worker = get_worker()
        self._client = get_client()
        self._hearing: dict[str, Callable[[Message], None]] = {}
        self._heard_itself = threading.Event()
        self._greeting = f"{os.getpid()}-{time.monotonic_ns()}"
        self._client.subscribe_topic(DOWN, self._hear)
        for _ in range(GREETINGS_MAX):
            self._client.log_event(DOWN, {"greeting": self._greeting})
            if self._heard_itself.wait(GREETING_S):
                return
        raise RunStopped("A worker process does not hear what the coordinator says. Nothing was sent by it.")

    def say(self, message: Message) -> None:
        """Send a message to the coordinator. It may be lost. This does not wait."""
        with suppress(OSError):
            self._worker.log_event(UP, {"said": dict(message)})  # Dask adds a key of its own beside it

    @contextmanager
    def hearing(self, run: str, hear: Callable[[Message], None]) -> Iterator[None]:
        """Call ``hear`` with each message for this run while inside, in Dask's own loop. It must neither wait nor raise."""
        self._hearing[run] = hear
        try:
            yield
        finally:
            del self._hearing[run]

    def _hear(self, event: tuple[float, Message]) -> None:
        message = event[1]
        if message.get("greeting") == self._greeting:
            self._heard_itself.set()
        hear = self._hearing.get(str(message.get("run")))
        if hear is not None:
            hear(message)


_lock = threading.Lock()
_channels: list[WorkerChannel] = []


def worker_channel() -> WorkerChannel:
    """Return the channel of this worker process. To be called in a task."""
    with _lock:
        if not _channels:
            _channels.append(WorkerChannel())
        return _channels[0]
