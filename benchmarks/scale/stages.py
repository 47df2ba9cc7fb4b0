"""The stages, each a process of its own, started by `benchmarks.scale`.

    python -m benchmarks.scale.stages STAGE FOLDER OPTIONS

FOLDER is scratch space. It has the input in ``input`` and the ledger in ``ledger``.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.scale.usage import tell
from purgeengine.memory import lean_memory

TENANT = "contoso"


def write(folder: Path, **job: Any) -> dict[str, Any]:
    """Write the input. The cost of this stage does not matter."""
    from benchmarks.scale.inputs import Job, write_input

    shutil.rmtree(folder / "input", ignore_errors=True)
    files = write_input(folder / "input", Job(**job))
    return {"bytes": sum(file.stat().st_size for file in files)}


def plan(folder: Path) -> dict[str, Any]:
    """Do what `plan` does: learn mailboxes, duplicates and bad rows, without making a ledger."""
    from purgeengine.edges.ledger import survey_input
    from purgeengine.edges.source import open_source

    survey = survey_input(open_source([folder / "input"]))
    return {"rows": survey.rows, "mailboxes": survey.mailboxes, "duplicates": survey.duplicates}


def index(folder: Path) -> dict[str, Any]:
    """Do the index pass: make a ledger of the input, as `run` does before it sends anything."""
    shutil.rmtree(folder / "ledger", ignore_errors=True)
    return _opened(folder)


def resume(folder: Path) -> dict[str, Any]:
    """Do what the same command does again: check the ledger, compare the input, look at every unfinished mailbox."""
    return _opened(folder)


def _opened(folder: Path) -> dict[str, Any]:
    from purgeengine.edges.ledger import Ledger
    from purgeengine.edges.source import open_source

    with Ledger.open(folder / "ledger", open_source([folder / "input"]), tenant_id=TENANT) as ledger:
        counts = ledger.counts()
        opened = ledger.mailboxes(now_utc_ms=round(time.time() * 1000), cooldown_s=40.0, window_s=601.0)
        mailboxes = sum(1 for _ in opened)
        bytes_ = sum(path.stat().st_size for path in (folder / "ledger").rglob("*") if path.is_file())
        return {"rows": counts.rows, "waiting": counts.waiting, "mailboxes": mailboxes, "ledger_bytes": bytes_}


def run(folder: Path, share: float, dispatch: str = "four") -> dict[str, Any]:
    """Run in simulated time until this share of the rows to send is settled."""
    from benchmarks.scale.playing import play_ledger

    return asdict(play_ledger(folder / "ledger", share, dispatch))


def fill(folder: Path, share: float) -> dict[str, Any]:
    """Settle the rows without a scheduler, for sizes at which a run would take too long."""
    from benchmarks.scale.filling import fill_ledger

    return {"settled": fill_ledger(folder / "ledger", share)}


def status(folder: Path) -> dict[str, Any]:
    """Do what `purgeengine status` does."""
    from click.testing import CliRunner

    from purgeengine.cli.commands.status import status as command

    said = CliRunner().invoke(command, [str(folder / "ledger"), "--json"], standalone_mode=False)
    if said.exception is not None:
        raise said.exception
    return {"outcomes": json.loads(said.stdout)["outcomes"]}


def export(folder: Path, ending: str) -> dict[str, Any]:
    """Export the ledger to a file."""
    from purgeengine.edges.ledger import LedgerReader
    from purgeengine.edges.ledger import export as write_export

    out = folder / f"export.{ending}"
    with LedgerReader.open(folder / "ledger") as reader:
        rows = write_export(reader, out)
    size = out.stat().st_size
    out.unlink()
    return {"rows": rows, "bytes": size}


STAGES: dict[str, Callable[..., dict[str, Any]]] = {
    stage.__name__: stage for stage in (write, plan, index, resume, run, fill, status, export)
}


def main() -> None:
    """Run one stage and print its cost."""
    lean_memory()  # the command line does it too
    name, folder, options = sys.argv[1:]
    started = time.perf_counter()
    figures = STAGES[name](Path(folder), **json.loads(options))
    tell(started, figures)


if __name__ == "__main__":
    main()
