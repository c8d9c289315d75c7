"""What is timed by itself, in this process: the questionnaire engine in one submission, and planning a query."""

from __future__ import annotations

import gc
import statistics
import time
from typing import Any
from uuid import UUID

from queries import DOCUMENTS, READS
from world import World

from kpro_graph.execution.compiled import Compiler
from kpro_graph.questionnaires import assemble, evaluate, read_json, read_questionnaire, read_rule_set
from kpro_graph.responses.findings import conclude
from kpro_graph.responses.kept import as_fhir

__all__ = ["time_engine", "time_plans"]

_QUESTIONNAIRE = """
SELECT q.content::text AS questionnaire, s.content::text AS rules, r.answers::text AS answers
FROM response r JOIN questionnaire q ON q.municipality_id = r.questionnaire_owner AND q.id = r.questionnaire_id
JOIN rule_set s ON s.municipality_id = r.questionnaire_owner AND s.id = r.rule_set_id
WHERE r.municipality_id = $1 AND r.id = $2
"""


async def time_engine(connection: Any, world: World) -> float:
    """Return the engine's CPU, in seconds, from one draft's saved answers to what is stored; the peers spend none."""
    row = await connection.fetchrow(_QUESTIONNAIRE, world.template_municipality, UUID(world.template))
    questionnaire = read_questionnaire(row["questionnaire"].encode())
    rules = read_rule_set(row["rules"].encode())
    kept: Any = read_json(row["answers"])
    answers = {each["path"]: [as_fhir(value) for value in each["values"]] for each in kept}

    def run() -> None:
        evaluation = evaluate(questionnaire, assemble(questionnaire, answers), rules=rules)
        if not evaluation.valid:
            raise SystemExit("the answers are not valid")
        conclude(questionnaire, evaluation)

    taken = []
    for _ in range(300):
        began = time.process_time_ns()
        run()
        taken.append(time.process_time_ns() - began)
    return statistics.median(taken[100:]) / 1e9


def time_plans() -> dict[str, float]:
    """Return the CPU, in seconds, of planning each query when it is met first, from its text to the generated code."""
    from ours import paged_schema

    schema = paged_schema()
    found = {}
    for name in READS:
        taken = []
        for _ in range(31):
            compiler = Compiler(schema)
            variables = dict.fromkeys(("citizen", "careTeam"), "cit_" + "0" * 32)
            gc.collect()
            began = time.process_time_ns()
            compiler.prepare(DOCUMENTS["ours"][name], variables, None)
            taken.append(time.process_time_ns() - began)
        found[name] = statistics.median(taken) / 1e9
    return found
