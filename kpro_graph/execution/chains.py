"""Chains: which lists of a plan are read flat, and how flat records become rows within rows again.

A server builds an array of rows some ten times dearer than it sends the rows themselves. So the lists that are expected
to be longest, one within the other, are joined; a record says by its ordinals which row of each list it belongs to.
"""

from __future__ import annotations

import itertools
import linecache
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kpro_graph.execution.shapes import Level, Record

__all__ = ["Link", "chain", "gatherer"]

_USUAL = {"many": 4.0, "latest_per": 3.0}
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Link:
    """A record of a chain within a flat one: how many values it has, and where the next list's records stand in it."""

    width: int
    next: int | None


def chain(record: Record, asked: Sequence[Any]) -> list[Level]:
    """Return the lists, from one of this record's on, whose rows are expected to be the most."""
    chosen: list[Level] = []
    while True:
        expected = {level.number: _expected(level, asked) for level in record.lists}
        best = max(record.lists, key=lambda level: expected[level.number], default=None)
        if best is None or not expected[best.number]:
            return chosen
        chosen.append(best)
        record = best.record


def _expected(level: Level, asked: Sequence[Any]) -> float:
    """Guess how many rows a list and the longest chain beneath it have."""
    if asked[level.number].skipped:
        return 0.0
    own = _USUAL.get(level.relation.shape, 50.0)
    return own * max([1.0, *(_expected(each, asked) for each in level.record.lists)])


def gatherer(links: Sequence[Link]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """Return the function that makes the statement's one row of its flat records.

    A flat record holds the values of the last link, then those of the others from the root on, and the ordinals of the
    chain's lists. A row's values come with the first record beneath
    it. Rows that have others beneath them become lists, so that those can be added.
    """
    depth = len(links) - 1
    starts = list(itertools.accumulate([links[-1].width, *(link.width for link in links[:-1])]))
    ordinals = [f"o{n}" for n in range(1, depth + 1)]
    lines = ["def gather(records):", "    r0 = None", "    for record in records:"]
    lines += [f"        {name} = record[{starts[-1] + n}]" for n, name in enumerate(ordinals)]
    lines += ["        if r0 is None:", *_row(0, starts[0], links[0])]
    for n in range(1, depth + 1):
        lines.append(f"        if o{n} is None: continue")
        if n == depth:
            lines.append(f"        r{n - 1}[{links[n - 1].next}].append(record[:{links[n].width}])")
            break
        beneath = " and ".join(f"(o{m} is None or o{m} == 1)" for m in range(n + 1, depth + 1))
        lines += [f"        if {beneath}:", *_row(n, starts[n], links[n])]
        lines.append(f"            r{n - 1}[{links[n - 1].next}].append(r{n})")
    lines.append("    return r0")
    source = "\n".join(lines) + "\n"
    name = f"<gather {next(_numbers)}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    names: dict[str, Any] = {}
    exec(compile(source, name, "exec"), names)  # noqa: S102 - the text is made of places in a record, never of values
    gather: Callable[[Sequence[Any]], Sequence[Any]] = names["gather"]
    return gather


def _row(n: int, start: int, link: Link) -> list[str]:
    return [f"            r{n} = list(record[{start}:{start + link.width}])", f"            r{n}[{link.next}] = []"]
