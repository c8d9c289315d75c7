"""Dead ends: answers that are accepted one by one, after which the response can never be valid.

Two things make one. A question or group that must be answered, is asked because of what was answered before, and cannot
be answered. And rules over several answers: there, every set of answers to what the rules see is tried, and a set that
no valid response contains is cut down to the answers that matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

from kpro_graph.questionnaires.evaluation import evaluate
from kpro_graph.questionnaires.model import Constraint, Questionnaire
from kpro_graph.questionnaires.proof.budget import Spent
from kpro_graph.questionnaires.proof.completing import Completing
from kpro_graph.questionnaires.proof.dependence import is_computed, is_overridable
from kpro_graph.questionnaires.proof.excerpts import excerpt
from kpro_graph.questionnaires.proof.faults import may_be_answered
from kpro_graph.questionnaires.proof.findings import Finding, make_finding
from kpro_graph.questionnaires.proof.reads import CLOCK, Reads
from kpro_graph.questionnaires.proof.search import Goal, Logic, Truth
from kpro_graph.questionnaires.proof.space import Space, needs_answer
from kpro_graph.questionnaires.proof.unfolding import Assignment, Choice, Spot, write_response
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
_DISAGREES = Text("en evaluering bekræfter det ikke", "an evaluation does not confirm it")


@dataclass
class _Cluster:
    """Rules that share something they see: the items they stand at, what they read, and all that matters to those."""

    rules: list[tuple[str | None, Constraint | None, Reads]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Row:
    """One set of answers to everything the rules see."""

    given: frozenset[tuple[str, Choice]]
    valid: bool


class DeadEnds:
    """The dead ends of one questionnaire."""

    def __init__(self, space: Space, logic: Logic, completing: Completing) -> None:
        self.space = space
        self.logic = logic
        self.completing = completing

    def judge(self) -> Iterator[Finding]:
        """Yield every dead end that was found, and where it could not be decided."""
        for cluster in self._clusters():
            yield from self._judge_cluster(cluster)
        for spots in self.space.unfolded.by_link_id.values():
            spot = spots[0]
            item = spot.item
            if needs_answer(item) and not self.space.choices[item.link_id][0] and not self._is_computed(spot):
                yield from self._judge_trap(spot, self._answerable(spot))
            elif not item.answerable and item.required:
                yield from self._judge_trap(spot, self._empty(spot))

    def _is_computed(self, spot: Spot) -> bool:
        return is_computed(spot.item) and not is_overridable(spot.item)

    # --- what cannot be answered

    def _answerable(self, spot: Spot) -> Goal:
        return lambda a: self.logic.answerable(spot, a)

    def _empty(self, group: Spot) -> Goal:
        """The group is asked, and nothing in it can be answered."""
        inside = [
            spot
            for spot in self.space.unfolded.spots.values()
            if group in spot.line()[:-1] and spot.item.answerable and may_be_answered(self.space, spot.link_id)
        ]

        def goal(a: Assignment) -> Truth:
            truth = self.logic.asked(group, a)
            for spot in inside:
                if truth is False:
                    return False
                each = self.logic.answerable(spot, a)
                if each is True:
                    return False
                if each is None:
                    truth = None
            return truth

        return goal

    def _judge_trap(self, spot: Spot, goal: Goal) -> Iterator[Finding]:
        item = spot.item
        search = self.logic.find(goal)
        if search.found is None:
            return
        if not may_be_answered(self.space, item.link_id):
            yield from self._tell(item.link_id, search.found)
        elif item.answerable:
            yield self._undecided((item.link_id,), item.location, _NO_SPECIMEN)
        else:
            yield from self._tell(item.link_id, search.found)

    def _tell(self, link_id: str, decided: Assignment) -> Iterator[Finding]:
        item = self.space.plan.items[link_id].item
        given = {path: choice for path, choice in decided.items() if choice}
        tried = self.completing.evaluate(self.completing.complete(decided))
        told = any(each.link_id == link_id and each.severity == "error" for each in tried.evaluation.problems)
        if tried.evaluation.valid or not told:
            yield self._undecided((link_id,), item.location, _DISAGREES)
            return
        others = tuple(dict.fromkeys(self.space.unfolded.spots[path].link_id for path in given))
        code = "dead_end" if given else "never_valid"
        yield make_finding(code, (link_id, *others), item.location, counter_example=tried.response)

    def _undecided(self, link_ids: tuple[str, ...], location: str, reason: Text, key: str = "") -> Finding:
        return make_finding("undecided_dead_end", link_ids, location, key=key, reason=reason.en, reason_da=reason.da)

    # --- rules over several answers

    def _clusters(self) -> list[_Cluster]:
        clusters: list[_Cluster] = []
        for rule in self._rules():
            at, _, reads = rule
            seen = set(self.space.dependence.cone([*reads.link_ids, *([at] if at else [])]))
            merged = _Cluster([rule], seen)
            for other in [each for each in clusters if not each.seen.isdisjoint(seen)]:
                clusters.remove(other)
                merged.rules = [*other.rules, *merged.rules]
                merged.seen |= other.seen
            clusters.append(merged)
        return clusters

    def _rules(self) -> Iterator[tuple[str | None, Constraint | None, Reads]]:
        questionnaire, reads = self.space.questionnaire, self.space.dependence.reads
        for constraint in questionnaire.constraints:
            if constraint.severity == "error":
                yield None, constraint, reads(constraint.expression, None)
        for item in questionnaire.walk():
            for constraint in item.constraints:
                if constraint.severity == "error":
                    yield item.link_id, constraint, reads(constraint.expression, item.link_id)
            for bound in (item.min_value, item.max_value, item.min_quantity, item.max_quantity):
                if bound is not None and bound.expression is not None:
                    yield item.link_id, None, reads(bound.expression, item.link_id)

    def _judge_cluster(self, cluster: _Cluster) -> Iterator[Finding]:
        spots = self._open_spots(cluster)
        place = next((at for at, _, _ in cluster.rules if at), None)
        location = self.space.plan.items[place].item.location if place else "Questionnaire"
        key = next((each.key for _, each, _ in cluster.rules if each is not None), "")
        link_ids = tuple(dict.fromkeys(spot.link_id for spot in spots))
        doubt = self._doubt(cluster, spots)
        try:
            with self.space.purse.question():
                rows = self._rows(cluster, spots) if doubt is not _TOO_MANY else []
        except Spent:
            doubt, rows = _TOO_MANY, []
        valid = [row.given for row in rows if row.valid]
        if valid:
            self._prefer(valid)
        if doubt is not None:
            if not all(row.valid for row in rows) or not rows:
                yield self._undecided(link_ids, location, doubt, key)
            return
        if rows and not valid:
            first = self.completing.evaluate(self.completing.complete(dict(rows[0].given)))
            if not first.evaluation.valid:
                yield make_finding("never_valid", link_ids, location, key=key, counter_example=first.response)
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

    def _doubt(self, cluster: _Cluster, spots: Sequence[Spot]) -> Text | None:
        """Return why not everything that could be answered is tried, or None where it is."""
        count = 1
        for spot in spots:
            count *= len(self.space.choices[spot.link_id])
        if count > min(_MOST_ROWS, self.space.purse.budget.each):
            return _TOO_MANY
        if any(reads.outside - {CLOCK} for _, _, reads in cluster.rules):
            return _OUTSIDE
        compared = all(
            constraint is not None
            and self.space.formulas.only_compares(
                constraint.expression, self.space.plan.items[at] if at is not None else None, reads.declared
            )
            for at, constraint, reads in cluster.rules
        )
        if any(not self.space.is_covered(spot.link_id, compared_only=compared) for spot in spots):
            return _ENDLESS
        if any(reads.outside for _, _, reads in cluster.rules):
            return _OUTSIDE
        return None

    def _rows(self, cluster: _Cluster, spots: Sequence[Spot]) -> list[_Row]:
        """Evaluate every set of answers in which each answer is to a question that is asked."""
        rows = []
        cut = self._excerpt(cluster)
        for choices in product(*(self.space.choices[spot.link_id] for spot in spots)):
            given = {spot.path: choice for spot, choice in zip(spots, choices, strict=True) if choice}
            with self.logic.settled():
                offered = all(self.logic.answerable(spot, given) for spot in spots if spot.path in given)
            if not offered:
                continue
            self.space.purse.draw()
            rows.append(_Row(frozenset(given.items()), evaluate(cut, write_response(cut, given)).valid))
        return rows

    def _excerpt(self, cluster: _Cluster) -> Questionnaire:
        constraints = [each for _, each, _ in cluster.rules if each is not None]
        return excerpt(
            self.space.questionnaire,
            cluster.seen,
            asked=cluster.seen,
            computed=cluster.seen,
            constraints=constraints,
        )

    def _prefer(self, valid: Iterable[frozenset[tuple[str, Choice]]]) -> None:
        """Let responses that are completed later keep these rules."""
        for path, choice in sorted(next(iter(valid)), key=lambda pair: pair[0]):
            self.completing.preferred.setdefault(path, choice)

    def _judge_rows(
        self,
        cluster: _Cluster,
        rows: Sequence[_Row],
        valid: Sequence[frozenset[tuple[str, Choice]]],
        location: str,
        key: str,
    ) -> Iterator[Finding]:
        told: set[frozenset[tuple[str, Choice]]] = set()
        for row in rows:
            if row.valid or any(row.given <= each for each in valid) or any(each <= row.given for each in told):
                continue
            core = self._cut_down(row.given, valid)
            if core in told or len(told) == _MOST_TOLD:
                continue
            told.add(core)
            yield from self._judge_core(cluster, dict(sorted(core)), location, key)

    def _cut_down(
        self, given: frozenset[tuple[str, Choice]], valid: Sequence[frozenset[tuple[str, Choice]]]
    ) -> frozenset[tuple[str, Choice]]:
        """Leave out answers as long as no valid response contains the rest."""
        core = given
        for each in sorted(given, key=lambda pair: pair[0]):
            smaller = core - {each}
            if not any(smaller <= row for row in valid):
                core = smaller
        return core

    def _judge_core(self, cluster: _Cluster, core: Assignment, location: str, key: str) -> Iterator[Finding]:
        link_ids = tuple(dict.fromkeys(self.space.unfolded.spots[path].link_id for path in core))
        rules = [(each, reads) for _, each, reads in cluster.rules]
        with self.logic.settled():
            if any(self._is_told(core, reads) for _, reads in rules):
                return
        tried = self.completing.evaluate(self.completing.complete(core))
        if tried.evaluation.valid:
            yield self._undecided(link_ids, location, _DISAGREES, key)
            return
        by_rule = len(link_ids) > 1 and any(reads.link_ids >= set(link_ids) for _, reads in rules)
        code = "rule_excludes_answers" if by_rule else "dead_end"
        yield make_finding(code, link_ids, location, key=key, counter_example=tried.response)

    def _is_told(self, core: Assignment, reads: Reads) -> bool:
        """A rule that sees nothing but these answers speaks as soon as they are given: that is no dead end."""
        for link_id in reads.link_ids:
            for spot in self.space.unfolded.by_link_id[link_id]:
                if spot.item.answerable and spot.path not in core and self.logic.answerable(spot, core):
                    return False
        return {self.space.unfolded.spots[path].link_id for path in core} <= reads.link_ids
