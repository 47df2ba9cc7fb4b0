"""Tests of generated parts of the pages: they agree with the code, and leave nothing out that the code knows."""

from __future__ import annotations

import re

import click
import pytest

from purgeengine import errors
from purgeengine.cli.main import COMMANDS, cli
from purgeengine.core.graph.verdicts import TABLE, Verdict
from purgeengine.core.messages import HaltReason
from purgeengine.core.model import Outcome
from purgeengine.edges.login.refusals import PASSING_NUMBERS, REMEDIES_BY_ERROR, REMEDIES_BY_NUMBER, refusal_sentence
from tests.pages import command_reference, failure_reference, speed_reference
from tests.pages.markdown import between, code, escaped, from_docstring, replaced, table

COMMANDS_PAGE = command_reference.PAGE.read_text(encoding="utf-8")
FAILURES_PAGE = failure_reference.PAGE.read_text(encoding="utf-8")


def test_the_command_reference_agrees_with_the_commands() -> None:
    """The page has what `--help` shows. `python -m tests.pages` writes it anew."""
    assert command_reference.text() == COMMANDS_PAGE


@pytest.mark.parametrize("name", failure_reference.TABLES)
def test_a_table_of_failures_agrees_with_the_code(name: str) -> None:
    """The table is the one that the code makes. `python -m tests.pages` writes it anew."""
    assert failure_reference.TABLES[name]() == between(FAILURES_PAGE, name)


def test_the_times_agree_with_the_estimate() -> None:
    """The table of times is what `plan` would show. `python -m tests.pages` writes it anew."""
    assert between(speed_reference.PAGE.read_text(encoding="utf-8"), "times") == speed_reference.times()


def test_every_option_of_every_command_is_in_the_reference() -> None:
    """Click itself, and not the generator, says which options there are."""
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        section = COMMANDS_PAGE.split(f"\n## purgeengine {name}\n")[1].split("\n## ")[0]
        shown = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
        assert [option.opts for option in shown if not any(spelt in section for spelt in option.opts)] == []


def test_every_outcome_and_exit_code_is_explained() -> None:
    """Outcomes and exit codes of the program are on the page, those of the exceptions and of `--help` too."""
    codes = {int(number) for number in re.findall(r"^\| (\d) \| [A-Z]", FAILURES_PAGE, re.MULTILINE)}
    raised = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")}
    assert codes == set(failure_reference.exit_code_meanings()) == set(range(6))
    assert raised <= codes
    assert [outcome for outcome in Outcome if f"\n| `{outcome}` |" not in FAILURES_PAGE] == []


def test_every_code_and_status_with_a_rule_is_explained() -> None:
    """What the tables of verdicts name is in the tables of the page, and every code has a remedy of its own."""
    told = {name.lower() for name in re.findall(r"`([\w-]+)`", between(FAILURES_PAGE, "graph codes"))}
    assert failure_reference.codes_with_rules() - told == set()
    statuses = between(FAILURES_PAGE, "statuses")
    assert [status for status in TABLE if status >= 400 and f"\n| {status} |" not in statuses] == [500]
    assert "| other 5xx |" in statuses  # an error 500 without a known code is like any other 5xx


def test_every_reason_to_stop_is_explained() -> None:
    """Each reason of a run to stop by itself has its line, without a name that only the code knows."""
    lines = between(FAILURES_PAGE, "halts").splitlines()[2:]
    assert len(lines) == len(HaltReason)
    told = ("give the same command again", "Run the list with `--action` delete")
    assert [line for line in lines if not any(words in line for words in told)] == []


def test_every_verdict_has_words() -> None:
    """Whatever the program can judge, the page says what it does then."""
    assert set(failure_reference.VERDICTS) == set(Verdict)


def test_every_refusal_of_the_login_is_explained() -> None:
    """Every AADSTS number and every named error is on the page, with the words that the program says."""
    assert len(REMEDIES_BY_NUMBER) > 60
    for number in [*REMEDIES_BY_NUMBER, *PASSING_NUMBERS]:
        assert f"`AADSTS{number}`" in FAILURES_PAGE
    assert [name for name in REMEDIES_BY_ERROR if f"`{name}`" not in FAILURES_PAGE] == []
    said = refusal_sentence({"error_description": "AADSTS7000222: x"}, host="h", tenant="t", client="c")
    assert said.partition("): ")[2].removeprefix("the client secret") in FAILURES_PAGE.replace("`", "").replace(
        "\\", ""
    )


def test_a_page_that_differs_is_noticed_and_mended() -> None:
    """A changed cell differs from what the code makes, and writing the page anew mends it."""
    wrong = FAILURES_PAGE.replace("`AADSTS7000222`", "`AADSTS1`")
    assert wrong != FAILURES_PAGE
    assert between(wrong, "login numbers") != failure_reference.login_numbers()
    assert failure_reference.renewed(wrong) == FAILURES_PAGE


def test_text_is_shown_as_it_stands() -> None:
    """Options become code, what Markdown would read is escaped, and a cell with a bar stays one cell."""
    assert escaped("_a_ [b](c) [d]") == "\\_a\\_ \\[b](c) [d]"
    assert escaped("See --only-users, -o and *@x.com | <a>") == "See `--only-users`, `-o` and \\*@x.com \\| \\<a\\>"
    assert escaped("a well-known no-op") == "a well-known no-op"
    assert code("N|P%") == "`N\\|P%`"
    assert from_docstring("Use ``a_b`` and\n  c_d.") == "Use `a_b` and c_d."
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n|---|---|\n| 1 | 2 |\n"


def test_a_page_without_the_marks_is_refused() -> None:
    """Nothing is written to a place that is not there, or is there twice."""
    page = "<!-- generated: x -->\n\nold\n\n<!-- end of x -->\n"
    assert replaced(page, "x", "new\n") == "<!-- generated: x -->\n\nnew\n\n<!-- end of x -->\n"
    for wrong in ("", page + page):
        with pytest.raises(ValueError, match="needs one"):
            between(wrong, "x")
