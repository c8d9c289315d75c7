"""The national library that ships with the product: questionnaires every municipality may use."""

from __future__ import annotations

from pathlib import Path

from kpro_graph.plugins import QuestionnaireBundle, hookimpl, read_bundles

__all__ = ["register_questionnaires"]


@hookimpl
def register_questionnaires() -> list[QuestionnaireBundle]:
    """Return everything under ``content``."""
    return read_bundles(Path(__file__).parent / "content", owner=None)
