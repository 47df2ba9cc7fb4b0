"""Prints the summary of a run, as text or as JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click

from purgeengine.cli.output.fitted_text import fitted
from purgeengine.cli.output.json_printing import print_output, running_command
from purgeengine.cli.output.transient_line import clear_transient
from purgeengine.core.command_words import resume_command
from purgeengine.core.forecast.eta import Closeness
from purgeengine.core.graph.operations import Action
from purgeengine.core.graph.text import printable
from purgeengine.core.model import Outcome
from purgeengine.core.policy.absent_rows import Absence
from purgeengine.core.policy.advice import HIDDEN_NAME, NEW_NAME, Advice
from purgeengine.core.policy.shell import quoted
from purgeengine.jobs.summary import Summary
from purgeengine.words import counted, duration, limits_the_app, number, rate, times

MEANINGS = {
    Outcome.PURGED: "permanently deleted",
    Outcome.ABSENT: "not found: already gone, or its id has changed",
    Outcome.REFUSED: "Graph said no for good",
    Outcome.EXHAUSTED: "still failing after every attempt",
    Outcome.INVALID: "never sent: the row is wrong",
    Outcome.DUPLICATE: "never sent: stands in an earlier row",
    Outcome.SKIPPED: "never sent: its mailbox was closed or left out",
}


PURGED_BY = {
    Action.PERMANENT_DELETE: MEANINGS[Outcome.PURGED],
    Action.DELETE: "moved to Deleted Items",
}
"""The meaning of the outcome ``purged``, by action."""


LINE_LENGTH_MAX = 500
"""Most characters of a line with text from a ledger: enough for a code and a message. The ledger may be somebody else's."""
APP_LIMIT_MEANS = "More connections do not help; other programs that use the same app share this limit."
"""What a limit of the whole app means for the next run."""
LEAST_TOLD_S = 1.0
"""The summary shows no lower bound under this many seconds, because starting and ending take most of so short a run."""


_GOING_ON = {
    True: "a run is going on",
    False: "no run is going on",
    None: "whether a run is going on is not known, because the lock of the ledger cannot be tried",
}


def standing(*, complete: bool, running: bool | None) -> str:
    """Return in words whether every row has its outcome and, if not, whether a run is going on (None if that is not known)."""
    return "complete" if complete else f"not complete; {_GOING_ON[running]}"


def meaning_of(outcome: Outcome, action: Action) -> str:
    """Return the meaning of an outcome in a ledger with this action."""
    return PURGED_BY[action] if outcome is Outcome.PURGED else MEANINGS[outcome]


@dataclass(frozen=True, slots=True)
class NextStep:
    """What to do after a run: a sentence, and one whole command for it. ``report`` is the command that writes the report."""

    sentence: str
    command: str
    report: str
    program: str = "purgeengine"
    """How the shell calls this program, for the commands of the advice."""
    options: str = ""
    """The options of this run that another run in the same tenant needs as well."""

    def whole(self, command: str) -> str:
        """Return a command of the advice as it is typed after this run."""
        words = [self.program + command.removeprefix("purgeengine")]
        if command.startswith("purgeengine run ") and self.options:
            words.append(self.options)
        return " ".join(words)


def show_summary(summary: Summary, *, as_json: bool, kept: bool = True, step: NextStep | None = None) -> None:
    """Print the summary on stdout: one JSON object, or a table and, if the ledger is ``kept``, what to do next.

    ``step`` is printed last. It stands for the commands of the advice that resume or retry the run.
    """
    clear_transient()
    if as_json:
        print_output(summary.output(running_command()))
        return
    for line in outcome_lines(summary.outcomes, summary.waiting, summary.in_doubt, summary.action):
        click.echo(line)
    per_s = summary.settled_now / summary.duration_s if summary.duration_s > 0 else 0.0
    late = f", {counted(summary.late_answers, 'late answer')}" if summary.late_answers else ""
    _say(
        f"{counted(summary.settled_now, 'row')} settled in {duration(summary.duration_s)} ({rate(per_s)}), "
        f"{counted(summary.calls, 'call')}, {number(summary.throttled)} throttled, {number(summary.lost_calls)} lost{late}"
    )
    if summary.app_limit_per_s is not None:
        _say(f"{limits_the_app(summary.app_limit_per_s)}. {APP_LIMIT_MEANS}")
    if (closeness := summary.closeness) is not None and closeness.least_s >= LEAST_TOLD_S:
        _say(closeness_line(summary, closeness))
    if summary.stopped:
        _say(summary.stopped, err=True)
    for line in absence_lines(summary.absence):
        _say(line)
    if not kept:
        return
    click.echo(f"Ledger: {summary.ledger}")
    if summary.exit_code == 1 and (step is None or step.command != step.report):
        _say(_not_well(summary))
        click.echo(f"  {_report(summary) if step is None else step.report}")
    for one in summary.advice if step is None else _without_repeats(summary.advice):
        _say(one.sentence)
        for command in one.commands:
            click.echo(f"  {command if step is None else step.whole(command)}")
    if step is not None:
        _say(step.sentence)
        click.echo(f"  {step.command}")


def _say(sentence: str, *, err: bool = False) -> None:
    click.echo(fitted(sentence, sys.stderr if err else sys.stdout), err=err)


def _not_well(summary: Summary) -> str:
    """Return why the exit code is 1. A filter that leaves rows out does what was asked, which is no failure."""
    badly = sum(rows for outcome, rows in summary.outcomes.items() if outcome.ended_badly) - summary.left_out_rows
    if badly > 0:
        return "Some rows did not end well. All about them, row by row:"
    left_out = summary.left_out_rows
    return f"{counted(left_out, 'row')} of the list {'was' if left_out == 1 else 'were'} left out, as asked. All about the purge:"


def _report(summary: Summary) -> str:
    folder = quoted(summary.ledger, windows=os.name == "nt") or HIDDEN_NAME
    return f"purgeengine report {folder} -o report.html"


def _without_repeats(advice: Sequence[Advice]) -> list[Advice]:
    """Return the advice without that whose commands resume or retry the run: the next step is the whole one of them."""
    return [one for one in advice if not any(_resumes_or_retries(command) for command in one.commands)]


def _resumes_or_retries(command: str) -> bool:
    return NEW_NAME in command.split() or command.startswith(resume_command(""))


def absence_lines(absence: Absence | None) -> list[str]:
    """Return the warning that hardly any contact was found, and in which mailboxes. Empty if there is none."""
    if absence is None:
        return []
    return [f"Attention: {absence.sentence}", *(f"  {printable(line, LINE_LENGTH_MAX)}" for line in absence.lines())]


def closeness_line(summary: Summary, closeness: Closeness) -> str:
    """Return how many times the shortest possible time the run took, as a sentence."""
    factor = summary.times_the_least
    assert factor is not None, "there is a least time to compare with"
    whose = "timed in this run" if closeness.timed else "assumed"
    waits = ", waits for Graph included" if summary.throttled or summary.lost_calls else ""
    held = f", {duration(summary.held_s)} left out in which it was not to send" if summary.held_s >= 1 else ""
    return (
        f"At the latencies {whose} these rows take {duration(closeness.least_s)} at least; "
        f"it took {times(factor)} that{waits}{held}"
    )


def outcome_lines(outcomes: Mapping[Outcome, int], waiting: int, in_doubt: int, action: Action) -> list[str]:
    """Return a line for each outcome that occurred, and for rows without an outcome. Names are right-aligned."""
    rows = [(o.value, outcomes.get(o, 0), meaning_of(o, action)) for o in Outcome]
    rows += [("waiting", waiting, "not yet sent, or to be sent again"), ("in doubt", in_doubt, "sent, answer unknown")]
    shown = [row for row in rows if row[1]] or [("rows", 0, "the input is empty")]
    width = max(len(number(count)) for _, count, _ in shown)
    return [f"{name:>9}  {number(count):>{width}}  {meaning}" for name, count, meaning in shown]
