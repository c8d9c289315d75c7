"""Writing questionnaires and responses as FHIR R4 JSON, with the meaning and the digits they came with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kpro_graph.errors import Rejected
from kpro_graph.questionnaires.document import write_json
from kpro_graph.questionnaires.model import Questionnaire
from kpro_graph.questionnaires.problems import Problem
from kpro_graph.questionnaires.structure import judge_structure

__all__ = ["ResponseUnwritable", "write_questionnaire", "write_response"]


class ResponseUnwritable(Rejected):
    """The response would be no FHIR R4; ``problems`` holds every place."""

    code = "RESPONSE_UNWRITABLE"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(each.location for each in self.problems[:5]))


def write_questionnaire(questionnaire: Questionnaire, *, indent: int = 0) -> bytes:
    """Write the questionnaire as it was read: every element, known or not, in its order, with its digits."""
    return write_json(dict(questionnaire.source), indent=indent)


def write_response(
    questionnaire: Questionnaire, response: Mapping[str, Any], *, texts: bool = True, indent: int = 0
) -> bytes:
    """Write a response for other systems: it names its questionnaire and, with ``texts``, repeats the questions' texts.

    The texts are in the questionnaire's own language, which validators compare with.

    Raises:
        ResponseUnwritable: the response breaks the structure rules of FHIR R4.
    """
    document: dict[str, Any] = {"resourceType": "QuestionnaireResponse", **response}
    if questionnaire.url and "questionnaire" not in document:
        version = f"|{questionnaire.version}" if questionnaire.version else ""
        document["questionnaire"] = f"{questionnaire.url}{version}"
    problems = judge_structure(document)
    if problems:
        raise ResponseUnwritable(problems)
    if texts and "item" in document:
        document["item"] = _with_texts(questionnaire, document["item"])
    return write_json(document, indent=indent)


def _with_texts(questionnaire: Questionnaire, items: list[Any]) -> list[Any]:
    written = []
    for source in items:
        item = {"linkId": source["linkId"]}
        known = questionnaire.by_link_id.get(source["linkId"])
        if known is not None and known.text:
            item["text"] = known.text
        item.update({name: part for name, part in source.items() if name not in ("linkId", "text", "_text")})
        if "text" in source and "text" not in item:
            item["text"] = source["text"]
        if "item" in item:
            item["item"] = _with_texts(questionnaire, item["item"])
        if "answer" in item:
            item["answer"] = [
                {**answer, "item": _with_texts(questionnaire, answer["item"])} if "item" in answer else answer
                for answer in item["answer"]
            ]
        written.append(item)
    return written
