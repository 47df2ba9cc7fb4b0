"""Commands that write, on a disk that is too small for what they write: real processes on a real file system."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from purgeengine.core.policy.filters import NOBODY, UserFilter
from purgeengine.edges.ledger import Ledger
from purgeengine.edges.source import open_source
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.tenant_settings import TenantSettings
from tests.support.cli_fixtures import Row, a_bench

ROWS = 20_000
"""Rows with ids that no compression makes smaller. The ledger takes about 6 MiB."""
COMMANDS = ("run", "stdin", "retry", "export.csv", "export.csv.gz", "export.parquet", "report")
SPOKEN = re.compile(r"Traceback|Exception ignored|Error:|terminate called|never awaited|Warning")
"""Words that show in an output when a library or Python itself writes there."""


class NoSuchDisk(Exception):
    """This machine does not allow a small file system."""


@contextmanager
def small_disk(folder: Path, kib: int) -> Iterator[Path]:
    """Mount an empty file system of ``kib`` KiB inside the context. Raises `NoSuchDisk` if none can be mounted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "none", str(folder)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        raise NoSuchDisk("a small file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def rows_that_do_not_shrink(count: int = ROWS) -> list[Row]:
    """Return rows, forty for each mailbox, with the mailboxes mixed."""
    rng = Random(1)
    mailboxes = max(1, count // 40)
    return [
        (
            f"user{row % mailboxes:04d}@contoso.example",
            "",
            "AAMk" + base64.urlsafe_b64encode(rng.randbytes(108)).decode(),
        )
        for row in range(count)
    ]


def play_small_disk(scratch: Path, command: str, kib: int, rows: int = ROWS) -> Counter[str]:
    """Run one command on a disk of this size.

    It must do its work, or end with exit 5 and one sentence, and leave no half-made file. Raises AssertionError if it
    does not, and `NoSuchDisk` if there is no such disk.
    """
    listed = rows_that_do_not_shrink(rows)
    tenant = Tenant(TenantSettings(log=False), contacts=listed, seed=1)
    with a_bench(scratch, tenant, listed) as bench, small_disk(scratch / "disk", kib) as disk:
        arguments = [str(disk / "ledger") if given == str(bench.ledger) else given for given in bench.run_arguments()]
        if command not in ("run", "stdin"):
            tenant_id = bench.server.login.app.tenant_id
            with Ledger.open(bench.ledger, open_source([bench.input]), tenant_id=tenant_id) as ledger:
                ledger.leave_out(UserFilter(only=NOBODY), 0)  # so that every row has an outcome and can be retried
        if command == "stdin":
            arguments[1] = "-"
        elif command == "retry":
            arguments[:2] = ["retry", str(bench.ledger)]
        elif command == "report":
            arguments = ["report", str(bench.ledger), "-o", str(disk / "report.html")]
        elif command.startswith("export."):
            arguments = ["export", str(bench.ledger), str(disk / command.replace("export", "all"))]
        with bench.input.open("rb") as piped:
            how = {"stdin": piped}
            with bench.start(*arguments, how=how, TMPDIR=str(disk)) as process:
                _, err = process.communicate(timeout=300)
        left = [path.name for path in disk.rglob("*") if path.name.startswith(".")]
    told = f"{command} on {kib} KiB: exit {process.returncode}, {err}"
    assert process.returncode in (0, 1, 5), told
    assert SPOKEN.search(err) is None, told
    assert not left, f"{told} left {left}"
    if process.returncode == 5:
        assert err.count("purgeengine: ") == 1, told
    return Counter({"seeds": 1, f"{command} exit {process.returncode}": 1})
