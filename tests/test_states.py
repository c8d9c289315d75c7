"""People move, teams change, consent comes and goes, at once: what everybody sees equals an independent model.

The model (`tests/model.py`, `tests/turns.py`) knows nothing of the product's judge. After every step what people see
through the API is compared with it, and the lines of the access log with what they saw. Requests that race must come
out as they would one after another, in some order.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.conftest import Worlds
from tests.looks import NOBODYS, about, differences, everything, expected
from tests.model import ENROLLER, MONITOR, PLAIN, SCORED, VIEWER, Denied, Granted, Model, Who
from tests.town import Example, Look, Town, granted
from tests.turns import Outcome, Request, after

NUMBERS = st.integers(0, 11)
CHOICES = st.tuples(NUMBERS, NUMBERS, NUMBERS)
OWNER = Who("owner", 0, "the organisation")


@pytest.fixture(scope="module")
def town(worlds: Worlds) -> Iterator[Town]:
    """Give a town with a database of its own."""
    with Town(worlds).open("town") as opened:
        yield opened


class Chooser:
    """Turns numbers into requests that make sense, most of them from somebody who may."""

    def __init__(self, made: Example, model: Model) -> None:
        self.made = made
        self.model = model
        self.codes = made.codes

    def request(self, deed: str, numbers: tuple[int, int, int]) -> Request | None:
        """Return a request, or None where there is nothing to do it to."""
        a, b, c = numbers
        return getattr(self, "_" + deed.replace(" ", "_"))(a, b, c)  # type: ignore[no-any-return]

    def everybody(self) -> list[Who]:
        """Return everybody, in every place they could choose and in some they could not."""
        found = [Who("nobody", self.codes[0], "nobody")]
        found += [Who("citizen", m, name) for m in self.codes for name in self.made.cprs]
        acting = {(m, each.person, each.citizen) for (m, _), each in self.model.represents.items()}
        found += [Who("citizen", m, person, citizen) for m, person, citizen in sorted(acting)]
        for name, employee in self.model.employees.items():
            found.append(Who("employee", employee.m, name))
            found += [Who("employee", employee.m, name, key) for key in sorted(self.model.places(employee))]
        # Somebody chooses a place and a citizen that are not theirs.
        team = next(iter(self.model.teams))
        found.append(Who("employee", self.codes[1], "Bent", team))
        found.append(Who("citizen", self.codes[0], "Cleo", self._citizens()[0][2] if self._citizens() else NOBODYS))
        places = {"A with answers": 0, "A without answers": 0, "B with answers": 1}
        return found + [Who("system", self.codes[place], name) for name, place in places.items()]

    # --- Who does it

    def _staff(self, m: int, role: str, chance: int, *, team: str = "") -> Who:
        """Return somebody with a role in the municipality, where they hold it; now and then just anybody."""
        if chance == 11:
            everybody = self.everybody()
            return everybody[len(self.model.assignments) * 7 % len(everybody)]
        holding = []
        for name, employee in self.model.employees.items():
            for key, (roles, teams, units) in sorted(self.model.places(employee).items()):
                if employee.m == m and role in roles:
                    reached = {team, self.model.teams[team].unit} if team else set()
                    reaches = bool(reached & {*teams.get(role, ()), *units.get(role, ())})
                    holding.append((reaches, Who("employee", m, name, key)))
        best = [who for reaches, who in holding if reaches] or [who for _, who in holding]
        return best[chance % len(best)] if best else Who("employee", m, self._named(m))

    def _named(self, m: int) -> str:
        return next(name for name, each in self.model.employees.items() if each.m == m)

    def _answering(self, m: int, citizen: str, chance: int) -> Who:
        """Return the citizen, or one who represents them, or at times somebody else."""
        person = next((p for (at, p), key in self.model.citizens.items() if (at, key) == (m, citizen)), "Anna")
        acting = [e for (at, _), e in self.model.represents.items() if at == m and e.citizen == citizen]
        if acting and chance % 3 == 1:
            return Who("citizen", m, acting[chance % len(acting)].person, citizen)
        return self._staff(m, VIEWER, 11) if chance == 11 else Who("citizen", m, person)

    # --- To what

    def _citizens(self) -> list[tuple[int, str, str]]:
        return [(m, person, key) for (m, person), key in self.model.citizens.items()]

    def _pick(self, table: dict[Any, Any], number: int) -> Any:
        keys = list(table)
        # The latest come first, so that small numbers are about what has just happened.
        return keys[-1 - number % len(keys)] if keys else None

    def name(self, m: int, key: str = "") -> str:
        """Return how a sentence calls something."""
        return f"{self.made.labels.get(key, key)} in {'ABC'[self.codes.index(m)]}".replace(" in", " in", 1)

    def told(self, who: Who) -> str:
        """Return how a sentence calls somebody."""
        chosen = f" acting in or for {self.made.labels.get(who.chosen, who.chosen)}" if who.chosen else ""
        return f"{who.name} in {'ABC'[self.codes.index(who.m)]}{chosen}"

    def _says(self, who: Who, deed: str, said: str, **args: Any) -> Request:
        subject = "The organisation" if who is OWNER else self.told(who)
        return Request(who, deed, args, f"{subject} {said}")

    # --- Deeds

    def _register(self, a: int, b: int, c: int) -> Request:
        m, person = self.codes[a % 3], list(self.made.cprs)[b % 3]
        return self._says(self._staff(m, ENROLLER, c), "register", f"registers {person}", person=person)

    def _open(self, a: int, b: int, c: int) -> Request:
        if not self.model.citizens:
            return self._register(a, b, c)
        m, person = self._pick(self.model.citizens, a)
        citizen = self.model.citizens[m, person]
        teams = [key for key, team in self.model.teams.items() if team.m == m or b == 11]
        team, consent = teams[b % len(teams)], ("holds", "ends", None)[c % 3]
        said = f"opens an episode of {person} with {self.made.labels[team]}, consent: {consent}"
        who = self._staff(m, ENROLLER, c, team=team)
        return self._says(who, "open", said, citizen=citizen, team=team, consent=consent)

    def _episode(self, number: int) -> tuple[int, str] | None:
        return self._pick(self.model.episodes, number)  # type: ignore[no-any-return]

    def _decides(self, m: int, key: str, chance: int) -> Who:
        episode = self.model.episodes[m, key]
        if chance % 2:
            return self._answering(m, episode.citizen, chance)
        return self._staff(m, ENROLLER, chance, team=episode.team)

    def _give(self, a: int, b: int, c: int) -> Request | None:
        if (found := self._episode(a)) is None:
            return None
        m, key = found
        said = f"gives consent to {self.name(m, key)}{', for a time' if c % 2 else ''}"
        return self._says(self._decides(m, key, b), "give", said, episode=key, ends=bool(c % 2))

    def _withdraw(self, a: int, b: int, _: int) -> Request | None:
        if (found := self._episode(a)) is None:
            return None
        m, key = found
        said = f"withdraws consent to {self.name(m, key)}"
        return self._says(self._decides(m, key, b), "withdraw", said, episode=key)

    def _policy(self, a: int, b: int, c: int) -> Request | None:
        if (found := self._episode(a)) is None:
            return None
        m, key = found
        colours, hidden = (True, False, None)[c % 3], (None, True, False)[c // 3 % 3]
        who = self._staff(m, (VIEWER, MONITOR)[b % 2], b, team=self.model.episodes[found].team)
        said = f"decides of {self.name(m, key)}: colours shown {colours}, hidden from guardians {hidden}"
        return self._says(who, "policy", said, episode=key, colours=colours, hidden=hidden)

    def _assign(self, a: int, b: int, c: int) -> Request | None:
        if (found := self._episode(a)) is None:
            return None
        m, key = found
        url = (SCORED, SCORED, PLAIN)[c % 3]
        said = f"assigns the {url.rsplit('/')[-1]} questionnaire in {self.name(m, key)}"
        who = self._staff(m, ENROLLER, b, team=self.model.episodes[found].team)
        return self._says(who, "assign", said, episode=key, url=url)

    def _save(self, a: int, b: int, c: int) -> Request | None:
        if not (found := self._pick(self.model.assignments, a)):
            return None
        m, key = found
        each = self.model.assignments[found]
        who, said = self._answering(m, each.citizen, b), f"answers {c % 3} in {self.name(m, key)}"
        return self._says(who, "save", said, assignment=key, url=each.url, weight=c % 3)

    def _submit(self, a: int, b: int, _: int) -> Request | None:
        if not (found := self._pick(self.model.assignments, a)):
            return None
        m, key = found
        each = self.model.assignments[found]
        who = self._answering(m, each.citizen, b)
        return self._says(who, "submit", f"submits {self.name(m, key)}", assignment=key, url=each.url)

    def _amend(self, a: int, b: int, _: int) -> Request | None:
        submitted = {key: each for key, each in self.model.responses.items() if each.submitted or b == 10}
        if not (found := self._pick(submitted, a)):
            return None
        m, key = found
        who = self._answering(m, self.model.responses[found].citizen, b)
        return self._says(who, "amend", f"amends {self.name(m, key)}", response=key)

    def _represent(self, a: int, b: int, c: int) -> Request | None:
        if not (found := self._pick(self.model.citizens, a)):
            return None
        m, person = found
        other, guardian = list(self.made.cprs)[b % 3], bool(c % 2)
        read, answer = ((True, True), (True, False), (False, True))[c // 2 % 3]
        said = f"records {other} as {'guardian' if guardian else 'holder of a power of attorney'} for {person}"
        return self._says(
            self._staff(m, ENROLLER, b), "represent", f"{said}: read {read}, answer {answer}",
            citizen=self.model.citizens[found], person=other, guardian=guardian, read=read, answer=answer, ends=c > 5,
        )  # fmt: skip

    def _end(self, a: int, b: int, _: int) -> Request | None:
        if not (found := self._pick(self.model.represents, a)):
            return None
        said = f"ends {self.name(*found)}"
        return self._says(self._staff(found[0], ENROLLER, b), "end", said, representation=found[1])

    def _emergency(self, a: int, b: int, c: int) -> Request | None:
        if not self.model.citizens:
            return None
        m, person = self._pick(self.model.citizens, a)
        person = "Cleo" if b == 10 else person
        who = self._staff(m, (VIEWER, MONITOR)[c % 2], b)
        return self._says(who, "emergency", f"opens {person}'s record in an emergency", person=person)

    def _review(self, a: int, b: int, _: int) -> Request | None:
        if not (found := self._pick(self.model.openings, a)):
            return None
        said = f"reviews {self.name(*found)}"
        return self._says(self._staff(found[0], "security_officer", b), "review", said, opening=found[1])

    def _offer(self, a: int, b: int, c: int) -> Request | None:
        held = {each.citizen for each in self.model.episodes.values() if each.gone is None}
        citizens = {k: citizen for k, citizen in self.model.citizens.items() if citizen in held or a == 11}
        if not (found := self._pick(citizens, a)):
            return None
        m, person = found
        moved = [code for code in self.codes if code != m and (code, person) in self.model.citizens]
        to = moved[c % len(moved)] if moved and c < 9 else self.codes[c % 3]
        said = f"offers {person}'s history to {'ABC'[self.codes.index(to)]}"
        return self._says(self._staff(m, ENROLLER, b), "offer", said, citizen=self.model.citizens[found], to=to)

    def _decides_offer(self, deed: str, a: int, b: int) -> Request | None:
        if not (key := self._pick(self.model.offers, a)):
            return None
        offer = self.model.offers[key]
        m = offer.giver if deed == "take back" else offer.receiver
        said = {"take back": "takes back", "decline": "declines"}[deed]
        return self._says(self._staff(m, ENROLLER, b), deed, f"{said} {self.name(m, key)}", offer=key)

    def _take_back(self, a: int, b: int, _: int) -> Request | None:
        return self._decides_offer("take back", a, b)

    def _decline(self, a: int, b: int, _: int) -> Request | None:
        return self._decides_offer("decline", a, b)

    def _accept(self, a: int, b: int, c: int) -> Request | None:
        if not (key := self._pick(self.model.offers, a)):
            return None
        m = self.model.offers[key].receiver
        teams = [team for team, each in self.model.teams.items() if each.m == m]
        team = teams[c % len(teams)]
        said = f"accepts {self.name(m, key)} for {self.made.labels[team]}"
        return self._says(self._staff(m, ENROLLER, b, team=team), "accept", said, offer=key, team=team)

    # --- What happens without anybody asking

    def _time(self, a: int, b: int, _: int) -> Request | None:
        consents = {k: e for k, e in self.model.episodes.items() if e.ends and e.consent == "holds"}
        acting = {k: e for k, e in self.model.represents.items() if e.ends and not (e.ended or e.ran_out)}
        openings = {key: each for key, each in self.model.openings.items() if not each.over}
        some = [(of, table) for of, table in (("consent", consents), ("representation", acting),
                                              ("emergency", openings)) if table]  # fmt: skip
        if not some:
            return None
        of, table = some[b % len(some)]
        key = self._pick(table, a)
        return self._says(OWNER, "time", f"waits: the time of the {of} {self.name(*key)} is over", of=of, key=key)

    def _activity(self, a: int, b: int, _: int) -> Request:
        tables: dict[str, dict[str, Any]] = {
            "care_team": self.model.teams, "organisation_unit": self.model.units, "employee": self.model.employees,
        }  # fmt: skip
        # Whatever is switched off is switched on again first, so that the town stays alive.
        off = [(table, key) for table, rows in tables.items() for key, row in rows.items() if not row.active]
        name = list(tables)[b % 3]
        table, key = off[0] if off else (name, list(tables[name])[a % len(tables[name])])
        said = f"makes {self.made.labels.get(key, key)} {'active' if off else 'inactive'}"
        return self._says(OWNER, "activity", said, table=table, key=key, active=bool(off))

    def _membership(self, a: int, b: int, c: int) -> Request:
        name, role = (("Mona", MONITOR), ("Dora", VIEWER))[b % 2]
        here = [key for key, team in self.model.teams.items() if team.m == self.codes[0]]
        team = here[a % len(here)]
        joins = (team, role) not in self.model.employees[name].members
        said = f"{'adds' if joins else 'removes'} {name} {'to' if joins else 'from'} {self.made.labels[team]}"
        return self._says(OWNER, "membership", said, employee=name, team=team, role=role, joins=joins)

    def _grants(self, a: int, _: int, __: int) -> Request:
        made, model = self.made, self.model
        keys = {label: key for key, label in made.labels.items() if key in model.teams or key in model.units}
        one, two = keys["unit A1"], keys["unit A2"]
        choices: list[tuple[Granted, ...]] = [
            (granted(VIEWER, units=[one]), granted(ENROLLER, units=[two])),
            (granted(VIEWER, ENROLLER, units=[one, two]),),
            (granted(MONITOR, teams=[keys["team A1a"]], units=[one]),),
            (granted(MONITOR, teams=[keys["team A1a"]], units=[two]), granted(VIEWER, teams=[keys["team A2a"]])),
            (granted(VIEWER, units=[one, two], kle="29.70.*"), granted("careteam_administrator", units=[two])),
            (granted(VIEWER, ENROLLER, units=[one, two], kle="99.99.99"),),
            (granted(ENROLLER, teams=[keys["team A1b"]]), granted(VIEWER, units=[one], kle="29.70.20")),
            (granted(VIEWER, ENROLLER, teams=[keys["team B1a"]]),),
            (granted("security_officer", units=[one]), granted(VIEWER, teams=[keys["team A1a"], keys["team A2a"]])),
            (granted("questionnaire_editor", "clinical_administrator", units=[one]),),
            # What is held in another unit of the same tree is another place.
            (granted(ENROLLER, teams=[keys["team A1a"]]), granted(ENROLLER, units=[two]), granted(VIEWER, units=[one])),
            (granted(VIEWER, teams=[keys["team A1a"]]), granted(VIEWER, units=[two]), granted(ENROLLER, units=[one])),
        ]
        said = f"gives Dora the grants {a % len(choices)}"
        return self._says(OWNER, "grants", said, employee="Dora", grants=choices[a % len(choices)])

    def _rules(self, _: int, __: int, ___: int) -> Request:
        on = not self.model.rules_on
        return self._says(OWNER, "rules", f"switches the rules {'on' if on else 'off'}", on=on)


# What belongs together, so that stories get somewhere.
COURSES = {"an answer": ("assign", "save", "submit"), "a move": ("offer", "accept")}
DEEDS = [
    *COURSES, "a move",
    "register", "open", "open", "give", "withdraw", "withdraw", "policy", "assign", "assign", "save", "save", "submit",
    "submit", "amend", "represent", "represent", "end", "emergency", "emergency", "review", "offer", "offer",
    "take back", "decline", "accept", "accept", "time", "time", "activity", "membership", "grants", "rules",
]  # fmt: skip
# What meets in earnest when it happens at once.
RACES = [
    ("submit", "submit"), ("submit", "withdraw"), ("submit", "accept"), ("save", "submit"), ("save", "accept"),
    ("amend", "amend"), ("amend", "accept"), ("accept", "take back"), ("accept", "accept", "decline"),
    ("assign", "accept"), ("assign", "withdraw"), ("give", "withdraw"), ("give", "accept"), ("open", "accept"),
    ("register", "register"), ("review", "review"), ("offer", "offer"), ("end", "save"), ("end", "end"),
    ("policy", "policy"), ("policy", "submit"), ("activity", "assign"), ("membership", "policy"),
    ("represent", "register"), ("submit", "submit", "accept"), ("give", "give", "withdraw"),
    ("emergency", "activity"),
]  # fmt: skip


def make_machine(town: Town, most: int | None) -> Any:
    """Return the state machine over a town; after each step ``most`` of the people look, in turn, or all of them."""

    class People(RuleBasedStateMachine):
        """What people do, and what everybody sees afterwards."""

        def __init__(self) -> None:
            super().__init__()
            self.made = town.found()
            self.models = [self.made.model]
            self.story: list[str] = []
            self.outcomes: list[Outcome] = []
            self.failed = False
            self.turn = 0

        @property
        def chooser(self) -> Chooser:
            self.made.model = self.models[0]
            return Chooser(self.made, self.models[0])

        @initialize(consent=NUMBERS, represent=NUMBERS, policy=NUMBERS, grants=NUMBERS)
        def begin(self, consent: int = 0, represent: int = 0, policy: int = 0, grants: int = 0) -> None:
            """Anna lives in A and B, has answered in A and is to answer again, and Bo may act for her."""
            beginning = [
                ("grants", (grants, 0, 0)), ("register", (0, 0, 0)), ("open", (0, 0, consent % 2)), ("assign", (0, 0, 0)), ("save", (0, 0, 2)),
                ("submit", (0, 0, 0)), ("policy", (0, 0, policy)), ("assign", (0, 0, 0)),
                ("represent", (0, 1, represent)), ("register", (1, 0, 0)),
            ]  # fmt: skip
            for deed, numbers in beginning:
                request = self.chooser.request(deed, numbers)
                assert request is not None
                self.happen(request)

        @rule(deed=st.sampled_from(DEEDS), numbers=CHOICES)
        def something_happens(self, deed: str, numbers: tuple[int, int, int]) -> None:
            for each in COURSES.get(deed, (deed,)):
                if (request := self.chooser.request(each, numbers)) is not None:
                    self.happen(request)
                    self.everybody_looks()

        @rule(race=st.sampled_from(RACES), numbers=st.tuples(CHOICES, CHOICES, CHOICES), alike=st.booleans())
        def several_things_happen_at_once(
            self, race: tuple[str, ...], numbers: tuple[tuple[int, int, int], ...], alike: bool
        ) -> None:
            # What races is most often about the same thing.
            first = numbers[0][0]
            chosen = [(first if alike else a, b, c) for a, b, c in numbers]
            requests = [self.chooser.request(deed, three) for deed, three in zip(race, chosen, strict=False)]
            if None not in requests:
                self.happen(*(request for request in requests if request is not None))
                self.everybody_looks()

        # --- What a step does and what is seen of it

        def happen(self, *requests: Request) -> None:
            """Run requests at once and keep every model that some order of them explains."""
            outcomes = self.outcomes = town.run(self.made, *requests)
            told = "; at once: ".join(f"{r.said} -> {o.code}" for r, o in zip(requests, outcomes, strict=True))
            self.story.append(told)
            orders = list(permutations(zip(requests, outcomes, strict=True)))
            tried = [after(model, *order) for model in self.models for order in orders]
            possible = [each for each in tried if isinstance(each, Model)]
            if not possible:
                self.fail(sorted({str(each) for each in tried}))
            self.models = distinct(possible)
            self.label(outcomes)

        def label(self, outcomes: list[Outcome]) -> None:
            """Give what is new a name that a reader can follow."""
            kinds: list[tuple[str, Any]] = [
                ("episode", self.models[0].episodes), ("assignment", self.models[0].assignments),
                ("response", self.models[0].responses), ("representation", self.models[0].represents),
                ("emergency access", self.models[0].openings),
            ]  # fmt: skip
            for kind, table in kinds:
                for number, (_, key) in enumerate(table, 1):
                    self.made.labels.setdefault(key, f"{kind} {number}")
            for number, key in enumerate(self.models[0].offers, 1):
                self.made.labels.setdefault(key, f"hand-over {number}")
            for (m, person), key in self.models[0].citizens.items():
                self.made.labels.setdefault(key, f"{person}'s record in {'ABC'[self.made.codes.index(m)]}")

        def everybody_looks(self, *, all_of_them: bool = False) -> None:
            """Compare what people see with the model, and the access log with what they saw."""
            people = self.chooser.everybody()
            if most is not None and not all_of_them:
                people = [people[(self.turn + place) % len(people)] for place in range(most)]
            records = [*self.models[0].citizens.values(), NOBODYS]
            asked = [(who, self._record_for(who, records, place)) for place, who in enumerate(people)]
            self.turn += len(people)
            ids = everything(self.models[0])
            assert len(ids) <= 200
            looks = town.look(self.made, asked, ids)
            wrong: list[list[str]] = []
            for model in self.models:
                found = [line for look in looks for line in self.unlike(model, look)]
                wrong.append(found)
            fitting = [model for model, found in zip(self.models, wrong, strict=True) if not found]
            if not fitting:
                self.fail(min(wrong, key=len))
            # What nobody can tell apart yet may be told apart later.
            self.models = fitting
            lines = town.lines(looks)
            for look in looks:
                self.same_lines(look, lines[look.trace])
            if self.turn % 3 == 0:
                self.listen(people[-1])

        def _record_for(self, who: Who, records: list[str], place: int) -> str:
            """Return a citizen to look at: most often one of where somebody asks, at times any."""
            own = [key for (m, _), key in self.models[0].citizens.items() if m == who.m]
            if who.chosen.startswith("cit_"):
                return who.chosen
            choices = own if own and (self.turn + place) % 4 else records
            return choices[-1 - (self.turn + place) % len(choices)]

        def unlike(self, model: Model, look: Look) -> Iterator[str]:
            """Tell where an answer is not what the model says."""
            for line in differences(look.answer, expected(model, look.who, look.citizen)):
                yield f"{self.chooser.told(look.who)}, about {look.citizen}: {line}"

        def same_lines(self, look: Look, lines: set[tuple[int, str | None, bool]]) -> None:
            """Compare the lines of a look with the citizens in its answer."""
            should: set[tuple[int, str | None, bool]] = set()
            if "refused" not in look.answer:
                should = {*about(self.models[0], look.who, look.answer)}
            if lines != should:
                who = self.chooser.told(look.who)
                self.fail([f"{who}: the access log has {lines - should} too many and {should - lines} too few"])

        def listen(self, who: Who) -> None:
            """Compare what somebody is delivered from the beginning with the model."""
            tried = []
            for model in self.models:
                try:
                    tried.append(model.updates(model.standing(who)))
                except Denied as refusal:
                    tried.append(str(refusal))  # type: ignore[arg-type]
            heard = town.follow(self.made, who, len(tried[0]))
            fits = [model for model, should in zip(self.models, tried, strict=True) if alike(heard, should)]
            if not fits:
                self.fail([f"{self.chooser.told(who)} is delivered {heard}, the model says {tried[0]}"])
            self.models = fits

        def fail(self, wrong: list[str]) -> None:
            """Fail with the story so far as sentences."""
            self.failed = True
            text = "\n".join([*(f"{n}. {said}" for n, said in enumerate(self.story, 1)), "", *wrong[:20]])
            for key, label in self.made.labels.items():
                text = text.replace(key, f"<{label}>")
            raise AssertionError("What is seen is not what the model says.\n" + text)

        def teardown(self) -> None:
            """Let everybody look once more."""
            if most is not None and not self.failed:
                self.everybody_looks(all_of_them=True)

    return People


def distinct(models: list[Model]) -> list[Model]:
    """Return the models that differ in more than the order of their events, which nobody is held to."""
    states, found = [], []
    for model in models:
        state = {**vars(model), "events": sorted(map(repr, model.events))}
        if state not in states:
            states.append(state)
            found.append(model)
    return found


def alike(heard: Any, should: Any) -> bool:
    """Say whether deliveries are the right ones; what was submitted at once may come in either order."""
    return heard == should or (
        isinstance(heard, list) and isinstance(should, list) and sorted(heard, key=repr) == sorted(should, key=repr)
    )


def run(town: Town, *, examples: int, steps: int, most: int | None, chance: bool = False) -> None:
    """Run the machine with these settings and tell how much that was."""
    how = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        derandomize=not chance,
        print_blob=chance,
    )
    run_state_machine_as_test(make_machine(town, most), settings=how)
    print(", ".join(f"{number} {kind}" for kind, number in town.counts.items()))  # noqa: T201


# Time enough to tell the shortest story of a failure.
@pytest.mark.timeout(600)
def test_what_people_see_equals_the_model_after_every_step(town: Town) -> None:
    run(town, examples=20, steps=15, most=4)


def test_of_two_who_end_a_representation_at_once_one_finds_it_ended(town: Town) -> None:
    for _ in range(5):
        story = make_machine(town, 1)()
        story.begin()
        request = story.chooser.request("end", (0, 0, 0))
        story.happen(request, request)
        assert sorted(outcome.code for outcome in story.outcomes) == ["OK", "REFERENCE_UNKNOWN"]


def test_who_opens_a_record_is_told_so_though_their_rights_end_meanwhile(town: Town) -> None:
    story = make_machine(town, 1)()
    story.begin()
    opens = story.chooser.request("emergency", (0, 0, 0))
    leaves = Request(OWNER, "activity", {"table": "employee", "key": opens.who.name, "active": False}, "she leaves")
    outcome = town.run_meanwhile(story.made, opens, leaves)
    assert outcome.code == "OK"
    assert outcome.payload["emergencyAccess"]["id"].startswith("emg_")
    assert not isinstance(after(story.models[0], (opens, outcome), (leaves, Outcome("OK"))), str)


@pytest.mark.prove
@pytest.mark.timeout(1200)
def test_what_everybody_sees_equals_the_model_after_every_step(town: Town) -> None:
    run(town, examples=25, steps=20, most=None, chance=True)


@pytest.mark.prove
@pytest.mark.timeout(1200)
def test_what_people_see_equals_the_model_in_long_stories(town: Town) -> None:
    run(town, examples=60, steps=30, most=4, chance=True)
