"""Plain strawberry over plain tortoise-orm: models, a DataLoader for each relation, and nothing else done for speed."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID, uuid4

import asyncpg
import strawberry
from serving import announce, serve
from strawberry.asgi import GraphQL
from strawberry.dataloader import DataLoader
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from tortoise import Tortoise
from tortoise.transactions import in_transaction
from world import World

from kpro_graph.storage import tables

Loaders = dict[str, DataLoader[Any, Any]]


@strawberry.type
class Score:
    code: str
    label: str
    value: Decimal | None
    minimum: Decimal | None
    maximum: Decimal | None

    @staticmethod
    def of(row: tables.Score) -> Score:
        return Score(code=row.code, label=row.label, value=row.value, minimum=row.minimum, maximum=row.maximum)


@strawberry.type
class AnswerValue:
    kind: str
    display: str


@strawberry.type
class Answer:
    link_id: str
    question: str
    values: list[AnswerValue]


@strawberry.type
class Questionnaire:
    url: str
    version: str
    title: str


@strawberry.type
class Citizen:
    row: strawberry.Private[tables.Citizen]
    id: strawberry.ID
    name: str
    birth_date: date

    @staticmethod
    def of(row: tables.Citizen) -> Citizen:
        return Citizen(row=row, id=strawberry.ID(str(row.id)), name=row.display_name, birth_date=row.birth_date)

    @strawberry.field
    async def responses(self, info: strawberry.Info, first: int) -> list[Response]:
        rows = await info.context["responses"].load((self.row.municipality_id, self.row.id, first))
        return [Response.of(row) for row in rows]


@strawberry.type
class Response:
    row: strawberry.Private[tables.Response]
    id: strawberry.ID
    submitted_at: datetime | None
    status: str
    version: int
    superseded: bool
    receipt: str | None
    colour: str

    @staticmethod
    def of(row: tables.Response) -> Response:
        return Response(
            row=row,
            id=strawberry.ID(str(row.id)),
            submitted_at=row.submitted_at,
            status=row.status,
            version=row.version,
            superseded=row.superseded,
            receipt=row.receipt,
            colour=row.colour,
        )

    @strawberry.field
    def answers(self) -> list[Answer]:
        return [
            Answer(
                link_id=each["linkId"],
                question=each["question"],
                values=[AnswerValue(kind=value["kind"], display=value["display"]) for value in each["values"]],
            )
            for each in json.loads(self.row.answers)
        ]

    @strawberry.field
    async def scores(self, info: strawberry.Info) -> list[Score]:
        rows = await info.context["scores"].load((self.row.municipality_id, self.row.id))
        return [Score.of(row) for row in rows]

    @strawberry.field
    async def questionnaire(self, info: strawberry.Info) -> Questionnaire:
        row = await info.context["questionnaires"].load((self.row.questionnaire_owner, self.row.questionnaire_id))
        return Questionnaire(url=row.url, version=row.version, title=row.title)

    @strawberry.field
    async def citizen(self, info: strawberry.Info) -> Citizen:
        return Citizen.of(await info.context["citizens"].load((self.row.municipality_id, self.row.citizen_id)))


@strawberry.type
class EpisodeOfCare:
    row: strawberry.Private[tables.EpisodeOfCare]
    id: strawberry.ID
    urgency: int
    last_response_at: datetime | None

    @strawberry.field
    async def citizen(self, info: strawberry.Info) -> Citizen:
        return Citizen.of(await info.context["citizens"].load((self.row.municipality_id, self.row.citizen_id)))

    @strawberry.field
    async def latest_responses(self, info: strawberry.Info) -> list[Response]:
        rows = await info.context["latest"].load((self.row.municipality_id, self.row.id))
        return [Response.of(row) for row in rows]


@strawberry.type
class CareTeam:
    row: strawberry.Private[tables.CareTeam]
    name: str

    @strawberry.field
    async def worklist(self, first: int) -> list[EpisodeOfCare]:
        # Every active episode has been answered in, so nothing but the time of that is needed to order them.
        rows = (
            await tables.EpisodeOfCare.filter(
                municipality_id=self.row.municipality_id, care_team_id=self.row.id, status="active"
            )
            .order_by("-urgency", "-last_response_at", "-id")
            .limit(first)
        )
        return [
            EpisodeOfCare(
                row=row, id=strawberry.ID(str(row.id)), urgency=row.urgency, last_response_at=row.last_response_at
            )
            for row in rows
        ]


@strawberry.type
class Query:
    @strawberry.field
    async def citizen(self, municipality: int, id: strawberry.ID) -> Citizen | None:  # noqa: A002
        row = await tables.Citizen.get_or_none(municipality_id=municipality, id=UUID(id))
        return None if row is None else Citizen.of(row)

    @strawberry.field
    async def care_team(self, municipality: int, id: strawberry.ID) -> CareTeam | None:  # noqa: A002
        row = await tables.CareTeam.get_or_none(municipality_id=municipality, id=UUID(id))
        return None if row is None else CareTeam(row=row, name=row.name)

    @strawberry.field
    async def responses(self, municipality: int, first: int) -> list[Response]:
        rows = (
            await tables.Response.filter(municipality_id=municipality, status="completed")
            .order_by("-submitted_at", "-id")
            .limit(first)
        )
        return [Response.of(row) for row in rows]


@strawberry.type
class Submitted:
    response: Response


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def submit_response(self, municipality: int, assignment: strawberry.ID, key: str) -> Submitted:
        return Submitted(response=Response.of(await _submit(municipality, UUID(assignment), key)))


@strawberry.type
class Update:
    response: Response


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def response_updates(self, info: strawberry.Info) -> AsyncIterator[Update]:
        queue: asyncio.Queue[tables.Response] = asyncio.Queue()
        _listening.add(queue)
        try:
            while True:
                yield Update(response=Response.of(await queue.get()))
        finally:
            _listening.discard(queue)


async def _submit(municipality: int, assignment_id: UUID, key: str) -> tables.Response:
    async with in_transaction() as using:
        own = {"municipality_id": municipality}
        assignment = await tables.Assignment.filter(**own, id=assignment_id).using_db(using).select_for_update().get()
        before = await tables.Response.get_or_none(
            **own, assignment_id=assignment.id, idempotency_key=key, using_db=using
        )
        if before is not None:
            return before
        draft = await tables.Response.get(**own, assignment_id=assignment.id, status="in-progress", using_db=using)
        await tables.DraftAnswer.filter(**own, response_id=draft.id).using_db(using)
        template, scores, interpretations = _template
        now = datetime.now(UTC)
        for name in ("answers", "content_hash", "rule_set_id", "colour"):
            setattr(draft, name, getattr(template, name))
        draft.status, draft.submitted_at = "completed", now
        draft.receipt, draft.idempotency_key = secrets.token_hex(6).upper(), key
        await draft.save(
            using_db=using,
            update_fields=[
                "answers", "content_hash", "rule_set_id", "colour", "status", "submitted_at", "receipt",
                "idempotency_key",
            ],
        )  # fmt: skip
        of = {**own, "response_id": draft.id, "citizen_id": draft.citizen_id}
        await tables.Score.bulk_create(
            [tables.Score(**each, **of, submitted_at=now) for each in scores], using_db=using
        )
        await tables.Interpretation.bulk_create(
            [tables.Interpretation(**each, **of) for each in interpretations], using_db=using
        )
        await tables.DraftAnswer.filter(**own, response_id=draft.id).using_db(using).delete()
        assignment.status, assignment.completed_at = "completed", now
        await assignment.save(using_db=using, update_fields=["status", "completed_at"])
        episode = (
            await tables.EpisodeOfCare.filter(**own, id=draft.episode_id).using_db(using).select_for_update().get()
        )
        submitted = tables.Response.filter(**own, episode_id=episode.id, superseded=False, submitted_at__isnull=False)
        latest: dict[str, int] = {}
        for row in await submitted.using_db(using).order_by("-submitted_at", "-id").only("questionnaire_url", "colour"):
            latest.setdefault(row.questionnaire_url, _URGENCY[row.colour])
        episode.urgency, episode.last_response_at = max(latest.values()), now
        await episode.save(using_db=using, update_fields=["urgency", "last_response_at"])
        await tables.Event.create(
            using_db=using,
            **own,
            type="response.submitted",
            citizen_id=draft.citizen_id,
            care_team_id=episode.care_team_id,
            subject_type="QuestionnaireResponse",
            subject_id=draft.id,
            subject_version=draft.version,
        )
        await tables.AccessLogLine.create(
            using_db=using,
            **own,
            operation_id=uuid4(),
            operation="SubmitResponse",
            action="create",
            citizen_id=draft.citizen_id,
            actor_kind="citizen",
            actor_id=draft.author_id,
            roles="",
            purpose="own",
            override=False,
            fields_seen="answers colours scores",
            questionnaires=[],
            trace_id="",
            viewers=[],
            protected=False,
        )
        await using.execute_query("SELECT pg_notify('kpro_recorded', '')")
        return draft


_URGENCY = {"not_interpreted": 0, "green": 1, "yellow": 2, "red": 3}
_listening: set[asyncio.Queue[tables.Response]] = set()
_template: tuple[tables.Response, list[dict[str, Any]], list[dict[str, Any]]]


def _by(
    model: Any, column: str, order: tuple[str, ...] = (), many: bool = True
) -> Callable[[list[tuple[int, UUID]]], Awaitable[list[Any]]]:
    async def load(keys: list[tuple[int, UUID]]) -> list[Any]:
        query = model.filter(**{"municipality_id__in": {m for m, _ in keys}, f"{column}__in": [key for _, key in keys]})
        found: dict[tuple[int, UUID], list[Any]] = defaultdict(list)
        for row in await query.order_by(*order):
            found[row.municipality_id, getattr(row, column)].append(row)
        return [found[key] if many else found[key][0] for key in keys]

    return load


async def _load_responses(keys: list[tuple[int, UUID, int]]) -> list[list[tables.Response]]:
    load = _by(tables.Response, "citizen_id", ("-submitted_at", "-id"))
    rows = await load([(municipality, citizen) for municipality, citizen, _ in keys])
    return [[row for row in found if row.submitted_at][:first] for found, (_, _, first) in zip(rows, keys, strict=True)]


async def _load_latest(keys: list[tuple[int, UUID]]) -> list[list[tables.Response]]:
    rows = await _by(tables.Response, "episode_id", ("-submitted_at", "-id"))(keys)
    latest: list[list[tables.Response]] = []
    for found in rows:
        firsts: dict[str, tables.Response] = {}
        for row in found:
            if row.submitted_at and not row.superseded:
                firsts.setdefault(row.questionnaire_url, row)
        latest.append(list(firsts.values()))
    return latest


def _loaders() -> Loaders:
    return {
        "responses": DataLoader(load_fn=_load_responses),
        "latest": DataLoader(load_fn=_load_latest),
        "scores": DataLoader(load_fn=_by(tables.Score, "response_id", ("position",))),
        "citizens": DataLoader(load_fn=_by(tables.Citizen, "id", many=False)),
        "questionnaires": DataLoader(load_fn=_by(tables.Questionnaire, "id", many=False)),
    }


class Plain(GraphQL[Loaders, None]):
    """Strawberry's own endpoint, with loaders for each request."""

    async def get_context(self, request: Any, response: Any) -> Loaders:
        """Make the loaders."""
        return _loaders()


async def main(port: int) -> None:
    """Serve, and pass on what is announced."""
    global _template  # noqa: PLW0603 - set once, before anything is served
    world = World.read()
    parts = urlsplit(world.dsn("strawberry"))
    options = dict(parse_qsl(parts.query))
    await Tortoise.init(
        config={
            "connections": {
                "default": {
                    "engine": "tortoise.backends.asyncpg",
                    "credentials": {
                        "host": options["host"],
                        "port": int(options["port"]),
                        "user": parts.username,
                        "password": "",
                        "database": world.database,
                        "minsize": 1,
                        "maxsize": 6,
                        "server_settings": {"application_name": options["application_name"]},
                    },
                }
            },
            "apps": {"models": {"models": ["kpro_graph.storage.tables"], "default_connection": "default"}},
            "use_tz": True,
            "timezone": "UTC",
        },
        _enable_global_fallback=True,
    )
    place: dict[str, Any] = {"municipality_id": world.template_municipality}
    template = await tables.Response.get(**place, id=UUID(world.template))
    left = {"id", "municipality_id", "response_id", "citizen_id", "submitted_at"}
    findings = [
        [
            {name: getattr(row, name) for name in model._meta.db_fields if name not in left}
            for row in await model.filter(**place, response_id=template.id).order_by("position")
        ]
        for model in (tables.Score, tables.Interpretation)
    ]
    _template = template, findings[0], findings[1]
    listener = await asyncpg.connect(world.dsn("strawberry"))
    tasks: set[asyncio.Task[None]] = set()

    async def tell(text: str) -> None:
        place = json.loads(text)
        row = await tables.Response.get(municipality_id=place["municipality"], id=UUID(place["response"]))
        for queue in _listening:
            queue.put_nowait(row)

    def heard(_connection: Any, _process: int, _channel: str, payload: str) -> None:
        task = asyncio.create_task(tell(payload))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    await listener.add_listener("benchmark_event", heard)
    schema = strawberry.Schema(query=Query, mutation=Mutation, subscription=Subscription)
    await serve(Plain(schema, subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL]), port)


if __name__ == "__main__":
    import uvloop

    announce("strawberry")
    uvloop.run(main(int(sys.argv[1])))
