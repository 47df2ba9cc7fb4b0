"""Tests of the transport over a mocked aiohttp: outcomes that need no network."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from aioresponses import aioresponses

from purgeengine.edges.http.transport import HttpTransport
from purgeengine.errors import NoAnswer, NotSent

URL = "https://graph.microsoft.com/v1.0/$batch"


class Response(aiohttp.ClientResponse):
    """A response with ``stream_writer``, which aiohttp 3.14 requires and aioresponses 0.7 does not give."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().__init__(*args, stream_writer=_Writer(), **kwargs)
        except TypeError:  # an older aiohttp does not take the argument
            super().__init__(*args, **kwargs)


class _Writer:
    """The one attribute that aiohttp reads of a writer after everything is written."""

    output_size = 0


async def post(mocked: Any) -> Any:
    """Post a batch while Graph is mocked."""
    async with HttpTransport.open(graph_url="https://graph.microsoft.com", connections=1) as transport:
        return await transport.post(b"{}", "id", "token")


@pytest.mark.parametrize("status", [200, 302, 400, 401, 429, 500, 502, 503, 504])
async def test_any_status_is_an_answer(status: int) -> None:
    """Every HTTP status is returned as an answer, because the transport does not judge statuses."""
    with aioresponses() as mocked:
        mocked.post(URL, status=status, body=b"said", headers={"Retry-After": "3"}, response_class=Response)
        answer = await post(mocked)
    told = {"retry-after": "3"} if status == 200 else {"retry-after": "3", "content-type": "application/json"}
    assert (answer.status, answer.body, answer.headers) == (status, b"said", told)


@pytest.mark.parametrize(
    ("error", "expected", "reason"),
    [
        (aiohttp.ConnectionTimeoutError("x"), NotSent, "did not accept a connection within 10 s"),
        (aiohttp.ServerDisconnectedError(), NoAnswer, "closed the connection before it answered"),
        (aiohttp.ClientPayloadError("x"), NoAnswer, "ended before the answer did"),
        (aiohttp.SocketTimeoutError("x"), NoAnswer, "did not answer in time"),
        (TimeoutError(), NoAnswer, "did not answer in time"),
        (aiohttp.ClientOSError(104, "Connection reset by 10.0.0.1"), NoAnswer, "broke"),
        (ConnectionResetError(), NoAnswer, "broke .ConnectionResetError"),
        (aiohttp.ClientConnectionError("x"), NoAnswer, "failed .ClientConnectionError"),
    ],
)
async def test_failures_fall_into_two_kinds(error: Exception, expected: type[Exception], reason: str) -> None:
    """A failure is `NotSent` only if no connection was made; every other failure is `NoAnswer`."""
    with aioresponses() as mocked:
        mocked.post(URL, exception=error)
        with pytest.raises(expected, match=reason):
            await post(mocked)


async def test_a_mistake_of_ours_is_not_hidden() -> None:
    """An exception that the network cannot cause is raised as it is, because it is a mistake of ours."""
    with aioresponses() as mocked:
        mocked.post(URL, exception=ZeroDivisionError())
        with pytest.raises(ZeroDivisionError):
            await post(mocked)
