"""What is asked of every server: the same shape in each one's own words, and answers brought to one form to compare.

The words are the same as far as aliases go. What remains (how an id, a time, a number and a colour are written, and
whether a list lies in ``nodes``) is evened out by `normal`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from world import World

__all__ = ["DOCUMENTS", "FANOUT", "PAGE", "READS", "Question", "normal", "question", "submission"]

PAGE = 1000
READS = ("small", "worklist", "deep", "page")

_SCORES = "scores { code label value minimum maximum }"
_ANSWERS = "answers { linkId question values { kind display } }"
_PEERS = {
    "small": f"""query Small($municipality: Int!, $citizen: ID!) {{
  citizen(municipality: $municipality, id: $citizen) {{
    id name responses(first: 5) {{ id submittedAt colour {_SCORES} }}
  }}
}}""",
    "worklist": f"""query Worklist($municipality: Int!, $careTeam: ID!) {{
  careTeam(municipality: $municipality, id: $careTeam) {{
    name
    worklist(first: 50) {{
      id urgency lastResponseAt
      citizen {{ id name birthDate }}
      latestResponses {{ id submittedAt colour questionnaire {{ title }} {_SCORES} }}
    }}
  }}
}}""",
    "deep": f"""query Deep($municipality: Int!, $careTeam: ID!) {{
  careTeam(municipality: $municipality, id: $careTeam) {{
    worklist(first: 50) {{
      citizen {{ id name responses(first: 10) {{ id submittedAt {_ANSWERS} }} }}
    }}
  }}
}}""",
    "page": f"""query Page($municipality: Int!) {{
  responses(municipality: $municipality, first: {PAGE}) {{ id submittedAt status version superseded receipt colour }}
}}""",
    "submit": """mutation Submit($municipality: Int!, $assignment: ID!, $key: String!) {
  submitResponse(municipality: $municipality, assignment: $assignment, key: $key) {
    response { id status version submittedAt }
  }
}""",
    "fanout": """subscription Updates {
  responseUpdates { response { id status version questionnaire { url version title } citizen { id } } }
}""",
}
_OURS = {
    "small": f"""query Small($citizen: ID!) {{
  citizen(id: $citizen) {{ id name responses(first: 5) {{ nodes {{ id submittedAt colour {_SCORES} }} }} }}
}}""",
    "worklist": f"""query Worklist($careTeam: ID!) {{
  careTeam(id: $careTeam) {{
    name
    worklist(first: 50) {{
      nodes {{
        id urgency lastResponseAt
        citizen {{ id name birthDate }}
        latestResponses {{ id submittedAt colour questionnaire {{ title }} {_SCORES} }}
      }}
    }}
  }}
}}""",
    "deep": f"""query Deep($careTeam: ID!) {{
  careTeam(id: $careTeam) {{
    worklist(first: 50) {{
      nodes {{ citizen {{ id name responses(first: 10) {{ nodes {{ id submittedAt {_ANSWERS} }} }} }} }}
    }}
  }}
}}""",
    "page": f"""query Page {{
  responses(first: {PAGE}) {{ nodes {{ id submittedAt status version superseded receipt colour }} }}
}}""",
    "submit": """mutation Submit($assignment: ID!, $questionnaire: ID!, $key: String!) {
  submitResponse(input: { assignmentId: $assignment, questionnaireId: $questionnaire, idempotencyKey: $key }) {
    ... on ResponseSubmitted { response { id status version submittedAt } }
  }
}""",
    "fanout": _PEERS["fanout"],
}
_GRAPHILE_SCORES = (
    "scores: scoresByMunicipalityIdAndResponseIdList(orderBy: [POSITION_ASC]) { code label value minimum maximum }"
)
_GRAPHILE_QUESTIONNAIRE = "questionnaire: questionnaireByQuestionnaireOwnerAndQuestionnaireId"
_GRAPHILE_CITIZEN = "citizen: citizenByMunicipalityIdAndCitizenId"


def _graphile_responses(first: int) -> str:
    return (
        "responses: responsesByMunicipalityIdAndCitizenIdList("
        f'first: {first}, condition: {{ status: "completed" }}, orderBy: [SUBMITTED_AT_DESC, ROW_ID_DESC])'
    )


_GRAPHILE_WORKLIST = (
    "worklist: episodeOfCaresByMunicipalityIdAndCareTeamIdList("
    'first: 50, condition: { status: "active" }, orderBy: [URGENCY_DESC, LAST_RESPONSE_AT_DESC, ROW_ID_DESC])'
)
_GRAPHILE = {
    "small": f"""query Small($municipality: Int!, $citizen: UUID!) {{
  citizen: citizenByMunicipalityIdAndRowId(municipalityId: $municipality, rowId: $citizen) {{
    id: rowId name: displayName {_graphile_responses(5)} {{ id: rowId submittedAt colour {_GRAPHILE_SCORES} }}
  }}
}}""",
    "worklist": f"""query Worklist($municipality: Int!, $careTeam: UUID!) {{
  careTeam: careTeamByMunicipalityIdAndRowId(municipalityId: $municipality, rowId: $careTeam) {{
    name
    {_GRAPHILE_WORKLIST} {{
      id: rowId urgency lastResponseAt
      {_GRAPHILE_CITIZEN} {{ id: rowId name: displayName birthDate }}
      latestResponses: latestResponsesList {{
        id: rowId submittedAt colour {_GRAPHILE_QUESTIONNAIRE} {{ title }} {_GRAPHILE_SCORES}
      }}
    }}
  }}
}}""",
    "deep": f"""query Deep($municipality: Int!, $careTeam: UUID!) {{
  careTeam: careTeamByMunicipalityIdAndRowId(municipalityId: $municipality, rowId: $careTeam) {{
    {_GRAPHILE_WORKLIST} {{
      {_GRAPHILE_CITIZEN} {{
        id: rowId name: displayName {_graphile_responses(10)} {{ id: rowId submittedAt answers }}
      }}
    }}
  }}
}}""",
    "page": f"""query Page($municipality: Int!) {{
  responses: allResponsesList(
    first: {PAGE}, condition: {{ municipalityId: $municipality, status: "completed" }}
    orderBy: [SUBMITTED_AT_DESC, ROW_ID_DESC]
  ) {{ id: rowId submittedAt status version superseded receipt colour }}
}}""",
    "submit": """mutation Submit($municipality: Int!, $assignment: UUID!, $key: String!) {
  submitResponse(input: { municipality: $municipality, assignment: $assignment, key: $key }) {
    response: result { id: rowId status version submittedAt }
  }
}""",
    "fanout": f"""subscription Updates {{
  responseUpdates {{
    response {{
      id: rowId status version {_GRAPHILE_QUESTIONNAIRE} {{ url version title }} {_GRAPHILE_CITIZEN} {{ id: rowId }}
    }}
  }}
}}""",
}
DOCUMENTS: Mapping[str, Mapping[str, str]] = {"ours": _OURS, "peer": _PEERS, "graphile": _GRAPHILE}
FANOUT = "fanout"
_OPERATIONS = {"small": "Small", "worklist": "Worklist", "deep": "Deep", "page": "Page", "submit": "Submit"}


@dataclass(frozen=True, slots=True)
class Question:
    """One request: where it goes, what it says, and as whom."""

    path: str
    body: bytes
    token: str = ""

    def to_http(self, port: int) -> bytes:
        """Write it as HTTP/1.1, for a connection that is kept."""
        authorization = f"Authorization: Bearer {self.token}\r\n" if self.token else ""
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
            f"Accept: application/json\r\n{authorization}Content-Length: {len(self.body)}\r\n\r\n"
        )
        return head.encode() + self.body


def _body(dialect: str, name: str, variables: Mapping[str, Any]) -> bytes:
    document = DOCUMENTS[dialect][name]
    return json.dumps({"query": document, "variables": variables, "operationName": _OPERATIONS[name]}).encode()


def question(dialect: str, name: str, world: World, citizen: str, path: str, token: str = "") -> Question:
    """Return the request for one of `READS`; ``citizen`` is whom the small one asks about."""
    own = dialect == "ours"
    variables: dict[str, Any] = {} if own else {"municipality": world.municipality}
    if name == "small":
        variables["citizen"] = _id("cit", citizen) if own else citizen
    elif name in {"worklist", "deep"}:
        variables["careTeam"] = _id("team", world.care_team) if own else world.care_team
    return Question(path, _body(dialect, name, variables), token)


def submission(dialect: str, world: World, assignment: UUID, path: str, token: str = "") -> Question:
    """Return the request that submits the draft of an assignment."""
    key = f"benchmark-{assignment.hex}"
    variables: dict[str, Any]
    if dialect == "ours":
        variables = {
            "assignment": _id("asg", str(assignment)),
            "questionnaire": _id("que", world.questionnaire),
            "key": key,
        }
    else:
        variables = {"municipality": world.submitting, "assignment": str(assignment), "key": key}
    return Question(path, _body(dialect, "submit", variables), token)


def _id(prefix: str, key: str) -> str:
    return f"{prefix}_{UUID(key).hex}"


_COLOURS = ("not_interpreted", "green", "yellow", "red")


def normal(value: Any, name: str = "") -> Any:
    """Return an answer in one form, whoever gave it."""
    if isinstance(value, dict):
        if set(value) == {"nodes"}:
            return normal(value["nodes"], name)
        return {each: normal(part, each) for each, part in sorted(value.items())}
    if isinstance(value, list):
        return [normal(part, name) for part in value] if name != "answers" else [_answer(part) for part in value]
    if value is None:
        return None
    match name:
        case "id":
            return UUID(value.rpartition("_")[2]).hex
        case "submittedAt" | "lastResponseAt":
            return datetime.fromisoformat(value).timestamp()
        case "value" | "minimum" | "maximum":
            return Decimal(str(value)).normalize()
        case "urgency":
            return _COLOURS[value].replace("_", "-") if isinstance(value, int) else value.lower().replace("_", "-")
        case "colour" | "status":
            return value.lower().replace("_", "-")
    return value


def _answer(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is asked of an answer, from a server that can only give all of it."""
    values = [{"kind": each["kind"], "display": each["display"]} for each in answer["values"]]
    return {"linkId": answer["linkId"], "question": answer["question"], "values": values}
