"""A call into a plugin ends within its limit, and whatever the plugin does stays the plugin's."""

from __future__ import annotations

import asyncio
import itertools
import operator
import threading
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest

from kpro_graph.plugins.calls import AT_MOST, CallFailed, ask, call, describe


async def test_both_kinds_of_function_answer() -> None:
    async def later(number: int) -> int:
        await asyncio.sleep(0)
        return number + 1

    assert (await call(lambda number: number + 1, 1, limit=5)).value == 2
    assert (await call(later, 1, limit=5)).value == 2


async def test_a_plain_function_that_gives_back_a_coroutine_is_awaited() -> None:
    async def later() -> str:
        return "there"

    assert (await call(partial(operator.call, later), limit=5)).value == "there"


async def test_a_plain_function_does_not_run_on_the_event_loop() -> None:
    outcome = await call(threading.get_ident, limit=5)
    assert outcome.value != threading.get_ident()


@pytest.mark.parametrize(
    "error", [ValueError("x"), SystemExit(1), KeyboardInterrupt(), StopIteration(), GeneratorExit()]
)
async def test_whatever_is_raised_is_the_outcome(error: BaseException) -> None:
    def plain() -> None:
        raise error

    async def later() -> None:
        raise error

    for function in (plain, later):
        outcome = await call(function, limit=5)
        assert outcome.value is None
        assert outcome.failure is not None
        assert type(outcome.failure) not in (SystemExit, KeyboardInterrupt)


async def test_a_function_that_cancels_itself_cancels_nobody_else() -> None:
    async def later() -> None:
        raise asyncio.CancelledError

    outcome = await call(later, limit=5)
    assert "cancelled itself" in str(outcome.failure)


async def test_a_function_that_hangs_is_left_at_the_limit() -> None:
    ended = threading.Event()

    async def stubborn() -> None:
        while not ended.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue

    begun = time.monotonic()
    for function in (ended.wait, stubborn):
        outcome = await call(function, limit=0.1)
        assert isinstance(outcome.failure, CallFailed)
        assert 0.05 < outcome.seconds < 2
    assert time.monotonic() - begun < 4
    ended.set()
    await asyncio.sleep(0.2)


async def test_an_answer_that_fails_too_late_disturbs_nobody() -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    async def late() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            raise ValueError("late")

    def slow() -> None:
        time.sleep(0.1)
        raise ValueError("late")

    for function in (late, slow):
        assert isinstance((await call(function, limit=0.02)).failure, CallFailed)
    await asyncio.sleep(0.3)
    asyncio.get_running_loop().set_exception_handler(None)
    assert complaints == []


async def test_cancelling_the_caller_cancels_the_plugin() -> None:
    cancelled = asyncio.Event()

    async def waiting() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    caller = asyncio.create_task(call(waiting, limit=10))
    await asyncio.sleep(0.01)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await asyncio.wait_for(cancelled.wait(), 1)


async def test_registered_objects_come_as_a_list() -> None:
    def generated() -> Iterator[int]:
        yield from (1, 2)

    async def later() -> tuple[int, int]:
        return (1, 2)

    for hook in (generated, later, lambda: [1, 2], lambda: iter((1, 2))):
        assert (await ask(hook, limit=5)).value == [1, 2]


@pytest.mark.parametrize("value", [None, 7, "text", b"bytes", {"a": 1}])
async def test_what_is_no_iterable_of_objects_is_a_failure(value: object) -> None:
    outcome = await ask(lambda: value, limit=5)
    assert outcome.value is None
    assert "no iterable" in str(outcome.failure)


async def test_an_asynchronous_generator_is_a_failure() -> None:
    async def generated() -> AsyncIterator[int]:
        yield 1

    assert "an async_generator, no iterable" in str((await ask(generated, limit=5)).failure)


async def test_endless_objects_are_a_failure() -> None:
    assert f"more than {AT_MOST}" in str((await ask(itertools.count, limit=5)).failure)


async def test_an_iterable_that_fails_half_way_gives_nothing() -> None:
    def half() -> Iterator[int]:
        yield 1
        raise ValueError("half way")

    outcome = await ask(half, limit=5)
    assert outcome.value is None
    assert str(outcome.failure) == "half way"


def test_a_failure_is_described_in_one_line_without_cpr_numbers() -> None:
    assert describe(ValueError("no 010170-1234\nsecond line")) == "ValueError: no ******-****"
    assert describe(ValueError()) == "ValueError"
    assert describe(CallFailed("it did not answer within 3 s")) == "it did not answer within 3 s"


def test_an_exception_that_cannot_be_written_is_named() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert describe(Broken()) == "Broken"


def test_what_is_to_be_hidden_is_hidden_whole() -> None:
    failure = ValueError(f"{'x' * 292} 010170-1234 and token-0101701234")
    assert describe(failure, "token-0101701234") == f"ValueError: {'x' * 292} ******-"
    assert describe(ValueError("no token-0101701234"), "token-0101701234", "") == "ValueError: no …"
