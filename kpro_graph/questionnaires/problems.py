"""What can be wrong with a questionnaire or with answers to one: codes, severities, and messages in Danish and English.

A message holds the questionnaire's own limits, never anything the citizen answered. Where a problem is, is said twice:
``path`` joins linkIds with repeat indices counted from 0, such as ``group[1]/weight``, and ``location`` is the FHIRPath
place in the document, such as ``QuestionnaireResponse.item[2].item[0].answer[1]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

__all__ = ["CODES", "Explained", "Problem", "Severity", "make_problem"]


class Severity(StrEnum):
    """How much a problem matters: an error makes the answers invalid, the others do not."""

    ERROR = "error"
    WARNING = "warning"
    INFORMATION = "information"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, with its place. ``key`` is the author's name of a violated rule, else empty."""

    code: str
    severity: Severity
    link_id: str
    path: str
    location: str
    da: str
    en: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Explained:
    """One code: its usual severity and its message templates."""

    severity: Severity
    da: str
    en: str


_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFORMATION

CODES: Mapping[str, Explained] = MappingProxyType(
    {
        # What must be there.
        "required": Explained(_E, "Spørgsmålet skal besvares.", "The question must be answered."),
        "required_group": Explained(
            _E, "Mindst ét spørgsmål i gruppen skal besvares.", "At least one question in the group must be answered."
        ),
        "min_occurs": Explained(_E, "Der skal gives mindst {limit} svar.", "At least {limit} answers must be given."),
        "max_occurs": Explained(_E, "Der må højst gives {limit} svar.", "At most {limit} answers may be given."),
        "too_many_answers": Explained(
            _E, "Der må kun gives ét svar på spørgsmålet.", "Only one answer may be given to the question."
        ),
        "answered_but_disabled": Explained(
            _E,
            "Spørgsmålet er besvaret, selv om det ikke skulle stilles.",
            "The question is answered although it was not to be asked.",
        ),
        # The shape of a response.
        "structure": Explained(_E, "Besvarelsen har en forkert opbygning.", "The response has a wrong structure."),
        "empty": Explained(
            _W,
            "Et element uden indhold er skrevet, som om der var svaret; det tæller som intet.",
            "An element without content is written as if there were an answer; it counts as nothing.",
        ),
        "unknown_link_id": Explained(
            _E, "Spørgsmålet findes ikke i spørgeskemaet.", "The question is not in the questionnaire."
        ),
        "misplaced_item": Explained(
            _E,
            "Spørgsmålet står et forkert sted i besvarelsen.",
            "The question is in the wrong place in the response.",
        ),
        "item_order": Explained(
            _W,
            "Spørgsmålene står i en anden rækkefølge end i spørgeskemaet.",
            "The questions are in another order than in the questionnaire.",
        ),
        "text_differs": Explained(
            _I,
            "Spørgsmålets ordlyd er en anden end i spørgeskemaet.",
            "The question's wording differs from the questionnaire's.",
        ),
        "answer_not_allowed_for_type": Explained(
            _E,
            "Her kan ikke svares: det er en overskrift, en tekst eller en gruppe.",
            "No answer is possible here: it is a heading, a text or a group.",
        ),
        "type_mismatch": Explained(
            _E, "Svaret har en forkert type; her ventes {expected}.", "The answer has a wrong type; {expected} is due."
        ),
        "wrong_questionnaire": Explained(
            _E, "Besvarelsen hører til et andet spørgeskema.", "The response belongs to another questionnaire."
        ),
        # Single answers.
        "min_length": Explained(
            _E, "Svaret er for kort; mindst {limit} tegn.", "The answer is too short; at least {limit} characters."
        ),
        "max_length": Explained(
            _E, "Svaret er for langt; højst {limit} tegn.", "The answer is too long; at most {limit} characters."
        ),
        "regex": Explained(
            _E, "Svaret er ikke skrevet på den ventede måde.", "The answer is not written in the expected form."
        ),
        "min_value": Explained(_E, "Svaret er for lavt; mindst {limit}.", "The answer is too low; at least {limit}."),
        "max_value": Explained(_E, "Svaret er for højt; højst {limit}.", "The answer is too high; at most {limit}."),
        "max_decimal_places": Explained(
            _E, "Svaret har for mange decimaler; højst {limit}.", "The answer has too many decimals; at most {limit}."
        ),
        "not_in_options": Explained(
            _E, "Svaret er ikke en af svarmulighederne.", "The answer is not one of the options."
        ),
        "not_in_value_set": Explained(
            _E, "Svaret er ikke en af de tilladte koder.", "The answer is not one of the codes allowed."
        ),
        "value_set_unresolved": Explained(
            _W,
            "De tilladte koder er ikke til rådighed, så svaret er ikke efterprøvet.",
            "The codes allowed are not at hand, so the answer was not checked against them.",
        ),
        "option_exclusive": Explained(
            _E,
            "Et af svarene kan ikke vælges sammen med andre.",
            "One of the answers cannot be chosen together with others.",
        ),
        "coding_without_system": Explained(_W, "Koden har intet kodesystem.", "The code has no code system."),
        "display_mismatch": Explained(
            _E, "Kodens tekst hører til en anden kode.", "The code's text belongs to another code."
        ),
        "string_has_newline": Explained(
            _W, "Svaret må ikke fylde flere linjer.", "The answer may not be more than one line."
        ),
        "quantity_not_comparable": Explained(
            _E,
            "Mængden kan ikke sammenlignes med grænsen, da enhederne er forskellige.",
            "The quantity cannot be compared with the limit, since the units differ.",
        ),
        "unit_not_allowed": Explained(
            _E, "Enheden er ikke en af de tilladte.", "The unit is not one of those allowed."
        ),
        "unit_not_in_value_set": Explained(
            _E, "Enheden er ikke en af de tilladte koder.", "The unit is not one of the codes allowed."
        ),
        "attachment_mime": Explained(_E, "Filens type er ikke tilladt.", "The file's type is not allowed."),
        "attachment_max_size": Explained(
            _E, "Filen er for stor; højst {limit} byte.", "The file is too large; at most {limit} bytes."
        ),
        "attachment_size_mismatch": Explained(
            _E,
            "Filens oplyste størrelse er ikke dens faktiske.",
            "The file's stated size is not its actual size.",
        ),
        "reference_type": Explained(
            _E, "Henvisningen er til noget af en forkert art.", "The reference is to a wrong kind of resource."
        ),
        # Rules and calculated values.
        "constraint": Explained(
            _E,
            "Svarene bryder en regel i spørgeskemaet.",
            "The answers break a rule of the questionnaire.",
        ),
        "read_only_changed": Explained(
            _E, "Svaret er skrivebeskyttet og er ændret.", "The answer is read-only and was changed."
        ),
        "calculated_mismatch": Explained(
            _E,
            "Den beregnede værdi er en anden end den, spørgeskemaet giver.",
            "The calculated value differs from the one the questionnaire gives.",
        ),
        "expression_error": Explained(
            _W,
            "Et udtryk i spørgeskemaet kunne ikke beregnes: {reason}",
            "An expression in the questionnaire could not be evaluated: {reason}",
        ),
        "not_settled": Explained(
            _E,
            "Spørgsmålene tænder og slukker hinanden i ring, så besvarelsen kan ikke afgøres.",
            "The questions switch each other on and off in a circle, so the response cannot be decided.",
        ),
        # Whether the questionnaire is in use.
        "questionnaire_not_active": Explained(_W, "Spørgeskemaet er ikke i brug.", "The questionnaire is not in use."),
        "outside_effective_period": Explained(
            _W,
            "Besvarelsen ligger uden for den tid, spørgeskemaet gælder.",
            "The response lies outside the time the questionnaire is valid.",
        ),
        # Documents of either kind.
        "not_json": Explained(_E, "Dokumentet er ikke JSON.", "The document is not JSON."),
        "too_large": Explained(
            _E, "Dokumentet er for stort (grænse {limit}).", "The document is too large (limit {limit})."
        ),
        "too_deep": Explained(
            _E,
            "Dokumentet har for mange niveauer (grænse {limit}).",
            "The document has too many levels (limit {limit}).",
        ),
        "number_out_of_range": Explained(
            _E,
            "Et tal har mere end {limit} cifre før eller efter kommaet.",
            "A number has more than {limit} digits before or after the point.",
        ),
        "repeated_key": Explained(_E, "Et objekt har den samme nøgle to gange.", "An object has the same key twice."),
        # Questionnaires that are refused.
        "not_a_questionnaire": Explained(
            _E, "Dokumentet er ikke et FHIR Questionnaire.", "The document is not a FHIR Questionnaire."
        ),
        "malformed": Explained(
            _E, "Elementet »{element}« har en forkert form.", "The element '{element}' has a wrong form."
        ),
        "link_id_missing": Explained(_E, "Et punkt mangler linkId.", "An item has no linkId."),
        "link_id_duplicate": Explained(_E, "Det samme linkId er brugt to gange.", "The same linkId is used twice."),
        "questionnaire_item_without_type": Explained(_E, "Punktet har ingen type.", "The item has no type."),
        "item_type_unknown": Explained(
            _E, "Punktets type findes ikke i FHIR R4.", "The item's type is not one of FHIR R4's."
        ),
        "items_too_many": Explained(
            _E, "Spørgeskemaet har mere end {limit} punkter.", "The questionnaire has more than {limit} items."
        ),
        "regex_invalid": Explained(
            _E,
            "Mønstret kan ikke bruges: {reason}.",
            "The pattern cannot be used: {reason}.",
        ),
        "enable_when_question_unknown": Explained(
            _E,
            "Betingelsen henviser til et spørgsmål, der ikke findes.",
            "The condition refers to a question that does not exist.",
        ),
        "enable_when_malformed": Explained(
            _E,
            "Betingelsen mangler en kendt operator eller en værdi af den rette type.",
            "The condition lacks a known operator or a value of the right type.",
        ),
        # Remarks on a questionnaire that is read nevertheless.
        "enable_when_self": Explained(
            _W,
            "Betingelsen henviser til punktet selv eller til noget inden i det.",
            "The condition refers to the item itself or to something inside it.",
        ),
        "que_1": Explained(
            _W,
            "En gruppe uden indhold, eller en tekst med indhold.",
            "A group without content, or a display with content.",
        ),
        "que_4": Explained(
            _W,
            "Punktet har både svarmuligheder og et værdisæt.",
            "The item has both options and a value set.",
        ),
        "que_5": Explained(
            _W,
            "Punktet har svarmuligheder, men er ikke af en type, der kan have dem.",
            "The item has options but is of a type that cannot have them.",
        ),
        "que_11": Explained(
            _W,
            "Punktet har både svarmuligheder og et forudfyldt svar.",
            "The item has both options and an initial answer.",
        ),
        "que_12_missing_enableBehavior": Explained(
            _W,
            "Punktet har flere betingelser, men siger ikke, om én eller alle skal være opfyldt; én er nok.",
            "The item has several conditions but does not say whether one or all must hold; one is enough.",
        ),
        "que_13": Explained(
            _W,
            "Punktet har flere forudfyldte svar, men kan kun have ét.",
            "The item has several initial answers but may have one only.",
        ),
        "expression_language_unknown": Explained(
            _W,
            "Udtrykket er ikke FHIRPath og bliver ikke beregnet.",
            "The expression is not FHIRPath and is not evaluated.",
        ),
        "expression_invalid": Explained(
            _E,
            "Udtrykket er ikke gyldigt FHIRPath: {reason}",
            "The expression is not valid FHIRPath: {reason}",
        ),
        "extension_malformed": Explained(
            _W,
            "Udvidelsen »{element}« har en forkert form og bliver ikke brugt.",
            "The extension '{element}' has a wrong form and is not used.",
        ),
        "option_duplicate": Explained(_W, "Den samme svarmulighed står to gange.", "The same option stands twice."),
    }
)
"""Every code the engine gives, with its usual severity and its messages; ``{name}`` is filled in."""


def make_problem(
    code: str,
    link_id: str = "",
    path: str = "",
    location: str = "",
    *,
    severity: Severity | None = None,
    key: str = "",
    **parameters: object,
) -> Problem:
    """Return the problem with its messages filled in from ``parameters``; ``expected_da`` overrides in Danish.

    Raises:
        KeyError: the code is not in ``CODES``, or a parameter of its message is missing.
    """
    explained = CODES[code]
    if not parameters:
        return Problem(code, severity or explained.severity, link_id, path, location, explained.da, explained.en, key)
    danish = {name.removesuffix("_da"): value for name, value in parameters.items() if name.endswith("_da")}
    return Problem(
        code,
        severity or explained.severity,
        link_id,
        path,
        location,
        explained.da.format_map({**parameters, **danish}),
        explained.en.format_map(parameters),
        key,
    )
