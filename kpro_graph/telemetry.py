"""What the operator sees of a running product: log lines without personal data."""

from __future__ import annotations

import logging
import sys

from kpro_graph.cpr import CprRedaction

__all__ = ["configure_logging"]


def configure_logging(level: str = "INFO") -> None:
    """Send log lines to standard error, every one of them through the CPR redaction."""
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s  %(message)s", "%H:%M:%S"))
    stream.addFilter(CprRedaction())
    root = logging.getLogger()
    root.handlers[:] = [stream]
    root.setLevel(level)
    # These print statements, values or every request: none of it belongs in a log of health data.
    for name in ("tortoise", "strawberry", "asyncio", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
