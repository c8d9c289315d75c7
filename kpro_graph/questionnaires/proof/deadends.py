"""Dead ends: answers that are accepted one by one, after which the response can never be valid.

Two things make one. A question or group that must be answered, is asked because of what was answered before, and cannot
be answered. And rules over several answers: there, every set of answers to what the rules see is tried, and a set that
no valid response contains is cut down to the answers that matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TypeAlias

from kpro_graph.questionnaires.evaluation import evaluate
from kpro_graph.questionnaires.model import Constraint, Questionnaire
from kpro_graph.questionnaires.problems import Severity
from kpro_graph.questionnaires.proof.budget import Spent
from kpro_graph.questionnaires.proof.completing import Completing, Tried
from kpro_graph.questionnaires.proof.excerpts import excerpt
from kpro_graph.questionnaires.proof.findings import Finding, make_finding
from kpro_graph.questionnaires.proof.reads import Reads
from kpro_graph.questionnaires.proof.search import DISAGREEMENT, Logic, join_reasons
from kpro_graph.questionnaires.proof.space import Space
from kpro_graph.questionnaires.proof.traps import Trap, find_traps
from kpro_graph.questionnaires.proof.unfolding import Assignment, Choice, Spot, below, write_response
from kpro_graph.questionnaires.values import matches
from kpro_graph.questionnaires.words import Text

__all__ = ["DeadEnds"]

_MOST_TOLD = 5
"""So many dead ends of one group of rules are told; more would say the same."""

_MOST_ROWS = 4_000

_NO_SPECIMEN = Text("der blev ikke fundet et svar, der passer", "no answer was found that fits")
_TOO_MANY = Text(
    "reglerne ser flere svarsæt, end der kunne prøves", "the rules see more sets of answers than could be tried"
)
_ENDLESS = Text(
    "reglerne ser svar, der har uendelig mange værdier", "the rules see answers that have endlessly many values"
)
_OUTSIDE = Text("reglerne afhænger af noget, der kommer udefra", "the rules depend on something from outside")
_Answers: TypeAlias = frozenset[tuple[str, Choice]]


@dataclass(frozen=True, slots=True)
class _Rule:
    """One thing that can end the way: a constraint, a calculated bound, or a trap; with what it sees."""

    at: str | None
    reads: Reads
    constraint: Constraint | None = None
    trap: Trap | None = None


@dataclass
class _Cluster:
    """Rules that share something they see: the items they stand at, what they read, and all that matters to those."""

    rules: list[_Rule] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Row:
    """One set of answers to everything the rules see. ``closed`` are the places that are not asked then."""

    given: _Answers
    valid: bool
    closed: frozenset[str]

    def continues(self, answers: _Answers) -> bool:
        """Tell whether one who gave these answers can get here by answering more; what is not asked any more falls."""
        return all(each in self.given or each[0] in self.closed for each in answers)


class DeadEnds:
    """The dead ends of one questionnaire."""

    def __init__(self, space: Space, logic: Logic, completing: Completing) -> None:
        self.space = space
        self.logic = logic
        self.completing = completing

    def judge(self) -> Iterator[Finding]:
        """Yield every dead end that was found, and where it could not be decided."""
        for cluster in self._clusters():
            (first, *others) = cluster.rules
            if first.trap is not None and not others:
                yield from self._judge_trap(first.trap)
            else:
                yield from self._judge_cluster(cluster)

    # --- what cannot be answered

    def _judge_trap(self, trap: Trap) -> Iterator[Finding]:
        item = trap.spot.item
        search = trap.spring(self.space, self.logic)
        if search.found is None:
            if not search.decided:
                yield self._undecided((item.link_id,), item.location, join_reasons(search.reasons))
            return
        if not trap.certain:
            yield self._undecided((item.link_id,), item.location, _NO_SPECIMEN)
            return
        given = {path: choice for path, choice in search.found.items() if choice}
        tried = self.completing.evaluate(self.completing.complete(search.found))
        told = any(each.link_id == item.link_id and each.severity == "error" for each in tried.evaluation.problems)
        if tried.evaluation.valid or not told:
            yield self._undecided((item.link_id,), item.location, DISAGREEMENT)
            return
        others = tuple(dict.fromkeys(self.space.unfolded.spots[path].link_id for path in given))
        code = "dead_end" if given else "never_valid"
        yield make_finding(code, (item.link_id, *others), item.location, counter_example=tried.response)

    def _undecided(self, link_ids: tuple[str, ...], location: str, reason: Text, key: str = "") -> Finding:
        return make_finding("undecided_dead_end", link_ids, location, key=key, reason=reason.en, reason_da=reason.da)

    # --- rules over several answers

    def _clusters(self) -> list[_Cluster]:
        clusters: list[_Cluster] = []
        for rule in self._rules():
            at = [] if rule.at is None else [rule.at]
            if rule.trap is not None:
                at += [spot.link_id for spot in self.space.unfolded.spots.values() if rule.trap.spot in spot.line()]
            merged = _Cluster([rule], self._seen([*rule.reads.link_ids, *at]))
            for other in [each for each in clusters if not each.seen.isdisjoint(merged.seen)]:
                clusters.remove(other)
                merged.rules = [*other.rules, *merged.rules]
                merged.seen |= other.seen
            clusters.append(merged)
        return clusters

    def _seen(self, link_ids: Sequence[str]) -> set[str]:
        """Return all that matters to these items: what they depend on, and required groups above them."""
        seen: set[str] = set()
        waiting = set(link_ids)
        while waiting:
            seen |= self.space.dependence.cone(waiting)
            waiting = set()
            for link_id in seen:
                for step in self.space.plan.items[link_id].chain[:-1]:
                    if step.item.required and not step.item.answerable:
                        waiting |= {step.item.link_id, *(each.link_id for each in below(step.item))} - seen
        return seen

    def _rules(self) -> Iterator[_Rule]:
        questionnaire, reads = self.space.questionnaire, self.space.dependence.reads
        for constraint in questionnaire.constraints:
            if constraint.severity == "error":
                yield _Rule(None, reads(constraint.expression, None), constraint)
        for item in questionnaire.walk():
            for constraint in item.constraints:
                if constraint.severity == "error":
                    yield _Rule(item.link_id, reads(constraint.expression, item.link_id), constraint)
            for bound in (item.min_value, item.max_value, item.min_quantity, item.max_quantity):
                if bound is not None and bound.expression is not None:
                    yield _Rule(item.link_id, reads(bound.expression, item.link_id))
            for toggle in item.toggles:
                yield _Rule(item.link_id, reads(toggle.expression, item.link_id))
        for trap in find_traps(self.space, self.logic):
            yield _Rule(trap.spot.link_id, Reads(), trap=trap)

    def _judge_cluster(self, cluster: _Cluster) -> Iterator[Finding]:
        spots = self._open_spots(cluster)
        place = next((rule.at for rule in cluster.rules if rule.at), None)
        location = self.space.plan.items[place].item.location if place else "Questionnaire"
        key = next((rule.constraint.key for rule in cluster.rules if rule.constraint is not None), "")
        link_ids = tuple(dict.fromkeys(spot.link_id for spot in spots))
        doubt = self._doubt(cluster, spots)
        try:
            with self.space.purse.question():
                rows = self._rows(cluster, spots) if doubt is not _TOO_MANY else []
        except Spent:
            doubt, rows = _TOO_MANY, []
        valid = [row for row in rows if row.valid]
        if valid:
            self._prefer(valid[0])
        if doubt is not None:
            for rule in cluster.rules:
                if rule.trap is not None and rule.trap.certain:
                    yield from self._judge_trap(rule.trap)
            yield self._undecided(link_ids, location, doubt, key)
            return
        if rows and not valid:
            first = self.completing.evaluate(self.completing.complete(dict(rows[0].given)))
            if _breaks(cluster, first):
                yield make_finding("never_valid", link_ids, location, key=key, counter_example=first.response)
            else:
                yield self._undecided(link_ids, location, DISAGREEMENT, key)
            return
        yield from self._judge_rows(cluster, rows, valid, location, key)

    def _open_spots(self, cluster: _Cluster) -> list[Spot]:
        order = sorted(cluster.seen, key=lambda one: self.space.plan.items[one].item.position)
        return [
            spot
            for link_id in order
            for spot in self.space.unfolded.by_link_id[link_id]
            if spot.item.answerable and len(self.space.choices[link_id]) > 1
        ]

    def _choices(self, cluster: _Cluster, spot: Spot) -> Sequence[Choice]:
        """Return the choices that the rules of a cluster can tell apart."""
        choices = self.space.choices[spot.link_id]
        if spot.link_id in self.space.read:
            return choices
        tests = [each for owner, _, each in self.space.unfolded.tests(spot.link_id) if owner in cluster.seen]
        seen: dict[tuple[bool, ...], Choice] = {}
        for choice in choices[:-1]:
            seen.setdefault(tuple(matches(list(choice), each.operator, each.answer) for each in tests), choice)
        return [*seen.values(), ()]

    def _doubt(self, cluster: _Cluster, spots: Sequence[Spot]) -> Text | None:
        """Return why not everything that could be answered is tried, or None where it is."""
        count = 1
        for spot in spots:
            count *= len(self._choices(cluster, spot))
        if count > min(_MOST_ROWS, self.space.purse.budget.each):
            return _TOO_MANY
        if any(rule.reads.outside for rule in cluster.rules):
            return _OUTSIDE
        if any(rule.trap is not None and not rule.trap.certain for rule in cluster.rules):
            return _NO_SPECIMEN
        compared = all(self._compares(rule) for rule in cluster.rules)
        if any(not self.space.is_covered(spot.link_id, compared_only=compared) for spot in spots):
            return _ENDLESS
        return None

    def _compares(self, rule: _Rule) -> bool:
        if rule.constraint is None:
            return rule.trap is not None
        plan = self.space.plan.items[rule.at] if rule.at is not None else None
        return self.space.formulas.only_compares(rule.constraint.expression, plan, rule.reads.declared)

    def _rows(self, cluster: _Cluster, spots: Sequence[Spot]) -> list[_Row]:
        """Evaluate every set of answers in which each answer is to a question that is asked."""
        rows = []
        cut = self._excerpt(cluster)
        for choices in product(*(self._choices(cluster, spot) for spot in spots)):
            given = {spot.path: choice for spot, choice in zip(spots, choices, strict=True) if choice}
            with self.logic.settled():
                closed = frozenset(spot.path for spot in spots if not self.logic.answerable(spot, given))
            if not closed.isdisjoint(given):
                continue
            self.space.purse.draw()
            valid = evaluate(cut, write_response(cut, given)).valid
            rows.append(_Row(frozenset(given.items()), valid, closed))
        return rows

    def _excerpt(self, cluster: _Cluster) -> Questionnaire:
        constraints = [rule.constraint for rule in cluster.rules if rule.constraint is not None]
        return excerpt(
            self.space.questionnaire,
            cluster.seen,
            asked=cluster.seen,
            computed=cluster.seen,
            constraints=constraints,
        )

    def _prefer(self, valid: _Row) -> None:
        """Let responses that are completed later keep these rules."""
        for path, choice in sorted(valid.given, key=lambda pair: pair[0]):
            self.completing.preferred.setdefault(path, choice)

    def _judge_rows(
        self, cluster: _Cluster, rows: Sequence[_Row], valid: Sequence[_Row], location: str, key: str
    ) -> Iterator[Finding]:
        told: set[_Answers] = set()
        for row in rows:
            if row.valid or any(each <= row.given for each in told) or _is_open(row.given, valid):
                continue
            core = row.given
            for each in sorted(row.given, key=lambda pair: pair[0]):
                if not _is_open(core - {each}, valid):
                    core -= {each}
            if len(told) < _MOST_TOLD:
                told.add(core)
                yield from self._judge_core(cluster, dict(sorted(core)), dict(sorted(row.given)), location, key)

    def _judge_core(
        self, cluster: _Cluster, core: Assignment, given: Assignment, location: str, key: str
    ) -> Iterator[Finding]:
        link_ids = tuple(dict.fromkeys(self.space.unfolded.spots[path].link_id for path in core))
        rules = [rule for rule in cluster.rules if rule.trap is None]
        if any(self._answerable(rule.reads) <= set(link_ids) for rule in rules) and self._is_told(cluster, core):
            return
        tried = self.completing.evaluate(self.completing.complete(given))
        if not _breaks(cluster, tried):
            yield self._undecided(link_ids, location, DISAGREEMENT, key)
            return
        by_rule = len(link_ids) > 1 and any(rule.reads.link_ids >= set(link_ids) for rule in rules)
        code = "rule_excludes_answers" if by_rule else "dead_end"
        yield make_finding(code, link_ids, location, key=key, counter_example=tried.response)

    def _answerable(self, reads: Reads) -> set[str]:
        return {each for each in reads.link_ids if self.space.plan.items[each].item.answerable}

    def _is_told(self, cluster: _Cluster, core: Assignment) -> bool:
        """A rule that sees nothing but these answers speaks as soon as they are given: that is no dead end."""
        cut = self._excerpt(cluster)
        draft = evaluate(cut, write_response(cut, core), draft=True)
        return any(problem.severity is Severity.ERROR or problem.code == "not_in_options" for problem in draft.problems)


def _breaks(cluster: _Cluster, tried: Tried) -> bool:
    """Tell whether a response is invalid because of what the rules of a cluster see, and not of something else."""
    keys = {rule.constraint.key for rule in cluster.rules if rule.constraint is not None}
    return any(
        each.severity is Severity.ERROR
        and (each.link_id in cluster.seen or (each.code == "constraint" and each.key in keys))
        for each in tried.evaluation.problems
    )


def _is_open(answers: _Answers, valid: Sequence[_Row]) -> bool:
    return any(row.continues(answers) for row in valid)
