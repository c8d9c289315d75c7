"""Calls into a plugin: bounded in time, and whatever the plugin does, only its own outcome suffers.

A ``def`` runs in a thread of its own, because only that can be walked away from; an ``async def`` runs as a task of
its own, which is cancelled at the limit and left behind if it will not end. A call that blocks the event loop is
beyond this module.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from kpro_graph.cpr import redact
from kpro_graph.errors import KproError

__all__ = ["AT_MOST", "CallFailed", "Outcome", "ask", "call", "describe"]

AT_MOST = 1000
"""How many objects one hook may register."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended: with a value, or with the failure that took its place. ``seconds`` is how long it took."""

    value: object
    failure: BaseException | None
    seconds: float


class CallFailed(KproError):
    """A call ended in another way than by an error of the plugin's own; the message is a sentence about the plugin."""


async def call(function: Callable[..., object], *arguments: object, limit: float) -> Outcome:
    """Call a plugin's function, plain or async, and return how it ended, within about ``limit`` seconds.

    Nothing a plugin raises leaves this function; cancelling the caller still does.
    """
    begun = time.monotonic()
    try:
        if inspect.iscoroutinefunction(function):
            value = await _within(limit, asyncio.ensure_future(_guarded(function, arguments)))
        else:
            value = await _within(limit, _in_thread(function, arguments))
            if inspect.isawaitable(value):
                value = await _within(limit, asyncio.ensure_future(_guarded(_awaiting, (value,))))
    except _Failed as failed:
        return Outcome(None, failed.failure, time.monotonic() - begun)
    return Outcome(value, None, time.monotonic() - begun)


async def ask(function: Callable[..., object], *, limit: float) -> Outcome:
    """Call a hook that registers objects; the value of the outcome is a list of at most `AT_MOST` of them."""
    outcome = await call(function, limit=limit)
    if outcome.failure is not None:
        return outcome
    value = outcome.value
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        kind = _article(type(value).__name__)
        return Outcome(None, CallFailed(f"it returned {kind}, no iterable"), outcome.seconds)
    listed = await call(lambda: list(islice(value, AT_MOST + 1)), limit=limit)
    seconds = outcome.seconds + listed.seconds
    if listed.failure is None and isinstance(listed.value, list) and len(listed.value) > AT_MOST:
        return Outcome(None, CallFailed(f"it registered more than {AT_MOST} objects"), seconds)
    return Outcome(listed.value, listed.failure, seconds)


def describe(failure: BaseException, *hidden: str) -> str:
    """Return what went wrong in a plugin, in one line without CPR numbers and without the ``hidden`` values."""
    try:
        text = str(failure).strip()
    except Exception:  # whatever a foreign exception does when written
        text = ""
    # Values whole before the mask, and the mask before the cut: a remainder of either would not be recognised.
    for value in filter(None, hidden):
        text = text.replace(value, "…")
    first = redact(text).splitlines()[0][:300] if text else ""
    if isinstance(failure, KproError) and first:
        return first
    return f"{type(failure).__name__}: {first}" if first else type(failure).__name__


class _Failed(Exception):
    def __init__(self, failure: BaseException) -> None:
        super().__init__()
        self.failure = failure


async def _within(limit: float, answer: asyncio.Future[object]) -> object:
    answer.add_done_callback(_retrieve)
    try:
        done, _ = await asyncio.wait({answer}, timeout=limit)
    except asyncio.CancelledError:
        answer.cancel()
        raise
    if not done:
        answer.cancel()
        raise _Failed(CallFailed(f"it did not answer within {limit:g} s"))
    if answer.cancelled():
        raise _Failed(CallFailed("it cancelled itself"))
    if (failure := answer.exception()) is not None:
        raise _Failed(failure)
    return answer.result()


def _retrieve(answer: asyncio.Future[object]) -> None:
    # An answer that fails after we walked away is asked for its exception, or the loop complains of it.
    if not answer.cancelled():
        answer.exception()


async def _guarded(function: Callable[..., object], arguments: tuple[object, ...]) -> object:
    try:
        return await function(*arguments)  # type: ignore[misc]
    except (SystemExit, KeyboardInterrupt) as stop:
        raise CallFailed(f"it raised {type(stop).__name__}") from stop


async def _awaiting(value: object) -> object:
    return await value  # type: ignore[misc]


def _in_thread(function: Callable[..., object], arguments: tuple[object, ...]) -> asyncio.Future[object]:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[object] = loop.create_future()
    context = contextvars.copy_context()

    def settle(value: object, failure: BaseException | None) -> None:
        if answer.done():
            return
        if failure is None:
            answer.set_result(value)
        else:
            answer.set_exception(failure)

    def run() -> None:
        value: object = None
        failure: BaseException | None = None
        try:
            value = context.run(function, *arguments)
        except (SystemExit, KeyboardInterrupt, StopIteration) as stop:
            failure = CallFailed(f"it raised {type(stop).__name__}")
        except BaseException as error:  # whatever it is, it stays the plugin's
            failure = error
        try:
            loop.call_soon_threadsafe(settle, value, failure)
        except RuntimeError:
            return  # the loop has closed; nobody is waiting any more

    # A daemon, so that a function that never ends does not keep the process from ending.
    threading.Thread(target=run, name="kpro-plugin", daemon=True).start()
    return answer


def _article(noun: str) -> str:
    return f"an {noun}" if noun[:1].lower() in "aeiou" else f"a {noun}"
