"""The configuration of identity providers: one TOML file, read once, every value checked and every fault placed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeyParameters, RSAKey

from kpro_graph.actors import ActorKind, AssuranceLevel, Right
from kpro_graph.errors import ConfigurationError
from kpro_graph.plugins.manifest import nearest

__all__ = ["ALGORITHMS", "Claims", "ProviderSettings", "SystemSettings", "is_secure", "read_configuration"]

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Every signature algorithm that can be allowed: all asymmetric, so that a public key never serves as a secret."""

_USUAL = ("RS256", "PS256", "ES256")
_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_CVR = re.compile(r"[0-9]{8}")
_MUNICIPALITY = re.compile(r"[0-9]{4}")
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_KINDS = {"citizen": ActorKind.CITIZEN, "employee": ActorKind.EMPLOYEE, "system": ActorKind.SYSTEM}
_LEVELS = {"low": AssuranceLevel.LOW, "substantial": AssuranceLevel.SUBSTANTIAL, "high": AssuranceLevel.HIGH}
_RIGHTS = {"read": Right.READ, "answer": Right.ANSWER}


@dataclass(frozen=True, slots=True)
class Claims:
    """Under which names a provider's claims stand; "" is a claim the provider does not make."""

    subject: str = "sub"
    name: str = "name"
    cpr: str = ""
    cvr: str = ""
    assurance: str = "loa"
    privileges: str = ""


@dataclass(frozen=True, slots=True)
class SystemSettings:
    """A system that may show tokens of its own: its client id, its municipality, and whether it may have answers."""

    client_id: str
    municipality: str
    answers: bool


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One identity provider as the file describes it.

    ``municipalities`` maps CVR numbers to municipality codes. ``levels`` maps further values of the assurance claim,
    and ``acr_values`` says what to ask the provider for to reach a level. ``powers`` maps the privileges of a power of
    attorney to rights. ``audience`` is "" where no bearer tokens are taken, ``client_id`` where nobody signs in.
    """

    name: str
    kind: ActorKind
    issuer: str
    title: str
    title_en: str
    client_id: str = ""
    client_secret: str | None = field(default=None, repr=False)
    private_key: RSAKey | ECKey | None = field(default=None, repr=False)
    scopes: tuple[str, ...] = ("openid",)
    user_info: bool = False
    audience: str = ""
    access_token_types: tuple[str, ...] = ("at+jwt",)
    algorithms: tuple[str, ...] = _USUAL
    claims: Claims = field(default_factory=Claims)
    municipalities: Mapping[str, str] = field(default_factory=dict)
    levels: Mapping[str, AssuranceLevel] = field(default_factory=dict)
    acr_values: Mapping[AssuranceLevel, str] = field(default_factory=dict)
    powers: Mapping[str, frozenset[Right]] = field(default_factory=dict)
    systems: Mapping[str, SystemSettings] = field(default_factory=dict)
    answers_scope: str = "kpro:answers"

    @property
    def cvr_of(self) -> Mapping[str, str]:
        """Return the CVR number of each municipality code."""
        return {code: cvr for cvr, code in self.municipalities.items()}

    @property
    def choices(self) -> tuple[str, ...]:
        """Return the municipalities a person chooses among at sign-in: none where a claim says which one it is."""
        return () if self.claims.cvr else tuple(sorted(self.municipalities.values()))


def read_configuration(file: Path) -> tuple[ProviderSettings, ...]:
    """Read the identity providers.

    Raises:
        ConfigurationError: the file or one it names cannot be read, is not TOML, or a value is missing, unknown or of
            the wrong form. The message names the place and never repeats a secret.
    """
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"KPRO_IDENTITY_PROVIDERS: {file} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} is not TOML in UTF-8: {error}") from error
    top = _Table(document, file, "")
    tables = top.tables("provider")
    if not tables:
        raise ConfigurationError(f"{file}: there is no [[provider]]")
    top.finish()
    providers = tuple(_provider(table) for table in tables)
    unique: dict[str, list[tuple[str, ...]]] = {
        "name": [(each.name,) for each in providers],
        "issuer and client_id": [(each.issuer, each.client_id) for each in providers if each.client_id],
        "issuer and audience": [(each.issuer, each.audience) for each in providers if each.audience],
    }
    for what, keys in unique.items():
        if len(set(keys)) < len(keys):
            raise ConfigurationError(f"{file}: two providers have the same {what}")
    return providers


def is_secure(address: object) -> bool:
    """Say whether this is an https address, or an http one on this machine, without user, query or fragment."""
    if not isinstance(address, str) or not address.isprintable() or " " in address:
        return False
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)


class _Table:
    """One table of the file: every key is taken once, and what is left at the end is unknown."""

    def __init__(self, content: Mapping[str, Any], file: Path, place: str) -> None:
        self.content = content
        self.file = file
        self.place = place
        self.asked: list[str] = []

    def wrong(self, key: str, what: str) -> ConfigurationError:
        return ConfigurationError(f"{self.file}: {self.place}{key} {what}")

    def take(self, key: str) -> Any:
        self.asked.append(key)
        return self.content.get(key)

    def finish(self) -> None:
        for key in self.content:
            if key not in self.asked:
                raise self.wrong(key, f"is unknown{nearest(key, self.asked)}")

    def text(self, key: str, default: str | None = None) -> str:
        value = self.take(key)
        if value is None and default is not None:
            return default
        if value is None:
            raise self.wrong(key, "is missing")
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise self.wrong(key, "is not a text")
        return value.strip()

    def form(self, key: str, pattern: re.Pattern[str], meaning: str) -> str:
        value = self.text(key)
        if not pattern.fullmatch(value):
            raise self.wrong(key, f"is not {meaning}")
        return value

    def flag(self, key: str) -> bool:
        value = self.take(key)
        if not isinstance(value, bool | None):
            raise self.wrong(key, "is neither true nor false")
        return bool(value)

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self.take(key)
        if value is None:
            return default
        if not isinstance(value, list) or not value or not all(isinstance(each, str) and each for each in value):
            raise self.wrong(key, "is not a list of texts")
        return tuple(value)

    def table(self, key: str) -> _Table:
        value = self.take(key)
        if not isinstance(value, dict | None):
            raise self.wrong(key, "is not a table")
        return _Table(value or {}, self.file, f"{self.place}{key}.")

    def tables(self, key: str) -> list[_Table]:
        value = self.take(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            raise self.wrong(key, "is not a list of tables")
        return [_Table(each, self.file, f"{self.place}{key}[{number}].") for number, each in enumerate(value)]

    def file_beside(self, key: str) -> bytes | None:
        value = self.take(key)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.wrong(key, "is not a file name")
        try:
            content = (self.file.parent / value).read_bytes().strip()
        except OSError as error:
            raise self.wrong(key, f"cannot be read: {error.strerror}") from error
        if not content:
            raise self.wrong(key, "is an empty file")
        return content


def _provider(table: _Table) -> ProviderSettings:
    name = table.form("name", _NAME, "lower case letters, digits and hyphens")
    kind = table.text("kind")
    if kind not in _KINDS:
        raise table.wrong("kind", f"is none of {', '.join(_KINDS)}")
    issuer = table.text("issuer")
    if not is_secure(issuer) or urlsplit(issuer).query:
        raise table.wrong("issuer", "is not an https address")
    title = table.text("title", name)
    claims = _claims(table.table("claims"))
    signs_in = _KINDS[kind] is not ActorKind.SYSTEM
    settings = ProviderSettings(
        name=name,
        kind=_KINDS[kind],
        issuer=issuer,
        title=title,
        title_en=table.text("title_en", title),
        client_id=table.text("client_id") if signs_in else "",
        client_secret=_secret(table) if signs_in else None,
        private_key=_private_key(table) if signs_in else None,
        scopes=table.texts("scopes", ("openid",)),
        user_info=table.flag("user_info"),
        audience=table.text("audience", "") if signs_in else table.text("audience"),
        access_token_types=table.texts("access_token_types", ("at+jwt",)),
        algorithms=table.texts("algorithms", _USUAL),
        claims=claims,
        municipalities=_municipalities(table.table("municipalities")),
        levels=_levels(table.table("levels")),
        acr_values=_acr_values(table.table("acr_values")),
        powers=_powers(table.table("powers_of_attorney")),
        systems=_systems(table),
        answers_scope=table.text("answers_scope", "kpro:answers"),
    )
    table.finish()
    _agree(table, settings)
    return settings


def _agree(table: _Table, settings: ProviderSettings) -> None:
    """Refuse what is wrong only together."""
    if unknown := [each for each in settings.algorithms if each not in ALGORITHMS]:
        raise table.wrong("algorithms", f"holds {unknown[0]!r}, which is none of {', '.join(ALGORITHMS)}")
    if settings.audience and settings.audience == settings.client_id:
        # The audience of an ID token is the client: it would pass for an access token.
        raise table.wrong("audience", "is the client_id; access tokens need an audience of their own")
    if settings.systems and not settings.audience:
        raise table.wrong("audience", "is missing; a system's tokens need one")
    if settings.kind is ActorKind.SYSTEM:
        if not settings.systems:
            raise table.wrong("system", "is missing: name the systems that may show tokens")
        return
    if "openid" not in settings.scopes:
        raise table.wrong("scopes", 'does not hold "openid"')
    if (settings.client_secret is None) == (settings.private_key is None):
        raise table.wrong("client_secret_file", "or private_key_file is needed, one of them")
    if not settings.municipalities:
        raise table.wrong("municipalities", "is missing: name them as CVR number = municipality code")
    if settings.kind is ActorKind.CITIZEN and not settings.claims.cpr:
        raise table.wrong("claims.cpr", "is missing; a citizen is known by the CPR number")
    if settings.kind is ActorKind.EMPLOYEE and len(settings.municipalities) > 1 and not settings.claims.cvr:
        raise table.wrong("claims.cvr", "is missing; with several municipalities a claim must say which one")
    if settings.powers and (settings.kind is not ActorKind.CITIZEN or not settings.claims.privileges):
        raise table.wrong("powers_of_attorney", "is for citizens, from the claim that claims.privileges names")


def _claims(table: _Table) -> Claims:
    default = Claims()
    claims = Claims(
        **{name: table.text(name, getattr(default, name)) for name in Claims.__dataclass_fields__},
    )
    table.finish()
    return claims


def _secret(table: _Table) -> str | None:
    content = table.file_beside("client_secret_file")
    try:
        return None if content is None else content.decode("ascii")
    except UnicodeDecodeError:
        raise table.wrong("client_secret_file", "holds something other than ASCII") from None


def _private_key(table: _Table) -> RSAKey | ECKey | None:
    content = table.file_beside("private_key_file")
    identifier = table.text("private_key_id", "")
    if content is None:
        return None
    parameters: KeyParameters = {"kid": identifier} if identifier else {}
    for kind in (RSAKey, ECKey):
        try:
            key = kind.import_key(content, parameters)
        except (JoseError, ValueError, TypeError):
            continue
        if key.is_private:
            return key
    raise table.wrong("private_key_file", "is not a private RSA or EC key in PEM")


def _municipalities(table: _Table) -> dict[str, str]:
    found = {cvr: table.form(cvr, _MUNICIPALITY, "a four-digit municipality code") for cvr in table.content}
    for cvr in found:
        if not _CVR.fullmatch(cvr):
            raise table.wrong(cvr, "is not a CVR number of eight digits")
    if len(set(found.values())) < len(found):
        raise ConfigurationError(f"{table.file}: {table.place}* names one municipality twice")
    return found


def _levels(table: _Table) -> dict[str, AssuranceLevel]:
    found = {value: table.text(value) for value in table.content}
    for value, level in found.items():
        if level not in _LEVELS:
            raise table.wrong(value, f"is none of {', '.join(_LEVELS)}")
    return {value: _LEVELS[level] for value, level in found.items()}


def _acr_values(table: _Table) -> dict[AssuranceLevel, str]:
    found = {_LEVELS[name]: text for name in _LEVELS if (text := table.text(name, ""))}
    table.finish()
    return found


def _powers(table: _Table) -> dict[str, frozenset[Right]]:
    found = {privilege: table.texts(privilege, ()) for privilege in table.content}
    for privilege, rights in found.items():
        if not set(rights) <= set(_RIGHTS):
            raise table.wrong(f'"{privilege}"', f"is not a list of {', '.join(_RIGHTS)}")
    return {privilege: frozenset(_RIGHTS[right] for right in rights) for privilege, rights in found.items()}


def _systems(table: _Table) -> dict[str, SystemSettings]:
    found: dict[str, SystemSettings] = {}
    for each in table.tables("system"):
        system = SystemSettings(
            each.text("client_id"),
            each.form("municipality", _MUNICIPALITY, "a four-digit municipality code"),
            each.flag("answers"),
        )
        each.finish()
        if system.client_id in found:
            raise each.wrong("client_id", "is named twice")
        found[system.client_id] = system
    return found
