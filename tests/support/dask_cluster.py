"""A Dask cluster of real processes, started by Dask's own command line: certificates of both sides, and an environment for each."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme

from tests.support.cli_fixtures import Bench

QUICK = ("-m", "tests.support.quick_leases")
"""The command line with short leases: `tests.support.quick_leases`."""
SECRETS = ("AZURE_CLIENT_SECRET", "AZURE_CLIENT_ID", "AZURE_TENANT_ID")


def wait_until(true: Callable[[], Any], within_s: float = 60.0) -> None:
    """Wait until something is true."""
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)


@dataclass
class DaskCluster:
    """Certificates, a scheduler, and workers by number. Each has a folder below ``folder``, in which it was started."""

    bench: Bench
    folder: Path
    port: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The address of the scheduler."""
        return f"tls://127.0.0.1:{self.port}"

    @property
    def tls(self) -> list[str]:
        """The options of Dask's command line for certificates."""
        return [
            *("--tls-ca-file", str(self.folder / "ca.pem")),
            *("--tls-cert", str(self.folder / "node.pem")),
            *("--tls-key", str(self.folder / "node.key")),
        ]

    @property
    def client_environment(self) -> dict[str, str]:
        """What the coordinator needs, and nothing secret of the tenant."""
        names = "DASK_DISTRIBUTED__COMM__TLS__"
        return {
            f"{names}CA_FILE": str(self.folder / "ca.pem"),
            f"{names}CLIENT__CERT": str(self.folder / "node.pem"),
            f"{names}CLIENT__KEY": str(self.folder / "node.key"),
            **dict.fromkeys(SECRETS, ""),
        }

    def start_scheduler(self) -> None:
        """Start a scheduler at the address."""
        self._start(
            "scheduler",
            ["scheduler", "--host", "127.0.0.1", "--protocol", "tls", "--port", str(self.port), "--no-dashboard"],
            dict.fromkeys(SECRETS, ""),
        )

    def start_worker(
        self, number: int, *, to: str | None = None, nanny: bool = False, more: tuple[str, ...] = ()
    ) -> None:
        """Start a worker with a disk of its own."""
        name = f"worker-{number}"
        arguments = [
            "worker",
            to or self.address,
            "--host",
            "127.0.0.1",
            "--name",
            name,
            "--nthreads",
            "1",
            "--no-dashboard",
        ]
        arguments += ["--memory-limit", "0", "--local-directory", "scratch", "--death-timeout", "60"]
        self._start(name, [*arguments, "--nanny" if nanny else "--no-nanny", *more], {})

    def _start(self, name: str, arguments: list[str], environment: Mapping[str, str]) -> None:
        place = self.folder / name
        place.mkdir(exist_ok=True)
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments, *self.tls],
                cwd=place,
                env=self.bench._environment(
                    {
                        "PYTHONPATH": os.pathsep.join([*sys.path[:1], str(Path(__file__).parents[2])]),
                        "PYTHONWARNINGS": "ignore",
                        **environment,
                    }
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def coordinator(self, *more: str, program: tuple[str, ...] = QUICK, **environment: str) -> subprocess.Popen[str]:
        """Start the command."""
        arguments = self.bench.run_arguments("--scheduler", self.address, "--quarantine-s", "2", *more)
        return self.bench.start(*arguments, program=program, **{**self.client_environment, **environment})

    def disk(self, number: int) -> Path:
        """Return the folder in which a worker keeps its shards."""
        return self.folder / f"worker-{number}" / "purgeengine-shards"

    def kill(self, name: str, how: int = signal.SIGKILL) -> None:
        """Send a signal to all processes that were started under this name."""
        with suppress(ProcessLookupError):
            os.killpg(self.processes[name].pid, how)
        if how == signal.SIGKILL:
            self.processes[name].wait(30.0)

    def log(self, name: str) -> str:
        """Return what a process has written."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")


@contextmanager
def a_cluster(bench: Bench, workers: int) -> Iterator[DaskCluster]:
    """Start a scheduler and workers, and end them at the end."""
    folder = bench.folder / "cluster"
    folder.mkdir()
    authority = trustme.CA()
    node = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    node.private_key_pem.write_to_path(str(folder / "node.key"))
    node.cert_chain_pems[0].write_to_path(str(folder / "node.pem"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cluster = DaskCluster(bench, folder, port)
    try:
        cluster.start_scheduler()
        for number in range(workers):
            cluster.start_worker(number)
        yield cluster
    finally:
        for name in cluster.processes:
            cluster.kill(name)
