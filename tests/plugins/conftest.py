"""Plugins written to a folder for a test, and identities for providers to return."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kpro_graph.actors import ActorKind, AssuranceLevel, Identity

MANIFEST = """
id = "{id}"
version = "1.0.0"
publisher = "{publisher}"
title = "Et plugin"
title_en = "A plugin"
hook_api = ">=1,<2"

[needs]
cpr = "{cpr}"
"""


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """The plugins folder of one test."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    return folder


@pytest.fixture
def write_plugin(plugins: Path) -> Callable[..., Path]:
    """Write a plugin's folder; ``code`` becomes its package, ``content`` its questionnaires by name."""

    def write(
        name: str,
        code: str | None = None,
        *,
        publisher: str = "0101",
        cpr: str = "none",
        content: dict[str, bytes] | None = None,
        manifest: str | None = None,
        folder: str | None = None,
        inside: str = "",
    ) -> Path:
        place = plugins / inside / (folder or name)
        place.mkdir(parents=True)
        text = MANIFEST.format(id=name, publisher=publisher, cpr=cpr) if manifest is None else manifest
        (place / "kpro-plugin.toml").write_text(text, encoding="utf-8")
        if code is not None:
            (place / "__init__.py").write_text(code, encoding="utf-8")
        for title, questionnaire in (content or {}).items():
            (place / "content" / title).mkdir(parents=True)
            (place / "content" / title / "questionnaire.json").write_bytes(questionnaire)
        return place

    return write


def written(name: str = "q", version: str = "1.0.0", text: str = "Hvordan går det?") -> bytes:
    """Return a small questionnaire that holds."""
    document: dict[str, Any] = {
        "resourceType": "Questionnaire",
        "url": f"https://example.org/Questionnaire/{name}",
        "version": version,
        "status": "active",
        "item": [{"linkId": "1", "text": text, "type": "string"}],
    }
    return json.dumps(document).encode()


@pytest.fixture
def questionnaire() -> Callable[..., bytes]:
    """Make the bytes of a small questionnaire."""
    return written


@pytest.fixture
def citizen() -> Identity:
    """A citizen as a provider named ``test`` vouches for her."""
    return Identity(
        provider="test",
        subject="7f6c",
        kind=ActorKind.CITIZEN,
        municipality="0101",
        assurance=AssuranceLevel.SUBSTANTIAL,
        cpr="7312632330",
        name="Charlotte Lund",
    )
