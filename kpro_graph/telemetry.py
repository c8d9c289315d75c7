"""What the operator sees of a running product: log lines without personal data.

There are no traces and no metrics yet: log lines, and the errors that callers get, are all that leaves the product
beside its answers. Whatever is added here passes every text through `kpro_graph.cpr.redact` first.
"""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType

from kpro_graph.cpr import CprRedaction

__all__ = ["configure_logging"]

_logger = logging.getLogger(__name__)


def configure_logging(level: str = "INFO") -> None:
    """Send log lines to standard error, every one of them through the CPR redaction.

    Warnings, and exceptions that end the process or a thread, become log lines too: the interpreter would print them
    as they are. What libraries have hung on their own loggers is given the same filter.
    """
    redaction = CprRedaction()
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s  %(message)s", "%H:%M:%S"))
    stream.addFilter(redaction)
    root = logging.getLogger()
    root.handlers[:] = [stream]
    root.setLevel(level)
    for logger in [each for each in root.manager.loggerDict.values() if isinstance(each, logging.Logger)]:
        for handler in logger.handlers:
            handler.addFilter(redaction)
    # These print statements, values or every request: none of it belongs in a log of health data.
    # A number that is cut in two by a shortened line would not even be known for one.
    for name in ("tortoise", "strawberry", "asyncio", "uvicorn.access", "websockets", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").setLevel(max(logging.INFO, root.level))
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_end
    sys.unraisablehook = _log_unraisable
    threading.excepthook = _log_end_of_thread


def _log_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    _logger.critical("the process ends: %s", kind.__name__, exc_info=(kind, error, trace))


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None and not issubclass(ended.exc_type, SystemExit):
        caught = (ended.exc_type, ended.exc_value, ended.exc_traceback)
        _logger.critical("a thread ends: %s", ended.exc_type.__name__, exc_info=caught)


def _log_unraisable(caught: sys.UnraisableHookArgs) -> None:
    if caught.exc_value is not None:
        known = (caught.exc_type, caught.exc_value, caught.exc_traceback)
        _logger.error("an exception could not be raised: %s", caught.exc_type.__name__, exc_info=known)
