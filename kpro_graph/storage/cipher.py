"""CPR numbers at rest: sealed for those who must read them, indexed blindly for those who must find them.

An installation has a ring of keys: the first seals, all open and find. The last is always the one derived from the
installation's secret, which sealed everything before there was a ring. Without the keys neither the numbers nor whom
they belong to can be had from the database: the index is keyed, so numbers cannot be tried out against it.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kpro_graph.errors import ConfigurationError

__all__ = ["LEGACY_LENGTH", "SECRET_KEY", "Cipher", "Key", "RingFile"]

SECRET_KEY = "secret"  # noqa: S105 - a key's name
"""The id of the key that is derived from the installation's secret."""

LEGACY_LENGTH = 38
"""How long a value is that was sealed before there was a ring: nonce, ten characters, tag; it names no key."""

_NONCE = 12
# The form of a sealed value: this byte, the length of the key's id, the id, nonce, ciphertext and tag.
_FORM = 2
_ID = re.compile(r"[a-z][a-z0-9-]{0,15}")


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the ring: a short lower-case id, which is stored with what it sealed, and at least 32 secret bytes.

    Raises:
        ConfigurationError: the id has another form or is taken by the secret's own key, or the bytes are too few.
    """

    id: str
    material: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id) or self.id == SECRET_KEY:
            raise ConfigurationError(
                "a key's id has 1 to 16 lower-case letters, digits and hyphens, begins with a letter and is not"
                f" {SECRET_KEY}"
            )
        if len(self.material) < 32:
            raise ConfigurationError(f"the key {self.id} must hold at least 32 bytes")


Keys: TypeAlias = Sequence[Key] | Callable[[], Sequence[Key]]


class _Opened:
    """A key made ready: what seals and what indexes are derived apart, so that neither tells of the other."""

    def __init__(self, id_: str, material: bytes) -> None:
        self.id = id_
        self.sealing = AESGCM(_derive(material, b"cpr sealing"))
        self.indexing = _derive(material, b"cpr index")
        self.head = bytes((_FORM, len(id_))) + id_.encode()


def _derive(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"kpro_graph " + purpose).derive(secret)


class Cipher:
    """Seals and finds CPR numbers with a ring of keys and a secret of at least 32 bytes.

    ``keys`` may be a function; it is asked at every use, so that a ring may change while it is in use.
    """

    def __init__(self, secret: bytes, keys: Keys = ()) -> None:
        if len(secret) < 32:
            raise ConfigurationError("KPRO_SECRET must hold at least 32 bytes")
        self._own = _Opened(SECRET_KEY, secret)
        # Whoever shares the database shares the secret, in whatever order their rings are.
        self._locking = _derive(secret, b"cpr lock")
        self._fingerprinting = _derive(secret, b"fingerprints")
        self._keys = keys
        self._opened = lru_cache(maxsize=64)(_Opened)

    @classmethod
    def of(cls, secret: bytes, keys: Sequence[tuple[str, bytes]], folder: Path | None) -> Cipher:
        """Return the cipher of an installation: its ``keys`` as settings give them, else the ring kept in ``folder``.

        ``folder`` is None where the installation keeps no secrets in files.

        Raises:
            ConfigurationError: a key is malformed, or the ring in the folder is damaged.
        """
        if keys or folder is None:
            return cls(secret, [Key(id_, material) for id_, material in keys])
        ring = RingFile(folder)
        ring()
        return cls(secret, ring)

    def _ring(self) -> list[_Opened]:
        keys = self._keys() if callable(self._keys) else self._keys
        return [*(self._opened(key.id, key.material) for key in keys), self._own]

    @property
    def ring(self) -> tuple[str, ...]:
        """Return the ids of the keys; the first seals."""
        return tuple(key.id for key in self._ring())

    @property
    def mark(self) -> bytes:
        """Return how a value begins that the first key has sealed."""
        return self._ring()[0].head

    def seal(self, digits: str, row: UUID) -> bytes:
        """Return the number sealed with the first key, naming it; sealing twice gives two different results.

        ``row`` is the id of the person or employee the value is kept with: it opens there and nowhere else.
        """
        key = self._ring()[0]
        nonce = os.urandom(_NONCE)
        return key.head + nonce + key.sealing.encrypt(nonce, digits.encode(), _bond(key.head, row))

    def unseal(self, sealed: bytes, row: UUID) -> str:
        """Return the digits of a value kept with this row; one from before there was a ring opens in any.

        Raises:
            ConfigurationError: the key is not in the ring, or the value was altered or belongs to another row.
        """
        if len(sealed) == LEGACY_LENGTH:
            key, start, bond = self._own, 0, b"cpr"
        else:
            head = sealed[: 2 + (sealed[1] if len(sealed) > LEGACY_LENGTH else 0)]
            found = next((each for each in self._ring() if each.head == head), None)
            if found is None:
                raise ConfigurationError("a CPR number was sealed with a key that is not in KPRO_KEYS")
            key, start, bond = found, len(head), _bond(head, row)
        try:
            return key.sealing.decrypt(sealed[start : start + _NONCE], sealed[start + _NONCE :], bond).decode()
        except InvalidTag as error:
            raise ConfigurationError(
                f"a CPR number does not open: KPRO_SECRET or the key {key.id} differs, or it was altered or moved"
            ) from error

    def index(self, digits: str) -> bytes:
        """Return the blind index of a number under the first key: what is stored beside the sealed number."""
        return hmac.digest(self._ring()[0].indexing, digits.encode(), "sha256")

    def indexes(self, digits: str) -> list[bytes]:
        """Return the blind index under every key: a look-up tries them all, since not all rows may be rotated yet."""
        return [hmac.digest(key.indexing, digits.encode(), "sha256") for key in self._ring()]

    def fingerprint(self, purpose: str, text: str) -> bytes:
        """Return 32 bytes by which a code or token is known again and cannot be tried out without the secret.

        What was fingerprinted for one purpose is never taken for another.
        """
        return hmac.digest(self._fingerprinting, f"{purpose}\0{text}".encode(), "sha256")

    def lock(self, digits: str) -> int:
        """Return the number's advisory lock in PostgreSQL, the same under every ring: two who register it at once meet.

        It is keyed, so who looks at the server's locks learns nothing.
        """
        return int.from_bytes(hmac.digest(self._locking, digits.encode(), "sha256")[:8], signed=True)


def _bond(head: bytes, row: UUID) -> bytes:
    return b"kpro_graph cpr\0" + head + row.bytes


class RingFile:
    """The ring of an installation with an embedded database: a file beside its secret, one ``id:base64`` a line.

    It is a function of no arguments that returns the keys, first the one that seals; what is added by another process
    is seen at the next call. Without a file there are no keys but the secret's.

    Raises:
        ConfigurationError: the file cannot be read or is damaged; its content is not repeated.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "keys"
        self._read: tuple[object, tuple[Key, ...]] = (None, ())

    def __call__(self) -> tuple[Key, ...]:
        """Return the keys as the file holds them now."""
        try:
            found = self._file.stat()
            # A new ring is a new file: it is renamed into place whole.
            mark = (found.st_ino, found.st_mtime_ns, found.st_size)
            if self._read[0] != mark:
                self._read = (mark, self._parsed(self._file.read_text(encoding="ascii")))
        except FileNotFoundError as error:
            if self._read[1]:
                raise ConfigurationError(f"{self._file} has gone: without it CPR numbers cannot be read") from error
        except (OSError, ValueError, binascii.Error) as error:
            raise ConfigurationError(
                f"{self._file} cannot be read as a key ring: without it CPR numbers cannot be read; restore it"
            ) from error
        return self._read[1]

    @staticmethod
    def _parsed(text: str) -> tuple[Key, ...]:
        pairs = [line.split(":", 1) for line in text.split()]
        return tuple(Key(id_, base64.b64decode(material, validate=True)) for id_, material in pairs)

    def add(self) -> Key:
        """Put a fresh key first and return it. The caller sees to it that nobody else does so at the same time.

        Raises:
            ConfigurationError: the file cannot be written or is damaged.
        """
        present = self()
        taken = {key.id for key in present}
        fresh = Key(next(id_ for n in range(1, 10**6) if (id_ := f"k{n}") not in taken), secrets.token_bytes(32))
        lines = [f"{key.id}:{base64.b64encode(key.material).decode()}\n" for key in (fresh, *present)]
        draft = self._file.with_name(f"keys.{os.getpid()}")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                with os.fdopen(descriptor, "w", encoding="ascii") as opened:
                    opened.writelines(lines)
                    opened.flush()
                    os.fsync(opened.fileno())
                draft.replace(self._file)
                # The key must outlive a power cut before anything is sealed with it.
                folder = os.open(self._file.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
            finally:
                with suppress(FileNotFoundError):
                    draft.unlink()
        except OSError as error:
            raise ConfigurationError(f"the key ring cannot be kept in {self._file.parent}: {error.strerror}") from error
        return fresh
