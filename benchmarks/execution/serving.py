"""What the Python servers have in common: uvicorn as the product runs it, and as the benchmark knows it by name."""

from __future__ import annotations

import sys
from typing import Any

import uvicorn

from kpro_graph.commands.serving import spare_what_stays
from kpro_graph.commands.sockets import Sockets

__all__ = ["announce", "serve"]


def announce(name: str) -> None:
    """Show the server's name in the list of processes, where the system can."""
    try:
        from pathlib import Path

        Path("/proc/self/comm").write_text(f"bench-{name}")
    except OSError:
        pass


async def serve(app: Any, port: int) -> None:
    """Serve until told to stop."""
    config = uvicorn.Config(
        app,
        port=port,
        loop="none",
        ws=Sockets,
        ws_per_message_deflate=False,
        ws_max_size=1_000_000,
        lifespan="off",
        proxy_headers=False,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    spare_what_stays()
    await uvicorn.Server(config).serve()


if sys.platform == "win32":
    raise SystemExit("the benchmark needs the embedded PostgreSQL, which does not run on Windows")
