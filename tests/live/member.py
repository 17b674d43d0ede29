"""A member for live tests: an HTTP server that can be killed, `python -m tests.live.member NAME PORT`.

It answers /health, and everything else with its name and the body it was sent, after the seconds that the path names
(/work?seconds=0.1).
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio import StreamReader, StreamWriter
from contextlib import suppress


async def _serve(name: str, reader: StreamReader, writer: StreamWriter) -> None:
    with suppress(ConnectionError, asyncio.IncompleteReadError, ValueError):
        while line := await reader.readline():
            path, length = line.decode().split()[1], 0
            while (header := await reader.readline()) not in (b"\r\n", b""):
                word, _, value = header.decode().partition(":")
                length = int(value) if word.lower() == "content-length" else length
            body = (await reader.readexactly(length)).decode()
            seconds = float(path.partition("seconds=")[2] or 0)
            if seconds:
                await asyncio.sleep(seconds)
            answer = json.dumps({"member": name, "body": body}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))
            await writer.drain()
    writer.close()


async def _main(name: str, port: int) -> None:
    server = await asyncio.start_server(lambda r, w: _serve(name, r, w), "127.0.0.1", port, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
