"""Sessions of browsers, kept by the server: the browser holds a random token and nothing else.

A session stands for one identity as a provider vouched for it, sealed, and is never changed: whoever signs in again,
or more surely, gets a new one and the old one ends. It ends by itself when it has not been used for a while, and after
a time however much it is used.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import msgspec

from kpro_graph.actors import Identity
from kpro_graph.errors import Unavailable
from kpro_graph.storage.database import Database
from kpro_graph.storage.envelope import Envelope
from kpro_graph.storage.tables import new_id

__all__ = ["Ended", "Sessions"]

log = logging.getLogger(__name__)

_TOKEN = 32
_LONGEST_TOKEN = 100
# Being seen is written down at most this often, so that reading a session is mostly just that.
_SEEN_EVERY = timedelta(seconds=60)
_CLEANED_EVERY = 300.0

_OPEN = """
INSERT INTO sign_in_session (id, token_hash, provider, subject_index, provider_session_index, sealed, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, now() + $7::interval)
"""
_FIND = """
SELECT sealed, seen_at < now() - $4::interval AS unseen FROM sign_in_session
WHERE token_hash = $1 AND provider = $2 AND expires_at > now() AND seen_at > now() - $3::interval
"""
_SEE = "UPDATE sign_in_session SET seen_at = now() WHERE token_hash = $1"
_END = "DELETE FROM sign_in_session WHERE token_hash = $1 RETURNING sealed"
_END_SUBJECT = "DELETE FROM sign_in_session WHERE provider = $1 AND subject_index = $2 RETURNING id"
_END_SESSION = "DELETE FROM sign_in_session WHERE provider = $1 AND provider_session_index = $2 RETURNING id"
_CLEAN = "DELETE FROM sign_in_session WHERE expires_at <= now() OR seen_at <= now() - $1::interval RETURNING id"
_CLEAN_SPENT = "DELETE FROM spent_token WHERE expires_at <= now()"
_SPEND = """
INSERT INTO spent_token (id, expires_at) VALUES ($1, now() + $2::interval) ON CONFLICT DO NOTHING RETURNING id
"""


@dataclass(frozen=True, slots=True)
class _Kept:
    identity: Identity
    id_token: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A session that was ended: through which provider it had begun, and the ID token that says so to the provider."""

    provider: str
    id_token: str = field(repr=False)


class Sessions:
    """The sessions of an installation. A session unused for ``idle`` ends, and every one after ``longest``."""

    def __init__(self, database: Database, envelope: Envelope, idle: timedelta, longest: timedelta) -> None:
        self._database = database
        self._envelope = envelope
        self._idle = idle
        self._longest = longest

    async def open(
        self, identity: Identity, *, subject: str, id_token: str = "", provider_session: str = "", replacing: str = ""
    ) -> str:
        """Begin a session and return its token, which is nowhere kept; the session ``replacing`` names ends.

        ``subject`` and ``provider_session`` are the provider's own names for the person and for the sign-in, by which
        the provider may end the session later.

        Raises:
            Unavailable: the database does not answer.
        """
        token = secrets.token_urlsafe(_TOKEN)
        digest = _digest(token)
        sealed = self._envelope.seal(msgspec.json.encode(_Kept(identity, id_token)), digest)
        async with self._database.peek() as connection:
            if replacing:
                await connection.execute(_END, _digest(replacing))
            await connection.execute(
                _OPEN,
                new_id(),
                digest,
                identity.provider,
                self._subject(identity.provider, subject),
                self._provider_session(identity.provider, provider_session) if provider_session else None,
                sealed,
                self._longest,
            )
        return token

    async def find(self, token: str, provider: str, *, seen: bool = True) -> Identity | None:
        """Return whose session this is, if it is alive and was begun through this provider.

        ``seen`` says whether being asked keeps it alive.

        Raises:
            Unavailable: the database does not answer.
        """
        if not token or len(token) > _LONGEST_TOKEN:
            return None
        digest = _digest(token)
        async with self._database.peek() as connection:
            row = await connection.fetchrow(_FIND, digest, provider, self._idle, min(_SEEN_EVERY, self._idle / 4))
            if row is None:
                return None
            kept = self._opened(row["sealed"], digest)
            if kept is not None and seen and row["unseen"]:
                await connection.execute(_SEE, digest)
        return None if kept is None or kept.identity.provider != provider else kept.identity

    async def end(self, token: str) -> Ended | None:
        """End one session; None when there is none.

        Raises:
            Unavailable: the database does not answer.
        """
        if not token or len(token) > _LONGEST_TOKEN:
            return None
        digest = _digest(token)
        async with self._database.peek() as connection:
            sealed = await connection.fetchval(_END, digest)
        kept = None if sealed is None else self._opened(sealed, digest)
        return None if kept is None else Ended(kept.identity.provider, kept.id_token)

    async def end_subject(self, provider: str, subject: str) -> int:
        """End every session a person has begun through this provider and return how many there were.

        Raises:
            Unavailable: the database does not answer.
        """
        async with self._database.peek() as connection:
            return len(await connection.fetch(_END_SUBJECT, provider, self._subject(provider, subject)))

    async def end_provider_session(self, provider: str, session: str) -> int:
        """End every session that came of one sign-in at the provider and return how many there were.

        Raises:
            Unavailable: the database does not answer.
        """
        async with self._database.peek() as connection:
            return len(await connection.fetch(_END_SESSION, provider, self._provider_session(provider, session)))

    async def spend(self, kind: str, value: str, keep: timedelta) -> bool:
        """Say whether this is the first time the value comes, and remember it for as long as it could come again.

        Raises:
            Unavailable: the database does not answer.
        """
        mark = UUID(bytes=self._envelope.mark("spent", kind, value)[:16])
        async with self._database.peek() as connection:
            return await connection.fetchval(_SPEND, mark, keep) is not None

    async def clean(self) -> int:
        """Remove what has expired and return how many sessions that were.

        Raises:
            Unavailable: the database does not answer.
        """
        async with self._database.peek() as connection:
            await connection.execute(_CLEAN_SPENT)
            return len(await connection.fetch(_CLEAN, self._idle))

    async def keep_clean(self) -> None:
        """Remove what has expired every five minutes, until cancelled."""
        while True:
            try:
                await self.clean()
            except Unavailable as error:
                log.warning("expired sessions are not removed: %s", error)
            await asyncio.sleep(_CLEANED_EVERY)

    def _opened(self, sealed: bytes, digest: bytes) -> _Kept | None:
        content = self._envelope.open(bytes(sealed), digest)
        try:
            return None if content is None else msgspec.json.decode(content, type=_Kept)
        except (msgspec.ValidationError, msgspec.DecodeError):
            return None  # written by another version: its owner signs in again

    def _subject(self, provider: str, subject: str) -> bytes:
        return self._envelope.mark("subject", provider, subject)

    def _provider_session(self, provider: str, session: str) -> bytes:
        return self._envelope.mark("provider session", provider, session)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
