"""Settings: the environment, read once into a frozen value; every variable is described here and in the docs."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

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
        metadata={
            "variable": "KPRO_RELAY_URL",
            "help": "PostgreSQL as the relay's role, for events and the access log; never through a pooler",
        },
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
    keys: tuple[tuple[str, bytes], ...] = field(
        default=(),
        repr=False,
        metadata={
            "variable": "KPRO_KEYS",
            "help": "keys for CPR numbers, `id:base64` of at least 32 random bytes each, comma separated: the first "
            "seals, all open; unset: one made of KPRO_SECRET, or a file in KPRO_FOLDER",
        },
    )
    access_log_heads: Path | None = field(
        default=None,
        metadata={
            "variable": "KPRO_ACCESS_LOG_HEADS",
            "help": "the file, outside the database, to which signed heads of the access log are added; unset: "
            "`access-log-heads.jsonl` in KPRO_FOLDER",
        },
    )
    access_log_key: bytes | None = field(
        default=None,
        repr=False,
        metadata={
            "variable": "KPRO_ACCESS_LOG_KEY",
            "help": "base64 of 32 random bytes: the Ed25519 seed of the key that signs heads of the access log; unset: "
            "derived from KPRO_SECRET",
        },
    )
    pooler: str = field(
        default="",
        metadata={
            "variable": "KPRO_POOLER",
            "help": "`transaction` where KPRO_DATABASE_URL leads to a transaction pooler such as PgBouncer; unset: to "
            "the server itself",
        },
    )
    reception_code: int = field(
        default=10,
        metadata={
            "variable": "KPRO_RECEPTION_CODE",
            "help": "minutes a one-time code for a reception computer works if it is not used",
        },
    )
    reception_idle: int = field(
        default=120,
        metadata={
            "variable": "KPRO_RECEPTION_IDLE",
            "help": "seconds without a request after which a session at a reception computer ends",
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
    replica_urls: tuple[str, ...] = field(
        default=(),
        repr=False,
        metadata={
            "variable": "KPRO_REPLICA_URLS",
            "help": "PostgreSQL's read replicas as the API's role, comma separated: queries are read from them",
        },
    )
    replica_lag: int = field(
        default=2,
        metadata={
            "variable": "KPRO_REPLICA_LAG",
            "help": "seconds a replica may be late and still be read from; rights that end, end there so much later",
        },
    )
    deadline: int = field(
        default=30,
        metadata={
            "variable": "KPRO_DEADLINE",
            "help": "seconds an operation, or one delivery of a subscription, may take before it is broken off",
        },
    )
    allowed_origins: tuple[str, ...] = field(
        default=(),
        metadata={"variable": "KPRO_ALLOWED_ORIGINS", "help": "origins, comma separated, that may open subscriptions"},
    )
    public_url: str | None = field(
        default=None,
        metadata={
            "variable": "KPRO_PUBLIC_URL",
            "help": "how browsers reach this installation, such as https://kpro.example.dk; needed for sign-in",
        },
    )
    identity_providers: Path | None = field(
        default=None,
        metadata={
            "variable": "KPRO_IDENTITY_PROVIDERS",
            "help": "the TOML file that describes the identity providers; unset: nobody signs in by OpenID Connect",
        },
    )
    session_idle: int = field(
        default=30,
        metadata={"variable": "KPRO_SESSION_IDLE", "help": "minutes without use after which a browser's session ends"},
    )
    session_longest: int = field(
        default=600,
        metadata={"variable": "KPRO_SESSION_LONGEST", "help": "minutes after which a browser's session ends anyway"},
    )
    recognition: int = field(
        default=1,
        metadata={
            "variable": "KPRO_RECOGNITION",
            "help": "seconds for which whoever was authenticated is not looked up again; 0: looked up at every request",
        },
    )
    operation_tokens: int = field(
        default=10_000,
        metadata={"variable": "KPRO_OPERATION_TOKENS", "help": "tokens that a GraphQL document has at most"},
    )
    operation_depth: int = field(
        default=20,
        metadata={"variable": "KPRO_OPERATION_DEPTH", "help": "how deep the fields of an operation are nested at most"},
    )
    operation_fields: int = field(
        default=1_000,
        metadata={
            "variable": "KPRO_OPERATION_FIELDS",
            "help": "fields that an operation asks for at most, fragments spread and aliases apart",
        },
    )
    operation_rows: int = field(
        default=10_000_000,
        metadata={
            "variable": "KPRO_OPERATION_ROWS",
            "help": "rows that an operation could read at most: the sizes of its pages times what is in them, each "
            "list at its longest",
        },
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
    def heads(self) -> Path:
        """Return the file that signed heads of the access log are added to."""
        return self.access_log_heads or self.folder / "access-log-heads.jsonl"

    @property
    def pooled(self) -> bool:
        """Say whether a transaction pooler stands between the API and PostgreSQL."""
        return self.pooler == "transaction"

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
        case "folder" | "plugins_folder" | "access_log_heads" | "identity_providers":
            return Path(text)
        case _ if name in _NUMBERS:
            return _number(text, variable, *_NUMBERS[name])
        case "public_url":
            return _public_url(text, variable)
        case "allowed_origins":
            return tuple(origin.strip() for origin in text.split(",") if origin.strip())
        case "secret":
            return _random_bytes(text, variable)
        case "access_log_key":
            return _seed(text, variable)
        case "pooler":
            if text != "transaction":
                raise ConfigurationError(f"{variable} is `transaction`, or unset")
            return text
        case "keys":
            return _keys(text, variable)
        case "replica_urls":
            return tuple(_database_url(url.strip(), f"each of {variable}") for url in text.split(",") if url.strip())
        case _:
            return _database_url(text, variable)


def _database_url(text: str, variable: str) -> str:
    if not text.startswith(("postgres://", "postgresql://")):
        raise ConfigurationError(f"{variable} must begin with postgresql://")
    return text


def _public_url(text: str, variable: str) -> str:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(f"{variable} is not an address") from error
    if parts.scheme not in {"https", "http"} or not host or "@" in parts.netloc:
        raise ConfigurationError(f"{variable} must begin with https://")
    if parts.scheme == "http" and host not in {"127.0.0.1", "::1", "localhost"}:
        raise ConfigurationError(f"{variable} must begin with https://; only this machine itself may do without")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ConfigurationError(f"{variable} has no path: the product answers at the root of its host")
    return f"{parts.scheme}://{parts.netloc}"


_NUMBERS = {
    "connections": (1, 500, ""),
    "deadline": (1, 300, " of seconds"),
    "replica_lag": (1, 10, " of seconds"),
    "session_idle": (1, 1440, " of minutes"),
    "session_longest": (1, 1440, " of minutes"),
    "reception_code": (1, 60, " of minutes"),
    "reception_idle": (10, 600, " of seconds"),
    "recognition": (0, 10, " of seconds"),
    "operation_tokens": (1_000, 1_000_000, ""),
    "operation_depth": (15, 100, ""),
    "operation_fields": (250, 100_000, ""),
    "operation_rows": (10_000, 10**15, ""),
}


def _number(text: str, variable: str, least: int, most: int, unit: str) -> int:
    if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
        raise ConfigurationError(f"{variable} is a number{unit} from {least} to {most}")
    return int(text)


def _random_bytes(text: str, variable: str) -> bytes:
    try:
        secret = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigurationError(f"{variable} is not base64") from error
    if len(secret) < 32:
        raise ConfigurationError(f"{variable} must hold at least 32 bytes")
    return secret


def _seed(text: str, variable: str) -> bytes:
    seed = _random_bytes(text, variable)
    if len(seed) != 32:
        raise ConfigurationError(f"{variable} must hold 32 bytes, no more")
    return seed


def _keys(text: str, variable: str) -> tuple[tuple[str, bytes], ...]:
    pairs = [part.strip().partition(":") for part in text.split(",") if part.strip()]
    keys = tuple((name, _random_bytes(material, f"each key of {variable}")) for name, _, material in pairs)
    if len({name for name, _ in keys}) < len(keys):
        raise ConfigurationError(f"{variable} names two keys by one id")
    return keys
