"""Who may sign in to the product while it is measured: the demo's actors, and many citizens instead of one."""

from __future__ import annotations

from functools import cached_property
from uuid import UUID

from kpro_graph.actors import ActorKind, AssuranceLevel, Identity
from kpro_graph.plugins.demo_identity import DemoDirectory

__all__ = ["Neighbours", "place_of"]


def place_of(municipality: int, number: int) -> str:
    """Return what a token names instead of a municipality to sign in the citizen of that number who lives there."""
    return f"{municipality:04d}/{number}"


class Neighbours(DemoDirectory):
    """The demo's directory, in which ``citizen`` stands for another citizen at each place."""

    def __init__(self, municipality: int = 851, citizens: tuple[UUID, ...] = ()) -> None:
        super().__init__()
        self._demo = DemoDirectory()
        self._code = f"{municipality:04d}"
        self._wanted = citizens

    @cached_property
    def _living(self) -> dict[str, Identity]:
        wanted = {citizen: n for n, citizen in enumerate(self._wanted)}
        found: dict[str, Identity] = {}
        n = 0
        while len(found) < len(wanted):
            person = self.demography.citizen(self._code, n)
            n += 1
            if person.id not in wanted:
                continue
            found[place_of(int(self._code), wanted[person.id])] = Identity(
                provider="demo",
                subject=str(person.id),
                kind=ActorKind.CITIZEN,
                municipality=self._code,
                assurance=AssuranceLevel.SUBSTANTIAL,
                cpr=person.cpr,
                name=person.name,
            )
        return found

    @property
    def municipalities(self) -> tuple[str, ...]:
        """The places a token may name."""
        return self._places

    @cached_property
    def _places(self) -> tuple[str, ...]:
        return (*(each.code for each in self.demography.municipalities()), *self._living)

    def find(self, name: str, municipality: str) -> Identity | None:
        """Return the identity of that actor at that place, or None."""
        if municipality in self._living:
            return self._living[municipality] if name == "citizen" else None
        return self._demo.find(name, municipality)
