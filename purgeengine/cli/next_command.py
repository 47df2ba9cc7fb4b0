"""The next command to type after a run: whole, quoted for the shell at hand, with the options that the run was given."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from purgeengine.cli.inputs import STANDARD_INPUT
from purgeengine.cli.output.summary_text import NextStep
from purgeengine.cli.setting_names import key_of
from purgeengine.core.policy.advice import HIDDEN_NAME, NEW_NAME
from purgeengine.core.policy.shell import quoted
from purgeengine.edges.ledger.running.shard_events import sharding_of
from purgeengine.errors import PurgeEngineError, RunStopped
from purgeengine.words import counted

if TYPE_CHECKING:
    from purgeengine.jobs.purge_request import PurgeRequest
    from purgeengine.jobs.summary import Summary

WINDOWS = os.name == "nt"
CARRIED = frozenset(
    {
        "auth",
        "authority",
        "ca_file",
        "cloud",
        "config",
        "connections",
        "exclude_users",
        "fanout",
        "graph_url",
        "lanes",
        "log_file",
        "log_format",
        "mailbox_requests",
        "mailbox_window_s",
        "only_users",
        "protected_users",
        "quarantine_s",
        "quiet",
        "rate",
        "time_zone",
        "verbose",
        "window",
    }
)
"""Options that a retry takes over from the run before it: the same tenant, the same filters, the same limits."""
RESUME_TOO = CARRIED | {
    "action",
    "auto_stop",
    "id_type",
    "max_failures",
    "max_items",
    "max_items_per_mailbox",
    "probe",
    "yes",
}
"""Options that a run takes over which resumes without its input."""
NAMES_TRIED = 1_000
"""Names that are tried for a new folder: with so many ledgers in one place, another name is better anyway."""
_NUMBERED = re.compile(r"(.+)-(\d{1,3})")


def next_step(summary: Summary, request: PurgeRequest) -> NextStep:
    """Return what to do after a run that has made or opened a ledger."""
    context = click.get_current_context()
    return replace(_next_step(summary, request, context), options=" ".join(carried(context, CARRIED)))


def _next_step(summary: Summary, request: PurgeRequest, context: click.Context) -> NextStep:
    folder = Path(summary.ledger)
    report = _report(folder, request)
    if summary.exit_code > 1:
        if summary.exit_code == RunStopped.exit_code:
            sentence = "Next, to resume this run:"
        else:
            sentence = "Next, when the cause is mended, to resume this run:"
        return NextStep(sentence, _again(context, folder), report, program())
    if request.unfinished and request.retry_of is not None:
        earlier = Path(request.retry_of)
        if left := _rows_left(earlier):
            resume = " ".join((program(), "run", "--ledger", _shown(earlier), *carried(context, CARRIED)))
            sentence = f"Next, to resume the earlier ledger, which has {counted(left, 'row')} left:"
            return NextStep(sentence, resume, report, program())
    mark = sharding_of(folder).mark
    if mark is not None:
        collect = " ".join((program(), "shard", "collect", _shown(Path(mark.head_name)), _shown(folder)))
        return NextStep("Next, where the ledger is that was cut, to collect this shard:", collect, report, program())
    retry = next(
        (command for advice in summary.advice for command in advice.commands if NEW_NAME in command.split()), None
    )
    if summary.exit_code == 1 and retry is not None:
        new = _shown(free_name(folder))
        words = [program(), retry.removeprefix("purgeengine ").replace(NEW_NAME, new), *carried(context, CARRIED)]
        return NextStep(
            "Next, when the causes are mended, to run these rows again:", " ".join(words), report, program()
        )
    if summary.exit_code == 1:
        return NextStep("Next, to see what became of every row, and why:", report, report, program())
    return NextStep("Next, to keep the proof of what was done:", report, report, program())


def resuming_command(request: PurgeRequest) -> str | None:
    """Return the command that resumes the run which is about to begin. None if it has no ledger."""
    return None if request.folder is None else _again(click.get_current_context(), request.folder)


def _rows_left(folder: Path) -> int:
    """Return how many rows of a ledger have no outcome. 0 if it cannot be read any more."""
    from purgeengine.edges.ledger import LedgerReader

    with suppress(PurgeEngineError), LedgerReader.open(folder) as reader:
        counts = reader.counts()
        return counts.waiting + counts.in_doubt
    return 0


def program() -> str:
    """Return how to call this program from the shell: its name if the shell finds it, otherwise what was called this time."""
    called = Path(sys.argv[0])
    if (called.parent.name, called.name) == ("purgeengine", "__main__.py"):
        return f"{_shown(Path(sys.executable))} -m purgeengine"
    if called.stem.lower() != "purgeengine":
        return "purgeengine"
    on_path = shutil.which("purgeengine")
    try:
        if on_path is not None and Path(on_path).samefile(called):
            return "purgeengine"
    except OSError:
        pass
    if not called.exists():  # Windows: called without .exe
        return "purgeengine" if on_path is not None else _shown(called)
    shown = _shown(called)
    return f"& {shown}" if WINDOWS and shown[:1] in "\"'" else shown


def free_name(folder: Path) -> Path:
    """Return a folder for the ledger of a retry that does not exist yet: cleanup-2 after cleanup, cleanup-3 after cleanup-2."""
    numbered = _NUMBERED.fullmatch(folder.name)
    base, number = (numbered[1], int(numbered[2])) if numbered else (folder.name, 1)
    for more in range(1, NAMES_TRIED + 1):
        new = folder.with_name(f"{base}-{number + more}")
        if not os.path.lexists(new):
            return new
    return folder.with_name(f"{base}-{NEW_NAME}")


def carried(context: click.Context, keys: frozenset[str]) -> list[str]:
    """Return the options with these keys that were given on the command line, quoted."""
    words: list[str] = []
    for option in context.command.params:
        key = key_of(option) if isinstance(option, click.Option) else None
        if key not in keys or not isinstance(option, click.Option):
            continue
        name = str(option.name)
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE and key != "config":
            continue
        value = context.params.get(name) if key != "config" else _config_given(context)
        words += _written(option, value)
    return words


def _written(option: click.Option, value: object) -> list[str]:
    """Return an option with its value, quoted. Empty if it has none."""
    flag = max(option.opts, key=len)
    if option.is_flag:
        off = option.secondary_opts
        return [flag] if value else [max(off, key=len)] if off and value is not None else []
    if value is None or value == ():
        return []
    values = value if isinstance(value, list | tuple) else [value]
    return [word for one in values for word in (flag, _quoted(str(one)))]


def _again(context: click.Context, folder: Path) -> str:
    """Return the command that resumes: the one that was given, or one without the input if that came from a pipe."""
    given = list(context.find_root().obj or ())
    if STANDARD_INPUT in (context.params.get("inputs") or ()) or not given:
        words = [program(), "run", "--ledger", _shown(folder), *carried(context, RESUME_TOO)]
    else:
        words = [program(), *(_quoted(word) for word in given)]
    return " ".join(words)


def _config_given(context: click.Context) -> str | None:
    """Return the file of ``--config`` as it was given. Click does not keep its value."""
    given: Sequence[str] = list(context.find_root().obj or ())
    for index, word in enumerate(given):
        if word == "--config" and index + 1 < len(given):
            return given[index + 1]
        if word.startswith("--config="):
            return word.partition("=")[2]
    return None


def _report(folder: Path, request: PurgeRequest) -> str:
    """Return the command for a report over the whole chain, or over this ledger if the others cannot be found."""
    from purgeengine.edges.ledger.outputs.chain_folders import folders_of_chain

    earlier = None if request.retry_of is None else Path(request.retry_of)
    folders = folders_of_chain(folder, earlier) or [folder]
    return " ".join((program(), "report", *map(_shown, folders), "-o", "report.html"))


def _shown(path: Path) -> str:
    return quoted(str(path), windows=WINDOWS) or HIDDEN_NAME


def _quoted(word: str) -> str:
    """Return a word of a command line, quoted. An option stays an option, and only its value is quoted."""
    if word.startswith("-") and len(word) > 1:
        name, equals, value = word.partition("=")
        return name + equals + (_quoted_value(value) if equals else "")
    return _quoted_value(word)


def _quoted_value(word: str) -> str:
    if not word:
        return '""'
    if word.startswith("-"):  # a number below zero, or standard input; no path in the place of a value begins so
        return word
    return quoted(word, windows=WINDOWS) or HIDDEN_NAME
