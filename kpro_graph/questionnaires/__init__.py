"""Questionnaires: read, checked, scored and interpreted exactly, without a database, a network or a clock.

What is needed only before publishing, ``prove`` and ``compare``, is imported when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kpro_graph.questionnaires.answers import (
    AnswerMalformed,
    Answers,
    FlatAnswer,
    PathUnknown,
    assemble,
    flatten,
    full_path,
    path_of,
)
from kpro_graph.questionnaires.beginning import begin
from kpro_graph.questionnaires.compiled import judge_expressions
from kpro_graph.questionnaires.document import (
    LIMITS,
    DocumentRefused,
    Json,
    Limits,
    hash_json,
    read_json,
    refuse_repeated_keys,
    write_json,
)
from kpro_graph.questionnaires.evaluation import Evaluation, evaluate
from kpro_graph.questionnaires.explanation import Explanation
from kpro_graph.questionnaires.expressions import (
    Expression,
    ExpressionFailed,
    ExpressionInvalid,
    compile_expression,
)
from kpro_graph.questionnaires.interpretation import Interpretation, ReplayImpossible, interpret, replay
from kpro_graph.questionnaires.model import (
    AnswerOption,
    Bound,
    Concept,
    Condition,
    Constraint,
    EnableWhen,
    Feedback,
    Image,
    Item,
    ItemType,
    Questionnaire,
    Significance,
    SourceExpression,
    Toggle,
    Value,
    ValueSet,
)
from kpro_graph.questionnaires.problems import CODES, Problem, Severity, make_problem
from kpro_graph.questionnaires.reading import QuestionnaireInvalid, read_questionnaire, read_value
from kpro_graph.questionnaires.rules import (
    Colour,
    Meaning,
    RuleProblem,
    RuleSet,
    RuleSetInvalid,
    Status,
    read_rule_set,
    write_rule_set,
)
from kpro_graph.questionnaires.scoring import Score, score
from kpro_graph.questionnaires.structure import judge_structure
from kpro_graph.questionnaires.writing import ResponseUnwritable, write_questionnaire, write_response

if TYPE_CHECKING:
    from kpro_graph.questionnaires.differences import Differences, compare
    from kpro_graph.questionnaires.proof import Proof, prove

__all__ = [
    "CODES",
    "LIMITS",
    "AnswerMalformed",
    "AnswerOption",
    "Answers",
    "Bound",
    "Colour",
    "Concept",
    "Condition",
    "Constraint",
    "Differences",
    "DocumentRefused",
    "EnableWhen",
    "Evaluation",
    "Explanation",
    "Expression",
    "ExpressionFailed",
    "ExpressionInvalid",
    "Feedback",
    "FlatAnswer",
    "Image",
    "Interpretation",
    "Item",
    "ItemType",
    "Json",
    "Limits",
    "Meaning",
    "PathUnknown",
    "Problem",
    "Proof",
    "Questionnaire",
    "QuestionnaireInvalid",
    "ReplayImpossible",
    "ResponseUnwritable",
    "RuleProblem",
    "RuleSet",
    "RuleSetInvalid",
    "Score",
    "Severity",
    "Significance",
    "SourceExpression",
    "Status",
    "Toggle",
    "Value",
    "ValueSet",
    "assemble",
    "begin",
    "compare",
    "compile_expression",
    "evaluate",
    "flatten",
    "full_path",
    "hash_json",
    "interpret",
    "judge_expressions",
    "judge_structure",
    "make_problem",
    "path_of",
    "prove",
    "read_json",
    "read_questionnaire",
    "read_rule_set",
    "read_value",
    "refuse_repeated_keys",
    "replay",
    "score",
    "write_json",
    "write_questionnaire",
    "write_response",
    "write_rule_set",
]

_LATER = {"Differences": "differences", "compare": "differences", "Proof": "proof", "prove": "proof"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
