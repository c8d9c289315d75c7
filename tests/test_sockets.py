"""Sockets: what is framed without ceremony reads as what uvicorn frames, and a full connection holds up nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from kpro_graph.commands.sockets import Sockets
from kpro_graph.schema.audiences import start

SIZES = (0, 1, 125, 126, 127, 65_535, 65_536, 200_000)


@asynccontextmanager
async def serving(app: Any, **settings: Any) -> AsyncIterator[str]:
    """Serve an application on a free port."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, ws=Sockets, lifespan="off", log_config=None, access_log=False, **settings)
    )
    task = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"ws://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


async def telling(scope: Any, receive: Any, send: Any) -> None:
    """Send a text of each size and go on with what is asked: bytes, or to close."""
    await receive()
    await send({"type": "websocket.accept"})
    for size in SIZES:
        await send({"type": "websocket.send", "text": ("æ" + "x" * size)[:size]})
    await send({"type": "websocket.send", "bytes": b"bytes"})
    await send({"type": "websocket.close", "code": 4000})


@pytest.mark.parametrize("compressing", [False, True])
async def test_texts_of_every_size_arrive_whole_and_in_order_compressed_or_not(compressing: bool) -> None:
    async with serving(telling, ws_per_message_deflate=compressing) as address, connect(address) as channel:
        texts = [await channel.recv() for _ in SIZES]
        assert texts == [("æ" + "x" * size)[:size] for size in SIZES]
        assert await channel.recv() == b"bytes"
        with pytest.raises(ConnectionClosed):
            await channel.recv()
        assert channel.close_code == 4000


async def test_what_need_not_wait_is_done_at_once_and_the_rest_is_left_for_a_task() -> None:
    done: list[str] = []
    gate = asyncio.Event()

    async def send(name: str) -> None:
        await gate.wait()
        done.append(name)
        await asyncio.sleep(0)
        done.append(f"{name} again")

    rest = start(send("waits"))
    assert rest is not None
    assert done == []
    task = asyncio.ensure_future(rest)
    await asyncio.sleep(0)
    gate.set()
    await task
    assert done == ["waits", "waits again"]

    async def at_once() -> None:
        await gate.wait()
        done.append("at once")

    assert start(at_once()) is None
    assert done[-1] == "at once"


async def test_what_is_left_can_be_broken_off_and_cleans_up_behind_it() -> None:
    ended: list[str] = []

    async def send() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cleaned up")

    rest = start(send())
    assert rest is not None
    task = asyncio.ensure_future(rest)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["cleaned up"]


HELLO = (
    b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def test_a_connection_that_takes_nothing_is_waited_for_by_its_own_task_alone() -> None:
    taken: list[int] = []
    finished = asyncio.Event()

    async def filling(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        rest = None
        while rest is None:
            rest = start(send({"type": "websocket.send", "text": "x" * 100_000}))
            taken.append(100_000)
        await rest
        finished.set()
        await receive()

    async with serving(filling) as address:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
        writer.write(HELLO)
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.3)
        # Whoever fills it went on to the message that had to wait, and no further.
        assert taken
        assert not finished.is_set()
        async with asyncio.timeout(10):
            for size in taken:
                assert len(await reader.readexactly(10 + size)) == 10 + size
        assert finished.is_set()
        writer.close()
