"""The demo's signing secret: 32 random bytes in a file that only its owner can read."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from kpro_graph.errors import ConfigurationError

__all__ = ["load_secret"]

_FILE = "demo-identity.secret"
_LENGTH = 32


def load_secret(folder: Path) -> bytes:
    """Return the secret kept in the data folder, made at the first call; two processes at once get the same one.

    Raises:
        ConfigurationError: the file cannot be made or read, or is not 32 bytes long.
    """
    file = folder / _FILE
    try:
        if not file.exists():
            _create(file)
        secret = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"the demo's secret {file} cannot be made or read: {error.strerror}") from error
    if len(secret) != _LENGTH:
        raise ConfigurationError(f"the demo's secret {file} is damaged: delete it, and issue new tokens")
    return secret


def _create(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{os.getpid()}-{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_bytes(_LENGTH))
            stream.flush()
            os.fsync(stream.fileno())
        # A link appears whole or not at all, and never in place of one that another process has made.
        with suppress(FileExistsError):
            os.link(draft, file)
    finally:
        draft.unlink()
