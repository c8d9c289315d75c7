"""What an expression comes down to: its own text and that of every variable it makes use of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from kpro_graph.questionnaires.expressions import ExpressionInvalid, compile_expression
from kpro_graph.questionnaires.model import Item, Questionnaire, SourceExpression

__all__ = ["Scopes", "Signature"]

Signature: TypeAlias = tuple[object, ...]
"""What two expressions share when they compute the same; expressions that are written otherwise may yet do so."""

_QUOTED = re.compile(r"('(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`)")
_SPACE = re.compile(r"\s+")


class Scopes:
    """The expressions of one version, each with the variables in its scope.

    ``renamed`` are linkIds to be read as others, so that an expression that follows a renamed question is the same.
    """

    def __init__(self, questionnaire: Questionnaire, renamed: Mapping[str, str]) -> None:
        self._questionnaire = questionnaire
        self._renamed = renamed
        self._root = tuple(questionnaire.variables)

    def sign(self, source: SourceExpression | None, item: Item | None) -> Signature | None:
        """Return what an expression at an item, or at the root, comes down to; None where there is none."""
        if source is None:
            return None
        return self._sign(source, self._scope(item))

    def follow(self, part: Any) -> Any:
        """Return a part of the document with the renamed linkIds in it, bare and quoted, as the others."""
        if not self._renamed:
            return part
        if isinstance(part, Mapping):
            return {name: self.follow(each) for name, each in part.items()}
        if isinstance(part, list):
            return [self.follow(each) for each in part]
        return self._renamed.get(part, self._text(part)) if isinstance(part, str) else part

    def _scope(self, item: Item | None) -> tuple[SourceExpression, ...]:
        chain: list[Item] = []
        while item is not None:
            chain.append(item)
            item = self._questionnaire.by_link_id[item.parent] if item.parent else None
        return (*self._root, *(variable for step in reversed(chain) for variable in step.variables))

    def _sign(self, source: SourceExpression, scope: Sequence[SourceExpression]) -> Signature:
        used: list[tuple[str, Signature]] = []
        for name in sorted(_variables(source)):
            for place in reversed(range(len(scope))):
                if scope[place].name == name:
                    used.append((name, self._sign(scope[place], scope[:place])))
                    break
        return (source.language, self._text(source.text), tuple(used))

    def _text(self, text: str) -> str:
        """Return the text without what is mere form, which inside a comment cannot be told apart."""
        if "//" in text or "/*" in text:
            return text.strip()
        parts = _QUOTED.split(text)
        for place, part in enumerate(parts):
            if place % 2 == 0:
                parts[place] = _SPACE.sub(" ", part)
            elif part[0] == "'" and part[1:-1] in self._renamed:
                parts[place] = f"'{self._renamed[part[1:-1]]}'"
        return "".join(parts).strip()


def _variables(source: SourceExpression) -> frozenset[str]:
    try:
        return compile_expression(source.text).variables()
    except ExpressionInvalid:
        return frozenset(re.findall(r"%(\w+)", source.text))
