"""Node: what can be fetched again by its id alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import strawberry
from graphql import GraphQLObjectType

from kpro_graph.execution import Row, load, lookup, lookups
from kpro_graph.execution.ids import split

__all__ = ["Node", "NodeQueries"]

_MOST = 100


@strawberry.interface(description="Something with an id by which it can be fetched again.")
class Node:
    """Relay's Node."""

    id: strawberry.ID = strawberry.field(description="An opaque id, the same in every answer.")


def _types(info: Any) -> dict[str, GraphQLObjectType]:
    schema = info._raw_info.schema
    node = schema.get_type("Node")
    return {
        origin.prefix: type_
        for type_ in schema.get_possible_types(node)
        if issubclass(origin := type_.extensions["strawberry-definition"].origin, Row)
    }


async def _node(info: Any, id_: str) -> Any:
    parts = split(id_)
    type_ = _types(info).get(parts[0]) if parts else None
    if parts is None or type_ is None:
        return None
    return await load(info, type_, parts[1])


async def _look_up(info: Any, arguments: Mapping[str, Any]) -> Any:
    info.context.actor  # noqa: B018  # nobody looks anything up without being someone
    return await _node(info, arguments["id"])


async def _look_up_several(info: Any, arguments: Mapping[str, Any]) -> list[Any]:
    info.context.actor  # noqa: B018
    return list(await asyncio.gather(*(_node(info, id_) for id_ in arguments["ids"])))


@strawberry.type
class NodeQueries:
    """Look-ups by id."""

    node: Node | None = lookup(
        _look_up,
        description="What has this id; null when there is none that you may see.",
        id_description="A node's id.",
    )

    nodes: list[Node | None] = lookups(
        _look_up_several,
        description="What has these ids, in their order; null where there is none that you may see.",
        ids_description=f"At most {_MOST} ids.",
        most=_MOST,
    )
