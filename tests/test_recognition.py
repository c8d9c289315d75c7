"""Whoever was authenticated a moment ago is recognised; rights that end, end within that moment."""

from __future__ import annotations

import pytest

from kpro_graph.actors import Actor, ActorKind, AssuranceLevel, Credentials
from kpro_graph.errors import NotAuthenticated
from kpro_graph.recognition import Recognition
from kpro_graph.storage import tables

BEARER = Credentials("bearer", "a token", "127.0.0.1")


class Door:
    """Authenticates whoever is let in, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.open = True
        self.time = 0.0

    async def authenticate(self, credentials: Credentials) -> Actor:
        """Return an actor who bears what was shown, so that tests can tell them apart."""
        self.asked += 1
        if not self.open:
            raise NotAuthenticated("not any more")
        return Actor(ActorKind.EMPLOYEE, tables.new_id(), 101, (101,), AssuranceLevel.HIGH, name=credentials.value)

    def recognition(self, seconds: float = 1.0, size: int = 10_000) -> Recognition:
        """Return a recognition over this door and its clock."""
        return Recognition(self.authenticate, seconds, size=size, now=lambda: self.time)


async def test_the_same_credentials_are_looked_up_once_a_moment() -> None:
    door = Door()
    recognition = door.recognition()
    first = await recognition.recognise(BEARER)
    assert await recognition.recognise(BEARER) is first
    door.time = 0.99
    assert await recognition.recognise(BEARER) is first
    door.time = 1.0
    assert await recognition.recognise(BEARER) is not first
    assert door.asked == 2


async def test_rights_that_end_end_within_the_moment() -> None:
    door = Door()
    recognition = door.recognition()
    await recognition.recognise(BEARER)
    door.open = False
    door.time = 1.0
    with pytest.raises(NotAuthenticated):
        await recognition.recognise(BEARER)


async def test_a_refusal_is_never_remembered() -> None:
    door = Door()
    door.open = False
    recognition = door.recognition()
    with pytest.raises(NotAuthenticated):
        await recognition.recognise(BEARER)
    door.open = True
    assert (await recognition.recognise(BEARER)).name == "a token"


async def test_whoever_is_looked_up_and_refused_is_forgotten() -> None:
    door = Door()
    recognition = door.recognition()
    await recognition.recognise(BEARER)
    door.open = False
    with pytest.raises(NotAuthenticated):
        await recognition.look_up(BEARER)
    with pytest.raises(NotAuthenticated):
        await recognition.recognise(BEARER)


@pytest.mark.parametrize(
    "other",
    [
        Credentials("bearer", "another token", "127.0.0.1"),
        Credentials("session", "a token", "127.0.0.1"),
        Credentials("bearer", "a token", "192.0.2.1"),
        Credentials("bearer", "a token", "127.0.0.1", "team_1"),
        Credentials("bearer", "a token127", ".0.0.1"),
    ],
    ids=["token", "scheme", "address", "context", "parts that read alike together"],
)
async def test_nobody_is_taken_for_somebody_else(other: Credentials) -> None:
    door = Door()
    recognition = door.recognition()
    first = await recognition.recognise(BEARER)
    assert await recognition.recognise(other) is not first


@pytest.mark.parametrize("scheme", ["session", "session-listening", "reception"])
async def test_whoever_has_a_session_is_always_looked_up(scheme: str) -> None:
    door = Door()
    recognition = door.recognition()
    for _ in range(3):
        await recognition.recognise(Credentials(scheme, "a token"))
    assert door.asked == 3


async def test_without_a_moment_everybody_is_always_looked_up() -> None:
    door = Door()
    recognition = door.recognition(seconds=0)
    for _ in range(3):
        await recognition.recognise(BEARER)
    assert door.asked == 3


async def test_what_is_remembered_is_bounded_and_can_be_forgotten() -> None:
    door = Door()
    recognition = door.recognition(size=2)
    for value in ("one", "two", "three"):
        await recognition.recognise(Credentials("bearer", value))
    await recognition.recognise(Credentials("bearer", "one"))
    assert door.asked == 4
    recognition.forget()
    await recognition.recognise(Credentials("bearer", "one"))
    assert door.asked == 5
