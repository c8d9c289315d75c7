"""Situations for the proof that both executions are one: data in every state, everybody who may ask, both answers."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import strawberry
from graphql import GraphQLObjectType

from kpro_graph.actors import (
    Actor,
    ActorKind,
    AssuranceLevel,
    Context,
    Credentials,
    RepresentationKind,
    Right,
    Role,
)
from kpro_graph.execution import Row
from kpro_graph.execution.compiled import NotCompiled
from kpro_graph.execution.fields import DeclaredField, Relation
from kpro_graph.execution.ids import encode
from kpro_graph.execution.sources import Statement
from kpro_graph.plugins.demo_identity import ACTORS
from kpro_graph.schema.context import Answer, Operation, Viewer
from tests.agreement import COMPILER, SCHEMA, Outcome, _let_go, _noted
from tests.living import Api
from tests.moving import move
from tests.operations import Asked, Material
from tests.people import DEMOGRAPHY, citizen, employee, grant, member
from tests.receiving import begin, hand_out, register
from tests.test_main_job import WHO5, give_answers, open_assignment, submit

__all__ = ["PLACES", "UNPLANNED", "Asker", "Situation", "both", "bring_about", "furnish", "unlike"]

PLACES = (101, 851)
# What is left to the reference execution on purpose: nothing but what asks about the schema itself.
UNPLANNED: frozenset[str] = frozenset()


_MUCH = 120
# Beneath a row that is not there the reference does not come upon the fault.
_NEVER_REACHED = {"an argument or an object at hand is refused", "a field is not open to the actor"}


@dataclass(frozen=True, slots=True)
class Asker:
    """Somebody who may ask, or nobody; ``ids`` are of rows they may see, by prefix."""

    actor: Actor | None
    ids: Mapping[str, Sequence[str]]

    def may(self, definition: DeclaredField) -> bool:
        """Say whether a field is open to them at all."""
        return self.actor is None or definition.allowed is None or bool(definition.allowed(self.actor))


@dataclass(frozen=True, slots=True)
class Situation:
    """A world with data in every state: what operations are made of, and who is there to ask."""

    api: Api
    material: Material
    askers: Sequence[Asker]


async def furnish(api: Api, strangers: int) -> Situation:
    """Bring a world about and find those who ask in it: all the demo's actors and so many made up at random."""
    known = await bring_about(api)
    material, keys = await _gather(api)
    chance = random.Random(20261103)
    made = [_stranger(chance, known, keys) for _ in range(strangers)]
    askers = [Asker(actor, await _seen(api, actor)) for actor in [*known, *made]]
    # Those who see little have their turn; those who see much have theirs more often.
    rich = [each for each in askers if sum(map(len, each.ids.values())) > _MUCH]
    return Situation(api, material, [*askers, Asker(None, {}), *rich * 3])


async def bring_about(api: Api) -> list[Actor]:
    """Bring about drafts, amendments, withdrawn consents, hand-overs, emergencies, a reception and an empty record."""
    people = DEMOGRAPHY
    fresh = people.citizen_cpr("0851", 77)
    await api.run("register-citizen", "enroller", cpr=fresh, givenName="Nyfødt", familyName="\u2019Ø'; --")
    draft = await open_assignment(api)
    await give_answers(api, draft, weight=2)
    done = await open_assignment(api)
    await give_answers(api, done, weight=1)
    response = (await submit(api, done, "the one that is done"))["response"]["id"]
    await api.run("amend-response", "citizen", response=response, reason="Jeg tog fejl")
    amended = await open_assignment(api)
    await give_answers(api, amended, weight=4)
    former = (await submit(api, amended, "the former one"))["response"]["id"]
    again = await api.run("amend-response", "citizen", response=former, reason="\u00e6ndret")
    later = again["amendResponse"]["response"]["assignment"]
    await api.run(
        "submit-response",
        "citizen",
        assignment=later["id"],
        questionnaire=later["questionnaire"]["id"],
        key="the later one",
    )
    withdrawn = await open_assignment(api)
    await give_answers(api, withdrawn, weight=3)
    await submit(api, withdrawn, "the withdrawn one")
    await api.run("withdraw-consent", "citizen", episode=withdrawn["episode"]["id"])
    await api.run("set-episode-policy", "monitor", episode=done["episode"]["id"], coloursShown=True)
    await api.run(
        "set-episode-policy", "monitor", episode=amended["episode"]["id"], coloursShown=True, hiddenFromGuardians=True
    )
    await api.run("give-consent", "enroller", episode=draft["episode"]["id"], form="WRITTEN")
    for number, kind in ((7, "GUARDIAN"), (8, "POWER_OF_ATTORNEY"), (9, "POWER_OF_ATTORNEY")):
        recorded = await api.run(
            "register-representation", "enroller", citizen=done["citizen"]["id"], name="Rita Ravn", kind=kind,
            cpr=people.citizen_cpr("0101", number), rights=["READ", "ANSWER"],
        )  # fmt: skip
    typed = await open_assignment(api)
    asked = {"assignment": typed["assignment"]["id"], "questionnaire": typed["questionnaire"]["id"]}
    await api.run("start-assisted-answering", "monitor", assignment=asked["assignment"], answeredBy="RELATIVE")
    for path in "12345":
        values = [{"coding": {"system": "https://kpro-graph.dk/CodeSystem/who-5-frequency", "code": path}}]
        await api.run("save-answer", "monitor", **asked, path=path, values=values)
    await api.run("submit-assisted-response", "monitor", **asked, key="typed for them", confirmedBy="RELATIVE")
    ended = recorded["registerRepresentation"]["representation"]["id"]
    await api.run("end-representation", "enroller", representation=ended)
    teams = people.care_teams("0101")
    stranger = employee(grant(Role.CLINICAL_VIEWER, team=teams[1].id), person=member(Role.CLINICAL_VIEWER, number=2))
    for number in (0, 1):
        opened = await api.run(
            "open-emergency-access", stranger, cpr=people.citizen_cpr("0101", number), reason="Bevidstløs; ringede ikke"
        )
    emergency = opened["openEmergencyAccess"]["emergencyAccess"]["id"]
    await api.run("review-emergency-access", "security-officer", emergencyAccess=emergency, verdict="JUSTIFIED")
    mover = await move(api, 5)
    await mover.hand_over()
    await (await move(api, 6)).offer()
    await api.run("withdraw-hand-over", "enroller", handOver=await (await move(api, 4)).offer())
    await api.run("decline-hand-over", "enroller", "0851", handOver=await (await move(api, 3)).offer())
    form = {"resourceType": "Questionnaire", "url": "urn:kun:et-udkast", "version": "1", "status": "draft",
            "name": "Udkast", "title": "Udkast", "item": [{"linkId": "1", "text": "?", "type": "boolean"}]}  # fmt: skip
    for version in ("1", "2"):
        taken = await api.run(
            "import-questionnaire", "questionnaire-editor", fhir=json.dumps(form | {"version": version})
        )
    imported = taken["importQuestionnaire"]["questionnaire"]["id"]
    await api.run("activate-questionnaire", "questionnaire-editor", questionnaire=imported)
    device = await register(api)
    token = await begin(api, draft, device)
    assert await hand_out(api, draft)
    known = []
    for place in PLACES:
        code = f"{place:04d}"
        for name in ACTORS:
            known.append(await _actor(api, api.token(name, code)))
    known.append(await _actor(api, api.token(stranger)))
    known.append(await _actor(api, api.token(citizen(7)), context=done["citizen"]["id"]))
    known.append(await _actor(api, api.token(citizen(8)), context=done["citizen"]["id"]))
    known.append(await _actor(api, api.token(citizen(7))))
    known.append(await api.product.authenticate(Credentials("reception", token, "127.0.0.1")))
    known += [mover.itself(101), mover.itself(851)]
    return known


async def _actor(api: Api, token: str, context: str = "") -> Actor:
    return await api.product.authenticate(Credentials("bearer", token, "127.0.0.1", context))


async def _seen(api: Api, actor: Actor) -> dict[str, list[str]]:
    """Return the ids of the rows that the judge lets an actor see."""
    found = {}
    async with api.product.database.read(actor) as reading:
        for cls, prefix in _prefixed():
            statement = Statement()
            where = statement.condition(cls.source.visible(actor), "t")
            listed = f"SELECT t.id FROM {cls.source.table} t WHERE {where} ORDER BY t.id LIMIT 60"
            rows = await reading.fetch(listed, statement.parameters)
            found[prefix] = [encode(prefix, row["id"]) for row in rows]
    return found


async def _gather(api: Api) -> tuple[Material, dict[str, list[UUID]]]:
    """Collect the ids of every type's rows and the cursors of every list, as its answers would hold them."""
    found: dict[str, list[str]] = {}
    keys: dict[str, list[UUID]] = {}
    cursors: dict[str, list[str]] = {}
    seal = api.product.application.cursors.seal
    async with api.product.database.peek(0, *PLACES) as connection:
        for cls, prefix in _prefixed():
            rows = await connection.fetch(f"SELECT id FROM {cls.source.table} ORDER BY random() LIMIT 400")
            keys[prefix] = [row["id"] for row in rows]
            found[prefix] = [encode(prefix, key) for key in keys[prefix]]
        for listing, relation, source in _lists():
            for chosen, order in [("", relation.order), *((each.name, o) for each, o in relation.orders.items())]:
                if order is None:
                    continue
                listed = ", ".join(term.expression.format(t="t") for term in order.terms)
                where = " WHERE last_response_at IS NOT NULL" if "last_response_at" in listed else ""
                rows = await connection.fetch(f"SELECT {listed} FROM {source.table} t{where} LIMIT 40")
                cursors[f"{listing}:{chosen}"] = [seal(f"{listing}:{chosen}", list(row)) for row in rows]
    urls = (WHO5, "https://kpro-graph.dk/Questionnaire/phq-9", "urn:nothing")
    return Material(found, cursors, urls, ("who5", "phq9", "none")), keys


def _types() -> list[GraphQLObjectType]:
    types = SCHEMA._schema.type_map.values()
    return [each for each in types if isinstance(each, GraphQLObjectType)]


def _prefixed() -> list[tuple[type[Row], str]]:
    found: dict[type[Row], str] = {}
    for type_ in _types():
        origin: Any = getattr(type_.extensions.get("strawberry-definition"), "origin", None)
        named = isinstance(origin, type) and issubclass(origin, Row) and hasattr(origin, "prefix")
        if named and origin.source.columns.get("id") == "uuid":
            found[origin] = origin.prefix
    return list(found.items())


def _lists() -> list[tuple[str, Relation, Any]]:
    found = []
    for type_ in _types():
        for name, each in type_.fields.items():
            definition = each.extensions.get("strawberry-definition")
            declared = definition.declared if isinstance(definition, DeclaredField) else None
            if isinstance(declared, Relation) and declared.shape == "connection":
                node: Any = each.type.of_type if hasattr(each.type, "of_type") else each.type
                row = node.fields["nodes"].type.of_type.of_type.of_type
                origin = row.extensions["strawberry-definition"].origin
                found.append((f"{type_.name}.{name}", declared, origin.source))
    return found


def _stranger(chance: random.Random, known: Sequence[Actor], keys: Mapping[str, Sequence[UUID]]) -> Actor:
    """Make somebody with any roles and scopes; what they hold need not fit together."""

    def some(prefix: str, most: int) -> tuple[UUID, ...]:
        return tuple(chance.sample(keys[prefix], min(len(keys[prefix]), chance.randint(0, most))))

    place = chance.choice(PLACES)
    other = chance.choice(known)
    kind = chance.choice([*ActorKind, *[ActorKind.EMPLOYEE] * 5, ActorKind.CITIZEN, ActorKind.CITIZEN])
    key = chance.choice([other.id, UUID(int=chance.getrandbits(128))])
    made = Actor(kind, key, place, chance.choice([(place,), (place, 0)]), AssuranceLevel.HIGH)
    if kind is ActorKind.CITIZEN:
        citizens = some("cit", 1) or other.citizens
        acting = chance.choice([None, *RepresentationKind])
        return replace(
            made,
            citizens=citizens,
            representation=acting,
            on_behalf_of=citizens[0] if citizens and acting else None,
            rights=frozenset(right for right in Right if chance.random() < 0.7),
            assignments=some("asg", 9) if chance.random() < 0.2 else None,
        )
    roles = frozenset(chance.sample(list(Role), chance.randint(0, 3)))
    places = zip(some("unit", 2), (*some("team", 1), None), strict=False)
    return replace(
        made,
        roles=roles,
        care_teams={role: some("team", 5) for role in roles},
        organisation_units={role: some("unit", 4) for role in roles},
        may_have_answers=chance.random() < 0.5,
        opened=other.opened or some("cit", 2),
        contexts=tuple(Context(unit, team, roles) for unit, team in places),
    )


@dataclass(frozen=True, slots=True)
class Both:
    """What the two executions did. ``refused``: why it was not compiled; ``errors``: the reference's."""

    compiled: Outcome | None
    reference: Outcome
    refused: str
    errors: list[Any]


async def both(api: Api, actor: Actor | None, asked: Asked) -> Both:
    """Run an operation through both executions; nothing is committed."""
    viewer = Viewer(api.product.application, actor)
    compiled, reference = Operation(viewer), Operation(viewer)
    compiled.compiled = True
    outcome, refused = None, ""
    try:
        body = await COMPILER.run(asked.document, asked.variables, asked.name, compiled)
        outcome = body.decode(), _noted(compiled)
    except NotCompiled as reason:
        refused = reason.reason
    finally:
        await _let_go(compiled)
    try:
        result: Any = await strawberry.Schema.execute(
            SCHEMA, asked.document, asked.variables, reference, operation_name=asked.name
        )
        data = json.dumps({"data": result.data}, ensure_ascii=False, separators=(",", ":"))
        return Both(outcome, (data, _noted(reference)), refused, result.errors or [])
    finally:
        await _let_go(reference)


async def unlike(api: Api, actor: Actor | None, asked: Asked) -> str:
    """Say in what the executions differ on an operation, or that one refused without a cause; "" if they agree.

    What is faulty is answered by the entry as the reference answers it, errors and all.
    """
    found = await both(api, actor, asked)
    if found.compiled is not None:
        if found.errors:
            return f"the reference finds errors: {[str(each.original_error or each) for each in found.errors]}"
        if found.compiled[0] != found.reference[0]:
            return f"the answers differ:\n{found.compiled[0]}\n{found.reference[0]}"
        return "" if found.compiled[1] == found.reference[1] else (
            f"the lines of the access log differ:\n{found.compiled[1]}\n{found.reference[1]}"
        )  # fmt: skip
    if found.refused == "the document is not valid":
        return "the operation is not valid"
    if not found.errors:
        return "" if _left_to_the_reference(found.refused, asked) else f"refused without a cause: {found.refused}"
    viewer = Viewer(api.product.application, actor)
    answered = await SCHEMA.answer(asked.document, asked.variables, viewer, asked.name)
    if isinstance(answered, Answer):
        return "an operation with errors was answered as if it had none"
    expected = await SCHEMA.execute(asked.document, asked.variables, viewer, operation_name=asked.name)
    if any(each.extensions["code"] == "INTERNAL" for each in expected.errors):
        return f"a fault of ours: {[repr(each.original_error or each) for each in found.errors]}"
    said = [each.formatted for each in answered.errors], answered.data
    meant = [each.formatted for each in expected.errors], expected.data
    return "" if said == meant else f"the entry words errors otherwise:\n{said}\n{meant}"


def _left_to_the_reference(reason: str, asked: Asked) -> bool:
    if reason == "nobody asks":
        # Then nothing but the schema's own names can be told.
        return "__typename" in asked.document
    return (asked.faulty and reason in _NEVER_REACHED) or reason.split(" ", 1)[0] in UNPLANNED
