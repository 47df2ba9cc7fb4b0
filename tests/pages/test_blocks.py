"""Tests of the commands on the pages: those of the quick start and of *Get the list* run as they stand, and all others parse.

Not the real thing: `m365` is a stand-in that asks the simulated tenant, because CLI for Microsoft 365 signs in to Entra ID only.
"""

from __future__ import annotations

import csv
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from purgeengine.cli.main import COMMANDS, cli
from tests.support.cli_fixtures import Row, rows_of, write_csv

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "RESULTS.md"])
FENCE = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
CALL = re.compile(rf"(?:^|[\s/\\])purgeengine(?:\.exe)? (?:{'|'.join(COMMANDS)})\b[^\n|;)]*")
"""A call of the program in a block: in bash, PowerShell, a unit of systemd, or behind `docker run`. It ends at a pipe."""
PORT = "8443"
FOLDERS = [f"AAMkAGI2{letter * 104}=" for letter in "FG"]
ROWS: list[Row] = [(user, FOLDERS[number % 2], contact) for number, (user, _, contact) in enumerate(rows_of([3, 2]))]
"""A small list: two mailboxes, and in each of them contacts of two folders."""
TIMEOUT_S = 100

needs_bash = pytest.mark.skipif(
    shutil.which("bash") is None or os.name == "nt", reason="the blocks are for bash on POSIX"
)


# ------------------------------------------------------------------------------------------------------- what parses


def calls_of(page: str) -> list[list[str]]:
    """Return the words after `purgeengine` of every call in the blocks of a page."""
    found = []
    for kind, body in FENCE.findall(page):
        if kind in ("bash", "powershell", "ini"):
            joined = re.sub(r"[\\`]\n\s*", " ", re.sub(r"\s+#.*", "", body))
            found += [shlex.split(re.split(r"\s[12]?>", call.group())[0])[1:] for call in CALL.finditer(joined)]
    return found


def refusal_of(words: list[str]) -> str | None:
    """Return why click refuses these words, from unknown options to missing values. None if it takes them."""
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group):
        name, *words = words
        found = command.get_command(context, name)
        if found is None:
            return f"no command {name}"
        command, context = found, click.Context(found, info_name=name, **found.context_settings)
    try:
        command.make_parser(context).parse_args(list(words))
    except click.UsageError as error:
        return error.format_message()
    return None


@pytest.mark.parametrize(
    "page", [page for page in PAGES if calls_of(page.read_text(encoding="utf-8"))], ids=lambda page: page.name
)
def test_every_call_in_a_block_parses(page: Path) -> None:
    """Click takes the words of every call: the options exist, and those that need a value have one."""
    calls = calls_of(page.read_text(encoding="utf-8"))
    assert {" ".join(words): refusal_of(words) for words in calls if refusal_of(words)} == {}


def test_a_wrong_call_would_be_noticed() -> None:
    """Calls are found in every kind of block, and a wrong option, a wrong command and a missing value are refused."""
    block = "```bash\ndocker run --rm \\\n    purgeengine run x --ledger /l --yes | head\n```\n"
    block += "```powershell\n& C:\\v\\purgeengine.exe plan a `\n    --json 1> x\n```\n"
    assert calls_of(block) == [["run", "x", "--ledger", "/l", "--yes"], ["plan", "a", "--json"]]
    assert refusal_of(["run", "x", "--ledger", "/l", "--yes"]) is None
    assert "No such option" in str(refusal_of(["run", "x", "--leger", "/l"]))
    assert "requires an argument" in str(refusal_of(["run", "x", "--ledger"]))
    assert refusal_of(["config", "shew"]) == "no command shew"
    assert sum(len(calls_of(page.read_text(encoding="utf-8"))) for page in PAGES) > 50


def blocks_of(kind: str) -> list[tuple[str, str]]:
    """Return the blocks of this kind of all pages, each with the name of its page."""
    return [
        (page.name, body)
        for page in PAGES
        for found, body in FENCE.findall(page.read_text(encoding="utf-8"))
        if found == kind
    ]


@needs_bash
def test_every_bash_block_parses() -> None:
    """Bash itself reads every block without running it. `…` and words in capitals stand for values."""
    wrong = {}
    for name, body in blocks_of("bash"):
        done = subprocess.run(
            ["bash", "-n"], input=body, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
        if done.returncode:
            wrong[name] = done.stderr
    assert wrong == {}
    assert len(blocks_of("bash")) > 40


@pytest.mark.skipif(
    not find_spec("tree_sitter_powershell"),
    reason="the grammar of PowerShell is not installed: the dependency group docs has it",
)
def test_every_powershell_block_parses() -> None:
    """A grammar of PowerShell that others wrote reads every block without an error, and would notice one."""
    import tree_sitter_powershell
    from tree_sitter import Language, Parser

    parser = Parser(Language(tree_sitter_powershell.language()))
    wrong = [name for name, body in blocks_of("powershell") if parser.parse(body.encode()).root_node.has_error]
    assert wrong == []
    assert len(blocks_of("powershell")) >= 10
    assert parser.parse(b"foreach ($user in Get-Content users.txt) {").root_node.has_error


# --------------------------------------------------------------------------------------------------------- what runs


def block_behind(page: str, mark: str) -> str:
    """Return the block behind a mark of a page."""
    return page.partition(f"<!-- {mark} -->\n")[2].partition("```")[2].partition("\n")[2].partition("```")[0]


def executable(path: Path, text: str) -> None:
    """Write a program that the blocks can call."""
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a list and the program on the path, and nothing of this machine's settings."""
    programs = tmp_path / "programs"
    programs.mkdir()
    executable(programs / "purgeengine", f'#!/bin/sh\nexec "{sys.executable}" -m purgeengine "$@"\n')
    for name in [name for name in os.environ if name.startswith(("AZURE_", "PURGEENGINE_", "HTTP", "http"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("HOME", str(tmp_path))
    write_csv(tmp_path / "contacts.csv", ROWS)
    return tmp_path


@contextmanager
def simulating(folder: Path, block: str) -> Iterator[None]:
    """Run the block that serves the simulated tenant, until the context ends."""
    words = [*shlex.split(block), "--duration-s", str(TIMEOUT_S)]
    process = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        assert "Listening on" in process.stderr.readline()
        yield
    finally:
        process.terminate()
        process.communicate(timeout=TIMEOUT_S)


def in_bash(block: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a block. It ends with the first command that fails."""
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8", timeout=TIMEOUT_S, check=False,
    )  # fmt: skip


def test_both_pages_with_the_rehearsal_have_the_same() -> None:
    """README and *First purge* have the same lines, but for comments; the first is tried by a test."""
    pages = [(ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/tasks/first-purge.md")]
    for mark in ("file: rehearsal.env", "run: rehearsal"):
        blocks = [re.sub(r" +#.*", "", block_behind(page, mark)) for page in pages]
        assert blocks[0] == blocks[1] != ""


@needs_bash
def test_the_rehearsal_runs_as_it_stands(folder: Path) -> None:
    """The quick start purges the whole list from the simulated tenant; only the port is another, and the question is answered.

    With the two values changed, the same lines read other settings and write another ledger.
    """
    page, port = (ROOT / "README.md").read_text(encoding="utf-8"), str(free_port())
    (serve,) = [body for _, body in FENCE.findall(page) if body.startswith("purgeengine simulate")]
    (folder / "rehearsal.env").write_text(
        block_behind(page, "file: rehearsal.env").replace(PORT, port), encoding="utf-8"
    )
    block = block_behind(page, "run: rehearsal").replace("purgeengine run ", "purgeengine run --yes ")
    assert "settings=rehearsal.env ledger=./rehearsal" in block
    with simulating(folder, serve.replace(PORT, port)):
        done = in_bash(block, folder)
    assert done.returncode == 0, done.stderr
    status = subprocess.run(
        ["purgeengine", "status", "rehearsal", "--json"], cwd=folder, capture_output=True, check=True
    )
    assert b'"purged":5' in status.stdout.replace(b" ", b"")
    assert "</html>" in (folder / "report.html").read_text(encoding="utf-8")


M365 = """#!{python}
import json, os, ssl, sys, urllib.parse, urllib.request
words = dict(zip(sys.argv[2::2], sys.argv[3::2]))
if sys.argv[1] == "login":
    assert words["--authType"] == "secret" and words["--appId"] and words["--tenant"] and words["--secret"], words
    sys.exit()
assert sys.argv[1] == "request" and set(words) == {{"--url", "--output"}} and words["--output"] == "json", sys.argv
trust = ssl.create_default_context(cafile=os.environ["PURGEENGINE_CA_FILE"])
form = {{"grant_type": "client_credentials", "scope": os.environ["PURGEENGINE_GRAPH_URL"] + "/.default",
         "client_id": os.environ["AZURE_CLIENT_ID"], "client_secret": os.environ["AZURE_CLIENT_SECRET"]}}
login = f"{{os.environ['PURGEENGINE_AUTHORITY']}}/{{os.environ['AZURE_TENANT_ID']}}/oauth2/v2.0/token"
with urllib.request.urlopen(login, urllib.parse.urlencode(form).encode(), context=trust) as answer:
    token = json.load(answer)["access_token"]
url = words["--url"].replace("@graph", os.environ["PURGEENGINE_GRAPH_URL"] + "/v1.0").replace("$top=999", "$top=2")
request = urllib.request.Request(url, headers={{"authorization": "Bearer " + token}})
with urllib.request.urlopen(request, context=trust) as answer:
    sys.stdout.write(answer.read().decode())
"""
"""A stand-in for CLI for Microsoft 365 with the two commands and the options that the block uses. Its pages are short."""


@needs_bash
@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed; Debian's package jq has it")
def test_the_list_made_by_the_block_for_m365_is_complete(folder: Path) -> None:
    """The block lists every contact of every user, over several pages and in every folder, and `plan` reads the list."""
    page, port = (ROOT / "docs" / "tasks" / "get-the-list.md").read_text(encoding="utf-8"), str(free_port())
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    executable(folder / "programs" / "m365", M365.format(python=sys.executable))
    (folder / "users.txt").write_text(
        "".join(f"{user}\n" for user in dict.fromkeys(user for user, _, _ in ROWS)), "utf-8"
    )
    (folder / "rehearsal.env").write_text(
        block_behind(readme, "file: rehearsal.env").replace(PORT, port), encoding="utf-8"
    )
    with simulating(folder, f"purgeengine simulate contacts.csv --port {port} --ca-file simulated.pem"):
        done = in_bash("set -a; . ./rehearsal.env; set +a\n" + block_behind(page, "run: m365"), folder)
    assert (done.returncode, done.stderr) == (0, "")
    with (folder / "contacts.csv").open(encoding="utf-8", newline="") as file:
        listed = list(csv.DictReader(file))
    assert {(row["user"], row["folder"], row["contact"]) for row in listed} == set(ROWS)
    assert (
        subprocess.run(["purgeengine", "plan", "contacts.csv"], cwd=folder, capture_output=True, check=False).returncode
        == 0
    )
