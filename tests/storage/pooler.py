"""A transaction pooler: many clients share a few server connections, each for the length of one transaction.

It speaks PostgreSQL's protocol on a unix socket, as PgBouncer does with ``pool_mode = transaction``: a server connection
goes to a client with the first message of a transaction and comes back when the server says that none is open. Nothing
is reset in between, prepared statements are not followed, and the settings a client may connect with are few. It is for
servers that trust whoever reaches their socket.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

__all__ = ["Pooler", "pooling"]

_PROTOCOL, _SSL, _GSS, _CANCEL = 196608, 80877103, 80877104, 80877102
# PgBouncer refuses others; whatever it let through would hold for the next client as well.
_PARAMETERS = {"user", "database", "application_name", "client_encoding", "datestyle", "timezone"}
# Each of these is answered by one ReadyForQuery: a query, a Sync, a function call.
_ANSWERED = b"QSF"
# These belong to a query that is under way.
_COPYING = b"dcf"


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Return a message's kind and the whole of it."""
    head = await reader.readexactly(5)
    return head[:1], head + await reader.readexactly(int.from_bytes(head[1:]) - 4)


def _made(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


class _Server:
    """A connection to the server, and what it said of itself when it was opened."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.status = b""
        self.key = b""

    @classmethod
    async def open(cls, socket: Path, user: bytes, database: bytes) -> _Server:
        server = cls(*await asyncio.open_unix_connection(socket))
        body = struct.pack("!i", _PROTOCOL) + b"user\0" + user + b"\0database\0" + database + b"\0\0"
        server.writer.write(struct.pack("!i", len(body) + 4) + body)
        while True:
            kind, message = await _message(server.reader)
            if kind == b"S":
                server.status += message
            elif kind == b"K":
                server.key = message[5:]
            elif kind == b"Z":
                return server
            elif kind == b"E" or (kind == b"R" and message[5:9] != bytes(4)):
                raise ConnectionRefusedError(message)


class _Client:
    """One client, from its first message to its last."""

    def __init__(self, pooler: Pooler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._pooler = pooler
        self._reader, self._writer = reader, writer
        self._server: _Server | None = None
        self._answering: asyncio.Task[None] | None = None
        self._owed = 0
        self._open = False
        self.key = secrets.token_bytes(8)

    async def serve(self) -> None:
        try:
            if await self._greet():
                await self._pass_on()
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client is gone
        finally:
            self._pooler.clients.pop(self.key, None)
            if self._server is not None:
                # In the middle of a transaction: the server rolls it back when it is left.
                if self._answering is not None:
                    self._answering.cancel()
                self._pooler.drop(self._server)
            self._writer.close()

    async def _greet(self) -> bool:
        while True:
            size, code = struct.unpack("!ii", await self._reader.readexactly(8))
            body = await self._reader.readexactly(size - 8)
            if code in {_SSL, _GSS}:
                self._writer.write(b"N")
            elif code == _CANCEL:
                await self._pooler.cancel(body)
                return False
            else:
                break
        words = body.rstrip(b"\0").split(b"\0")
        parameters = dict(zip(words[::2], words[1::2], strict=True))
        if unknown := {name.decode() for name in parameters} - _PARAMETERS:
            text = f"unsupported startup parameter: {', '.join(sorted(unknown))}".encode()
            self._writer.write(_made(b"E", b"SFATAL\0VFATAL\0C08P01\0M" + text + b"\0\0"))
            await self._writer.drain()
            return False
        status = await self._pooler.status()
        self._pooler.clients[self.key] = self
        self._writer.write(_made(b"R", bytes(4)) + status + _made(b"K", self.key) + _made(b"Z", b"I"))
        return True

    async def _pass_on(self) -> None:
        while True:
            kind, message = await _message(self._reader)
            if kind == b"X":
                return
            if self._server is None:
                self._server = await self._pooler.take()
                self._answering = asyncio.create_task(self._answer(self._server))
            self._owed += kind in _ANSWERED
            if kind not in _COPYING:
                self._open = kind not in _ANSWERED
            self._server.writer.write(message)
            await self._server.writer.drain()

    async def _answer(self, server: _Server) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                kind, message = await _message(server.reader)
                if kind == b"Z":
                    self._owed -= 1
                    if not self._owed and not self._open and message[5:] == b"I":
                        # Given back before the client can know that it may ask for another.
                        self._server = None
                        self._pooler.give(server)
                        self._writer.write(message)
                        return
                self._writer.write(message)
                await self._writer.drain()
        # The server ended the connection, or the client did.
        self._writer.close()

    async def cancel(self) -> None:
        if self._server is not None:
            await self._pooler.send_cancel(self._server.key)


class Pooler:
    """Shares ``size`` connections of one user to one database; ``folder`` is the host that clients connect to."""

    def __init__(self, server: Path, folder: Path, port: int, user: str, database: str, size: int) -> None:
        self.folder, self.port, self.size = folder, port, size
        self.dsn = f"postgresql://{user}@/{database}?host={folder}&port={port}"
        self.clients: dict[bytes, _Client] = {}
        self.opened = self.taken = self.dropped = 0
        self._socket = server / f".s.PGSQL.{port}"
        self._user, self._database = user.encode(), database.encode()
        self._free: asyncio.Queue[_Server | None] = asyncio.Queue()
        for _ in range(size):
            self._free.put_nowait(None)
        self._tasks: set[asyncio.Task[None]] = set()
        self._all: list[_Server] = []
        self._status = b""

    async def take(self) -> _Server:
        """Return a server connection that nobody uses, the longest unused first; opened if there is none yet."""
        server = await self._free.get()
        try:
            if server is None:
                server = await _Server.open(self._socket, self._user, self._database)
                self._all.append(server)
                self.opened += 1
        except BaseException:
            self._free.put_nowait(None)
            raise
        self.taken += 1
        return server

    def give(self, server: _Server) -> None:
        """Take a server connection back as it is."""
        self._free.put_nowait(server)

    def drop(self, server: _Server) -> None:
        """Close a server connection that was left in the middle of something, and make room for another."""
        self.dropped += 1
        server.writer.close()
        self._free.put_nowait(None)

    async def status(self) -> bytes:
        """Return what the server says of itself to whoever connects."""
        if not self._status:
            server = await self.take()
            self.taken -= 1
            self._status = server.status
            self.give(server)
        return self._status

    async def cancel(self, key: bytes) -> None:
        """Pass on that a client wants to stop what it is doing."""
        if (client := self.clients.get(key)) is not None:
            await client.cancel()

    async def send_cancel(self, key: bytes) -> None:
        """Tell the server to stop what a connection is doing."""
        _, writer = await asyncio.open_unix_connection(self._socket)
        writer.write(struct.pack("!ii", len(key) + 8, _CANCEL) + key)
        await writer.drain()
        writer.close()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a client until it leaves."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await _Client(self, reader, writer).serve()
        except asyncio.CancelledError:
            pass  # the pooler is closing
        finally:
            self._tasks.discard(task)

    async def close(self) -> None:
        """Leave clients and servers."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for server in self._all:
            server.writer.close()


_numbers = itertools.count(1)


@asynccontextmanager
async def pooling(
    server: Path, folder: Path, port: int, user: str, database: str, size: int = 2
) -> AsyncIterator[Pooler]:
    """Run a pooler in a folder until the block ends; ``server`` is the folder of the server's socket."""
    place = folder / f"p{next(_numbers)}"
    place.mkdir()
    pooler = Pooler(server, place, port, user, database, size)
    listening = await asyncio.start_unix_server(pooler.accept, place / f".s.PGSQL.{port}")
    try:
        yield pooler
    finally:
        listening.close()
        await pooler.close()
