"""The world all servers of the benchmark answer about: where it lies and whom they are asked about."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

__all__ = ["PEER", "World"]

PEER = "benchmark_peer"
"""The role that every server but ours *full* reads as; row-level security does not hold for it."""


@dataclass(frozen=True, slots=True)
class World:
    """What the requests are about. ``template`` is a response with the answers that every draft holds."""

    host: str
    port: int
    database: str
    municipality: int
    care_team: str
    citizens: tuple[str, ...]
    questionnaire: str
    template: str
    template_municipality: int
    submitting: int
    responses: int

    def to_json(self) -> str:
        """Write it for the servers, which read it from the environment."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls) -> World:
        """Return the world that this process was started with."""
        return cls(**{**json.loads(os.environ["BENCH_WORLD"]), "citizens": ()})

    def dsn(self, application: str, user: str = PEER) -> str:
        """Return the database's URL for a server by that name."""
        return f"postgresql://{user}@/{self.database}?host={self.host}&port={self.port}&application_name=bench-{application}"
