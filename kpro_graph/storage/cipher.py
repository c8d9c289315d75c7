"""CPR numbers at rest: sealed for those who must read them, indexed blindly for those who must find them.

Keys are derived from the installation's secret. Without it neither the numbers nor who they belong to can be had
from the database: the index is keyed, so numbers cannot be tried out against it.
"""

from __future__ import annotations

import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kpro_graph.errors import ConfigurationError

__all__ = ["Cipher"]

_NONCE = 12


def _derive(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"kpro_graph " + purpose).derive(secret)


class Cipher:
    """Seals and finds CPR numbers with keys derived from one secret of at least 32 bytes."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 32:
            raise ConfigurationError("KPRO_SECRET must hold at least 32 bytes")
        self._sealing = AESGCM(_derive(secret, b"cpr sealing"))
        self._index = _derive(secret, b"cpr index")

    def seal(self, digits: str) -> bytes:
        """Return nonce and ciphertext; sealing twice gives two different results."""
        nonce = os.urandom(_NONCE)
        return nonce + self._sealing.encrypt(nonce, digits.encode(), b"cpr")

    def unseal(self, sealed: bytes) -> str:
        """Return the digits.

        Raises:
            ConfigurationError: the secret is not the one they were sealed with, or the bytes were altered.
        """
        try:
            return self._sealing.decrypt(sealed[:_NONCE], sealed[_NONCE:], b"cpr").decode()
        except InvalidTag as error:
            raise ConfigurationError("KPRO_SECRET does not open what is stored") from error

    def index(self, digits: str) -> bytes:
        """Return the blind index of a number: the same for the same number, telling nothing without the key."""
        return hmac.digest(self._index, digits.encode(), "sha256")
