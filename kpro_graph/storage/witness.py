"""The witness: a file outside the database that tells, signed, how far each municipality's access log had come.

Whoever can rewrite the whole database can chain it anew; what they cannot do is sign another past. The file is only
ever added to: one JSON line a head, each naming the line before it, so that a line taken out shows as well. Whoever
keeps a copy of it elsewhere can also show that the file itself was cut off.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kpro_graph.errors import BadInput, ConfigurationError

__all__ = ["Head", "PublicKey", "SigningKey", "Testimony", "Witness", "read"]

_PURPOSE = b"kpro_graph access log head\n"
_LONGEST = 4096
"""No line is longer, in bytes."""


@dataclass(frozen=True, slots=True)
class Head:
    """How far a municipality's log has come: its last seal, the last position under it, and the seal's hash."""

    municipality: int
    number: int
    position: int
    hash: bytes
    sealed_at: datetime


class _Line(msgspec.Struct, rename="camel"):
    """A head as it stands in the file; the signature covers everything before it."""

    municipality: int
    seal: int
    position: int
    hash: str
    sealed_at: datetime
    before: str
    key: str
    signature: str


@dataclass(frozen=True, slots=True)
class Testimony:
    """What files of heads tell: the heads in order, and what is wrong with the files, in sentences."""

    heads: tuple[Head, ...]
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What a signed head is verified with: the 32 bytes of an Ed25519 public key. It is no secret."""

    raw: bytes

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Return the key that is written as base64.

        Raises:
            BadInput: it is not base64 of 32 bytes.
        """
        try:
            raw = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != 32:
            raise BadInput("a public key is base64 of 32 bytes", path="public-key")
        return cls(raw)

    def __str__(self) -> str:
        return base64.b64encode(self.raw).decode()

    @property
    def name(self) -> str:
        """Return how heads name the key they are signed with: the beginning of its SHA-256, in hexadecimal."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    def signed(self, content: bytes, signature: str) -> bool:
        """Say whether this key's other half signed the content; the signature is base64."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(base64.b64decode(signature), content)
        except (InvalidSignature, ValueError):
            return False
        return True


class SigningKey:
    """What heads are signed with: an Ed25519 key made of a seed of 32 random bytes."""

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey(self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    @classmethod
    def derive(cls, secret: bytes) -> SigningKey:
        """Return the key of an installation that was given none: derived from its secret."""
        derived = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"kpro_graph access log heads")
        return cls(derived.derive(secret))

    def sign(self, content: bytes) -> str:
        """Return the signature in base64."""
        return base64.b64encode(self._private.sign(content)).decode()


class Witness:
    """Writes heads to a file and signs them."""

    def __init__(self, path: Path, key: SigningKey) -> None:
        self.path = path
        self._key = key

    def prepare(self) -> None:
        """Make the file if there is none, and take away a last line that was torn by a loss of power.

        Raises:
            ConfigurationError: the file cannot be written here.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._open() as file:
                end = os.fstat(file).st_size
                if end and os.pread(file, 1, end - 1) != b"\n":
                    os.ftruncate(file, end - len(_last(file, end)))
                    os.fsync(file)
            # The file's name must outlive a loss of power as well.
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise ConfigurationError(
                f"the heads of the access log cannot be kept in {self.path} ({error.strerror}): "
                "set KPRO_ACCESS_LOG_HEADS to a file that can be written and lies outside the database"
            ) from error

    def latest(self) -> dict[int, Head]:
        """Return the last head of each municipality as the file has it; lines that do not hold are passed over.

        Raises OSError if the file cannot be read.
        """
        found: dict[int, Head] = {}
        if self.path.exists():
            for line in _whole(self.path).splitlines():
                if isinstance(parsed := _parsed(line), _Line):
                    found[parsed.municipality] = _head(parsed)
        return found

    def append(self, heads: Iterable[Head]) -> None:
        """Add heads and return once they are on disk. Raises OSError if they cannot be written."""
        with self._open() as file:
            # Another process may write to it as well: each line names the one that stands before it.
            fcntl.flock(file, fcntl.LOCK_EX)
            before = _digest(_last(file, os.fstat(file).st_size).rstrip(b"\n"))
            lines = b""
            for head in heads:
                line = self._written(head, before)
                before = _digest(line)
                lines += line + b"\n"
            os.write(file, lines)
            os.fsync(file)

    def _written(self, head: Head, before: str) -> bytes:
        line = _Line(
            head.municipality, head.number, head.position, head.hash.hex(), head.sealed_at, before,
            self._key.public.name, "",
        )  # fmt: skip
        line.signature = self._key.sign(_signed(line))
        return msgspec.json.encode(line)

    @contextmanager
    def _open(self) -> Iterator[int]:
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            yield file
        finally:
            os.close(file)


def read(paths: Sequence[Path], keys: Sequence[PublicKey]) -> Testimony:
    """Read files of heads and check every line's signature, by one of the keys, and its place behind the line before.

    Raises:
        ConfigurationError: a file is there and cannot be read.
    """
    heads: list[Head] = []
    faults: list[str] = []
    for path in paths:
        try:
            lines = _whole(path).splitlines(keepends=True)
        except FileNotFoundError:
            faults.append(f"The file of heads {path.name} is missing.")
            continue
        except OSError as error:
            raise ConfigurationError(f"the heads in {path} cannot be read ({error.strerror})") from error
        found, wrong = _checked(path.name, lines, {key.name: key for key in keys})
        heads += found
        faults += wrong
    return Testimony(tuple(heads), tuple(faults))


def _checked(name: str, lines: Sequence[bytes], keys: Mapping[str, PublicKey]) -> tuple[list[Head], list[str]]:
    heads, faults = [], []
    before = _digest(b"")
    for number, raw in enumerate(lines, 1):
        line = raw.removesuffix(b"\n")
        parsed = _parsed(line)
        if isinstance(parsed, str) or not raw.endswith(b"\n"):
            faults.append(f"Line {number} of {name} is no head: it was altered, or torn off.")
        elif parsed.key not in keys:
            faults.append(f"Line {number} of {name} is signed with a key that is not this installation's.")
        elif not keys[parsed.key].signed(_signed(parsed), parsed.signature):
            faults.append(f"Line {number} of {name} is forged: its signature does not hold.")
        else:
            heads.append(_head(parsed))
            if parsed.before != before:
                faults.append(f"Line {number} of {name} does not follow the line before it: lines are missing.")
        before = _digest(line)
    return heads, faults


def _signed(line: _Line) -> bytes:
    return _PURPOSE + msgspec.json.encode(msgspec.structs.replace(line, signature=""))


def _parsed(line: bytes) -> _Line | str:
    try:
        parsed = msgspec.json.decode(line, type=_Line)
        bytes.fromhex(parsed.hash)
    except (ValueError, msgspec.DecodeError):
        return "malformed"
    # One way to write a head, so that nothing can be hidden in another.
    return parsed if msgspec.json.encode(parsed) == line else "written otherwise"


def _head(line: _Line) -> Head:
    return Head(line.municipality, line.seal, line.position, bytes.fromhex(line.hash), line.sealed_at)


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest() if line else ""


def _whole(path: Path) -> bytes:
    """Return what the file holds when nobody is writing to it."""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        return file.read()


def _last(file: int, end: int) -> bytes:
    """Return the last line of a file of this length, with its end where it has one."""
    tail = os.pread(file, _LONGEST, max(0, end - _LONGEST))
    return tail[tail.rstrip(b"\n").rfind(b"\n") + 1 :]
