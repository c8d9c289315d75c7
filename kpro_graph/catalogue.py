"""The catalogue: questionnaires and their rule sets, by exact version, in the national library or a municipality's own.

A version is read and proved when it comes in, lands as draft, is activated on purpose and never changes after that.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from kpro_graph.access import Permission, require
from kpro_graph.episodes import ReferenceUnknown
from kpro_graph.errors import Rejected
from kpro_graph.events import EventType, Happened
from kpro_graph.questionnaires import (
    Questionnaire,
    RuleSet,
    Status,
    read_questionnaire,
    read_rule_set,
    write_questionnaire,
    write_rule_set,
)
from kpro_graph.questionnaires.proof import Finding, Gravity, prove
from kpro_graph.storage import tables
from kpro_graph.storage.database import Change

__all__ = [
    "CURRENT",
    "Compiled",
    "MunicipalityUnknown",
    "NotProved",
    "QuestionnaireStatus",
    "RulesMismatch",
    "VersionTaken",
    "WrongState",
    "activate",
    "compiled",
    "install",
    "parsed",
    "ready",
]


class QuestionnaireStatus(StrEnum):
    """A version's life: edited, in use, no longer given out. There is no way back."""

    DRAFT = "draft"
    ACTIVE = "active"
    RETIRED = "retired"


class MunicipalityUnknown(Rejected):
    """The library's municipality is not in this installation."""

    code = "MUNICIPALITY_UNKNOWN"
    da = "Kommunen findes ikke i denne installation."
    en = "The municipality is not in this installation."


class VersionTaken(Rejected):
    """The same url and version is there already with other content."""

    code = "VERSION_TAKEN"
    da = "Den version af skemaet findes allerede med et andet indhold. Giv den et nyt versionsnummer."
    en = "That version of the questionnaire exists already with other content. Give it a new version number."


class RulesMismatch(Rejected):
    """The rule set speaks of another questionnaire or another version."""

    code = "RULES_MISMATCH"
    da = "Regelsættet hører til et andet skema eller en anden version."
    en = "The rule set belongs to another questionnaire or another version."


class WrongState(Rejected):
    """The version is not in a state where this can be done."""

    code = "WRONG_STATE"
    da = "Kun en kladde kan aktiveres."
    en = "Only a draft can be activated."


class NotProved(Rejected):
    """The proof before publishing found errors; each is listed with its place."""

    code = "NOT_PROVED"
    da = "Skemaet har fejl, der skal rettes, før det kan aktiveres."
    en = "The questionnaire has faults that must be mended before it can be activated."

    def __init__(self, problems: Sequence[Finding], *, path: str = "questionnaireId") -> None:
        super().__init__(path=path)
        self.problems = tuple(problems)


async def install(change: Change, source: bytes, rules: bytes | None = None) -> tuple[tables.Questionnaire, bool]:
    """Put a version into the library of the actor's municipality, as draft; return it and whether it is new.

    The same content again changes nothing.

    Raises:
        NotPermitted: the actor edits no questionnaires.
        QuestionnaireInvalid, RuleSetInvalid: every problem with its place.
        RulesMismatch, VersionTaken: see there.
    """
    actor = change.actor
    require(actor, Permission.EDIT_QUESTIONNAIRES)
    questionnaire = read_questionnaire(source)
    rule_set = None if rules is None else read_rule_set(rules)
    if rule_set is not None and (rule_set.url != questionnaire.url or questionnaire.version not in rule_set.versions):
        raise RulesMismatch(path="rules")
    if not await change.fetch("SELECT id FROM municipality WHERE id = $1", (actor.municipality,)):
        raise MunicipalityUnknown(path="municipality")
    # Many forms in the wild have no canonical url; what they hold then is what they are called.
    url = questionnaire.url or f"urn:sha256:{questionnaire.content_hash}"
    title = questionnaire.title or questionnaire.name or url
    created = await change.fetch(
        "INSERT INTO questionnaire (municipality_id, id, url, version, name, title, title_en, status, content,"
        " content_hash) VALUES ($1, $2, $3, $4, $5, $6, $7, 'draft', $8, $9)"
        " ON CONFLICT (municipality_id, url, version) DO NOTHING RETURNING id",
        (
            actor.municipality,
            tables.new_id(),
            url,
            questionnaire.version,
            questionnaire.name,
            title,
            questionnaire.titles.get("en", title),
            write_questionnaire(questionnaire).decode(),
            questionnaire.content_hash,
        ),
    )
    row = await tables.Questionnaire.get(
        municipality_id=actor.municipality, url=url, version=questionnaire.version, using_db=change.using
    )
    if row.content_hash != questionnaire.content_hash:
        raise VersionTaken(path="version")
    if rule_set is not None:
        await _add_rules(change, row, rule_set)
    return row, bool(created)


async def _add_rules(change: Change, questionnaire: tables.Questionnaire, rules: RuleSet) -> None:
    await change.fetch(
        "INSERT INTO rule_set (municipality_id, id, questionnaire_id, name, version, status, content, content_hash)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
        " ON CONFLICT (municipality_id, questionnaire_id, name, version) DO NOTHING",
        (
            questionnaire.municipality_id,
            tables.new_id(),
            questionnaire.id,
            rules.id,
            rules.version,
            rules.status.value,
            write_rule_set(rules).decode(),
            rules.content_hash,
        ),
    )
    present = await tables.RuleSet.get(
        municipality_id=questionnaire.municipality_id,
        questionnaire_id=questionnaire.id,
        name=rules.id,
        version=rules.version,
        using_db=change.using,
    )
    if present.content_hash != rules.content_hash:
        raise VersionTaken(path="rules")


async def activate(change: Change, questionnaire_id: UUID | None) -> tables.Questionnaire:
    """Make a draft of the actor's library active; from then on it never changes.

    Raises:
        NotPermitted: the actor edits no questionnaires.
        ReferenceUnknown: no such questionnaire in the actor's library.
        WrongState: it is active or retired already.
        NotProved: the proof found errors: items nobody can reach, colours with gaps, expressions that fail.
    """
    actor = change.actor
    require(actor, Permission.EDIT_QUESTIONNAIRES)
    row = (
        await tables.Questionnaire.filter(municipality_id=actor.municipality, id=questionnaire_id)
        .using_db(change.using)
        .select_for_update()
        .first()
    )
    if row is None:
        raise ReferenceUnknown(path="questionnaireId")
    if row.status != QuestionnaireStatus.DRAFT:
        raise WrongState(path="questionnaireId")
    version = await compiled(change, row.municipality_id, row.id)
    proof = await asyncio.to_thread(prove, version.questionnaire, version.rules)
    if not proof.may_activate:
        raise NotProved([finding for finding in proof.findings if finding.severity is Gravity.ERROR])
    row.status = QuestionnaireStatus.ACTIVE.value
    row.activated_at = datetime.now(UTC)
    await row.save(using_db=change.using, update_fields=["status", "activated_at"])
    change.record(Happened(EventType.QUESTIONNAIRE_ACTIVATED, "Questionnaire", row.id))
    return row


class Compiled:
    """A version ready for use: the questionnaire, and the rule set that is approved for it now, if any."""

    __slots__ = ("owner", "questionnaire", "rule_set_id", "rules", "url")

    def __init__(
        self, owner: int, url: str, questionnaire: Questionnaire, rule_set_id: UUID | None, rules: RuleSet | None
    ) -> None:
        self.owner = owner
        self.url = url
        self.questionnaire = questionnaire
        self.rule_set_id = rule_set_id
        self.rules = rules


class _Fetches(Protocol):
    async def fetch(self, sql: str, arguments: Sequence[object] = ()) -> list[Any]: ...


CURRENT = """
SELECT q.url, q.content_hash, r.id AS rule_set_id, r.content_hash AS rules_hash, r.status AS rules_status
FROM questionnaire q
LEFT JOIN LATERAL (
    SELECT id, content_hash, status FROM rule_set
    WHERE municipality_id = q.municipality_id AND questionnaire_id = q.id AND status = 'approved'
    ORDER BY created_at DESC, id DESC LIMIT 1
) r ON true
WHERE q.municipality_id = $1 AND q.id = $2
"""
"""Reads what a version and the rules approved for it are known by now; $1 is its owner, $2 its id."""

_MOST_KEPT = 256
_questionnaires: OrderedDict[str, Questionnaire] = OrderedDict()
_rules: OrderedDict[str, RuleSet] = OrderedDict()


async def compiled(reading: _Fetches, owner: int, questionnaire_id: UUID) -> Compiled:
    """Return a version ready for use. Compiled ones are kept by content hash, so they can never be stale.

    Raises:
        ReferenceUnknown: there is no such version.
    """
    current = await reading.fetch(CURRENT, (owner, questionnaire_id))
    if not current:
        raise ReferenceUnknown(path="questionnaireId")
    return await ready(reading, owner, questionnaire_id, current[0])


async def ready(reading: _Fetches, owner: int, questionnaire_id: UUID, current: Any) -> Compiled:
    """Return a version ready for use; ``current`` is a row that holds the columns of `CURRENT`, read a moment ago."""
    questionnaire = _questionnaires.get(current["content_hash"])
    if questionnaire is None:
        content = await reading.fetch(
            "SELECT content FROM questionnaire WHERE municipality_id = $1 AND id = $2", (owner, questionnaire_id)
        )
        questionnaire = parsed(current["content_hash"], content[0]["content"])
    rules = None
    if current["rule_set_id"] is not None:
        # The hash is of the content alone; whether it is approved or switched off stands beside it.
        key = f"{current['rules_hash']} {current['rules_status']}"
        rules = _rules.get(key)
        if rules is None:
            content = await reading.fetch(
                "SELECT content FROM rule_set WHERE municipality_id = $1 AND id = $2", (owner, current["rule_set_id"])
            )
            written = read_rule_set(content[0]["content"])
            rules = _keep(_rules, key, written.under(Status(current["rules_status"])))
    return Compiled(owner, current["url"], questionnaire, current["rule_set_id"], rules)


def parsed(content_hash: str, content: str) -> Questionnaire:
    """Return the questionnaire with this content, read once however often it is asked for."""
    found = _questionnaires.get(content_hash)
    return found if found is not None else _keep(_questionnaires, content_hash, read_questionnaire(content))


def _keep(kept: OrderedDict[str, Any], key: str, value: Any) -> Any:
    kept[key] = value
    while len(kept) > _MOST_KEPT:
        kept.popitem(last=False)
    return value
