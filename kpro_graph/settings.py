"""Settings: the environment, read once into a frozen value; every variable is described here and in the docs."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kpro_graph.errors import ConfigurationError

__all__ = ["Settings", "variables"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How this installation runs. Each field's metadata names its environment variable and says what it means."""

    database_url: str | None = field(
        default=None,
        repr=False,
        metadata={"variable": "KPRO_DATABASE_URL", "help": "PostgreSQL as the API's role; unset: embedded PostgreSQL"},
    )
    migration_url: str | None = field(
        default=None,
        repr=False,
        metadata={"variable": "KPRO_MIGRATION_URL", "help": "PostgreSQL as the owner's role, for `kpro migrate`"},
    )
    relay_url: str | None = field(
        default=None,
        repr=False,
        metadata={"variable": "KPRO_RELAY_URL", "help": "PostgreSQL as the relay's role, for events"},
    )
    folder: Path = field(
        default=Path(".kpro"),
        metadata={"variable": "KPRO_FOLDER", "help": "where embedded PostgreSQL and local secrets are kept"},
    )
    secret: bytes | None = field(
        default=None,
        repr=False,
        metadata={
            "variable": "KPRO_SECRET",
            "help": "base64 of at least 32 random bytes: seals CPR numbers and cursors; unset: a file in KPRO_FOLDER",
        },
    )
    plugins_folder: Path = field(
        default=Path("plugins"),
        metadata={"variable": "KPRO_PLUGINS_DIR", "help": "where a municipality's own plugins lie"},
    )
    connections: int = field(
        default=10,
        metadata={"variable": "KPRO_CONNECTIONS", "help": "database connections of one API process"},
    )
    allowed_origins: tuple[str, ...] = field(
        default=(),
        metadata={"variable": "KPRO_ALLOWED_ORIGINS", "help": "origins, comma separated, that may open subscriptions"},
    )

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the environment.

        Raises:
            ConfigurationError: a value has the wrong form; the variable is named, its value is not.
        """
        given = os.environ if environment is None else environment
        values: dict[str, object] = {}
        for name, description in cls.__dataclass_fields__.items():
            text = given.get(description.metadata["variable"], "").strip()
            if text:
                values[name] = _parsed(name, text, description.metadata["variable"])
        return cls(**values)  # type: ignore[arg-type]

    @property
    def embedded(self) -> bool:
        """Say whether PostgreSQL is ours to start: it is when no address of one is given."""
        return self.database_url is None and self.migration_url is None and self.relay_url is None


def variables() -> list[tuple[str, str, str]]:
    """Return every environment variable with its default and meaning, for the reference."""
    return [
        (each.metadata["variable"], str(each.default if each.default not in {None, ()} else ""), each.metadata["help"])
        for each in Settings.__dataclass_fields__.values()
    ]


def _parsed(name: str, text: str, variable: str) -> object:
    match name:
        case "folder" | "plugins_folder":
            return Path(text)
        case "connections":
            if not text.isdigit() or not 1 <= int(text) <= 500:
                raise ConfigurationError(f"{variable} is a number from 1 to 500")
            return int(text)
        case "allowed_origins":
            return tuple(origin.strip() for origin in text.split(",") if origin.strip())
        case "secret":
            try:
                secret = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError) as error:
                raise ConfigurationError(f"{variable} is not base64") from error
            if len(secret) < 32:
                raise ConfigurationError(f"{variable} must hold at least 32 bytes")
            return secret
        case _:
            if not text.startswith(("postgres://", "postgresql://")):
                raise ConfigurationError(f"{variable} must begin with postgresql://")
            return text
