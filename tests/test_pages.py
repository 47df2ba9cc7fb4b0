"""Tests of the pages: every link leads somewhere, and every file, command and option that a page names exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from purgeengine.cli.main import COMMANDS, cli

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "RESULTS.md"])
NAMES = [str(page.relative_to(ROOT).as_posix()) for page in PAGES]
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED_PATH = re.compile(r"`((?:tests|purgeengine|benchmarks|docs|sample_inputs)/[\w./-]*)`")
FENCE = re.compile(r"^\s*```([\w{}]*)\n(.*?)^\s*```$", re.MULTILINE | re.DOTALL)
FIRST_SCREEN_LINES_MAX = 50
"""The most lines of the README before its demo, so that summary, danger and reasons fit on a screen."""
PICTURE_BYTES_MAX = 250_000
README_LINES_MAX = 130
"""The most lines of the README: what is longer is a page of docs/."""
OTHERS_OPTIONS = frozenset(
    {
        "--quiet",
        "--full",
        "--faults",
        "--no-serial",
        "--shape",
        "--others",
        "--without",
        "--seeds",
        "--first",
        "--only",
        "--seconds",
        "--keep",
        "--run",
        "--fail-under",
    }
)
"""Options of benchmarks, campaigns, pip and coverage that the pages name too."""


def text_of(name: str) -> str:
    """Return a page by its path below the root."""
    return (ROOT / name).read_text(encoding="utf-8")


def anchors(page: str) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings: lower case, no punctuation, hyphens for spaces."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands_of(page: str) -> list[list[str]]:
    """Return the words of every `purgeengine …` line in a page's shell blocks and of every one in backticks."""
    lines = [
        line for kind, body in FENCE.findall(page) if kind == "bash" for line in body.replace("\\\n", " ").split("\n")
    ]
    lines += re.findall(r"`(purgeengine [^`\n]+)`", FENCE.sub("", page))
    said = [line.strip().split(" #")[0] for line in lines]
    return [shlex.split(line.replace("\\|", " "), posix=False)[1:] for line in said if line.startswith("purgeengine ")]


@pytest.mark.parametrize("name", NAMES)
def test_every_link_within_the_repository_leads_somewhere(name: str) -> None:
    """The target of every link within the repository exists, and has the heading that the anchor names."""
    broken = []
    for target in LINK.findall(FENCE.sub("", text_of(name))):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("name", NAMES)
def test_every_file_that_a_page_names_exists(name: str) -> None:
    """Every file that a page names exists, so that a moved file fails here."""
    assert [path for path in NAMED_PATH.findall(text_of(name)) if not (ROOT / path).exists()] == []


def options_of(command: click.Command) -> set[str]:
    """Return every spelling of the options of a command."""
    spelt = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return spelt | {"-h", "--help", "--version"}


def unknown_in(words: list[str]) -> list[str]:
    """Return the words after `purgeengine` that are neither a command nor an option nor a value.

    The command `config show` takes the options of any command, and its words are not checked.
    """
    command: click.Command = cli
    unknown = []
    for word in words:
        if isinstance(command, click.Group) and not word.startswith("-"):
            found = command.get_command(click.Context(command), word)
            if found is None:
                return [word]
            command = found
        elif option := re.fullmatch(r"[\[(]*(-o|--[a-z][a-z-]*)[\])]*", word):
            free = command.context_settings.get("ignore_unknown_options", False)
            unknown += [option[1]] if option[1] not in options_of(command) and not free else []
    return unknown


@pytest.mark.parametrize("name", [name for name in NAMES if commands_of(text_of(name))])
def test_every_command_that_a_page_shows_exists_with_its_options(name: str) -> None:
    """Every command that a page shows exists with its options."""
    assert [words for words in commands_of(text_of(name)) if unknown_in(words)] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("CONTRIBUTING.md", "benchmarks/RESULTS.md")])
def test_every_option_in_running_text_is_one_of_some_command(name: str) -> None:
    """Every option in running text is an option of a command of the program or a listed one of another program."""
    known = OTHERS_OPTIONS.union(*(options_of(one) for one in every_command()))
    quoted = [text for text in re.findall(r"`([^`\n]+)`", FENCE.sub("", text_of(name))) if text.startswith("--")]
    assert [text for text in quoted if re.split(r"[ =|]", text)[0].rstrip("\\") not in known] == []


def every_command() -> list[click.Command]:
    """Return all commands, with those of groups."""
    found = [cli.get_command(click.Context(cli), name) for name in COMMANDS]
    whole = [command for command in found if command is not None]
    return whole + [one for group in whole if isinstance(group, click.Group) for one in group.commands.values()]


def test_the_readme_opens_with_what_a_newcomer_needs() -> None:
    """The README shows the danger and the reasons before the demo, the demo is on the first screen, and it all is short."""
    readme = text_of("README.md")
    demo = readme.index("<!-- demo -->")
    assert (
        readme.index("Warning") < readme.index("## Instead of a PowerShell loop") < demo < readme.index("<!-- test -->")
    )
    assert readme[:demo].count("\n") <= FIRST_SCREEN_LINES_MAX
    assert readme.count("\n") <= README_LINES_MAX
    assert re.findall(r"^\| (\d) \|", readme, re.MULTILINE) == list("012345")  # scripts depend on them


def test_pictures_are_small_and_fetch_nothing() -> None:
    """A page loads with its pictures, so they are small; and a drawing asks no other host for a font or an image."""
    pictures = sorted((ROOT / "docs" / "images").iterdir())
    assert [picture.name for picture in pictures if picture.stat().st_size > PICTURE_BYTES_MAX] == []
    drawings = [picture.read_text(encoding="utf-8") for picture in pictures if picture.suffix == ".svg"]
    assert [text for text in drawings if re.search(r"(href|src)=.https?:|url\(.?https?:|@import", text)] == []
    assert len(pictures) >= 2


def test_the_checks_find_something() -> None:
    """The checks of this file find enough links, paths and commands.

    Expressions that match nothing would pass every other test.
    """
    assert unknown_in(["run", "--leger", "x"]) == ["--leger"]
    assert unknown_in(["purge"]) == ["purge"]
    assert sum(len(commands_of(text_of(name))) for name in NAMES) > 40
    assert sum(len(LINK.findall(text_of(name))) for name in NAMES) > 60
    assert sum(len(NAMED_PATH.findall(text_of(name))) for name in NAMES) > 30
