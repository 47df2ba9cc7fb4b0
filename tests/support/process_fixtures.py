"""The command line in a process of its own, against servers of a test that answer whatever the test wants."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jwt

from purgeengine.cli import main
from tests.support.cli_fixtures import Ended
from tests.support.https_server import Behaviour, Request, Server, answering, serving
from tests.support.identity_fixtures import NONE_SET

TIMEOUT_S = 150.0


@contextlib.contextmanager
def in_a_thread(make: Callable[[], contextlib.AbstractAsyncContextManager[Server]]) -> Iterator[Server]:
    """Run a server of `tests.support.https_server` on a loop of its own inside the context, so that the test may block."""
    loop, stop, started = asyncio.new_event_loop(), asyncio.Event(), threading.Event()
    found: list[Server] = []

    async def serve() -> None:
        async with make() as server:
            found.append(server)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(30)
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()


def served(behave: Behaviour, *, tls: bool = True) -> contextlib.AbstractContextManager[Server]:
    """Run a server with this behaviour inside the context."""

    @contextlib.asynccontextmanager
    async def make() -> AsyncIterator[Server]:
        async with serving(behave, tls=tls) as server:
            yield server

    return in_a_thread(make)


def a_jwt(**claims: Any) -> str:
    """Return a token with these claims that lives for an hour."""
    said = {"exp": time.time() + 3600, "roles": ["Contacts.ReadWrite"], "tid": "T", "appid": "A", **claims}
    return jwt.encode(said, bytes(32), algorithm="HS256")


def command(*arguments: str, timeout_s: float = TIMEOUT_S, **environment: str) -> Ended:
    """Run the command in a process of its own to its end. An empty value removes a name from its environment."""
    done = subprocess.run(
        [sys.executable, "-m", "purgeengine", *arguments],
        env=_names(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=timeout_s,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def command_here(*arguments: str, **environment: str) -> Ended:
    """Run the command in this process. A test can change the program then, and it takes less time."""
    with (
        patch.dict(os.environ, _names(environment), clear=True),
        redirect_stdout(io.StringIO()) as out,
        redirect_stderr(io.StringIO()) as err,
    ):
        code = main.run(arguments)
    return Ended(code, out.getvalue(), err.getvalue())


def _names(environment: dict[str, str]) -> dict[str, str]:
    of_test = {"PYTHONWARNINGS": "error::RuntimeWarning", "PURGEENGINE_CONFIG": os.devnull, "NO_COLOR": "1"}
    names = {**os.environ, **NONE_SET, **of_test, **environment}
    return {name: value for name, value in names.items() if value}


def a_list(folder: Path, users: int = 1) -> Path:
    """Write a list with one contact of each user."""
    path = folder / "list.csv"
    lines = [f"user{number}@contoso.example,AAMkAGI2THVSAAA{number:03d}=" for number in range(users)]
    path.write_text("\n".join(["user,contact", *lines, ""]), encoding="utf-8")
    return path


def batch_answer(reply: Callable[[dict[str, Any], Request], dict[str, Any]]) -> Behaviour:
    """Return a behaviour like Graph's ``$batch``, with a sub-response made from each sub-request."""

    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        asked = json.loads(request.body)["requests"]
        body = json.dumps({"responses": [{"id": each["id"], **reply(each, request)} for each in asked]}).encode()
        await answering(200, body, "Content-Type: application/json", "request-id: 1")(request, writer)

    return behave
