"""A ledger whose files are cut, or have a changed byte or a sector of zeros: what may still be said of it, and what may not."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from purgeengine.cli import main
from purgeengine.errors import LedgerError
from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.wire.answers import Trouble
from tests.simulation.judge import GONE
from tests.simulation.scenario import Crash, Scenario
from tests.simulation.world import MEMORY_DISK, World

JOB = Scenario(
    seed=4,
    rows_by_mailbox=(12, 8, 5, 4, 3),
    faults=Faults.everything(0.03),
    troubles={3: Trouble.DENIED},
    absent=0.2,
    duplicates=0.1,
    invalid=0.05,
)
DIES_AT_STEP = 30
ADVICE = ("Restore ", "Check ", "Update purgeengine", "Use another folder", "again", "use a new one")
SECTOR = 512
LOG = "ledger.sqlite-wal"


@dataclass(frozen=True)
class Damage:
    """What happened to a file: it was cut at a place, a byte there was changed, or its sector holds zeros."""

    file: str
    how: str
    place: int
    by: int = 1

    def done_to(self, content: bytes) -> bytes:
        """Return the file afterwards."""
        if self.how == "cut":
            return content[: self.place]
        if self.how == "blank":
            return (
                content[: self.place]
                + bytes(len(content[self.place : self.place + SECTOR]))
                + content[self.place + SECTOR :]
            )
        return content[: self.place] + bytes([content[self.place] ^ self.by]) + content[self.place + 1 :]


@dataclass(frozen=True)
class Base:
    """A ledger before anything happened to it, with its status and its export."""

    files: Mapping[str, bytes]
    status: Mapping[str, object]
    export: str

    def damages(self) -> Iterator[Damage]:
        """Yield every cut, every changed byte, every sector of zeros."""
        for name, content in self.files.items():
            for place in range(len(content)):
                yield Damage(name, "cut", place)
                yield Damage(name, "flip", place)
                if place % SECTOR == 0:
                    yield Damage(name, "blank", place)


def a_world(base: str) -> World:
    """Return the job ``finished``, ``killed`` in the middle, or ``stopped`` there in good order."""
    if base == "finished":
        return World(JOB).run()
    world = World(Scenario(**{**vars(JOB), "crashes": (Crash(DIES_AT_STEP),)}))
    world.run_once(DIES_AT_STEP)
    if base == "stopped":
        world.stage().close()
    return world


BASES = ("finished", "killed", "stopped")


@cache
def base_of(name: str) -> Base:
    """Return the undamaged ledger. It is made once."""
    world = a_world(name)
    files = {
        path.relative_to(world.folder).as_posix(): path.read_bytes()
        for path in sorted(world.folder.rglob("*"))
        if path.is_file() and path.name != "lock" and not path.name.endswith("-shm")
    }
    with a_folder(files) as folder:
        code, out, err = command("status", str(folder), "--json")
        assert code == 0, err
        code, _, err = command("export", str(folder), str(folder / "export.csv"))
        assert code == 0, err
        return Base(files, without_advice(json.loads(out)), (folder / "export.csv").read_text(encoding="utf-8"))


@contextmanager
def a_folder(files: Mapping[str, bytes]) -> Iterator[Path]:
    """Make a ledger with these files, inside the context."""
    with TemporaryDirectory(dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None) as scratch:
        folder = Path(scratch) / "ledger"
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        yield folder


def command(*arguments: str) -> tuple[int, str, str]:
    """Run the command line in this process. Return exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main.run(arguments)
    return code, out.getvalue(), err.getvalue()


def play_damage(name: str, damage: Damage, *, resumes: bool = True) -> Counter[str]:
    """Look at the damaged ledger, export it and resume it: each gives exit 5 with a sentence, or only the truth."""
    base = base_of(name)
    content = damage.done_to(base.files[damage.file])
    try:
        with a_folder({**base.files, damage.file: content}) as folder:
            found = Counter({f"status {_look(base, damage, folder)}": 1, f"export {_export(base, damage, folder)}": 1})
        if resumes:
            found[f"resume {_resume(name, damage, content)}"] += 1
    except Exception as error:
        raise AssertionError(f"{name} ledger, {damage}: {type(error).__name__}: {error}") from error
    return found


def without_advice(status: dict[str, object]) -> dict[str, object]:
    """Return the figures alone: the advised commands and the list of ledgers name the folder, which differs each time."""
    return {key: value for key, value in status.items() if key not in ("advice", "ledgers")}


def _look(base: Base, damage: Damage, folder: Path) -> int:
    code, out, err = command("status", str(folder), "--json")
    if _is_refused(code, err):
        return code
    found = without_advice(json.loads(out))
    assert found["rows"] == base.status["rows"], found
    assert found == base.status or damage.file == LOG, f"{found} instead of {base.status}"
    return code


def _export(base: Base, damage: Damage, folder: Path) -> int:
    out = folder / "export.csv"
    code, _, err = command("export", str(folder), str(out))
    if _is_refused(code, err):
        assert not out.exists(), "an export was left"
        return code
    found = out.read_text(encoding="utf-8")
    if damage.file != LOG:
        assert found == base.export, found
    for now, before in zip(_rows(found), _rows(base.export), strict=True):
        # A log that was cut looks as after a power loss: what was recorded last is not known, and nothing else is
        # said of it.
        assert now == before or (not now["outcome"] and now["contact"] == before["contact"]), f"{now}, was {before}"
    return code


def _is_refused(code: int, err: str) -> bool:
    assert code in (0, 5), f"exit code {code}: {err}"
    if code == 0:
        return False
    assert err.startswith("purgeengine: "), err
    assert "Traceback" not in err, err
    assert any(words in err for words in ADVICE), err
    return True


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def _resume(name: str, damage: Damage, content: bytes) -> str:
    world = a_world(name)
    for left in world.folder.glob("ledger.sqlite-*"):
        left.unlink()
    for file, before in base_of(name).files.items():
        (world.folder / file).write_bytes(content if file == damage.file else before)
    world.run_once()
    if world.error is not None:
        assert type(world.error) is LedgerError, repr(world.error)
        assert any(words in str(world.error) for words in ADVICE), world.error
        return "5"
    try:
        rows = world.judge_of_runs.exported()
    except LedgerError:  # the file is one that a run does not read; a run with nothing left to send reads none
        assert damage.file.startswith(("input/", "order/")) or name == "finished", damage
        return "done"
    for row in rows:
        assert row["outcome"], f"not done: {row}"
        if row["outcome"] in GONE:
            assert not world.tenant.truth.exists(row["user"], row["contact"]), f"{row}: it still exists"
    if damage.file != LOG:
        world.judge()
    return "done"


def drawn(seed: int) -> tuple[str, Damage]:
    """Draw a damage from a seed. Neighbouring seeds lie far apart, and enough of them meet every place of every file."""
    name = BASES[seed % len(BASES)]
    places = _damages(name)
    damage = places[seed // len(BASES) * STRIDE % len(places)]
    return name, Damage(damage.file, damage.how, damage.place, Random(seed).randint(1, 255))


STRIDE = 1_000_003
"""A prime larger than the number of damages."""


@cache
def _damages(name: str) -> list[Damage]:
    return list(base_of(name).damages())
