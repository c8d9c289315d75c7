"""The subscribers: many sockets that follow one server, and when each event has reached all of them.

A process of its own. It reads a line of JSON (``port``, ``path``, ``subscribers``, ``events``, ``query``, ``token``)
from its standard input, writes ``ready`` once all listen, and a line of JSON for each event when everybody has it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import websockets


async def main() -> None:
    """Follow."""
    asked = json.loads(sys.stdin.readline())
    count: int = asked["subscribers"]
    heard = asyncio.Queue[tuple[float, str]]()
    gate = asyncio.Semaphore(20)
    sockets: list[Any] = []
    everybody = asyncio.Event()
    payload = {"query": asked["query"]}

    async def follow(number: int) -> None:
        async with gate:
            socket = await websockets.connect(
                f"ws://127.0.0.1:{asked['port']}{asked['path']}",
                subprotocols=["graphql-transport-ws"],  # type: ignore[list-item]
                compression=None,
                open_timeout=120,
                ping_interval=None,
            )
            sockets.append(socket)
            init = {"Authorization": f"Bearer {asked['token']}"} if asked["token"] else {}
            await socket.send(json.dumps({"type": "connection_init", "payload": init}))
            if json.loads(await socket.recv())["type"] != "connection_ack":
                raise SystemExit("a subscriber was refused")
            await socket.send(json.dumps({"id": str(number), "type": "subscribe", "payload": payload}))
            if len(sockets) == count:
                everybody.set()
        while True:
            message = json.loads(await socket.recv())
            if message["type"] == "next":
                heard.put_nowait((time.time(), json.dumps(message["payload"])))
            elif message["type"] == "ping":
                await socket.send('{"type":"pong"}')
            else:
                raise SystemExit(f"a subscriber got {message}")

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(follow(number)) for number in range(count)]
        await everybody.wait()
        # Nothing tells that a subscription has begun but its first event.
        await asyncio.sleep(asked["patience"])
        print("ready", flush=True)
        for _ in range(asked["events"]):
            answers = [await heard.get() for _ in range(count)]
            said = {answer for _, answer in answers}
            last = max(moment for moment, _ in answers)
            print(json.dumps({"last": last, "answers": sorted(said)}), flush=True)
        # Leaving costs a server something, too, and is not what is measured: everybody stays until told to go.
        await asyncio.to_thread(sys.stdin.readline)
        for task in tasks:
            task.cancel()
    for socket in sockets:
        socket.transport.abort()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
