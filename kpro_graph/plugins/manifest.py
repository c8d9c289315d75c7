"""The manifest of a plugin, ``kpro-plugin.toml``: who made it, what it needs and keeps, read without running it.

What a manifest does not declare is not handed over, and what it declares is shown to the municipality.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import cast

from kpro_graph.errors import KproError

__all__ = [
    "DEVICE_CLASSES",
    "FILE",
    "HOOK_API",
    "NATIONAL",
    "Keeping",
    "Manifest",
    "PluginRefused",
    "nearest",
    "read_manifest",
]

FILE = "kpro-plugin.toml"
HOOK_API = (1, 0)
"""The version of the hooks offered here; a manifest's ``hook_api`` must include it."""
NATIONAL = "national"
"""The publisher of what every municipality may use."""
DEVICE_CLASSES = ("not_a_device", "I", "IIa", "IIb", "III")
"""The classes under the medical device regulation, (EU) 2017/745, from none to the highest."""


class PluginRefused(KproError):
    """A plugin or something it registered cannot be used; the message says what is the case and holds no answers."""

    code = "PLUGIN_REFUSED"


@dataclass(frozen=True, slots=True)
class Keeping:
    """Personal data the plugin keeps for itself: what, and for how long (an ISO 8601 duration such as ``P1Y``)."""

    what: str
    kept_for: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a plugin says of itself.

    ``publisher`` is a four-digit municipality code or ``national``; a plugin speaks for its publisher only.
    ``answers`` and ``cpr`` are ``none`` or ``read``; ``network`` lists the https addresses it talks to.
    ``intended_purpose`` and ``medical_device_class`` are declared by a plugin that interprets answers, else empty.
    """

    id: str
    version: str
    publisher: str
    title: str
    title_en: str
    hook_api: str
    answers: str = "none"
    cpr: str = "none"
    network: tuple[str, ...] = ()
    personal_data: tuple[Keeping, ...] = ()
    intended_purpose: str = ""
    medical_device_class: str = ""

    @property
    def municipality(self) -> str | None:
        """Return the publishing municipality's code, or None for the national library."""
        return None if self.publisher == NATIONAL else self.publisher


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest in a plugin's folder.

    Raises:
        PluginRefused: there is none, it is not TOML, or a key is missing, unknown or of the wrong form; the key is
            named.
    """
    try:
        document = tomllib.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PluginRefused(f"the folder has no {FILE}") from None
    except OSError as error:
        raise PluginRefused(f"{FILE} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PluginRefused(f"{FILE} is not TOML in UTF-8: {error}") from error
    return _Reader(document).manifest()


def nearest(name: str, names: Sequence[str]) -> str:
    """Return ``; did you mean "…"?`` with the most similar of the names, or nothing where none is similar."""
    similar = get_close_matches(name, names, n=1)
    return f'; did you mean "{similar[0]}"?' if similar else ""


_ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?")
_PUBLISHER = re.compile(rf"[0-9]{{4}}|{NATIONAL}")
_RANGE = re.compile(r"(>=|<=|==|>|<)\s*([0-9]+)(?:\.([0-9]+))?")
_DURATION = re.compile(r"P(?=.)([0-9]+Y)?([0-9]+M)?([0-9]+W)?([0-9]+D)?")
_ACCESS = ("none", "read")

_KEYS = {
    "": ("id", "version", "publisher", "title", "title_en", "hook_api", "needs", "personal_data", "interpretation"),
    "needs": ("answers", "cpr", "network"),
    "personal_data": ("what", "kept_for"),
    "interpretation": ("intended_purpose", "medical_device_class"),
}


class _Reader:
    """Reads one parsed manifest; every complaint names the key it is about."""

    def __init__(self, document: Mapping[str, object]) -> None:
        self.document = document

    def manifest(self) -> Manifest:
        top = self.table(self.document, "")
        needs = self.table(top.get("needs", {}), "needs")
        interpretation = self.table(top.get("interpretation", {}), "interpretation")
        hook_api = self.text(top, "hook_api")
        if not _includes(hook_api, HOOK_API):
            raise PluginRefused(f"{FILE}: hook_api {hook_api} does not include {HOOK_API[0]}.{HOOK_API[1]}")
        return Manifest(
            id=self.form(top, "id", _ID, "lower case letters and digits joined by hyphens"),
            version=self.form(top, "version", _VERSION, "a version such as 1.0.0"),
            publisher=self.form(top, "publisher", _PUBLISHER, f'a four-digit municipality code or "{NATIONAL}"'),
            title=self.text(top, "title"),
            title_en=self.text(top, "title_en"),
            hook_api=hook_api,
            answers=self.choice(needs, "answers", _ACCESS, "needs.", default="none"),
            cpr=self.choice(needs, "cpr", _ACCESS, "needs.", default="none"),
            network=self.addresses(needs),
            personal_data=self.keepings(top.get("personal_data", [])),
            intended_purpose=self.text(interpretation, "intended_purpose", "interpretation.") if interpretation else "",
            medical_device_class=self.choice(
                interpretation, "medical_device_class", DEVICE_CLASSES, "interpretation.", default=None
            )
            if interpretation
            else "",
        )

    def table(self, value: object, name: str, place: str = "") -> Mapping[str, object]:
        if not isinstance(value, dict):
            raise PluginRefused(f"{FILE}: {place or name} is not a table")
        for key in value:
            if key not in _KEYS[name]:
                raise PluginRefused(f'{FILE}: "{key}" is unknown{nearest(key, _KEYS[name])}')
        return cast(Mapping[str, object], value)

    def text(self, table: Mapping[str, object], key: str, place: str = "") -> str:
        value = table.get(key)
        if value is None:
            raise PluginRefused(f"{FILE}: {place}{key} is missing")
        if not isinstance(value, str) or not value.strip():
            raise PluginRefused(f"{FILE}: {place}{key} is not a text")
        return value.strip()

    def form(
        self, table: Mapping[str, object], key: str, pattern: re.Pattern[str], meaning: str, place: str = ""
    ) -> str:
        value = self.text(table, key, place)
        if not pattern.fullmatch(value):
            raise PluginRefused(f"{FILE}: {place}{key} is not {meaning}")
        return value

    def choice(
        self, table: Mapping[str, object], key: str, allowed: Sequence[str], place: str, *, default: str | None
    ) -> str:
        if key not in table and default is not None:
            return default
        value = self.text(table, key, place)
        if value not in allowed:
            raise PluginRefused(f"{FILE}: {place}{key} is none of {', '.join(allowed)}")
        return value

    def addresses(self, needs: Mapping[str, object]) -> tuple[str, ...]:
        value = needs.get("network", [])
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise PluginRefused(f"{FILE}: needs.network is not a list of addresses")
        if not all(each.startswith("https://") for each in value):
            raise PluginRefused(f"{FILE}: needs.network holds an address that does not begin with https://")
        return tuple(value)

    def keepings(self, value: object) -> tuple[Keeping, ...]:
        if not isinstance(value, list):
            raise PluginRefused(f"{FILE}: personal_data is not a list of tables")
        found = []
        for number, each in enumerate(value):
            place = f"personal_data[{number}]"
            table = self.table(each, "personal_data", place)
            what = self.text(table, "what", f"{place}.")
            found.append(Keeping(what, self.form(table, "kept_for", _DURATION, "a duration such as P1Y", f"{place}.")))
        return tuple(found)


def _includes(expression: str, version: tuple[int, int]) -> bool:
    for part in expression.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise PluginRefused(f"{FILE}: hook_api is not a range such as >=1,<2")
        bound = (int(match[2]), int(match[3] or 0))
        holds = {
            ">=": version >= bound,
            "<=": version <= bound,
            "==": version == bound,
            ">": version > bound,
            "<": version < bound,
        }
        if not holds[match[1]]:
            return False
    return True
