"""The cheapest service that answers ``$batch`` correctly: every sub-request gets 204 at once, and nothing is remembered.

With it, a benchmark measures its client and not a simulation. One process, TLS on loopback:

    python -m benchmarks.null_graph --ca-file ca.pem      (prints its URL, serves until its standard input closes)
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
import sys
from pathlib import Path

import trustme
from aiohttp import web

ITEMS_MAX = 20
ANSWERS = [
    b'{"responses":[' + b",".join(b'{"id":"%d","status":204,"headers":{}}' % i for i in range(count)) + b"]}"
    for count in range(ITEMS_MAX + 1)
]
HEADERS = {"Content-Type": "application/json", "request-id": "00000000-0000-0000-0000-000000000000"}


async def batch(request: web.Request) -> web.Response:
    """Answer as many sub-responses as there are sub-requests. Their ids count from 0."""
    body = await request.read()
    return web.Response(body=ANSWERS[body.count(b'"method"')], headers=HEADERS)


async def serve(ca_file: Path, latency_s: float) -> None:
    """Listen on a free port of 127.0.0.1, print the URL, and stop when standard input closes."""

    async def delayed(request: web.Request) -> web.Response:
        await asyncio.sleep(latency_s)
        return await batch(request)

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(ca_file))
    app = web.Application()
    app.router.add_post("/v1.0/$batch", delayed if latency_s else batch)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    print(f"https://127.0.0.1:{port}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ca-file", type=Path, required=True)
    parser.add_argument("--latency-s", type=float, default=0.0)
    arguments = parser.parse_args()
    try:
        import uvloop

        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    except ImportError:
        runner = asyncio.Runner()
    with runner:
        runner.run(serve(arguments.ca_file, arguments.latency_s))


if __name__ == "__main__":
    main()
