"""Tests of the command line against a server with captured answers: what the run blames, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.core.scheduling.test_scheduler_answers import OK, error
from tests.support.cli_fixtures import Row, write_csv
from tests.support.https_server import Request, answering, serving, write_ca


class Graph:
    """A Graph that answers ``bad`` to mailboxes whose name begins with "bad", at most ``times`` times, and purges all others."""

    def __init__(self, bad: dict[str, object], times: int = 1_000_000) -> None:
        self._bad = bad
        self._times = times
        self.asked = Counter[str]()

    async def behave(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """Answer a batch."""
        responses = []
        for one in json.loads(request.body)["requests"]:
            user = one["url"].removeprefix("/users/").split("/")[0]
            self.asked[user] += 1
            is_bad = user.startswith("bad") and self.asked[user] <= self._times
            good = OK if one["method"] == "POST" else {"status": 200, "body": {"id": "found", "value": []}}
            responses.append({"id": one["id"], **(self._bad if is_bad else good)})
        await answering(200, json.dumps({"responses": responses}).encode())(request, writer)


def rows_of(**mailboxes: int) -> list[Row]:
    return [
        (f"{name}@contoso.example", "", f"AAMkAGI2{'T' * 96}{name}{row:08d}=")
        for name, rows in mailboxes.items()
        for row in range(rows)
    ]


def commanded(folder: Path, graph: Graph, *arguments: str) -> tuple[int, str, str]:
    """Run a command as a process with a token in its environment, and return exit code, stdout and stderr."""

    async def run() -> tuple[int, str, str]:
        ca_file = write_ca(folder)
        async with serving(graph.behave) as server:
            process = await asyncio.create_subprocess_exec(
                *purgeengine(*arguments, "--graph-url", server.url, "--ca-file", str(ca_file)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment(),
            )
            out, err = await asyncio.wait_for(process.communicate(), 90)
            assert process.returncode is not None
            return process.returncode, out.decode(), err.decode()

    return asyncio.run(run())


def purgeengine(*arguments: str) -> Sequence[str]:
    return [sys.executable, "-m", "purgeengine", *arguments]


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AZURE_", "PURGEENGINE_"))}
    return {**kept, "PURGEENGINE_ACCESS_TOKEN": "a-token", "NO_PROXY": "127.0.0.1"}


def test_a_401_of_one_mailbox_ends_with_that_mailbox_and_not_with_the_run(tmp_path: Path) -> None:
    """A 401 for one mailbox closes that mailbox and not the run, whether its code is known or not.

    The same command again sends nothing.
    """
    for code in ("AuthenticationError", "SomethingNew"):
        graph = Graph(error(401, code, "Error authenticating with resource"))
        source = write_csv(tmp_path / "list.csv", rows_of(good=5, bad=3, other=5))
        ledger = str(tmp_path / code)
        arguments = ("run", str(source), "--ledger", ledger, "--yes", "--json", "--quiet")
        exit_code, out, err = commanded(tmp_path, graph, *arguments)
        assert exit_code == 1, err
        outcomes = json.loads(out)["outcomes"]
        assert (outcomes["purged"], outcomes["refused"] + outcomes["skipped"]) == (10, 3)
        asked = graph.asked.total()
        assert commanded(tmp_path, graph, *arguments)[0] == 1
        assert graph.asked.total() == asked
        assert "Traceback" not in err


def test_check_shows_the_mailbox_that_answers_401_and_not_the_token(tmp_path: Path) -> None:
    """The check shows the mailbox that answers 401 and does not blame the token, because other mailboxes are reachable."""
    graph = Graph(error(401, "SomethingNew", "Error authenticating with resource"))
    source = write_csv(tmp_path / "list.csv", rows_of(good=5, bad=3, other=5))
    exit_code, out, err = commanded(tmp_path, graph, "check", str(source), "--probe", "3")
    assert "bad@contoso.example" in out + err
    assert "not served" in out + err
    assert "Graph refused the token" not in out + err
    assert exit_code in (0, 1)


def test_a_graph_without_the_action_stops_the_run_and_says_what_to_do(tmp_path: Path) -> None:
    """A Graph without permanentDelete stops the run with exit code 3 and the right remedy, and no row gets an outcome."""
    graph = Graph(error(400, "BadRequest", "Resource not found for the segment 'permanentDelete'."))
    source = write_csv(tmp_path / "list.csv", rows_of(bad=3))
    arguments = ("run", str(source), "--ledger", str(tmp_path / "L"), "--yes", "--json", "--quiet")
    exit_code, out, err = commanded(tmp_path, graph, *arguments)
    assert exit_code == 3
    summary = json.loads(out)
    assert "--action delete" in summary["stopped"]
    assert "admin consent" not in summary["stopped"]
    assert (summary["waiting"], "Traceback" in err) == (3, False)


def test_a_mailbox_that_cannot_be_located_for_a_moment_goes_on(tmp_path: Path) -> None:
    """A mailbox that cannot be located for a moment has its rows wait together, and they are all purged."""
    graph = Graph(error(503, "MailboxInfoStale", "currently on backend 'Unknown'"), times=4)
    source = write_csv(tmp_path / "list.csv", rows_of(good=5, bad=30))
    arguments = ("run", str(source), "--ledger", str(tmp_path / "L"), "--yes", "--json", "--quiet", "--fanout", "4")
    exit_code, out, err = commanded(tmp_path, graph, *arguments)
    assert exit_code == 0, err
    assert json.loads(out)["outcomes"]["purged"] == 35
    assert graph.asked["bad@contoso.example"] <= 40
