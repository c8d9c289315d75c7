"""What a proof may find: every code with its severity and its words, and a finding with its place and counter-example.

Words are Danish first, English beside. They speak of the questionnaire and the rule set only, never of what a citizen
answered; a counter-example is made up by the proof.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from kpro_graph.questionnaires.problems import CODES, Problem

__all__ = ["FINDINGS", "REMARKS", "Described", "Finding", "Gravity", "make_finding", "note_remark"]


class Gravity(StrEnum):
    """What a finding means for the version: only an error hinders activation; ``undecided`` is no approval either."""

    ERROR = "error"
    WARNING = "warning"
    INFORMATION = "information"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing the proof found.

    ``link_ids`` are the items it is about, the first of them the one to look at. ``location`` is the FHIRPath place in
    the questionnaire, or the place in the rule set, such as ``rules[2].intervals[0]``. ``key`` is the rule's id, the
    score's code or the constraint's key, else empty. ``counter_example`` is a response that shows it when evaluated;
    ``compared_with`` is a second one where two are needed.
    """

    code: str
    severity: Gravity
    link_ids: tuple[str, ...]
    location: str
    da: str
    en: str
    key: str = ""
    counter_example: Mapping[str, Any] | None = field(default=None, repr=False)
    compared_with: Mapping[str, Any] | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the finding as plain objects; decimals stay decimals."""
        plain: dict[str, Any] = {
            "code": self.code,
            "severity": self.severity.value,
            "linkIds": list(self.link_ids),
            "location": self.location,
            "da": self.da,
            "en": self.en,
        }
        if self.key:
            plain["key"] = self.key
        if self.counter_example is not None:
            plain["counterExample"] = self.counter_example
        if self.compared_with is not None:
            plain["comparedWith"] = self.compared_with
        return plain


@dataclass(frozen=True, slots=True)
class Described:
    """One code: its usual severity, its message templates, and what it means for an author."""

    severity: Gravity
    da: str
    en: str
    meaning: str


_E, _W, _I, _U = Gravity.ERROR, Gravity.WARNING, Gravity.INFORMATION, Gravity.UNDECIDED

_OWN: dict[str, Described] = {
    # Which questions are asked.
    "unreachable": Described(
        _E,
        "Punktet bliver aldrig stillet, uanset hvad der svares.",
        "The item is never asked, whatever is answered.",
        "No set of acceptable answers switches the item on. The counter-example meets as much as can be met.",
    ),
    "asked_in_drafts_only": Described(
        _W,
        "Punktet stilles kun, mens et obligatorisk spørgsmål er ubesvaret; det kan ikke stå i en færdig besvarelse.",
        "The item is asked only while a required question is unanswered; it cannot be part of a complete response.",
        "The condition holds in drafts, but in no complete response.",
    ),
    "condition_never_true": Described(
        _W,
        "Betingelsen er aldrig opfyldt: intet tilladt svar opfylder den.",
        "The condition is never met: no acceptable answer meets it.",
        "One enableWhen never holds, although the item may be asked because of another.",
    ),
    "condition_always_true": Described(
        _I,
        "Betingelsen er altid opfyldt, så punktet bliver altid stillet.",
        "The condition is always met, so the item is always asked.",
        "The item has a condition that no acceptable answers can break.",
    ),
    "condition_on_nothing": Described(
        _E,
        "Betingelsen henviser til en overskrift, tekst eller gruppe, som ingen kan svare på.",
        "The condition refers to a heading, text or group, which nobody can answer.",
        "enableWhen.question names an item that takes no answer.",
    ),
    "condition_type": Described(
        _E,
        "Betingelsen sammenligner med en værdi af en anden type end svaret.",
        "The condition compares with a value of another type than the answer.",
        "The answer[x] of an enableWhen can never equal an answer to the question, or be compared with it.",
    ),
    "enable_when_and_expression": Described(
        _E,
        "Punktet har både enableWhen og et betingelsesudtryk; kun det første bruges.",
        "The item has both enableWhen and an enableWhenExpression; only the first is used.",
        "SDC forbids both on one item.",
    ),
    "not_equal_ambiguous": Described(
        _W,
        "»!=« er tvetydigt her ({why_da}): systemer læser det forskelligt.",
        "'!=' is ambiguous here ({why}): systems read it differently.",
        "The question repeats, or nothing says what is meant while it is unanswered.",
    ),
    "forward_reference": Described(
        _W,
        "Betingelsen henviser til et spørgsmål, der først stilles senere.",
        "The condition refers to a question that is asked later.",
        "Allowed, but the item appears or vanishes above the place where the citizen is.",
    ),
    "cycle": Described(
        _E,
        "Punkterne afhænger af hinanden i ring: {ring}.",
        "The items depend on each other in a circle: {ring}.",
        "Conditions, calculated values or variables that need themselves. The counter-example is a response that does"
        " not settle, where there is one.",
    ),
    # Whether a response can be completed.
    "dead_end": Described(
        _E,
        "Blindgyde: efter disse svar kan besvarelsen aldrig blive gyldig.",
        "A dead end: after these answers the response can never be valid.",
        "Answers that are accepted one by one, after which every way to go on is invalid.",
    ),
    "never_valid": Described(
        _E,
        "Ingen besvarelse kan blive gyldig.",
        "No response at all can be valid.",
        "What must be answered always cannot be answered.",
    ),
    "rule_excludes_answers": Described(
        _I,
        "En regel udelukker disse svar sammen, men det siges først, når der er svaret videre.",
        "A rule excludes these answers together, but that is told only when more is answered.",
        "The one who gives them can only go back. Common where a sum or an order is demanded.",
    ),
    "hidden_required": Described(
        _E,
        "Punktet er skjult og obligatorisk, men intet udfylder det.",
        "The item is hidden and required, and nothing fills it in.",
        "Hidden, or below something hidden, without initial, initialExpression or calculatedExpression.",
    ),
    "read_only_required": Described(
        _E,
        "Punktet er skrivebeskyttet og obligatorisk, men intet udfylder det.",
        "The item is read-only and required, and nothing fills it in.",
        "As hidden_required, for readOnly.",
    ),
    "hidden_without_value": Described(
        _W,
        "Punktet er skjult, og intet udfylder det, men andet afhænger af det.",
        "The item is hidden and nothing fills it in, but something depends on it.",
        "Only a system outside the questionnaire could give it a value.",
    ),
    "options_missing": Described(
        _E,
        "Spørgsmålet har ingen svarmuligheder.",
        "The question has no options.",
        "A choice without options and without a value set. A warning where it is not required.",
    ),
    "value_set_missing": Described(
        _W,
        "Svarmulighederne er ikke til rådighed, så svar kan ikke efterprøves.",
        "The options are not at hand, so answers cannot be checked.",
        "The answerValueSet is neither contained nor handed in, or only part of it is listed.",
    ),
    "bounds_contradict": Described(
        _E,
        "Den laveste grænse ligger over den højeste ({what}).",
        "The lowest bound lies above the highest ({what}).",
        "minValue over maxValue, minLength over maxLength, minOccurs over maxOccurs, and the like.",
    ),
    "bound_type": Described(
        _E,
        "Grænsen har en anden type end svaret og virker derfor ikke ({what}).",
        "The bound has another type than the answer, so it has no effect ({what}).",
        "A bound that can never be compared with an answer.",
    ),
    "occurs_without_repeats": Described(
        _W,
        "Antallet af svar er begrænset, men punktet kan ikke gentages ({what}).",
        "The number of answers is limited, but the item does not repeat ({what}).",
        "minOccurs and maxOccurs have a meaning only with repeats.",
    ),
    "unanswerable": Described(
        _E,
        "Intet svar opfylder punktets egne regler.",
        "No answer satisfies the item's own rules.",
        "Type, options, bounds, lengths and pattern leave nothing.",
    ),
    # Expressions.
    "expression_invalid": Described(
        _E,
        "Udtrykket er ikke gyldigt FHIRPath: {reason}",
        "The expression is not valid FHIRPath: {reason}",
        "It cannot be compiled.",
    ),
    "expression_not_evaluated": Described(
        _E,
        "Udtrykket er skrevet i et sprog, der ikke beregnes her ({language}).",
        "The expression is in a language that is not evaluated here ({language}).",
        "Only text/fhirpath is evaluated.",
    ),
    "expression_name_unknown": Described(
        _E,
        "Udtrykket nævner noget, der ikke findes: {reason}",
        "The expression names something that does not exist: {reason}",
        "A path to an element that no type has: it would silently give nothing.",
    ),
    "expression_variable_unknown": Described(
        _E,
        "Udtrykket bruger %{name}, som ikke er erklæret her.",
        "The expression uses %{name}, which is not declared here.",
        "Not predefined, not declared above or before, and not from the launch context.",
    ),
    "expression_link_id_unknown": Described(
        _E,
        "Udtrykket nævner linkId »{name}«, som ikke findes.",
        "The expression names the linkId '{name}', which does not exist.",
        "The part that reads it is always empty.",
    ),
    "expression_link_id_elsewhere": Described(
        _W,
        "Udtrykket leder efter linkId »{name}« et sted, hvor punktet ikke står.",
        "The expression looks for the linkId '{name}' in a place where the item is not.",
        "The part that reads it is always empty.",
    ),
    "expression_fails": Described(
        _W,
        "Udtrykket kan ikke beregnes for denne besvarelse: {reason}",
        "The expression cannot be evaluated on this response: {reason}",
        "Found by evaluating; the counter-example makes it fail. An error where it failed on every response that was"
        " tried, information where a rule gives nothing while answers are missing.",
    ),
    # Words.
    "translation_missing": Described(
        _W,
        "Der mangler en {language_da} tekst på {count} punkter.",
        "{count} items have no {language} text.",
        "Item texts and option texts without Danish or English. One finding a language names all the items.",
    ),
    # Rule sets and colours.
    "rules_for_another": Described(
        _E,
        "Regelsættet er lavet til et andet spørgeskema eller en anden version.",
        "The rule set is made for another questionnaire or version.",
        "Nothing else about the rule set is judged then.",
    ),
    "rules_unknown_item": Described(
        _E,
        "Regelsættet nævner et punkt, som spørgeskemaet ikke har.",
        "The rule set names an item that the questionnaire lacks.",
        "A score, rule or topic speaks of nothing.",
    ),
    "score_without_value": Described(
        _E,
        "Scoren kan ikke beregnes, selv om alt er besvaret: {reason_da}.",
        "The score cannot be computed although everything is answered: {reason}.",
        "An answer without weight or number, one outside the instrument, or a result outside the declared range.",
    ),
    "score_never_computed": Described(
        _E,
        "Scoren bliver aldrig beregnet, uanset hvad der svares.",
        "The score is never computed, whatever is answered.",
        "No complete response gives it a value.",
    ),
    "score_range_narrower": Described(
        _I,
        "Scoren kan kun blive {reached_da}; angivet er {declared_da}.",
        "The score can only become {reached}; declared is {declared}.",
        "The declared range is wider than what answers can give.",
    ),
    "score_not_monotonic": Described(
        _E,
        "Et dårligere svar kan give en bedre score.",
        "A worse answer can give a better score.",
        "The instrument's conversion table, or the direction of its inputs, is wrong.",
    ),
    "interval_gap": Described(
        _E,
        "Værdien {value_da} ligger i et hul mellem reglens intervaller.",
        "The value {value} lies in a gap between the rule's intervals.",
        "A reachable score in no interval, or an answer between intervals that has no colour.",
    ),
    "interval_overlap": Described(
        _E,
        "Værdien {value_da} får to forskellige farver af samme regel.",
        "The value {value} is given two different colours by one rule.",
        "Two intervals, cases or significances hold for one value.",
    ),
    "interval_unreachable": Described(
        _W,
        "Ingen svar giver en værdi i intervallet.",
        "No answers give a value in the interval.",
        "The interval, and perhaps its colour, is never used.",
    ),
    "case_unreachable": Described(
        _E,
        "Reglen nævner et svar, som spørgsmålet ikke har.",
        "The rule names an answer that the question does not have.",
        "A case or significance that no acceptable answer meets: its colour is never given.",
    ),
    "answer_without_colour": Described(
        _I,
        "Nogle svar får ingen farve af reglen: {values}.",
        "Some answers get no colour from the rule: {values}.",
        "Allowed: they are not interpreted and do not stand in the way of a green response.",
    ),
    "rule_not_applicable": Described(
        _E,
        "Reglen kan ikke bruges på et tilladt svar: {reason_da}.",
        "The rule cannot be applied to an acceptable answer: {reason}.",
        "The answer has no number, or cannot be compared with what the rule names.",
    ),
    "not_monotonic": Described(
        _E,
        "Et dårligere svar bliver grønnere: {worse_da} er {worse_colour_da}, {better_da} er {better_colour_da}.",
        "A worse answer turns greener: {worse} is {worse_colour}, {better} is {better_colour}.",
        "Given the direction of the instrument or score; without one, colours that rise and fall again.",
    ),
    "two_sided": Described(
        _W,
        "Farven er bedst i midten og værre til begge sider; er det meningen?",
        "The colour is best in the middle and worse to both sides; is that meant?",
        "Right for a normal range, wrong for a score.",
    ),
    "directions_contradict": Described(
        _W,
        "Et svar, der gør scoren værre, bliver selv grønnere.",
        "An answer that makes the score worse turns greener itself.",
        "The item's own colours and the score's point in opposite directions.",
    ),
    # What could not be decided.
    "undecided_reachability": Described(
        _U,
        "Det er ikke afgjort, om punktet kan blive stillet: {reason_da}.",
        "It is undecided whether the item can be asked: {reason}.",
        "Neither a response that asks it was found, nor all of them tried.",
    ),
    "undecided_dead_end": Described(
        _U,
        "Det er ikke afgjort, om der er en blindgyde: {reason_da}.",
        "It is undecided whether there is a dead end: {reason}.",
        "Not all answers to what the rule sees could be tried.",
    ),
    "undecided_cycle": Described(
        _U,
        "Det er ikke afgjort, om beregningen afhænger af sig selv: {reason_da}.",
        "It is undecided whether the calculation depends on itself: {reason}.",
        "The expression reads items without naming them, its own among them.",
    ),
    "undecided_score": Described(
        _U,
        "Scorens mulige værdier er ikke afgjort: {reason_da}.",
        "The score's possible values are undecided: {reason}.",
        "The range given is what was reached, not what can be reached.",
    ),
    "undecided_colour": Described(
        _U,
        "Det er ikke afgjort, om reglens intervaller dækker alle værdier: {reason_da}.",
        "It is undecided whether the rule's intervals cover every value: {reason}.",
        "There is a gap or an overlap, and no response was found that falls into it.",
    ),
    "undecided_fixture": Described(
        _U,
        "Ikke alt kunne dækkes af et svarsæt: {what}.",
        "Not everything could be covered by an answer set: {what}.",
        "Things to cover for which no response was found within the budget.",
    ),
}

REMARKS: Mapping[str, Gravity] = MappingProxyType(
    {
        "que_12_missing_enableBehavior": _E,
        "regex_invalid": _E,
        "enable_when_question_unknown": _E,
        "enable_when_self": _E,
        "extension_malformed": _E,
        "malformed": _E,
        "que_1": _W,
        "que_4": _W,
        "que_5": _W,
        "que_11": _W,
        "que_13": _W,
        "option_duplicate": _W,
    }
)
"""How grave a remark of the reading is when the version is to be activated."""

_MEANT = {
    "que_12_missing_enableBehavior": "Systems disagree on what is meant: any, all, or always asked.",
    "regex_invalid": "The pattern is malformed or needs backtracking, so no answer is held against it.",
    "enable_when_question_unknown": "The condition counts as unanswered for ever.",
    "enable_when_self": "The item would have to be answered before it is asked.",
    "extension_malformed": "What the author meant by it, such as an answerSignificance, would silently be without"
    " effect.",
    "malformed": "An element is not read.",
    "que_1": "An invariant of R4 is broken; the meaning is clear.",
    "que_4": "An invariant of R4 is broken; both kinds of options are accepted.",
    "que_5": "An invariant of R4 is broken; the options are used.",
    "que_11": "An invariant of R4 is broken; initialSelected is meant.",
    "que_13": "An invariant of R4 is broken; the first initial answer counts.",
    "option_duplicate": "An error where the two have different weights.",
}

FINDINGS: Mapping[str, Described] = MappingProxyType(
    _OWN
    | {code: Described(severity, CODES[code].da, CODES[code].en, _MEANT[code]) for code, severity in REMARKS.items()}
)
"""Every code a proof may give, with its usual severity, its messages (``{name}`` is filled in) and its meaning."""


def make_finding(
    code: str,
    link_ids: tuple[str, ...] = (),
    location: str = "",
    *,
    severity: Gravity | None = None,
    key: str = "",
    counter_example: Mapping[str, Any] | None = None,
    compared_with: Mapping[str, Any] | None = None,
    **parameters: object,
) -> Finding:
    """Return the finding with its messages filled in; a parameter ending in ``_da`` is the Danish one.

    Raises:
        KeyError: the code is not in ``FINDINGS``, or a parameter of its message is missing.
    """
    described = FINDINGS[code]
    return Finding(
        code,
        severity or described.severity,
        link_ids,
        location,
        described.da.format_map(parameters),
        described.en.format_map(parameters),
        key,
        counter_example,
        compared_with,
    )


def note_remark(remark: Problem) -> Finding:
    """Return a remark of the reading as a finding, with the severity it has for activation."""
    link_ids = (remark.link_id,) if remark.link_id else ()
    severity = REMARKS.get(remark.code, _W)
    return Finding(remark.code, severity, link_ids, remark.location, remark.da, remark.en)
