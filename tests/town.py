"""The town of the state machine: a product of its own, and for every example three new municipalities with their people.

It runs on a loop of its own in a thread, so that the product's own tasks go on between the steps of a test.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from kpro_graph import catalogue
from kpro_graph.actors import ActorKind, AssuranceLevel, Credentials, Grant, Identity, Role
from kpro_graph.app import Product
from kpro_graph.demography import Demography
from kpro_graph.errors import KproError
from kpro_graph.execution.ids import encode, split
from kpro_graph.identity import operator
from kpro_graph.schema import make_schema
from kpro_graph.schema.context import Answer, Viewer
from kpro_graph.storage.migrate import migrate
from kpro_graph.storage.tables import new_id
from tests.conftest import Worlds
from tests.looks import NODES, UPDATES, lists_for, plain
from tests.model import (
    ENROLLER,
    MONITOR,
    OFFICER,
    PLAIN,
    SCORED,
    VIEWER,
    Employee,
    Granted,
    Model,
    Standing,
    Team,
    Unit,
    Who,
)
from tests.people import PEOPLE
from tests.sheets import band, document, number
from tests.turns import Outcome, Request

REASON = "Det er nødvendigt for borgeren."
_SCORE = {"code": "pain", "kind": "item", "label": {"da": "Smerte", "en": "Pain"}, "item": "pain"}
_RULE = {
    "id": "pain-level",
    "score": "pain",
    "intervals": [band("green", below=3), band("yellow", atLeast=3, atMost=7), band("red", above=7)],
}
_PAIN = ("1", "5", "9")
"""The answers that are green, yellow and red."""

_DOCUMENTS = {
    "register": ("$cpr: CPR!", 'registerCitizen(input: {cpr: $cpr, givenName: "Bo", familyName: "Berg"})',
                 "CitizenRegistered { created citizen { id } }"),
    "open": ("$citizen: ID!, $team: ID!, $consent: ConsentInput",
             'openEpisodeOfCare(input: {citizenId: $citizen, careTeamId: $team, legalBasis: HEALTH_ACT,'
             ' reasonCode: "DE10", consent: $consent})', "EpisodeOfCareOpened { episodeOfCare { id startedAt } }"),
    "give": ("$episode: ID!, $consent: ConsentInput!",
             "giveConsent(input: {episodeOfCareId: $episode, consent: $consent})",
             "EpisodeOfCareDecided { episodeOfCare { id } }"),
    "withdraw": ("$episode: ID!", "withdrawConsent(input: {episodeOfCareId: $episode, manner: ORAL})",
                 "EpisodeOfCareDecided { episodeOfCare { id } }"),
    "policy": ("$episode: ID!, $colours: Boolean, $hidden: Boolean",
               "setEpisodePolicy(input: {episodeOfCareId: $episode, coloursShown: $colours,"
               " hiddenFromGuardians: $hidden})", "EpisodeOfCareDecided { episodeOfCare { id } }"),
    "assign": ("$episode: ID!, $questionnaire: ID!",
               "assignQuestionnaire(input: {episodeOfCareId: $episode, questionnaireId: $questionnaire})",
               "QuestionnaireAssigned { assignment { id } }"),
    "save": ("$assignment: ID!, $questionnaire: ID!, $value: String!",
             'saveAnswer(input: {assignmentId: $assignment, questionnaireId: $questionnaire, path: "pain",'
             " values: [{decimal: $value}]})", "AnswerSaved { response { id } }"),
    "submit": ("$assignment: ID!, $questionnaire: ID!, $key: String!",
               "submitResponse(input: {assignmentId: $assignment, questionnaireId: $questionnaire,"
               " idempotencyKey: $key})", "ResponseSubmitted { receipt response { id } }"),
    "amend": ("$response: ID!", 'amendResponse(input: {responseId: $response, reason: "Jeg tog fejl."})',
              "AmendmentOpened { response { id } }"),
    "represent": ("$citizen: ID!, $cpr: CPR!, $kind: RepresentationKind!, $rights: [Right!]!, $until: DateTime",
                  'registerRepresentation(input: {citizenId: $citizen, cpr: $cpr, name: "Rie Ravn", kind: $kind,'
                  " rights: $rights, validUntil: $until})", "RepresentationRecorded { representation { id } }"),
    "end": ("$representation: ID!", "endRepresentation(input: {representationId: $representation})",
            "RepresentationRecorded { representation { id } }"),
    "emergency": ("$cpr: CPR!, $reason: String!", "openEmergencyAccess(input: {cpr: $cpr, reason: $reason})",
                  "EmergencyAccessRecorded { emergencyAccess { id } }"),
    "review": ("$opening: ID!", "reviewEmergencyAccess(input: {emergencyAccessId: $opening, verdict: JUSTIFIED})",
               "EmergencyAccessRecorded { emergencyAccess { id } }"),
    "offer": ("$citizen: ID!, $to: String!, $reason: String!",
              "offerHandOver(input: {citizenId: $citizen, toMunicipality: $to, reason: $reason})",
              "HandOverRecorded { handOver { id } }"),
    "take back": ("$offer: ID!", "withdrawHandOver(input: {handOverId: $offer})",
                  "HandOverRecorded { handOver { id } }"),
    "decline": ("$offer: ID!", "declineHandOver(input: {handOverId: $offer})", "HandOverRecorded { handOver { id } }"),
    "accept": ("$offer: ID!, $team: ID!", "acceptHandOver(input: {handOverId: $offer, careTeamId: $team})",
               "HandOverRecorded { handOver { id } }"),
}  # fmt: skip
_TEXTS = {
    name: f"mutation Deed({variables}) {{ done: {call} {{ __typename ... on {success} ... on Failure {{ code }} }} }}"
    for name, (variables, call, success) in _DOCUMENTS.items()
}
_CONSENT_OVER = """
UPDATE episode_of_care SET consented_until = now() - interval '1 second' WHERE municipality_id = $1 AND id = $2
"""
_REPRESENTATION_OVER = """
UPDATE representation SET valid_from = now() - interval '2 hours', valid_until = now() - interval '1 second'
WHERE municipality_id = $1 AND id = $2
"""
_EMERGENCY_OVER = """
UPDATE emergency_access SET opened_at = now() - interval '2 hours', expires_at = now() - interval '1 second'
WHERE municipality_id = $1 AND id = $2
"""
_SUBMITTED = """
SELECT r.submitted_at,
       ARRAY(SELECT s.id FROM score s WHERE s.municipality_id = $1 AND s.response_id = r.id) AS scores,
       ARRAY(SELECT i.id FROM interpretation i WHERE i.municipality_id = $1 AND i.response_id = r.id) AS interpretations
FROM response r WHERE r.municipality_id = $1 AND r.idempotency_key = $2
"""
_LINES = "SELECT trace_id, municipality_id, citizen_id, override FROM access_log WHERE trace_id = ANY($1)"


@dataclass
class Example:
    """The people of one example. Municipalities are their codes as numbers; ``labels`` name ids for whoever reads."""

    codes: tuple[int, int, int]
    cprs: dict[str, str]
    model: Model
    labels: dict[str, str] = field(default_factory=dict)
    subjects: dict[str, str] = field(default_factory=dict)
    tokens: dict[tuple[Any, ...], str] = field(default_factory=dict)


@dataclass
class Look:
    """What somebody was answered, and the trace under which it stands in the access log."""

    who: Who
    citizen: str
    answer: dict[str, Any]
    trace: str


class Town:
    """A product, and what happens in it. Every method may be called from any thread."""

    def __init__(self, worlds: Worlds) -> None:
        self._worlds = worlds
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="town", daemon=True)
        self._ending = AsyncExitStack()
        self._examples = itertools.count()
        self._traces = itertools.count(1)
        self._schema = make_schema()
        self._questionnaires: dict[str, str] = {}
        self._product: Product
        self._above: Any
        self.counts: dict[str, int] = dict.fromkeys(("examples", "steps", "looks", "followed", "lines"), 0)

    @contextmanager
    def open(self, name: str) -> Iterator[Town]:
        """Keep the town's database and product open meanwhile."""
        self._thread.start()
        try:
            self._worlds.postgres.create_database(name)
            self._do(self._open(name))
            yield self
        finally:
            self._do(self._ending.aclose())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()
            self._worlds.postgres.drop_database(name)

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _open(self, name: str) -> None:
        await migrate(self._worlds.postgres.dsn("kpro_owner", name))
        self._product, _ = await self._ending.enter_async_context(self._worlds.product(name))
        self._above = await asyncpg.connect(self._worlds.postgres.dsn("postgres", name))
        self._ending.push_async_callback(self._above.close)
        item = {**number("pain"), "required": True}
        for url, rules in ((SCORED, document(_RULE, scores=[_SCORE])), (PLAIN, None)):
            source = {
                "resourceType": "Questionnaire", "url": url, "version": "1.0.0", "status": "active", "language": "da",
                "title": "Smerte", "item": [item],
            }  # fmt: skip
            written = None
            if rules is not None:
                rules["questionnaire"]["url"] = url
                written = json.dumps(rules).encode()
            async with self._product.database.change(operator(0), "town") as change:
                row, _ = await catalogue.install(change, json.dumps(source).encode(), written)
                row = await catalogue.activate(change, row.id)
            self._questionnaires[url] = encode("que", row.id)

    # --- People and places

    def found(self) -> Example:
        """Make three municipalities with units, teams and employees, and three persons who could live in them."""
        return self._do(self._found(next(self._examples)))  # type: ignore[no-any-return]

    async def _found(self, number_: int) -> Example:
        self.counts["examples"] += 1
        codes = (3 * number_ + 1, 3 * number_ + 2, 3 * number_ + 3)
        demography = Demography()
        cprs = {
            name: demography.citizen_cpr("0101", 3 * number_ + place)
            for place, name in enumerate(("Anna", "Bo", "Cleo"))
        }
        made = Example(codes, cprs, Model())
        for code, letter in zip(codes, "ABC", strict=True):
            await self._execute(
                "INSERT INTO municipality (id, name, cvr) VALUES ($1, $2, $3)", code, f"Kommune {letter}", f"{code:08d}"
            )
        await self._execute("UPDATE rule_set SET status = 'approved' WHERE municipality_id = 0")
        a, b, c = codes
        first = await self._unit(made, a, "unit A1", None, "29.70.10")
        below = await self._unit(made, a, "unit A2", first, "29.70.20")
        other = await self._unit(made, b, "unit B1", None, "29.70.10")
        beside = await self._unit(made, b, "unit B2", None, "29.70.20")
        far = await self._unit(made, c, "unit C1", None, "29.70.10")
        ta = await self._team(made, a, "team A1a", first)
        tb = await self._team(made, a, "team A1b", first)
        tc = await self._team(made, a, "team A2a", below)
        td = await self._team(made, b, "team B1a", other)
        te = await self._team(made, b, "team B2a", beside)
        await self._team(made, c, "team C1a", far)
        await self._employee(made, a, "Eva the enroller", granted(ENROLLER, units=[first, below]))
        await self._employee(made, a, "Vera the viewer", granted(VIEWER, teams=[ta]), granted(VIEWER, teams=[tb]))
        await self._employee(
            made, a, "Mona the monitor", granted(MONITOR, units=[first, below]), members=[(ta, MONITOR)]
        )
        await self._employee(
            made, a, "Otto the officer", granted(OFFICER, units=[first]), granted(VIEWER, MONITOR, teams=[tc])
        )
        await self._employee(
            made, a, "Dora of many roles", granted(VIEWER, units=[first]), granted(ENROLLER, units=[below]),
            members=[(tb, VIEWER), (tc, VIEWER)],
        )  # fmt: skip
        await self._employee(made, b, "Bent the enroller", granted(ENROLLER, units=[other]))
        await self._employee(made, b, "Vibe of both roles", granted(VIEWER, ENROLLER, teams=[td]))
        await self._employee(made, b, "Olga the officer", granted(OFFICER, units=[other]), granted(MONITOR, teams=[te]))
        await self._employee(made, c, "Carl the enroller", granted(ENROLLER, units=[far]))
        made.model.systems = {"A with answers": True, "A without answers": False, "B with answers": True}
        return made

    async def _unit(self, made: Example, m: int, label: str, parent: str | None, kle: str) -> str:
        key = self._named(made, "unit", label)
        made.model.units[key] = Unit(m, parent, kle)
        await self._execute(
            "INSERT INTO organisation_unit (municipality_id, id, parent_id, name, kle, active)"
            " VALUES ($1, $2, $3, $4, $5, true)",
            m, uuid(key), parent and uuid(parent), label, [kle],
        )  # fmt: skip
        return key

    async def _team(self, made: Example, m: int, label: str, unit: str) -> str:
        key = self._named(made, "team", label)
        made.model.teams[key] = Team(m, unit)
        await self._execute(
            "INSERT INTO care_team (municipality_id, id, organisation_unit_id, name, reason_codes, status)"
            " VALUES ($1, $2, $3, $4, $5, 'active')",
            m, uuid(key), uuid(unit), label, ["DE10"],
        )  # fmt: skip
        return key

    async def _employee(
        self, made: Example, m: int, label: str, *grants: Granted, members: list[tuple[str, str]] | None = None
    ) -> None:
        name = label.split(maxsplit=1)[0]
        key = self._named(made, "emp", label)
        made.model.employees[name] = Employee(m, key, grants)
        made.subjects[name] = str(uuid(key))
        await self._execute(
            "INSERT INTO employee (municipality_id, id, subject, name, active) VALUES ($1, $2, $3, $4, true)",
            m, uuid(key), made.subjects[name], label,
        )  # fmt: skip
        for team, role in members or ():
            await self._join(made, name, team, role, joins=True)
            made.model.employees[name].members.add((team, role))

    async def _join(self, made: Example, name: str, team: str, role: str, *, joins: bool) -> None:
        employee = made.model.employees[name]
        key = (employee.m, uuid(team), uuid(employee.id), role)
        await self._execute(
            "DELETE FROM care_team_member WHERE municipality_id = $1 AND care_team_id = $2 AND employee_id = $3"
            " AND role = $4", *key,
        )  # fmt: skip
        if joins:
            await self._execute(
                "INSERT INTO care_team_member (municipality_id, care_team_id, employee_id, role, id)"
                " VALUES ($1, $2, $3, $4, $5)", *key, new_id(),
            )  # fmt: skip

    def _named(self, made: Example, prefix: str, label: str) -> str:
        key = encode(prefix, new_id())
        made.labels[key] = label
        return key

    # --- Deeds

    def run(self, made: Example, *requests: Request) -> list[Outcome]:
        """Run requests, all at once, and return what came of each."""
        self.counts["steps"] += 1
        return list(self._do(self._run(made, requests)))

    async def _run(self, made: Example, requests: tuple[Request, ...]) -> list[Outcome]:
        return list(await asyncio.gather(*(self._deed(made, request) for request in requests)))

    def run_meanwhile(self, made: Example, request: Request, change: Request) -> Outcome:
        """Run a request; the change happens after it was asked who sends it, and before that is asked again."""

        async def run() -> Outcome:
            viewer = await self._viewer(made, request.who)
            again = viewer.authenticate
            assert again is not None

            async def authenticate() -> Any:
                await self._change(made, change)
                return await again()

            viewer.authenticate = authenticate
            return await self._deed(made, request, viewer)

        return self._do(run())  # type: ignore[no-any-return]

    async def _deed(self, made: Example, request: Request, viewer: Viewer | None = None) -> Outcome:
        if request.who.kind == "owner":
            await self._change(made, request)
            return Outcome("OK")
        viewer = viewer or await self._viewer(made, request.who)
        key = f"key {viewer.trace}"
        answer = await self._ask(_TEXTS[request.deed], self._variables(made, request, key), viewer)
        payload = (answer["data"] or {}).get("done") or {}
        code = payload.get("code", "OK")
        if "errors" in answer:
            [code] = {error["extensions"]["code"] for error in answer["errors"]}
        if request.deed == "submit" and code == "OK":
            row = await self._fetch_one(_SUBMITTED, request.who.m, key)
            payload |= {
                "submittedAt": row["submitted_at"].isoformat().replace("+00:00", "Z"),
                "scores": tuple(encode("sco", each) for each in row["scores"]),
                "interpretations": tuple(encode("int", each) for each in row["interpretations"]),
            }
        lines = await self._lines([viewer.trace])
        noted = frozenset((m, citizen) for _, m, citizen, _ in lines)
        return Outcome(code, noted, payload)

    def _variables(self, made: Example, request: Request, key: str) -> dict[str, Any]:
        given = dict(request.args)
        if "person" in given:
            given["cpr"] = made.cprs[given.pop("person")]
        if "url" in given:
            given["questionnaire"] = self._questionnaires[given.pop("url")]
        match request.deed:
            case "open":
                given["consent"] = _consent(ends=given["consent"] == "ends") if given["consent"] else None
            case "give":
                given["consent"] = _consent(ends=given.pop("ends"))
            case "save":
                given["value"] = _PAIN[given.pop("weight")]
            case "submit":
                given["key"] = key
            case "represent":
                given["kind"] = "GUARDIAN" if given.pop("guardian") else "POWER_OF_ATTORNEY"
                rights = {"READ": given.pop("read"), "ANSWER": given.pop("answer")}
                given["rights"] = [right for right, has in rights.items() if has]
                given["until"] = _LATER if given.pop("ends") else None
            case "offer":
                given["to"] = f"{given['to']:04d}"
        if request.deed in {"emergency", "offer"}:
            given["reason"] = REASON
        return given

    async def _change(self, made: Example, request: Request) -> None:
        args = request.args
        match request.deed:
            case "time":
                over = {
                    "consent": _CONSENT_OVER, "representation": _REPRESENTATION_OVER, "emergency": _EMERGENCY_OVER,
                }  # fmt: skip
                m, key = args["key"]
                await self._execute(over[args["of"]], m, uuid(key))
            case "activity":
                key = made.model.employees[args["key"]].id if args["table"] == "employee" else args["key"]
                state = "status = CASE WHEN $2 THEN 'active' ELSE 'inactive' END"
                column = state if args["table"] == "care_team" else "active = $2"
                await self._execute(f"UPDATE {args['table']} SET {column} WHERE id = $1", uuid(key), args["active"])
            case "membership":
                await self._join(made, args["employee"], args["team"], args["role"], joins=args["joins"])
            case "rules":
                state = "approved" if args["on"] else "off"
                await self._execute("UPDATE rule_set SET status = $1 WHERE municipality_id = 0", state)

    # --- Looks

    def look(self, made: Example, asked: list[tuple[Who, str]], ids: list[str]) -> list[Look]:
        """Ask for everything as these people, each about one citizen in particular, and by all these ids."""
        return list(self._do(self._look(made, asked, ids)))

    async def _look(self, made: Example, asked: list[tuple[Who, str]], ids: list[str]) -> list[Look]:
        return list(await asyncio.gather(*(self._look_as(made, who, citizen, ids) for who, citizen in asked)))

    async def _look_as(self, made: Example, who: Who, citizen: str, ids: list[str]) -> Look:
        self.counts["looks"] += 1
        viewer = await self._viewer(made, who)
        if viewer.refusal is not None or viewer.actor is None:
            refused = await self._ask(lists_for(None), {"citizen": citizen}, viewer)
            codes = {error["extensions"]["code"] for error in refused["errors"]}
            assert not any((refused["data"] or {}).values())
            return Look(who, citizen, {"refused": "/".join(sorted(codes))}, viewer.trace)
        actor = viewer.actor
        kind = {"security_officer": "officer"}.get(actor.kind.value, actor.kind.value)
        shape = Standing(
            kind, who.m, frozenset(role.value for role in actor.roles),
            read="read" in {each.value for each in actor.rights}, answers=actor.may_have_answers,
        )  # fmt: skip
        lists = await self._ask(lists_for(shape), {"citizen": citizen}, viewer)
        nodes = await self._ask(NODES, {"ids": ids[:100], "more": ids[100:]}, viewer)
        assert "errors" not in {*lists, *nodes}, (lists, nodes)
        found = nodes["data"]["nodes"] + nodes["data"]["more"]
        answer = {
            "lists": plain(lists["data"]),
            "me": plain(nodes["data"]["me"]),
            "nodes": sorted(each["id"] for each in found if each),
        }
        return Look(who, citizen, answer, viewer.trace)

    def lines(self, looks: list[Look]) -> dict[str, set[tuple[int, str | None, bool]]]:
        """Return for each look's trace the lines it left in the access log."""
        found: dict[str, set[tuple[int, str | None, bool]]] = {look.trace: set() for look in looks}
        for trace, m, citizen, override in self._do(self._lines(list(found))):
            found[trace].add((m, citizen, override))
            self.counts["lines"] += 1
        return found

    async def _lines(self, traces: list[str]) -> list[tuple[str, int, str | None, bool]]:
        rows = await self._fetch(_LINES, traces)
        return [
            (row["trace_id"], row["municipality_id"], row["citizen_id"] and encode("cit", row["citizen_id"]),
             row["override"])
            for row in rows
        ]  # fmt: skip

    def follow(self, made: Example, who: Who, many: int) -> list[tuple[str, int, str | None]] | str:
        """Follow responseUpdates from the beginning until nothing comes; return the deliveries, or the refusal."""
        self.counts["followed"] += 1
        return self._do(self._follow(made, who, many))  # type: ignore[no-any-return]

    async def _follow(self, made: Example, who: Who, many: int) -> list[tuple[str, int, str | None]] | str:
        while await self._count("SELECT count(*) FROM event WHERE position IS NULL"):  # noqa: ASYNC110
            await asyncio.sleep(0.005)  # the sequencer works in a process of its own making
        last = await self._count("SELECT position FROM event_head")
        await self._product.application.feed.beyond(last - 1)
        viewer = await self._viewer(made, who)
        if viewer.refusal is not None:
            return viewer.refusal.code
        start = self._product.application.cursors.seal("Subscription.responseUpdates", [0])
        results = await self._schema.stream(UPDATES, {"after": start}, viewer)
        heard: list[tuple[str, int, str | None]] = []
        try:
            while True:
                # One more than there should be is waited for only a moment: it would come at once.
                async with asyncio.timeout(5 if len(heard) < many else 0.03):
                    result = await anext(results)
                if result.errors:
                    return str(result.errors[0].extensions["code"])
                update = result.data["responseUpdates"]
                heard.append((update["type"], update["version"], update["response"] and update["response"]["id"]))
        except TimeoutError:
            return heard
        finally:
            await results.aclose()

    # --- How somebody asks

    async def _ask(self, text: str, variables: dict[str, Any], viewer: Viewer) -> dict[str, Any]:
        """Return an answer as it leaves, whichever execution gave it."""
        result: Any = await self._schema.answer(text, variables, viewer, None)
        if isinstance(result, Answer):
            return json.loads(result.body)  # type: ignore[no-any-return]
        errors = {"errors": [error.formatted for error in result.errors]} if result.errors else {}
        return {"data": json.loads(json.dumps(result.data)), **errors}

    async def _viewer(self, made: Example, who: Who) -> Viewer:
        trace = f"{next(self._traces):032x}"
        application = self._product.application
        if who.kind == "nobody":
            return Viewer(application, None, trace=trace)
        shown = Credentials("bearer", self._token(made, who), "127.0.0.1", who.chosen)

        async def authenticate() -> Any:
            return await self._product.authenticate(shown)

        viewer = Viewer(application, None, authenticate=authenticate, trace=trace)
        try:
            viewer.actor = await authenticate()
        except KproError as refusal:
            viewer.refusal = refusal
        return viewer

    def _token(self, made: Example, who: Who) -> str:
        grants = made.model.employees[who.name].grants if who.kind == "employee" else ()
        key = (who.kind, who.m, who.name, grants)
        if key not in made.tokens:
            made.tokens[key] = PEOPLE.token(_identity(made, who, grants))
        return made.tokens[key]

    async def _fetch(self, sql: str, *values: Any) -> Any:
        async with self._alone:
            return await self._above.fetch(sql, *values)

    async def _fetch_one(self, sql: str, *values: Any) -> Any:
        [row] = await self._fetch(sql, *values)
        return row

    async def _count(self, sql: str) -> int:
        return int((await self._fetch_one(sql))[0])

    async def _execute(self, sql: str, *values: Any) -> None:
        await self._fetch(sql, *values)

    @property
    def _alone(self) -> asyncio.Lock:
        """One connection looks from above, and does one thing at a time."""
        if not hasattr(self, "_lock"):
            self._lock = asyncio.Lock()
        return self._lock


_LATER = "2999-01-01T00:00:00+00:00"


def _consent(*, ends: bool) -> dict[str, Any]:
    return {"manner": "ORAL", "expiresAt": _LATER if ends else None}


def _identity(made: Example, who: Who, grants: tuple[Granted, ...]) -> Identity:
    kind = ActorKind(who.kind)
    code = f"{who.m:04d}"
    if kind is ActorKind.CITIZEN:
        cpr = made.cprs[who.name]
        return Identity("people", who.name, kind, code, AssuranceLevel.HIGH, cpr=cpr, name=who.name)
    if kind is ActorKind.SYSTEM:
        answers = {"answers": frozenset({"read"})} if made.model.systems[who.name] else {}
        given: tuple[Grant, ...] = (Grant(frozenset({Role.INTEGRATOR}), answers),)
    else:
        given = tuple(_grant(each) for each in grants)
    subject = made.subjects.get(who.name, who.name)
    return Identity("people", subject, kind, code, AssuranceLevel.HIGH, grants=given)


def _grant(each: Granted) -> Grant:
    places = {"organisation_unit": each.units, "care_team": each.teams}
    limits = {name: frozenset(str(uuid(key)) for key in keys) for name, keys in places.items() if keys is not None}
    if each.kle is not None:
        limits["kle"] = frozenset({each.kle})
    return Grant(frozenset(Role(role) for role in each.roles), limits)


def granted(
    *roles: str, units: list[str] | None = None, teams: list[str] | None = None, kle: str | None = None
) -> Granted:
    """Return a grant as the model knows it."""
    return Granted(
        frozenset(roles), None if units is None else frozenset(units), None if teams is None else frozenset(teams), kle
    )


def uuid(key: str) -> UUID:
    """Return what a public id names."""
    parts = split(key)
    assert parts is not None
    return parts[1]
