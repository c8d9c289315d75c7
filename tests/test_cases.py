"""Questionnaires that nobody here wrote are taken into the catalogue, or refused with reasons that name the fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpro_graph import catalogue, identity
from kpro_graph.questionnaires import QuestionnaireInvalid, read_json
from tests.living import Api


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
