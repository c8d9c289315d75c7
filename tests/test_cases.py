"""Questionnaires that nobody here wrote are taken into the catalogue, or refused with reasons that name the fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpro_graph import catalogue, identity
from kpro_graph.questionnaires import Json, QuestionnaireInvalid, Status, read_json, write_json, write_rule_set
from tests.living import Api
from tests.sheets import RULES, URL


@pytest.fixture(scope="module")
def forms(cases: Path) -> dict[str, bytes]:
    """Give every public questionnaire by the name of its case."""
    return {file.parent.name: file.read_bytes() for file in sorted(cases.glob("questionnaires/*/*/questionnaire.json"))}


async def test_every_public_questionnaire_is_taken_in_verbatim_or_refused_with_a_place(
    api: Api, forms: dict[str, bytes]
) -> None:
    refused, clashing = [], []
    for name, source in forms.items():
        try:
            async with api.product.database.change(identity.operator(0), "test") as change:
                row, _ = await catalogue.install(change, source)
        except QuestionnaireInvalid as error:
            refused.append((name, error.problems))
        except catalogue.VersionTaken:
            clashing.append(name)
        else:
            assert read_json(row.content) == read_json(source), name
    assert len(forms) >= 84
    # One repeats its linkIds; two pairs are published with different content under one url and version.
    assert [name for name, _ in refused] == ["pa-aslp-tests-questionnaire-aslpa1-positive"]
    assert {problem.code for problem in refused[0][1]} == {"link_id_duplicate"}
    assert all(problem.location and problem.da and problem.en for problem in refused[0][1])
    assert len(clashing) == 2


async def test_a_national_questionnaire_taken_in_can_be_assigned(api: Api, forms: dict[str, bytes]) -> None:
    async with api.product.database.change(identity.operator(0), "test") as change:
        row, _ = await catalogue.install(change, forms["scoring-choice-check-box-q"])
        await catalogue.activate(change, row.id)
    found = await api.run("questionnaires", "enroller", url=row.url)
    assert [node["national"] for node in found["questionnaires"]["nodes"]] == [True]


async def test_a_rule_set_speaks_by_the_status_it_has_now_not_by_the_one_it_was_written_with(api: Api) -> None:
    asked: dict[str, Json] = {"resourceType": "Questionnaire", "url": URL, "version": "1.0.0", "status": "active"}
    asked["item"] = [{"linkId": "pain", "type": "integer"}, {"linkId": "mood", "type": "integer"}]
    written = write_rule_set(RULES.under(Status.DRAFT))
    async with api.product.database.change(identity.operator(0), "test") as change:
        row, _ = await catalogue.install(change, write_json(asked), written)
        await change.fetch("UPDATE rule_set SET status = 'approved' WHERE questionnaire_id = $1", (row.id,))
        found = await catalogue.compiled(change, 0, row.id)
    assert found.rules is not None
    assert (found.rules.status, found.rules.content_hash) == (Status.APPROVED, RULES.content_hash)
