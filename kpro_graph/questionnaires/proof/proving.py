"""The proof of one questionnaire version with its rule set: what was found, what scores can be, and the fixtures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from kpro_graph.questionnaires.explanation import refer_to_questionnaire
from kpro_graph.questionnaires.instruments import Direction
from kpro_graph.questionnaires.model import Questionnaire
from kpro_graph.questionnaires.problems import Problem
from kpro_graph.questionnaires.proof.budget import Budget, Purse
from kpro_graph.questionnaires.proof.completing import Completing, Tried
from kpro_graph.questionnaires.proof.deadends import DeadEnds
from kpro_graph.questionnaires.proof.expressions import judge_expressions
from kpro_graph.questionnaires.proof.faults import judge_items, judge_texts
from kpro_graph.questionnaires.proof.findings import Finding, Gravity, make_finding
from kpro_graph.questionnaires.proof.fixtures import Fixture, Fixtures
from kpro_graph.questionnaires.proof.item_colours import ItemColours
from kpro_graph.questionnaires.proof.ranges import Ranges, Reach
from kpro_graph.questionnaires.proof.reachability import Reachability
from kpro_graph.questionnaires.proof.score_colours import ScoreColours, score_of
from kpro_graph.questionnaires.proof.search import DISAGREEMENT, Logic, join_reasons
from kpro_graph.questionnaires.proof.space import Space
from kpro_graph.questionnaires.proof.unfolding import Assignment
from kpro_graph.questionnaires.rules import RuleSet, Status
from kpro_graph.questionnaires.words import Text, write_number

__all__ = ["Proof", "ScoreRange", "prove"]

_GRAVITIES = (Gravity.ERROR, Gravity.UNDECIDED, Gravity.WARNING, Gravity.INFORMATION)
_MOST_NAMED = 5
_HOPELESS = frozenset(
    {
        "regex_invalid",
        "expression_invalid",
        "expression_not_evaluated",
        "expression_name_unknown",
        "expression_variable_unknown",
    }
)
_NOT_FHIRPATH = "it is not FHIRPath"
_SWEEPING = Text("udtrykket læser punkter uden at nævne dem", "the expression reads items without naming them")


@dataclass(frozen=True, slots=True)
class ScoreRange:
    """What one score can become.

    ``minimum`` and ``maximum`` are what answers can give, with a response each; ``declared_minimum`` and
    ``declared_maximum`` what is declared. ``count`` is how many values there are, None where an answer is any number
    between bounds; ``open_below`` and ``open_above`` hold where there is no such bound. Where ``decided`` is false
    there may be values that were not found.
    """

    code: str
    minimum: Decimal | None
    maximum: Decimal | None
    declared_minimum: Decimal | None
    declared_maximum: Decimal | None
    count: int | None
    open_below: bool
    open_above: bool
    decided: bool
    lowest: Mapping[str, Any] | None = field(default=None, repr=False)
    highest: Mapping[str, Any] | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the range as plain objects; decimals stay decimals."""
        return {
            "code": self.code,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "declaredMinimum": self.declared_minimum,
            "declaredMaximum": self.declared_maximum,
            "count": self.count,
            "openBelow": self.open_below,
            "openAbove": self.open_above,
            "decided": self.decided,
            "lowest": self.lowest,
            "highest": self.highest,
        }


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known of a questionnaire before it is used. ``cases`` is how many sets of answers were tried.

    ``may_activate`` is whether nothing that was found hinders it. What could not be decided is among the findings, with
    the severity ``undecided``; it does not hinder, but nobody may take it for an approval.
    """

    url: str
    version: str
    content_hash: str
    rule_set: str
    findings: tuple[Finding, ...]
    scores: tuple[ScoreRange, ...]
    fixtures: tuple[Fixture, ...]
    cases: int

    @property
    def may_activate(self) -> bool:
        """Whether no finding is an error."""
        return not any(finding.severity is Gravity.ERROR for finding in self.findings)

    def of(self, code: str) -> tuple[Finding, ...]:
        """Return the findings with that code."""
        return tuple(finding for finding in self.findings if finding.code == code)

    def to_json(self) -> dict[str, Any]:
        """Return the proof as plain objects. Decimals stay decimals: ``document.write_json`` writes them exactly."""
        return {
            "questionnaire": {"url": self.url, "version": self.version, "hash": self.content_hash},
            "ruleSet": self.rule_set or None,
            "mayActivate": self.may_activate,
            "findings": [finding.to_json() for finding in self.findings],
            "scores": [score.to_json() for score in self.scores],
            "fixtures": [fixture.to_json() for fixture in self.fixtures],
            "cases": self.cases,
        }


def prove(questionnaire: Questionnaire, rules: RuleSet | None = None, *, budget: Budget | None = None) -> Proof:
    """Prove a questionnaire, with its rule set where it has one, and return what was found.

    The rule set speaks as if it were approved, so that a draft can be proved before it is. Every counter-example and
    every fixture is a response that was evaluated. What the budget does not allow to decide is said to be undecided.
    """
    return _Proving(questionnaire, rules, budget or Budget()).run()


class _Proving:
    """One proof being made."""

    def __init__(self, questionnaire: Questionnaire, rules: RuleSet | None, budget: Budget) -> None:
        self.questionnaire = questionnaire
        self.given = rules
        self.purse = Purse(budget)
        self.findings: list[Finding] = []
        self.scores: list[ScoreRange] = []
        fits = rules is not None and rules.is_for(questionnaire.url, questionnaire.version)
        self.rules = rules.under(Status.APPROVED) if rules is not None and fits else None
        self.space = Space(questionnaire, self.rules, self.purse)
        self.logic = Logic(self.space)
        self.completing = Completing(self.space, self.logic, self.rules)

    def run(self) -> Proof:
        self.add(judge_items(self.space))
        self.add(judge_texts(self.questionnaire))
        self.add(judge_expressions(self.space.dependence))
        self.add(self.judge_rule_set())
        self.add(DeadEnds(self.space, self.logic, self.completing).judge())
        reachability = Reachability(self.space, self.logic, self.completing)
        self.add(reachability.judge())
        shown = dict(reachability.shown) | self.judge_scores_and_colours()
        fixtures = Fixtures(self.space, self.logic, self.completing, self.rules, shown, reachability.drafts)
        chosen = fixtures.choose()
        self.add(self.judge_missed(fixtures.missed))
        self.add(self.judge_rings())
        self.add(self.judge_tried())
        rule_set = f"{self.given.id}|{self.given.version}" if self.given is not None else ""
        reference = refer_to_questionnaire(self.questionnaire)
        return Proof(
            reference.url,
            reference.version,
            reference.hash,
            rule_set,
            tuple(sorted(self.findings, key=self.rank)),
            tuple(self.scores),
            chosen,
            self.purse.spent,
        )

    def add(self, findings: Iterable[Finding]) -> None:
        self.findings.extend(findings)

    def rank(self, finding: Finding) -> tuple[int, int, str, str, str]:
        """Errors come first, then what is undecided; within that in the order of the questionnaire."""
        items = self.space.plan.items
        known = [items[each].item.position for each in finding.link_ids if each in items]
        position = known[0] if known else -1
        return _GRAVITIES.index(finding.severity), position, finding.location, finding.code, finding.key

    # --- rule sets

    def judge_rule_set(self) -> Iterator[Finding]:
        if self.given is not None and self.rules is None:
            yield make_finding("rules_for_another", (), "questionnaire", key=self.given.id)
        if self.rules is not None:
            for link_id in sorted(self.rules.link_ids() - self.space.plan.items.keys()):
                yield make_finding("rules_unknown_item", (link_id,), "", key=self.rules.id)

    def judge_scores_and_colours(self) -> dict[str, Assignment]:
        """Work out scores, then colours; return answers by what they show."""
        shown: dict[str, Assignment] = {}
        tendencies: dict[str, Direction] = {}
        if self.rules is not None:
            ranges = Ranges(self.space, self.logic)
            reached: dict[str, Reach] = {}
            for place, definition in enumerate(self.rules.scores):
                for reach in ranges.reach(definition):
                    reached[reach.output.code] = reach
                    self.add(self.judge_score(reach, definition.link_ids(), f"scores[{place}]"))
            colours = ScoreColours(self.space, self.logic, self.completing, self.rules, reached)
            self.add(colours.judge())
            shown |= colours.shown
            tendencies = colours.tendencies()
        items = ItemColours(self.space, self.logic, self.completing, self.rules, tendencies)
        self.add(items.judge())
        return shown | items.shown

    def judge_score(self, reach: Reach, link_ids: tuple[str, ...], place: str) -> Iterator[Finding]:
        output = reach.output
        for answers in reach.failing[:1]:
            tried = self.evaluate(answers)
            score = next((each for each in tried.evaluation.scores if each.code == output.code), None)
            if score is not None and score.value is None and score.explanation.reason is not None:
                said = score.explanation.reason.text
                yield make_finding(
                    "score_without_value",
                    link_ids,
                    place,
                    key=output.code,
                    counter_example=tried.response,
                    reason=said.en,
                    reason_da=said.da,
                )
        reasons = list(reach.reasons)
        ends = {
            value: self.evaluate(reach.values[value]) for value in {reach.lowest, reach.highest} if value is not None
        }
        if any(score_of(tried, output.code) != value for value, tried in ends.items()):
            reasons.append(DISAGREEMENT)
        if not reach.values and not reasons:
            tried = self.evaluate({})
            yield make_finding("score_never_computed", link_ids, place, key=output.code, counter_example=tried.response)
        if reasons:
            reason = join_reasons(tuple(reasons))
            yield make_finding(
                "undecided_score", link_ids, place, key=output.code, reason=reason.en, reason_da=reason.da
            )
        elif self.is_narrower(reach):
            yield make_finding("score_range_narrower", link_ids, place, key=output.code, **_spans(reach))
        yield from self.judge_table(reach, link_ids, place)
        lowest, highest = reach.lowest, reach.highest
        self.scores.append(
            ScoreRange(
                code=output.code,
                minimum=lowest,
                maximum=highest,
                declared_minimum=output.minimum,
                declared_maximum=output.maximum,
                count=None if reach.dense else len(reach.values),
                open_below=reach.open_below,
                open_above=reach.open_above,
                decided=not reasons,
                lowest=ends[lowest].response if lowest is not None else None,
                highest=ends[highest].response if highest is not None else None,
            )
        )

    def is_narrower(self, reach: Reach) -> bool:
        output = reach.output
        low, high = reach.lowest, reach.highest
        if low is None or high is None:
            return False
        below = output.minimum is not None and low > output.minimum and not reach.open_below
        above = output.maximum is not None and high < output.maximum and not reach.open_above
        return below or above

    def judge_table(self, reach: Reach, link_ids: tuple[str, ...], place: str) -> Iterator[Finding]:
        """Hold a conversion table's scores against each other: one answer worse may not make the score better."""
        rules = self.rules
        if rules is None or not reach.converted or reach.output.direction is None:
            return
        worse_is_higher = reach.output.direction is Direction.HIGHER_IS_WORSE
        rows = {self.weights_of(answers, link_ids): (value, answers) for value, answers in reach.converted}
        higher_is_worse = self.input_directions(link_ids)
        for numbers, (value, answers) in rows.items():
            for index, number in enumerate(numbers):
                if number is None:
                    continue
                step = 1 if higher_is_worse[index] else -1
                worse = rows.get((*numbers[:index], number + step, *numbers[index + 1 :]))
                if worse is not None and (worse[0] < value if worse_is_higher else worse[0] > value):
                    yield make_finding(
                        "score_not_monotonic",
                        (link_ids[index],),
                        place,
                        key=reach.output.code,
                        counter_example=self.evaluate(worse[1]).response,
                        compared_with=self.evaluate(answers).response,
                    )
                    return

    def weights_of(self, answers: Assignment, link_ids: tuple[str, ...]) -> tuple[Decimal | None, ...]:
        found: list[Decimal | None] = []
        for link_id in link_ids:
            spot = self.space.unfolded.by_link_id[link_id][0]
            choice = answers.get(spot.path, ())
            weight = spot.plan.weights.get(choice[0].key) if choice else None
            found.append(weight if weight is not None or not choice else choice[0].number)
        return tuple(found)

    def input_directions(self, link_ids: tuple[str, ...]) -> list[bool]:
        declared = ItemColours(self.space, self.logic, self.completing, self.rules, {}).declared
        return [declared.get(link_id) is not Direction.HIGHER_IS_BETTER for link_id in link_ids]

    def evaluate(self, answers: Assignment) -> Tried:
        return self.completing.evaluate(self.completing.complete(answers))

    # --- what evaluating showed

    def judge_missed(self, missed: tuple[str, ...]) -> Iterator[Finding]:
        if missed:
            more = ", …" if len(missed) > _MOST_NAMED else ""
            link_ids = tuple(dict.fromkeys(one for name in missed if (one := self.link_id_of(name))))
            yield make_finding("undecided_fixture", link_ids, "", what=", ".join(missed[:_MOST_NAMED]) + more)

    def link_id_of(self, name: str) -> str:
        _, _, rest = name.partition(":")
        return next((each for each in (rest, *_heads(rest)) if each in self.space.plan.items), "")

    def judge_rings(self) -> Iterator[Finding]:
        unsettled = next((each for each in self.completing.tried if _codes(each) & {"not_settled"}), None)
        response = unsettled.response if unsettled is not None else None
        for ring in self.space.dependence.rings():
            item = self.space.plan.items[ring.link_ids[0]].item
            if ring.certain or response is not None:
                names = " → ".join((*ring.link_ids, ring.link_ids[0]))
                yield make_finding("cycle", ring.link_ids, item.location, counter_example=response, ring=names)
            else:
                yield make_finding(
                    "undecided_cycle", ring.link_ids, item.location, reason=_SWEEPING.en, reason_da=_SWEEPING.da
                )

    def judge_tried(self) -> Iterator[Finding]:
        """Yield the expressions that failed on any of the responses that were tried."""
        failed: dict[tuple[str, str], list[tuple[Problem, Tried]]] = {}
        for tried in self.completing.tried:
            for problem in tried.evaluation.problems:
                if problem.code == "expression_error":
                    failed.setdefault((problem.link_id, problem.en), []).append((problem, tried))
        for each in failed.values():
            problem, tried = each[0]
            if not self.is_known(problem):
                # In one response an expression may fail several times, once in each repetition of its group.
                failing = {id(one) for _, one in each}
                yield self.tell_failure(problem, tried, always=len(failing) == len(self.completing.tried))

    def is_known(self, problem: Problem) -> bool:
        """Whether the fault was told already: a pattern or an expression that cannot work at all.

        An expression in another language was told, or it is a query, whose answers are from elsewhere.
        """
        if problem.en.endswith(_NOT_FHIRPATH):
            return True
        return any(each.code in _HOPELESS and problem.link_id in each.link_ids for each in self.findings)

    def tell_failure(self, problem: Problem, tried: Tried, *, always: bool) -> Finding:
        items = self.space.plan.items
        location = items[problem.link_id].item.location if problem.link_id in items else "Questionnaire"
        # A rule that gives nothing while its answers are missing is not broken by that.
        silent = problem.en.endswith("it gives nothing")
        return make_finding(
            "expression_fails",
            (problem.link_id,) if problem.link_id else (),
            location,
            severity=Gravity.INFORMATION if silent else Gravity.ERROR if always else Gravity.WARNING,
            key=problem.key,
            counter_example=tried.response,
            reason=problem.en,
            reason_da=problem.da,
        )


def _codes(tried: Tried) -> set[str]:
    return {problem.code for problem in tried.evaluation.problems}


def _heads(name: str) -> Iterator[str]:
    """Yield the name cut before each ``=`` and ``[``, the longest first."""
    for index in range(len(name) - 1, 0, -1):
        if name[index] in "=[":
            yield name[:index]


def _spans(reach: Reach) -> dict[str, Any]:
    """Write what is reached and what is declared, for a message."""
    ends = {
        "reached": (reach.lowest, reach.highest),
        "declared": (reach.output.minimum, reach.output.maximum),
    }
    found: dict[str, Any] = {}
    for name, (low, high) in ends.items():
        found[name] = " – ".join(write_number(each, "en") if each is not None else "…" for each in (low, high))
        found[f"{name}_da"] = " – ".join(write_number(each, "da") if each is not None else "…" for each in (low, high))
    return found
