"""Questionnaires that nobody here wrote are taken into the catalogue, or refused with reasons that name the fault."""

from __future__ import annotations

from pathlib import Path

from kpro_graph import catalogue, identity
from kpro_graph.questionnaires import QuestionnaireInvalid, read_json, write_json
from tests.living import Api


async def test_every_public_questionnaire_is_taken_in_verbatim_or_refused_with_a_place(api: Api, cases: Path) -> None:
    files = sorted(cases.glob("questionnaires/*/*/questionnaire.json"))
    assert len(files) >= 84
    taken, refused = [], []
    for file in files:
        source = file.read_bytes()
        try:
            async with api.product.database.change(identity.operator(0), "test") as change:
                row, _ = await catalogue.install(change, source)
        except QuestionnaireInvalid as error:
            assert error.problems, file
            assert all(problem.location and problem.da and problem.en for problem in error.problems), file
            refused.append(file.parent.name)
        except catalogue.VersionTaken:
            # Two upstream projects publish different forms under one url and version.
            refused.append(file.parent.name)
        else:
            assert read_json(row.content) == read_json(write_json(read_json(source))), file
            taken.append(file.parent.name)
    assert len(taken) >= 70, (len(taken), refused)


async def test_a_national_questionnaire_taken_in_can_be_assigned_and_answered(api: Api, cases: Path) -> None:
    source = (cases / "questionnaires" / "refero" / "scoring-choice-check-box-q" / "questionnaire.json").read_bytes()
    async with api.product.database.change(identity.operator(0), "test") as change:
        row, _ = await catalogue.install(change, source)
        if row.status == "draft":
            await catalogue.activate(change, row.id)
    found = await api.run("questionnaires", "enroller", url=row.url)
    assert found["questionnaires"]["nodes"][0]["national"] is True
