"""Do the tests notice mistakes? mutmut makes small mistakes in the core and the ledger, and the quick tests must fail.

mutmut makes the mutants and asks mypy and then the tests (``[tool.mutmut]`` in pyproject.toml). This program runs it,
counts by file, and compares the survivors with ``tests/mutants_explained.txt``, so that a new one is noticed. Its
files are in ``mutants/``; a mutant that was tested is not tested again until its function changes. SQL in another
letter case means the same, and needs no line there.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

EXPLAINED = Path(__file__).parents[1] / "mutants_explained.txt"
MADE = Path("mutants")
IN_MEMORY = Path("/dev/shm")
"""Folder of files in memory on Linux. Tests that sync take half the time there."""
AREAS = ("core", "edges/ledger")
KILLED, TYPED, LATE, LIVES, UNTOUCHED, UNTRIED = "killed", "typed", "timeout", "survived", "no test", "not tried"
BY_EXIT_CODE = {0: LIVES, 1: KILLED, 3: KILLED, 5: UNTOUCHED, 33: UNTOUCHED, 37: TYPED, None: UNTRIED}
BY_EXIT_CODE |= dict.fromkeys((-24, 24, 36, 152, 255), LATE)
"""The results of mutmut, by exit code. A test run that ends otherwise (by a signal, for example) has killed its mutant too."""


def mutants_of(path: Path) -> dict[str, str]:
    """Return the mutants of a file of the product, and what became of each."""
    meta = MADE / f"{path}.meta"
    if not meta.exists() or not meta.stat().st_size:
        return {}
    found = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
    return {name: BY_EXIT_CODE.get(code, KILLED) for name, code in found.items()}


SQL = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|FROM|WHERE|VALUES|SET|CASE|WHEN|PRAGMA|BEGIN|CREATE|JOIN|ORDER BY)\b")


def diff_of(name: str, path: Path) -> list[str]:
    """Return what the mutant changes, without the two header lines."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    diff: str = get_diff_for_mutant(name, path=path)
    return diff.splitlines()[2:]


def is_same_sql(diff: list[str]) -> bool:
    """True if only the letter case of SQL changed, outside of its literals: it means the same."""
    before, after = ("".join(line[1:] for line in diff if line.startswith(mark)) for mark in "-+")
    literals = [re.findall("'[^']*'", text) for text in (before, after)]
    return bool(SQL.search(before)) and before.casefold() == after.casefold() and literals[0] == literals[1]


def told(name: str, path: Path) -> str:
    """Return a mutant as in the list of explained ones: where it is, and the line as the mutant has it."""
    diff = diff_of(name, path)
    mark = "+" if any(line.startswith("+") for line in diff) else "-"
    changed = " ".join(line[1:].strip() for line in diff if line.startswith(mark))
    mangled = name.rpartition("__mutmut_")[0].rpartition(".")[2]  # x_function or xǁClassǁmethod
    function = mangled[2:].replace("ǁ", ".")
    return f"{path.with_suffix('').as_posix().removeprefix('purgeengine/')} {function} | {changed}"


def explained() -> dict[str, str]:
    """Read the list: a mutant's line (a trailing … stands for any rest) to the reason why it may live."""
    reasons: dict[str, str] = {}
    reason = ""
    for line in EXPLAINED.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            reason = line[2:]
        elif line:
            reasons[line] = reason
    return reasons


def is_explained(said: str, reasons: dict[str, str]) -> bool:
    """True if a survivor is in the list."""
    return said in reasons or any(said.startswith(known[:-1]) for known in reasons if known.endswith("…"))


def files() -> Iterator[Path]:
    """Yield the files that are mutated."""
    for area in AREAS:
        yield from sorted(Path("purgeengine", area).rglob("*.py"))


def run(names: list[str], jobs: int) -> None:
    """Let mutmut test these mutants (or patterns), or all new ones."""
    here = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])}
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as scratch:
        here |= {"TMPDIR": scratch, "PYTEST_DEBUG_TEMPROOT": scratch}
        subprocess.run(["mutmut", "run", "--max-children", str(jobs), *names], env=here, check=True)


EPILOG = """\b
Examples:
  python -m tests.campaigns.mutants --run
  python -m tests.campaigns.mutants --run "purgeengine.core.limits.window.*"
  python -m tests.campaigns.mutants --again"""


@click.command(epilog=EPILOG)
@click.argument("patterns", nargs=-1)
@click.option(
    "--run", "running", is_flag=True, help="Test what is new, or the mutants of these patterns, before reporting."
)
@click.option("--again", is_flag=True, help="Test the unexplained survivors once more, with the tests as they are now.")
@click.option("--jobs", type=click.IntRange(min=1), default=os.cpu_count() or 1, show_default=True, help="Processes.")
def main(patterns: tuple[str, ...], running: bool, again: bool, jobs: int) -> None:
    """Count the mutants by file, and show the survivors that nobody has explained. Exit code 1 if there are any."""
    if running:
        run(list(patterns), jobs)
    living = _report(quiet=again)
    if again and living:
        run(living, jobs)
        living = _report(quiet=False)
    sys.exit(1 if living else 0)


def _report(*, quiet: bool) -> list[str]:
    """Print the table unless ``quiet``. Return the names of the unexplained survivors."""
    reasons, living, shown = explained(), [], []
    columns = (KILLED, TYPED, LATE, LIVES, UNTOUCHED, UNTRIED)
    rows: dict[str, Counter[str]] = {}
    for path in files():
        found = mutants_of(path)
        for row in (path.as_posix().removeprefix("purgeengine/"), *(area for area in AREAS if area in path.as_posix())):
            rows.setdefault(row, Counter()).update(found.values())
        for name, end in found.items():
            if end not in (LIVES, UNTOUCHED):
                continue
            said = told(name, path)
            if is_explained(said, reasons) or is_same_sql(diff_of(name, path)):
                for row in (path.as_posix().removeprefix("purgeengine/"), *(a for a in AREAS if a in path.as_posix())):
                    rows[row]["explained"] += 1
            else:
                living.append(name)
                shown.append(f"{said}    [{name}]")
    if not quiet:
        click.echo(f"{'':<32}{'all':>6}" + "".join(f"{column:>10}" for column in (*columns, "explained")))
        for row, ends in rows.items():
            total = sum(ends[column] for column in columns)
            if total:
                click.echo(
                    f"{row:<32}{total:>6}" + "".join(f"{ends[column]:>10}" for column in (*columns, "explained"))
                )
        for line in shown:
            click.echo(line)
    return living


if __name__ == "__main__":
    main()
