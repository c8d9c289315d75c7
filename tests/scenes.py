"""Scenes for the sweep: the same things again and again, each time of somebody else, and everybody who asks for them.

A scene is a citizen with an episode, assignments in every state, responses, people who act for them, an emergency access
and an offer to hand over; with the team, unit, reception computer and questionnaire draft of the same place.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from kpro_graph import responses
from kpro_graph.actors import Actor, ActorKind, Credentials, Identity, Right, Role
from kpro_graph.errors import KproError, NotAuthenticated
from kpro_graph.execution.ids import decode, encode
from kpro_graph.plugins.demo_identity import DemoDirectory
from kpro_graph.schema.context import Viewer
from kpro_graph.storage import tables
from tests.living import Api
from tests.moving import above
from tests.oracle import Asker, Inventory
from tests.people import DEMOGRAPHY, PEOPLE, citizen, employee, grant, member
from tests.receiving import redeem
from tests.sweeping import NODES, SCHEMA, arguments, document, origin
from tests.test_main_job import WHO5

__all__ = ["ELSEWHERE", "HERE", "Scene", "World", "furnish"]

HERE, ELSEWHERE = 101, 851
REASON = "En grund, som står i loggen."
_FREQUENCY = "https://kpro-graph.dk/CodeSystem/who-5-frequency"


@dataclass(frozen=True)
class Scene:
    """One set of things. ``samples`` are values for arguments, by name or by ``Mutation.field:name``."""

    name: str
    municipality: int
    samples: Mapping[str, Any]
    citizen: UUID | None = None
    cpr: str = ""
    family: str = ""


@dataclass
class World:
    """Everything the sweep needs: the scenes, who asks, how they show who they are, and every row."""

    api: Api
    scenes: dict[str, Scene]
    askers: list[Asker]
    shown: dict[str, Credentials]
    actors: dict[str, Actor | None]
    inventory: Inventory
    secrets: dict[UUID, tuple[str, ...]] = field(default_factory=dict)

    def viewer(self, asker: Asker, stage: Any) -> Viewer:
        """Return who asks on a stage."""
        shown = self.shown.get(asker.name)
        viewer: Viewer = stage.viewer(self.actors[asker.name], shown, NotAuthenticated("this needs a token"))
        return viewer


class _Maker:
    """Makes scenes by doing what people do."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.questionnaire = ""
        self.paths: list[str] = []
        self.registered: dict[UUID, dict[str, Any]] = {}
        self._turn = asyncio.Lock()

    async def do(self, place: str, who: Identity, samples: Mapping[str, Any], context: str = "") -> Any:
        """Carry out a mutation that must succeed; return what came of it."""
        token = PEOPLE.token(who)
        answer = await self.api.post(document(place), arguments(place, samples), token=token, context=context)
        body = answer.json()
        assert not body.get("errors"), (place, body["errors"])
        [result] = body["data"].values()
        assert "code" not in result or result["__typename"] == "ReceptionCodeCreated", (place, result)
        return result

    async def ask(self, text: str, who: Identity, **variables: Any) -> Any:
        """Ask something that must be answered."""
        answer = (await self.api.post(text, variables, token=PEOPLE.token(who))).json()
        assert not answer.get("errors"), answer
        return answer["data"]

    async def prepare(self) -> None:
        """Learn which questionnaire is given."""
        listed = await self.ask(
            "query ($url: String!) { questionnaires(url: $url) { nodes { id items { path type } } } }",
            enroller(HERE),
            url=WHO5,
        )
        [found] = listed["questionnaires"]["nodes"]
        self.questionnaire = found["id"]
        self.paths = [item["path"] for item in found["items"] if item["type"] == "choice"]

    async def scene(
        self, name: str, municipality: int, team: int, *, unlike: Scene | None = None, **more: Any
    ) -> Scene:
        """Make a scene; of the citizen of another one, if that is given."""
        number = NUMBERS[unlike.name if unlike else name]
        code = f"{municipality:04d}"
        place = DEMOGRAPHY.care_teams(code)[team]
        family = unlike.family if unlike else f"Kvistgård-{name}"
        cpr = unlike.cpr if unlike else DEMOGRAPHY.citizen_cpr(code, number)
        known: dict[str, Any] = {
            "cpr": cpr, "reason": REASON, "name": f"Navn {name}", "givenName": "Xanthe", "familyName": family,
            "careTeamId": encode("team", place.id), "organisationUnitId": encode("unit", place.unit),
            "reasonCode": place.reason_codes[0], "questionnaireId": self.questionnaire, "idempotencyKey": f"key of {name}",
            "toMunicipality": f"{ELSEWHERE if municipality == HERE else HERE:04d}", "rights": ["READ", "ANSWER"],
            "path": self.paths[0], "code": "2", "system": _FREQUENCY, "deviceSecret": "none", "first": 100,
            "Mutation.saveAnswer:coding": {"system": _FREQUENCY, "code": "2"}, "coloursShown": True,
            "Mutation.redeemReceptionCode:code": "123456",
            "Mutation.registerRepresentation:cpr": DEMOGRAPHY.citizen_cpr(code, number + 7),
        }  # fmt: skip
        staff = enroller(municipality)
        person = citizen(number, code)
        known["citizenId"] = (await self.do("Mutation.registerCitizen", staff, known))["citizen"]["id"]
        consent = {"Mutation.openEpisodeOfCare:consent": {"manner": "ORAL"}}
        opened = await self.do("Mutation.openEpisodeOfCare", staff, known | consent)
        known["episodeOfCareId"] = opened["episodeOfCare"]["id"]
        given = [(await self.do("Mutation.assignQuestionnaire", staff, known))["assignment"]["id"] for _ in range(5)]
        done, amended, requested, drafted, typed = given
        signed_in = await self.api.product.authenticate(Credentials("bearer", PEOPLE.token(person)))
        for assignment in (done, amended, drafted):
            await self._answer(signed_in, known | {"assignmentId": assignment})
        for assignment in (done, amended):
            sent = await self.do(
                "Mutation.submitResponse",
                person,
                known | {"assignmentId": assignment, "idempotencyKey": f"{name} {assignment}"},
            )
            known[f"response of {assignment}"] = sent["response"]["id"]
        known["responseId"] = known[f"response of {amended}"]
        await self.do("Mutation.amendResponse", person, known)
        await self.do(
            "Mutation.submitResponse", person, known | {"assignmentId": amended, "idempotencyKey": f"{name} again"}
        )
        known["responseId"] = known[f"response of {done}"]
        monitor = employee(
            grant(Role.MONITORING_ASSISTOR, team=place.id),
            person=member(Role.MONITORING_ASSISTOR, code, 2 * team),
            municipality=code,
        )
        await self.do("Mutation.startAssistedAnswering", monitor, known | {"assignmentId": typed})
        await self.do("Mutation.saveAnswer", monitor, known | {"assignmentId": typed})
        policy = {f"Mutation.setEpisodePolicy:{each}": value for each, value in {"coloursShown": True, **more}.items()}
        await self.do("Mutation.setEpisodePolicy", monitor, known | policy)
        known |= {
            "assignmentId": requested, "Mutation.submitResponse:assignmentId": drafted,
            "Mutation.stopAssistedAnswering:assignmentId": typed, "done": done, "typed": typed, "drafted": drafted,
        }  # fmt: skip
        if unlike is None:
            await self._people(known, code, number)
        else:
            known |= {each: unlike.samples[each] for each in ("representationId", "emergencyAccessId", "handOverId")}
        known["receptionDeviceId"] = await self._device(place.unit, code)
        return Scene(name, municipality, known, decode("cit", known["citizenId"]), cpr, family)

    async def _answer(self, person: Actor, known: dict[str, Any]) -> None:
        """Answer every item, at once."""
        ids = decode("asg", known["assignmentId"]), decode("que", known["questionnaireId"])
        async with self.api.product.database.change(person, "sweep") as change:
            for path in self.paths:
                await responses.save_answer(change, *ids, path, [{"valueCoding": {"system": _FREQUENCY, "code": "2"}}])

    async def _people(self, known: dict[str, Any], code: str, number: int) -> None:
        """Let others act for the citizen, open the record in an emergency, and offer the history elsewhere."""
        staff = enroller(int(code))
        for kind, offset in (("POWER_OF_ATTORNEY", 1), ("GUARDIAN", 2)):
            other = {"Mutation.registerRepresentation:cpr": DEMOGRAPHY.citizen_cpr(code, number + offset), "kind": kind}
            made = await self.do("Mutation.registerRepresentation", staff, known | other)
            known[kind] = known["representationId"] = made["representation"]["id"]
        opened = await self.do("Mutation.openEmergencyAccess", opener(code, 1), known)
        known["emergencyAccessId"] = opened["emergencyAccess"]["id"]
        offered = await self.do("Mutation.offerHandOver", staff, known)
        known["handOverId"] = offered["handOver"]["id"]

    async def _device(self, unit: UUID, code: str) -> str:
        async with self._turn:
            if unit not in self.registered:
                held = grant(Role.CARETEAM_ADMINISTRATOR, unit=unit)
                who = employee(held, person=member(Role.CARETEAM_ADMINISTRATOR, code), municipality=code)
                known = {"organisationUnitId": encode("unit", unit), "name": f"Skranken i {unit}"}
                self.registered[unit] = await self.do("Mutation.registerReceptionDevice", who, known)
        return str(self.registered[unit]["device"]["id"])


def enroller(municipality: int) -> Identity:
    """Return somebody who enrols everywhere in a municipality."""
    code = f"{municipality:04d}"
    units = [unit.id for unit in DEMOGRAPHY.organisation_units(code)]
    return employee(
        grant(Role.CITIZEN_ENROLLER, unit=units), person=member(Role.CITIZEN_ENROLLER, code), municipality=code
    )


def opener(code: str, colleague: int) -> Identity:
    """Return one of two who read answers in the last team, and none of the scenes is in it."""
    team = DEMOGRAPHY.care_teams(code)[3]
    who = member(Role.CLINICAL_VIEWER, code, 6 + colleague)
    return employee(grant(Role.CLINICAL_VIEWER, team=team.id), person=who, municipality=code)


NUMBERS = {
    "OWN": 900,
    "NO-CONSENT": 910,
    "OTHER-TEAM": 920,
    "OTHER-UNIT": 930,
    "GONE": 940,
    "ELSEWHERE": 950,
    "ARRIVING": 960,
}


async def furnish(api: Api) -> World:
    """Make the scenes and gather who asks for them."""
    maker = _Maker(api)
    await maker.prepare()
    drafts = {place: await _draft(maker, place) for place in (HERE, ELSEWHERE)}

    async def of_one() -> list[Scene]:
        own = await maker.scene("OWN", HERE, 0, hiddenFromGuardians=False)
        return [own, await maker.scene("HIDDEN", HERE, 0, unlike=own, hiddenFromGuardians=True, coloursShown=False)]

    # Side by side: they wait for the disk, each commit of theirs.
    others = [
        maker.scene("NO-CONSENT", HERE, 0),
        maker.scene("OTHER-TEAM", HERE, 1),
        maker.scene("OTHER-UNIT", HERE, 2),
        maker.scene("GONE", HERE, 0),
        maker.scene("ELSEWHERE", ELSEWHERE, 0),
        # Somebody arrives: offered from elsewhere, with a record here.
        maker.scene("ARRIVING", ELSEWHERE, 0),
    ]
    first, made = await asyncio.gather(of_one(), asyncio.gather(*others))
    by_name = {scene.name: scene for scene in (*first, *made)}
    arriving = by_name.pop("ARRIVING")
    await maker.do("Mutation.withdrawConsent", enroller(HERE), {**by_name["NO-CONSENT"].samples, "manner": "ORAL"})
    gone = by_name["GONE"]
    there = DEMOGRAPHY.care_teams(f"{ELSEWHERE:04d}")[1]
    await maker.do("Mutation.registerCitizen", enroller(ELSEWHERE), gone.samples)
    await maker.do(
        "Mutation.acceptHandOver", enroller(ELSEWHERE), {**gone.samples, "careTeamId": encode("team", there.id)}
    )
    await maker.do("Mutation.registerCitizen", enroller(HERE), arriving.samples)
    offer = arriving.samples["handOverId"]
    emergency = opener("0101", 0)
    await maker.do("Mutation.openEmergencyAccess", emergency, by_name["OTHER-TEAM"].samples)
    by_name = {
        name: replace(
            scene,
            samples={
                **scene.samples,
                "Mutation.activateQuestionnaire:questionnaireId": drafts[scene.municipality],
                "fhir": _fhir(f"new-{name.lower()}"),
                "Mutation.createReceptionCode:episodeOfCareId": scene.samples["episodeOfCareId"],
                **(
                    {f"Mutation.{each}HandOver:handOverId": offer for each in ("accept", "decline")}
                    if scene.municipality == HERE
                    else {}
                ),
            },
        )
        for name, scene in by_name.items()
    }
    by_name["NOWHERE"] = _nowhere(by_name["ELSEWHERE"])
    world = World(api, by_name, [], {}, {}, Inventory({}))
    await _gather(world, maker, emergency)
    return world


async def _draft(maker: _Maker, municipality: int) -> str:
    code = f"{municipality:04d}"
    unit = DEMOGRAPHY.organisation_units(code)[0].id
    who = employee(
        grant(Role.QUESTIONNAIRE_EDITOR, unit=unit), person=member(Role.QUESTIONNAIRE_EDITOR, code), municipality=code
    )
    made = await maker.do("Mutation.importQuestionnaire", who, {"fhir": _fhir(f"draft-{code}")})
    return str(made["questionnaire"]["id"])


def _fhir(name: str) -> str:
    return json.dumps(
        {
            "resourceType": "Questionnaire", "url": f"https://example.org/Questionnaire/{name}", "version": "1", "name": "D",
            "title": name, "status": "draft", "item": [{"linkId": "1", "type": "string", "text": "?"}],
        }
    )  # fmt: skip


def _nowhere(scene: Scene) -> Scene:
    """Return a scene of things that do not exist: well-formed ids and a number that are nobody's."""
    prefixes = {origin(each).prefix for each in NODES.values()}

    def made_up(value: Any) -> Any:
        prefix = value.partition("_")[0] if isinstance(value, str) else ""
        return encode(prefix, tables.new_id()) if prefix in prefixes else value

    samples = {name: made_up(value) for name, value in scene.samples.items()}
    return Scene("NOWHERE", ELSEWHERE, samples | {"cpr": DEMOGRAPHY.citizen_cpr("0851", 999)}, None)


async def _gather(world: World, maker: _Maker, emergency: Identity) -> None:
    """Sign everybody in, and read every row."""
    await _settled(world.api)
    own = world.scenes["OWN"]
    unit, team = DEMOGRAPHY.care_teams("0101")[0].unit, DEMOGRAPHY.care_teams("0101")[0].id
    near = DEMOGRAPHY.care_teams("0101")[1].id
    assert own.citizen is not None
    async with above(world.api) as connection:
        person = await connection.fetchval("SELECT person_id FROM citizen WHERE id = $1", own.citizen)
        world.inventory.rows |= {
            table: [dict(row) for row in await connection.fetch(f"SELECT * FROM {table}")] for table in _tables()
        }
    world.inventory.__post_init__()
    represented = encode("cit", own.citizen)
    here: dict[str, Any] = {"municipality": HERE, "acts_in": unit}
    staff: dict[str, Any] = {"kind": ActorKind.EMPLOYEE, **here}
    at_large: dict[str, Any] = {**staff, "units": frozenset({unit}), "teams": frozenset({team, near})}
    unit_roles = (
        Role.CARETEAM_ADMINISTRATOR, Role.CLINICAL_ADMINISTRATOR, Role.QUESTIONNAIRE_EDITOR, Role.CITIZEN_ENROLLER,
    )  # fmt: skip
    for role in unit_roles:
        who = member(role)
        choice = frozenset({unit})
        await _enter(
            world,
            Asker(role.value, role=role, employee=who.id, choices=choice, **at_large),
            employee(grant(role, unit=unit), person=who),
        )
    for role in (Role.CLINICAL_VIEWER, Role.MONITORING_ASSISTOR):
        who = member(role)
        asker = Asker(
            role.value, role=role, teams=frozenset({team}), employee=who.id, choices=frozenset({unit, team}), **staff
        )
        await _enter(world, asker, employee(grant(role, team=team), person=who))
    other = DEMOGRAPHY.care_teams("0101")[3]
    who = member(Role.CLINICAL_VIEWER, "0101", 6)
    opened = world.scenes["OTHER-TEAM"].citizen
    assert opened is not None
    await _enter(
        world,
        Asker(
            "viewer in an emergency", ActorKind.EMPLOYEE, HERE, Role.CLINICAL_VIEWER, frozenset({other.id}), acts_in=other.unit,
            employee=who.id, opened=frozenset({opened}), choices=frozenset({other.unit, other.id}),
        ),
        emergency,
    )  # fmt: skip
    who = member(Role.CLINICAL_VIEWER)
    undecided = employee(
        grant(Role.CLINICAL_VIEWER, team=team), grant(Role.CITIZEN_ENROLLER, unit=other.unit), person=who
    )
    choices = frozenset({unit, team, other.unit})
    await _enter(
        world, Asker("employee without a place", ActorKind.EMPLOYEE, HERE, employee=who.id, choices=choices), undecided
    )
    officer = member(Role.SECURITY_OFFICER)
    await _enter(
        world,
        Asker(
            "security officer",
            ActorKind.SECURITY_OFFICER,
            HERE,
            Role.SECURITY_OFFICER,
            employee=officer.id,
            acts_in=unit,
        ),
        employee(grant(Role.SECURITY_OFFICER, unit=unit), person=officer),
    )
    for name in ("integrator", "integrator-with-answers"):
        identity = DemoDirectory().find(name, "0101")
        assert identity is not None
        asker = Asker(name, ActorKind.SYSTEM, HERE, Role.INTEGRATOR, answers=name.endswith("answers"))
        await _enter(world, asker, identity)
    themselves: dict[str, Any] = {"kind": ActorKind.CITIZEN, "municipality": HERE, "citizen": own.citizen}
    await _enter(world, Asker("citizen", person=person, **themselves), citizen(NUMBERS["OWN"]))
    for kind, offset, guardian in (("POWER_OF_ATTORNEY", 1, False), ("GUARDIAN", 2, True)):
        row = world.inventory.need("representation", decode("rep", own.samples[kind]))
        asker = Asker(kind.lower(), person=row["representative_id"], represents=True, guardian=guardian, **themselves)
        await _enter(world, asker, citizen(NUMBERS["OWN"] + offset), represented)
    for right in Right:
        shown = {own.cpr: frozenset({right})}
        helper = citizen(NUMBERS["OWN"] + 5, represents=shown)
        asker = Asker(
            f"power to {right} only", person=UUID(int=1), represents=True, rights=frozenset({right}), **themselves
        )
        await _enter(world, asker, helper, represented)
    await _enter_reception(world, maker, unit, themselves)
    nobody = Asker("nobody", None)
    world.askers.append(nobody)
    world.actors[nobody.name] = None


async def _enter(world: World, asker: Asker, identity: Identity, context: str = "") -> None:
    shown = Credentials("bearer", PEOPLE.token(identity), "127.0.0.1", context)
    world.actors[asker.name] = await world.api.product.authenticate(shown)
    world.shown[asker.name] = shown
    world.askers.append(asker)


async def _enter_reception(world: World, maker: _Maker, unit: UUID, themselves: dict[str, Any]) -> None:
    own = world.scenes["OWN"]
    staff = employee(grant(Role.CITIZEN_ENROLLER, unit=unit), person=member(Role.CITIZEN_ENROLLER))
    handed = await maker.do("Mutation.createReceptionCode", staff, own.samples)
    begun = await redeem(world.api, maker.registered[unit]["secret"], handed["code"])
    shown = Credentials("reception", begun["token"], "127.0.0.1")
    actor = await world.api.product.authenticate(shown)
    async with above(world.api) as connection:
        for table in ("reception_session", "access_log"):
            world.inventory.rows[table] = [dict(row) for row in await connection.fetch(f"SELECT * FROM {table}")]
    world.inventory.__post_init__()
    [session] = [row for row in world.inventory.rows["reception_session"] if row["token_hash"] is not None]
    given = ("assignmentId", "drafted", "typed")
    asker = Asker(
        "at reception", person=actor.id, session=session["id"], rights=frozenset({Right.ANSWER}),
        handed=frozenset(key for name in given if (key := decode("asg", own.samples[name])) is not None), **themselves,
    )  # fmt: skip
    world.actors[asker.name] = actor
    world.shown[asker.name] = shown
    world.askers.append(asker)


def _tables() -> set[str]:
    rows = {made.source.table for type_ in SCHEMA._schema.type_map.values() if hasattr(made := origin(type_), "source")}
    return rows | {"event"}


async def _settled(api: Api) -> None:
    """Wait until every event has its position."""
    for _ in range(100):
        async with above(api) as connection:
            if not await connection.fetchval("SELECT count(*) FROM event WHERE position IS NULL"):
                return
        await asyncio.sleep(0.05)
    raise KproError("events without a position")
