"""Sealed envelopes: bytes kept where others might read them, opened only with the installation's secret.

Each purpose has keys of its own, so that what was sealed for one opens for no other.
"""

from __future__ import annotations

import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

__all__ = ["Envelope"]

_NONCE = 12


class Envelope:
    """Seals bytes for one purpose, and hashes them with a key. The secret is at least 32 bytes."""

    def __init__(self, secret: bytes, purpose: str) -> None:
        self._sealing = AESGCM(_derive(secret, f"sealing {purpose}"))
        self._marking = _derive(secret, f"marking {purpose}")

    def seal(self, content: bytes, bond: bytes = b"") -> bytes:
        """Return the content sealed; it opens only beside the same ``bond``, which is not part of it."""
        nonce = os.urandom(_NONCE)
        return nonce + self._sealing.encrypt(nonce, content, bond)

    def open(self, sealed: bytes, bond: bytes = b"") -> bytes | None:
        """Return what was sealed, or None when it was altered, moved, or sealed with another secret."""
        try:
            return self._sealing.decrypt(sealed[:_NONCE], sealed[_NONCE:], bond)
        except (InvalidTag, ValueError):
            return None

    def mark(self, *parts: str) -> bytes:
        """Return a keyed hash of the parts, 32 bytes: equal for equal parts, and not to be guessed without the key."""
        text = b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in parts)
        return hmac.digest(self._marking, text, "sha256")


def _derive(secret: bytes, purpose: str) -> bytes:
    info = f"kpro_graph envelope {purpose}".encode()
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(secret)
