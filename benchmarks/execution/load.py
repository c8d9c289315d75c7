"""The load: asks one server over some connections and says how long each answer took. Its own CPU is nobody's.

A process of its own. It reads a line of JSON (``port``, ``connections``, ``seconds``, ``once``) and then the requests,
one a line in base64, from its standard input; it writes one line of JSON. With ``once`` every request is sent once at
most; otherwise they are sent in turn, over and over.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle


class Caller(asyncio.Protocol):
    """One connection: sends a request, waits for the whole answer, sends the next."""

    def __init__(self, requests: Iterator[bytes], ends: float, done: Callable[[], None]) -> None:
        self._requests = requests
        self._ends = ends
        self._done = done
        self._parts: list[bytes] = []
        self._got = 0
        self._need = 0
        self._chunked = False
        self._began = 0.0
        self._transport: asyncio.Transport
        self.taken: list[float] = []
        self.bytes = 0
        self.fault = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._next()

    def _next(self) -> None:
        request = next(self._requests, None) if time.perf_counter() < self._ends else None
        if request is None:
            self._transport.close()
            self._done()
            return
        self._parts.clear()
        self._got = self._need = 0
        self._chunked = False
        self._began = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._got += len(data)
        if not self._need and not self._chunked:
            self._parts.append(data)
            head, end, _ = b"".join(self._parts).partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 200"):
                self.fault = head[:200].decode(errors="replace")
                self._transport.close()
                self._done()
                return
            head = head.lower()
            place = head.find(b"content-length:")
            if place >= 0:
                self._need = len(head) + 4 + int(head[place + 15 :].split(b"\r\n", 1)[0])
            else:
                self._chunked = True
        if self._got == self._need or (self._chunked and data.endswith(b"0\r\n\r\n")):
            self.taken.append(time.perf_counter() - self._began)
            self.bytes += self._got
            self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._transport.is_closing():
            self.fault = f"the connection was lost: {error}"
            self._done()


async def call(port: int, connections: int, seconds: float, requests: list[bytes], once: bool) -> dict[str, object]:
    """Return how long every answer took in seconds, and how long everything did."""
    loop = asyncio.get_running_loop()
    supply = iter(requests) if once else cycle(requests)
    left = connections
    finished = asyncio.Event()

    def done() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            finished.set()

    began = time.perf_counter()
    callers = []
    for _ in range(connections):
        _, caller = await loop.create_connection(lambda: Caller(supply, began + seconds, done), "127.0.0.1", port)
        callers.append(caller)
    await finished.wait()
    faults = [each.fault for each in callers if each.fault]
    return {
        "seconds": time.perf_counter() - began,
        "taken": [taken for each in callers for taken in each.taken],
        "bytes": sum(each.bytes for each in callers),
        "fault": faults[0] if faults else "",
    }


def main() -> None:
    """Read what to do, do it, and write what came of it."""
    import uvloop

    asked = json.loads(sys.stdin.readline())
    requests = [base64.b64decode(line) for line in sys.stdin]
    result = uvloop.run(call(asked["port"], asked["connections"], asked["seconds"], requests, asked["once"]))
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
