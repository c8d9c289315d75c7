"""Sockets: uvicorn's, but that a text which the connection can take is framed and written without ceremony."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import OPEN

__all__ = ["Sockets"]


class Sockets(WebSocketsSansIOProtocol):
    """A socket whose texts cost little, as the same event goes to many."""

    async def send(self, message: Any) -> None:
        """Send one ASGI message; whatever is out of the ordinary is uvicorn's."""
        text = message.get("text")
        if (
            text is None
            or message["type"] != "websocket.send"
            or not (self.handshake_complete and self.writable.is_set())
            or self.disconnected
            or self.close_sent
            or self.initial_response is not None
            or self.conn.state is not OPEN
            # Compressed is what each connection makes of it by itself.
            or self.conn.extensions
        ):
            await super().send(message)
            return
        self.transport.write(_frame(text.encode()))


def _frame(payload: bytes) -> bytes:
    """Return one unmasked, unfragmented text frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload
