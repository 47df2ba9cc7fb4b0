"""A service of its own behind ``$batch`` that answers oddly. It shares no code with the program or its simulation.

It knows which contacts exist, records every sub-request that it sees, and puts true answers into every shape that a
service, or something in between, was seen to give. Odd answers stop after a number of calls, so that a job can end.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import ssl
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import unquote

import trustme
from aiohttp import web

BYTES_S_MAX = 0.5
"""Seconds that an answer may take that comes byte by byte."""
DEEP = 50_000
"""Levels of nesting: far deeper than any reader follows."""

Item = dict[str, Any]


@dataclass(frozen=True)
class Deed:
    """One sub-request as the service saw it: when (monotonic seconds), in which call, and the true status."""

    at: float
    call: int
    mailbox: str
    contact: str
    method: str
    status: int
    done: bool


def retry_after_shapes(now_utc: float) -> dict[str, str]:
    """Return every form of a wait. Those that must be kept are two seconds at most."""
    return {
        "zero": "0",
        "negative": "-1",
        "very negative": "-86400",
        "past date": formatdate(now_utc - 3_600, usegmt=True),
        "date now": formatdate(now_utc, usegmt=True),
        "near date": formatdate(now_utc + 2, usegmt=True),
        "decimal": "0.249",
        "short": "1",
        "padded": " 1 ",
        "signed": "+1",
        "exponent": "1e0",
        "word": "soon",
        "empty": "",
        "not a number": "nan",
        "old date form": time.strftime("%A, %d-%b-%y %H:%M:%S GMT", time.gmtime(now_utc + 1)),
    }


class OddService:
    """Serves inside its ``async with``.

    ``contacts`` are the (mailbox, contact) that exist; ``odd_calls`` is how many calls may be odd.

    ``forever`` names a mailbox that gets 429 with a useless wait for ``forever_s`` seconds. ``far`` names one that
    gets a wait of ``far_s`` seconds on each request.
    """

    def __init__(
        self, folder: Path, contacts: set[tuple[str, str]], seed: int, *, odd_calls: int = 40, odd: float = 0.6,
        forever: str = "", forever_s: float = 6.0, far: str = "", far_s: int = 604_800,
    ) -> None:  # fmt: skip
        self.exists = set(contacts)
        self.log: list[Deed] = []
        self.shapes: Counter[str] = Counter()
        self.stray: list[str] = []
        """Requests to any other address, with whether they had a token."""
        self.url = ""
        self.ca_file = folder / "odd-ca.pem"
        self.forever, self.forever_s, self.far, self.far_s = forever, forever_s, far, far_s
        self.forever_since: float | None = None
        self.far_told_at: float | None = None
        self._odd_calls, self._odd = odd_calls, odd
        self._rng = random.Random(f"odd {seed}")
        self._calls = 0

    async def __aenter__(self) -> OddService:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca_file))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        self.url = f"https://127.0.0.1:{self._runner.addresses[-1][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    # ------------------------------------------------------------------------------------------------- a call

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        if request.raw_path not in ("/v1.0/$batch", "/v1.0/%24batch") or request.method != "POST":
            self.stray.append(f"{request.method} {request.path} token={'Authorization' in request.headers}")
            return web.Response(status=404)
        self._calls += 1
        call, rng = self._calls, self._rng
        odd = call <= self._odd_calls and rng.random() < self._odd
        name = rng.choice(list(WHOLE)) if odd and rng.random() < 0.4 else ""
        done = not name or rng.random() < 0.5
        if name in NEVER_DONE:
            done = False
        said = [self._item(one, call, done, odd and not name) for one in json.loads(body)["requests"]]
        rng.shuffle(said)
        if name:
            self.shapes[name] += 1
            return await WHOLE[name](self, request, said)
        if odd:
            name = rng.choice(list(MANGLES))
            self.shapes[name] += 1
            MANGLES[name](self, said)
        return await self._written(request, json.dumps({"responses": said}).encode(), odd)

    def _item(self, one: Item, call: int, may: bool, odd: bool) -> Item:
        """Carry out one sub-request, or refuse it for now, and record it."""
        parts = one["url"].split("?")[0].strip("/").split("/")
        mailbox, contact = unquote(parts[1]).lower(), unquote(parts[parts.index("contacts") + 1])
        headers: dict[str, Any] = {}
        now, now_utc = time.monotonic(), time.time()
        done = False
        if mailbox == self.forever and now - self._since(now) < self.forever_s:
            status = 429
            headers["Retry-After"] = self._rng.choice(["0", "-1", formatdate(now_utc - 60, usegmt=True)])
        elif mailbox == self.far:
            status = 429
            self.far_told_at = self.far_told_at or now
            headers["Retry-After"] = self._rng.choice([str(self.far_s), formatdate(now_utc + self.far_s, usegmt=True)])
        elif odd and self._rng.random() < 0.3:
            status = 429
            shape, text = self._rng.choice(list(retry_after_shapes(now_utc).items()))
            self.shapes[f"Retry-After {shape}"] += 1
            headers[self._rng.choice(["Retry-After", "retry-after", "RETRY-AFTER"])] = text
        else:
            status = 204 if (mailbox, contact) in self.exists else 404
            if may:
                done = status == 204
                self.exists.discard((mailbox, contact))
        self.log.append(Deed(now, call, mailbox, contact, one["method"], status, done))
        if status == 204:
            return {"id": one["id"], "status": 204, "headers": headers, "body": None}
        code, message = {429: ("TooManyRequests", "Too many requests."), 404: NOT_FOUND}[status]
        error = {"code": code, "message": message, "innerError": {"date": "2026-11-28T05:00:00", "request-id": "r"}}
        return {"id": one["id"], "status": status, "headers": headers, "body": {"error": error}}

    def _since(self, now: float) -> float:
        if self.forever_since is None:
            self.forever_since = now
        return self.forever_since

    async def _written(self, request: web.BaseRequest, body: bytes, odd: bool, status: int = 200) -> web.StreamResponse:
        """Write the answer: in one piece, compressed although nobody asked for it, in chunks, or byte by byte."""
        endpoint = self._rng.choice(["plain", "gzip", "chunks", "slow"]) if odd else "plain"
        headers = {"Content-Type": "application/json", "request-id": f"r-{self._calls}"}
        if endpoint == "gzip":
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body)
        self.shapes[f"written {endpoint}"] += odd
        if endpoint in ("plain", "gzip"):
            return web.Response(status=status, body=body, headers=headers)
        response = web.StreamResponse(status=status, headers=headers)
        response.enable_chunked_encoding()
        await response.prepare(request)
        size = 7 if endpoint == "chunks" else max(1, len(body) // 20)
        for start in range(0, len(body), size):
            await response.write(body[start : start + size])
            if endpoint == "slow":
                await asyncio.sleep(BYTES_S_MAX / 20)
        await response.write_eof()
        return response

    # ------------------------------------------------------------------------------------------------- odd as a whole

    async def page(self, request: web.BaseRequest, status: int) -> web.StreamResponse:
        """Return an HTML page."""
        text = "<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Please wait</h1></body></html>"
        return web.Response(status=status, text=text, content_type="text/html", headers={"Server": "gateway/1.0"})

    async def outer(self, status: int, shape: str | None = None) -> web.StreamResponse:
        """Return an error of the whole call, with any form of a wait or none."""
        headers = {"request-id": f"r-{self._calls}"}
        if shape is not None:
            headers["Retry-After"] = retry_after_shapes(time.time())[shape].strip()
        body = {"error": {"code": "UnknownError", "message": "", "innerError": {}}}
        return web.json_response(body, status=status, headers=headers)


NOT_FOUND = ("ErrorItemNotFound", "The specified object was not found in the store.")


def _raw(body: bytes, status: int = 200) -> Callable[..., Any]:
    async def answer(service: OddService, request: web.BaseRequest, _: list[Item]) -> web.StreamResponse:
        return await service._written(request, body, True, status)

    return answer


def _page(status: int) -> Callable[..., Any]:
    async def answer(service: OddService, request: web.BaseRequest, _: list[Item]) -> web.StreamResponse:
        return await service.page(request, status)

    return answer


def _outer(status: int, shape: str | None = None) -> Callable[..., Any]:
    async def answer(service: OddService, request: web.BaseRequest, _: list[Item]) -> web.StreamResponse:
        return await service.outer(status, shape)

    return answer


async def _half(service: OddService, request: web.BaseRequest, said: list[Item]) -> web.StreamResponse:
    body = json.dumps({"responses": said}).encode()
    return await service._written(request, body[: len(body) // 2], True)


async def _redirect(service: OddService, request: web.BaseRequest, _: list[Item]) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": f"{service.url}/elsewhere"})


async def _liar(service: OddService, request: web.BaseRequest, said: list[Item]) -> web.StreamResponse:
    """Return an answer that claims to be compressed and is not."""
    body = json.dumps({"responses": said}).encode()
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    return web.Response(body=body, headers=headers)


WHOLE: dict[str, Callable[..., Any]] = {
    "html 200": _page(200),
    "html 502": _page(502),
    "html 503": _page(503),
    "empty": _raw(b""),
    "blank": _raw(b"  \r\n"),
    "half": _half,
    "no list": _raw(b'{"responses": {}}'),
    "null": _raw(b"null"),
    "array": _raw(b"[]"),
    "deep": _raw(b'{"responses":' + b"[" * DEEP + b"]" * DEEP + b"}"),
    "not UTF-8": _raw(b'{"responses": ["\xff\xfe"]}'),
    "redirect": _redirect,
    "says gzip": _liar,
    **{f"outer 429 {shape}": _outer(429, shape) for shape in retry_after_shapes(0.0)},
    "outer 429": _outer(429),
    "outer 500": _outer(500),
    "outer 503 zero": _outer(503, "zero"),
    "outer 504": _outer(504),
}
"""Odd answers in place of the true one. Whether the batch was carried out is drawn separately."""
NEVER_DONE = frozenset(name for name in WHOLE if name.startswith("outer 429") or name in ("redirect", "html 200"))


def _repeat(service: OddService, said: list[Item]) -> None:
    one = dict(service._rng.choice(said))
    said.append(one)


def _repeat_otherwise(service: OddService, said: list[Item]) -> None:
    one = service._rng.choice(said)
    other = {"code": "ErrorServerBusy", "message": "Try again later."}
    said.append({"id": one["id"], "status": 503, "headers": {}, "body": {"error": other}})


def _leave_out(service: OddService, said: list[Item]) -> None:
    del said[: service._rng.randint(1, len(said))]


def _each(change: Callable[[Item], None]) -> Callable[[OddService, list[Item]], None]:
    def mangle(_: OddService, said: list[Item]) -> None:
        for one in said:
            change(one)

    return mangle


def _deep_body(one: Item) -> None:
    value: Any = 1
    for _ in range(300):
        value = {"a": value}
    if one["status"] != 204:
        one["body"]["more"] = value


MANGLES: dict[str, Callable[[OddService, list[Item]], None]] = {
    "as it is": lambda *_: None,
    "an id twice": _repeat,
    "an id twice, otherwise": _repeat_otherwise,
    "items left out": _leave_out,
    "an unknown id": lambda _, said: said.append({"id": "nobody", "status": 204}),
    "ids in capitals": _each(lambda one: one.update(id=str(one["id"]).upper())),
    "ids as numbers": _each(lambda one: one.update(id=int(one["id"]) if str(one["id"]).isdigit() else one["id"])),
    "ids with blanks": _each(lambda one: one.update(id=f" {one['id']} ")),
    "statuses as texts": _each(lambda one: one.update(status=str(one["status"]))),
    "bare": _each(lambda one: (one.pop("headers"), one.pop("body")) if one["status"] == 204 else None),
    "headers null": _each(lambda one: one.update(headers=None) if one["status"] == 204 else None),
    "a body with a 204": _each(lambda one: one.update(body={}) if one["status"] == 204 else None),
    "deep bodies": _each(_deep_body),
}
"""True answers, written oddly."""
