"""Makes the ledgers of this folder with the code of an earlier commit: see README.md.

    python tests/ledgers/make.py CHECKOUT NAME

``CHECKOUT`` is a worktree of that commit, ``NAME`` the folder beside this file for what comes out. The interpreter must have the
dependencies of that commit.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MAILBOXES = (23, 9, 1)
NOBODY = "nobody@contoso.example"
SECRETS = {
    "AZURE_TENANT_ID": "5157a1ed-0000-4000-8000-000000000001",
    "AZURE_CLIENT_ID": "5157a1ed-0000-4000-8000-000000000002",
    "AZURE_CLIENT_SECRET": "simulated-secret",
}
KILL_S_MAX = 60.0


def user(mailbox: int) -> str:
    """A user principal name."""
    return f"user{mailbox:04d}@contoso.example"


def rows() -> list[list[str]]:
    """The rows of the three mailboxes, with a column of the input's own."""
    return [
        [user(mailbox), "", f"AAMkAGI2{'T' * 96}{mailbox:04d}{row:08d}=", f"note {row}"]
        for mailbox, count in enumerate(MAILBOXES)
        for row in range(count)
    ]


class Old:
    """The commands of a checkout, in processes of their own."""

    def __init__(self, checkout: Path, scratch: Path) -> None:
        self.scratch = scratch
        self.environment = {**os.environ, **SECRETS, "PYTHONPATH": str(checkout), "PURGEENGINE_CONFIG": os.devnull}
        self.listed = self.write("tenant.csv", rows())

    def write(self, name: str, lines: Sequence[Sequence[str]]) -> Path:
        """A list with a header."""
        path = self.scratch / name
        with path.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([["user", "folder", "contact", "note"], *lines])
        return path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command, running."""
        command = [sys.executable, "-m", "purgeengine", *arguments]
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def said(self, *arguments: str) -> str:
        """A command to its end: what it said."""
        return self.start(*arguments).communicate()[0]

    def run(self, source: Path, *more: str, latency_ms: int = 1, kill: bool = False) -> Path:
        """A run against a tenant that holds the three mailboxes; ``kill`` ends it by SIGKILL with a batch in flight."""
        ledger = self.scratch / f"ledger-{source.stem}"
        server = self.start(
            "simulate", str(self.listed), "--json", "--ca-file", str(self.scratch / "ca.pem"), "--latency-ms", str(latency_ms)
        )  # fmt: skip
        try:
            assert server.stdout is not None
            text = ""
            while not text.endswith("}\n") or text.count("{") != text.count("}"):
                text += server.stdout.readline()
            at = json.loads(text)
            endpoint = ["--graph-url", at["graph_url"], "--authority", at["authority_url"], "--ca-file", at["ca_file"]]
            process = self.start("run", str(source), "--ledger", str(ledger), "--yes", "--quiet", *endpoint, *more)
            if kill:
                wait_for_batches(ledger / "ledger.sqlite")
                process.send_signal(signal.SIGKILL)
            process.communicate()
        finally:
            server.kill()
            server.communicate()
        return ledger


def wait_for_batches(database: Path) -> None:
    """Until one batch was answered and another is in flight."""
    give_up_at = time.monotonic() + KILL_S_MAX
    while time.monotonic() < give_up_at:
        if database.exists():
            connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)
            try:
                query = "SELECT count(ended_ms), count(*) - count(ended_ms) FROM batch"
                ended, in_flight = connection.execute(query).fetchone()
            except sqlite3.Error:  # the tables are being made
                ended = in_flight = 0
            finally:
                connection.close()
            if ended and in_flight:
                return
        time.sleep(0.01)
    raise SystemExit("No batch was answered while another was in flight.")


def keep(old: Old, ledger: Path, out: Path) -> None:
    """Pack the ledger, and what the old code says of it: its counts and its export."""
    found: dict[str, Any] = json.loads(old.said("status", str(ledger), "--json"))
    counts = {name: found[name] for name in ("rows", "outcomes", "waiting", "in_doubt")}
    export = old.scratch / f"{out.stem}-export.csv"
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for path in sorted(ledger.rglob("*")):
            if path.is_file() and not path.name.endswith("-shm"):
                packed.write(path, f"ledger/{path.relative_to(ledger).as_posix()}")
        old.said("export", str(ledger), str(export))
        packed.write(export, "export.csv")
        packed.writestr("status.json", json.dumps(counts, indent=1))


def main(checkout: Path, out: Path) -> None:
    """Make the four ledgers."""
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        old = Old(checkout, Path(folder))
        faulty = [
            *rows(),
            ["no user", "", "x", ""],
            rows()[0],
            [NOBODY, "", rows()[1][2], ""],
            [NOBODY, "", rows()[2][2], ""],
        ]
        ids = [
            [str(uuid.uuid5(uuid.NAMESPACE_URL, line[0])) if n % 2 else line[0], *line[1:]]
            for n, line in enumerate(rows())
        ]
        excluded = Path(folder) / "excluded.txt"
        excluded.write_text(user(1) + "\n", encoding="utf-8")
        made = {
            "finished": old.run(old.write("finished.csv", faulty)),
            "killed": old.run(
                old.write("killed.csv", rows()), "--connections", "1", "--fanout", "4", latency_ms=900, kill=True
            ),
            "resolved": old.run(old.write("resolved.csv", ids), "--resolve-users"),
            "filtered": old.run(old.write("filtered.csv", rows()), "--exclude-users", str(excluded)),
        }
        for name, ledger in made.items():
            keep(old, ledger, out / f"{name}.zip")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), Path(__file__).parent / sys.argv[2])
