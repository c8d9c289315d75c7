"""Texts and their translations, and whether they were reworded or only written more neatly."""

from __future__ import annotations

from collections.abc import Mapping

from kpro_graph.questionnaires.differences.changes import Changes
from kpro_graph.questionnaires.differences.matching import plain
from kpro_graph.questionnaires.model import Value

__all__ = ["compare_words"]


def compare_words(
    changes: Changes,
    reworded: str,
    old: str,
    new: str,
    old_texts: Mapping[str, str],
    new_texts: Mapping[str, str],
    *,
    link_id: str,
    location: str,
    was: str = "",
    option: Value | None = None,
) -> None:
    """Take down how a text and its translations differ; ``reworded`` is the kind for the text itself."""
    if old != new:
        kind = "text_reformatted" if plain(old) == plain(new) else reworded
        changes.add(kind, link_id, location, was=was, before=old, after=new, option=option)
    for language in sorted({*old_texts, *new_texts}):
        before, after = old_texts.get(language, ""), new_texts.get(language, "")
        if before == after:
            continue
        if not before:
            kind = "translation_added"
        elif not after:
            kind = "translation_removed"
        else:
            kind = "text_reformatted" if plain(before) == plain(after) else "translation_reworded"
        changes.add(
            kind, link_id, location, was=was, before=_named(language, before), after=_named(language, after),
            option=option,
        )  # fmt: skip


def _named(language: str, text: str) -> str:
    return f"{language}: {text}" if text else ""
