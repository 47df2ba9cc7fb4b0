"""The real command line against a simulated tenant, over real HTTP and TLS.

It runs in a process of its own, or in the test's process where nothing depends on the process.
"""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from purgeengine.cli import main
from purgeengine.edges.ledger import LedgerReader, export
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.login.login_endpoint import LoginEndpoint
from purgeengine.sim.server.background_server import in_background
from purgeengine.sim.server.http_server import SimulatedTenant

TIMEOUT_S = 100.0
Row = tuple[str, str, str]


def rows_of(counts: Sequence[int]) -> list[Row]:
    """Return rows sorted by mailbox, with ids of ordinary length."""
    return [
        (f"user{mailbox:04d}@contoso.example", "", f"AAMkAGI2{'T' * 96}{mailbox:04d}{row:08d}=")
        for mailbox, count in enumerate(counts)
        for row in range(count)
    ]


def write_csv(path: Path, rows: Sequence[Row]) -> Path:
    """Write an input file."""
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("user", "folder", "contact"))
        writer.writerows(rows)
    return path


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The JSON that it printed on stdout."""
        found: dict[str, Any] = json.loads(self.out)
        return found


@dataclass(frozen=True)
class Bench:
    """A folder, a tenant that listens, and the command line that uses this tenant."""

    folder: Path
    server: SimulatedTenant
    input: Path

    @property
    def ledger(self) -> Path:
        """The ledger's folder of `run`."""
        return self.folder / "ledger"

    def run_arguments(self, *more: str) -> list[str]:
        """Return the arguments of ``run`` with the addresses of the tenant."""
        server = self.server
        endpoint = [
            "--graph-url",
            server.graph_url,
            "--authority",
            server.authority_url,
            "--ca-file",
            str(server.ca_file),
        ]
        return ["run", str(self.input), "--ledger", str(self.ledger), "--yes", "--json", "--quiet", *endpoint, *more]

    def run(self, *more: str, timeout_s: float = TIMEOUT_S, **environment: str) -> Ended:
        """Run ``run`` to its end."""
        return self.command(*self.run_arguments(*more), timeout_s=timeout_s, **environment)

    def command(self, *arguments: str, timeout_s: float = TIMEOUT_S, **environment: str) -> Ended:
        """Run any command to its end."""
        with self.start(*arguments, **environment) as process:
            try:
                out, err = process.communicate(timeout=timeout_s)
            except BaseException:
                process.kill()
                raise
        return Ended(process.returncode, out, err)

    def run_here(self, *more: str, **environment: str) -> Ended:
        """Run ``run`` to its end in this process. That takes half the CPU of a process, whose start costs the most."""
        return self.here(*self.run_arguments(*more), **environment)

    def here(self, *arguments: str, **environment: str) -> Ended:
        """Run any command that asks nothing at a terminal, in this process. Unlike a process, it cannot be stopped."""
        with (
            patch.dict(os.environ, self._environment(environment), clear=True),
            redirect_stdout(io.StringIO()) as out,
            redirect_stderr(io.StringIO()) as err,
        ):
            code = main.run(arguments)
        return Ended(code, out.getvalue(), err.getvalue())

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """Return this process's environment with the credentials of the tenant's app. An empty value removes a name."""
        app = self.server.login.app
        credentials = {
            "AZURE_TENANT_ID": app.tenant_id,
            "AZURE_CLIENT_ID": app.client_id,
            "AZURE_CLIENT_SECRET": app.client_secret,
        }
        own = {"PYTHONWARNINGS": "error::RuntimeWarning", "PURGEENGINE_CONFIG": os.devnull}
        return {name: value for name, value in {**os.environ, **credentials, **own, **more}.items() if value}

    def start(
        self,
        *arguments: str,
        stdin: int = subprocess.DEVNULL,
        program: Sequence[str] = ("-m", "purgeengine"),
        command: Sequence[str] = (),
        how: Mapping[str, Any] | None = None,
        **environment: str,
    ) -> subprocess.Popen[str]:
        """Start any command. An empty value removes a name from its environment.

        ``how`` are arguments of `subprocess.Popen`; ``command`` is another command line than ours.
        """
        usual = {
            "stdin": stdin,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "start_new_session": True,  # a test must not ask at the terminal from which the tests were started
        }
        return subprocess.Popen(
            [*command] or [sys.executable, *program, *arguments],
            env=self._environment(environment),
            text=True,
            encoding="utf-8",
            **{**usual, **(how or {})},
        )

    def exported(self, ledger: str = "ledger") -> list[dict[str, str]]:
        """Return the rows of a ledger in the folder, as `export` writes them."""
        out = self.folder / f"{ledger}.csv"
        with LedgerReader.open(self.folder / ledger) as reader:
            export(reader, out)
        with out.open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))


@contextmanager
def a_bench(
    folder: Path, tenant: Tenant, rows: Sequence[Row], login: LoginEndpoint | None = None, **options: Any
) -> Iterator[Bench]:
    """Set everything up inside the context. ``options`` are the server's."""
    source = write_csv(folder / "input.csv", rows)
    with in_background(SimulatedTenant(tenant, login, ca_file=folder / "ca.pem", hang_s_max=60.0, **options)) as server:
        yield Bench(folder, server, source)
