"""The access log: one line per citizen, operation and action, written before the answer leaves.

A line says who looked or changed, in what roles, and which groups of fields; it is inserted in the transaction of the
reading or change it tells of, so there is never an answer without its line. Lines name people by id only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from kpro_graph.actors import Actor
from kpro_graph.storage.tables import new_id

__all__ = ["write"]

_INSERT = """
INSERT INTO access_log (municipality_id, id, operation_id, citizen_id, action, operation, actor_kind, actor_id, roles,
                        fields_seen)
SELECT municipality_id, id, $3, citizen_id, action, $4, $5, $6, $7, fields_seen
FROM unnest($1::integer[], $2::uuid[], $8::uuid[], $9::text[], $10::text[])
     AS line (municipality_id, id, citizen_id, action, fields_seen)
ON CONFLICT (municipality_id, operation_id, citizen_id, action) DO NOTHING
"""


async def write(
    connection: Any,
    actor: Actor,
    operation_id: UUID,
    operation: str,
    seen: Mapping[tuple[int, UUID, str], Iterable[str]],
) -> None:
    """Insert the lines of one operation: ``seen`` maps (municipality, citizen, action) to groups of fields."""
    if not seen:
        return
    keys = sorted(seen, key=lambda key: (key[0], key[1].int, key[2]))
    await connection.execute(
        _INSERT,
        [municipality for municipality, _, _ in keys],
        [new_id() for _ in keys],
        operation_id,
        operation,
        actor.kind.value,
        actor.id,
        " ".join(sorted(actor.roles)),
        [citizen for _, citizen, _ in keys],
        [action for _, _, action in keys],
        [" ".join(sorted(seen[key])) for key in keys],
    )
