"""Streams of JSON lines: each is answered by one line, in order, and no line ends the stream or is remembered."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Generic, TypeVar

import msgspec

from kpro_graph.questionnaires import (
    LIMITS,
    DocumentRefused,
    Evaluation,
    Interpretation,
    Json,
    Limits,
    Problem,
    Questionnaire,
    QuestionnaireInvalid,
    RuleSetInvalid,
    Score,
    evaluate,
    make_problem,
    read_json,
    read_questionnaire,
    read_rule_set,
    refuse_repeated_keys,
    write_json,
)
from kpro_graph.questionnaires.expressions import run_batch

__all__ = ["answer_evaluation", "answer_expression", "read_response", "stream", "tell_evaluation"]

_LONGEST = 20_000_000
_REMEMBERED = 16
_ID = Limits(size=10_000, depth=8, containers=100, commas=1_000)
_HEAD = re.compile(rb'\s*\{\s*"id"\s*:\s*("(?:[^"\\]|\\.){0,1000}"|-?[0-9]{1,30})\s*,')
_LINE = msgspec.json.Decoder(dict[str, msgspec.Raw])
_Read = TypeVar("_Read")
_Invalid = TypeVar("_Invalid", bound=Exception)
Answer = Callable[[bytes], bytes | None]


def stream(answer: Answer, source: BinaryIO | None = None, sink: BinaryIO | None = None) -> None:
    """Answer every line from standard input on standard output, each as soon as it is there.

    It takes as much memory as one line and its answer, however long the stream; a line over 20 MB is not read.
    Whoever reads the answers may stop doing so.
    """
    given, told = source or sys.stdin.buffer, sink or sys.stdout.buffer
    try:
        for line in _lines(given):
            said = _refuse(None, "the line is longer than 20 000 000 bytes") if line is None else _attempt(answer, line)
            if said is not None:
                told.write(said + b"\n")
                told.flush()
    except BrokenPipeError:
        # The interpreter flushes once more at its end; there is nobody to flush to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _lines(source: BinaryIO) -> Iterator[bytes | None]:
    """Yield each line that is not empty; None in the place of one that is too long."""
    while line := source.readline(_LONGEST + 1):
        if len(line) > _LONGEST and not line.endswith(b"\n"):
            while (rest := source.readline(_LONGEST)) and not rest.endswith(b"\n"):
                pass
            yield None
        elif line.strip():
            yield line


def _attempt(answer: Answer, line: bytes) -> bytes | None:
    try:
        return answer(line)
    except Exception as fault:  # whatever a line does, the others are answered
        return _refuse(_identify(line), f"the line could not be answered: {type(fault).__name__}")


def _refuse(identity: Any, reason: str, **more: Any) -> bytes:
    return write_json({"id": identity, "error": reason, **more})


# --- Expressions


def answer_expression(line: bytes) -> bytes | None:
    """Answer ``{id, expression, resource, questionnaire?, linkId?, instance?}`` with ``{id, result}`` or an error."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return _refuse(None, "the line is not in UTF-8")
    return next((said.encode() for said in run_batch([text])), None)


# --- Responses


def answer_evaluation(line: bytes) -> bytes | None:
    """Answer ``{id, questionnaire, response, rules?, draft?, supporting_resources?}`` with what became of it.

    ``supporting_resources`` are value sets and code systems that the questionnaire names and does not contain. Where
    the questionnaire or the response cannot be read at all, the response is not valid and ``error`` says why; a line
    that asks nothing has only ``{id, error}``.

    Questionnaires and rule sets are remembered by their text, the latest few of them, so that many responses to one
    questionnaire are answered quickly.
    """
    try:
        parts = _LINE.decode(line)
    except RecursionError:
        deep = [tell_problem(make_problem("too_deep", location="QuestionnaireResponse", limit=LIMITS.depth))]
        return _refuse(_identify(line), "the line is nested too deeply", valid=False, problems=deep, **_NOTHING)
    except (msgspec.DecodeError, UnicodeError):
        return _refuse(_identify(line), "the line is no JSON object in UTF-8")
    identity = _identity(parts)
    if "questionnaire" not in parts or "response" not in parts:
        return _refuse(identity, "the line has no questionnaire, or no response")
    asked = bytes(parts["questionnaire"]), bytes(parts.get("supporting_resources", msgspec.Raw(b"[]")))
    questionnaire = _questionnaires.read(*asked)
    if isinstance(questionnaire, QuestionnaireInvalid):
        problems = [tell_problem(each) for each in questionnaire.problems]
        said = f"the questionnaire is refused: {questionnaire}"
        return _refuse(identity, said, valid=False, problems=problems, **_NOTHING)
    rules = _rule_sets.read(bytes(parts["rules"])) if "rules" in parts else None
    if isinstance(rules, RuleSetInvalid):
        faults = [{"path": each.path, "message": each.message.en} for each in rules.problems]
        return _refuse(identity, f"the rule set is refused: {rules}", problems=faults)
    draft = bytes(parts.get("draft", msgspec.Raw(b"false"))).strip()
    if draft not in (b"true", b"false"):
        return _refuse(identity, "draft is not true or false")
    try:
        response = read_response(bytes(parts["response"]))
    except DocumentRefused as refused:
        problem = make_problem(refused.reason, location="QuestionnaireResponse", limit=refused.limit)
        return write_json({"id": identity, "valid": False, "problems": [tell_problem(problem)], **_NOTHING})
    evaluation = evaluate(questionnaire, response, rules=rules, draft=draft == b"true")
    return write_json({"id": identity, **tell_evaluation(evaluation)})


def read_response(text: bytes) -> Json:
    """Read a response; what gives the same key twice is refused, since only one of the two would be judged.

    Raises:
        DocumentRefused: it is no JSON, or beyond the limits.
    """
    response = read_json(text)
    refuse_repeated_keys(text)
    return response


def tell_evaluation(evaluation: Evaluation) -> dict[str, Any]:
    """Return what became of a response as plain objects, numbers with their digits."""
    return {
        "valid": evaluation.valid,
        "problems": [tell_problem(each) for each in evaluation.problems],
        "enabled": list(evaluation.enabled),
        "response": evaluation.response,
        "scores": [tell_score(each) for each in evaluation.scores],
        "colours": [tell_colour(each) for each in evaluation.interpretations],
    }


def tell_problem(problem: Problem) -> dict[str, Any]:
    """Return one problem's code, severity and place; ``key`` is the author's name of a broken rule."""
    told = {
        "code": problem.code,
        "severity": problem.severity.value,
        "linkId": problem.link_id,
        "path": problem.path,
        "location": problem.location,
    }
    return told | {"key": problem.key} if problem.key else told


def tell_score(score: Score) -> dict[str, Any]:
    """Return one score; without a value it says why."""
    told: dict[str, Any] = {
        "code": score.code,
        "value": score.value,
        "unit": score.unit,
        "minimum": score.minimum,
        "maximum": score.maximum,
        "label": {"da": score.label_da, "en": score.label_en},
    }
    reason = score.explanation.reason
    return told if reason is None else told | {"reason": reason.code}


def tell_colour(colour: Interpretation) -> dict[str, Any]:
    """Return the colour of one subject with its word and the rule it is from; without a colour it says why."""
    told: dict[str, Any] = {
        "subject": colour.subject,
        "colour": colour.colour.value,
        "meaning": colour.meaning.value,
        "icon": colour.icon,
        "word": {"da": colour.word_da, "en": colour.word_en},
        "rule": colour.explanation.rule,
    }
    reason = colour.explanation.reason
    return told if reason is None else told | {"reason": reason.code}


_NOTHING: dict[str, Any] = {"enabled": [], "response": None, "scores": [], "colours": []}


class _Remembered(Generic[_Read, _Invalid]):
    """What was read latest, by its text; also what was refused, with the refusal."""

    def __init__(self, read: Callable[..., _Read], refusal: type[_Invalid]) -> None:
        self._read = read
        self._refusal = refusal
        self._known: OrderedDict[bytes, _Read | _Invalid] = OrderedDict()

    def read(self, *texts: bytes) -> _Read | _Invalid:
        key = b"".join(hashlib.blake2b(text).digest() for text in texts)
        known = self._known.get(key)
        if known is None:
            try:
                known = self._read(*texts)
            except self._refusal as refused:
                known = refused
            self._known[key] = known
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return known


def _read_questionnaire(text: bytes, supporting: bytes) -> Questionnaire:
    try:
        given = read_json(supporting)
    except DocumentRefused as refused:
        reason = make_problem(refused.reason, location="supporting_resources", limit=refused.limit)
        raise QuestionnaireInvalid([reason]) from None
    return read_questionnaire(
        text, value_sets=[each for each in given if isinstance(each, dict)] if isinstance(given, list) else ()
    )


_questionnaires = _Remembered(_read_questionnaire, QuestionnaireInvalid)
_rule_sets = _Remembered(read_rule_set, RuleSetInvalid)


def _identify(line: bytes) -> Any:
    """Return the id of a line that cannot be read, where it begins with one."""
    head = _HEAD.match(line)
    try:
        return None if head is None else read_json(head[1], limits=_ID)
    except DocumentRefused:
        return None


def _identity(parts: dict[str, msgspec.Raw]) -> Any:
    """Return the line's id as it was given; None where it has none that can be given back."""
    try:
        return read_json(bytes(parts["id"]), limits=_ID) if "id" in parts else None
    except DocumentRefused:
        return None
