"""The floor: what aiohttp alone costs. Payloads are made before, answers are read and dropped, nothing is recorded.

python -m benchmarks.bare_loop --url https://127.0.0.1:PORT --ca-file ca.pem --items 100000
"""

from __future__ import annotations

import argparse
import asyncio
import ssl

import aiohttp

ITEMS = 20


def payload() -> bytes:
    """Return one batch of 20 rows with ids of ordinary length."""
    url = "/users/user00000@contoso.example/contacts/" + "AAMkAGI2" * 17 + "/permanentDelete"
    parts = ",".join(
        f'{{"id":"{i}","method":"POST","url":"{url}","headers":{{"Content-Type":"application/json"}},"body":{{}}}}'
        for i in range(ITEMS)
    )
    return f'{{"requests":[{parts}]}}'.encode()


async def post_all(url: str, ca_file: str, items: int, connections: int) -> None:
    """Post the same payload until ``items`` rows were answered."""
    context = ssl.create_default_context(cafile=ca_file)
    body, calls = payload(), items // ITEMS
    headers = {"Content-Type": "application/json", "Authorization": "Bearer none"}

    async def worker(count: int) -> None:
        for _ in range(count):
            async with session.post(f"{url}/v1.0/$batch", data=body, headers=headers) as answer:
                await answer.read()

    connector = aiohttp.TCPConnector(limit=connections, ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session:
        share, rest = divmod(calls, connections)
        await asyncio.gather(*(worker(share + (index < rest)) for index in range(connections)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--ca-file", required=True)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--uvloop", action="store_true")
    arguments = parser.parse_args()
    work = post_all(arguments.url, arguments.ca_file, arguments.items, arguments.connections)
    if arguments.uvloop:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work)
    else:
        asyncio.run(work)


if __name__ == "__main__":
    main()
