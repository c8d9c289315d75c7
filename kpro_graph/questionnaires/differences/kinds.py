"""The catalogue of changes: for each kind the version step it needs, and what it does to trend lines and drafts.

A *major* step is needed where a response that was valid may no longer be, or where an answer, a score or a colour means
something else. A *minor* one where everything given stays valid and means the same, but something is asked or worded
otherwise. A *patch* where nobody reads or answers anything else than before.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec

from kpro_graph.questionnaires.words import Text

__all__ = ["KINDS", "Area", "Carrying", "Joining", "Kind", "Step", "largest"]


class Area(StrEnum):
    """What a change touches."""

    WORDING = "wording"
    OPTIONS = "options"
    SCORING = "scoring"
    MEANING = "meaning"
    STRUCTURE = "structure"
    METADATA = "metadata"


class Step(StrEnum):
    """How far a version number has to move."""

    NONE = "none"
    PATCH = "patch"
    MINOR = "minor"
    MAJOR = "major"

    @property
    def size(self) -> int:
        """The step's place in the order, from 0."""
        return _SIZES[self]


_SIZES = {each: size for size, each in enumerate(Step)}


class Joining(StrEnum):
    """Whether a trend line may go on: it may, only after a person's decision, or not."""

    JOINED = "joined"
    JUDGE = "to_be_judged"
    BROKEN = "broken"


class Carrying(StrEnum):
    """What becomes of an answer in a draft: it is kept, shown again to whoever gave it, or dropped."""

    KEEP = "keep"
    REVIEW = "review"
    DROP = "drop"


class Kind(msgspec.Struct, frozen=True):
    """One kind of change. ``in_rules`` tells a change of the rule set from one of the questionnaire."""

    area: Area
    step: Step
    joining: Joining
    carrying: Carrying
    what: Text
    why: Text
    in_rules: bool = False


def largest(steps: list[Step]) -> Step:
    """Return the largest of the steps, none where there are none."""
    return max(steps, key=lambda step: step.size, default=Step.NONE)


_SAME = Text(
    "Hvert svar, der var gyldigt, er det stadig og betyder det samme.",
    "Every answer that was valid still is, and means the same.",
)
_UNSEEN = Text("Ingen læser eller besvarer noget andet end før.", "Nobody reads or answers anything else than before.")
_WORDS = Text(
    "Om de nye ord betyder det samme, kan kun et menneske afgøre.",
    "Whether the new words mean the same, only a person can tell.",
)
_STRICTER = Text(
    "En besvarelse, der var gyldig, er det måske ikke længere; de svar, der er, betyder det samme.",
    "A response that was valid may no longer be; the answers it has mean the same.",
)
_GONE = Text("Svar, der er givet, har ikke længere et sted at stå.", "Answers given no longer have a place to stand.")
_OTHER = Text("Det samme svar siger noget andet end før.", "The same answer says something else than before.")
_NUMBER = Text("De samme svar giver et andet tal end før.", "The same answers give another number than before.")
_SCALE = Text(
    "Der svares på en anden skala; om tallene kan sammenlignes, kan kun et menneske afgøre.",
    "The scale of answers is another; whether the numbers can be compared, only a person can tell.",
)
_ASKED = Text(
    "Andre bliver spurgt end før, så et manglende svar betyder noget andet.",
    "Others are asked than before, so that a missing answer means something else.",
)
_LOOKS = Text(
    "Svarene er de samme, men det kan ændre, hvad folk svarer, og det kan kun et menneske vurdere.",
    "The answers are the same, but it may change what people answer, which only a person can judge.",
)
_SEVERAL = Text("Flere svar er ikke ét tal.", "Several answers are not one number.")
_NARROWER = Text(
    "Et svar, der var gyldigt, er det måske ikke længere; om tallene kan sammenlignes, kan kun et menneske afgøre.",
    "An answer that was valid may no longer be; whether the numbers can be compared, only a person can tell.",
)
_CONCEPT = Text(
    "Om der stadig spørges om det samme, kan kun et menneske afgøre.",
    "Whether the same is still asked, only a person can tell.",
)
_COLOUR = Text(
    "Den samme besvarelse kan få en anden farve; tallene er de samme.",
    "The same response may get another colour; the numbers are the same.",
)
_MOVED = Text(
    "Svarene betyder det samme, men står et andet sted i en besvarelse.",
    "The answers mean the same but stand elsewhere in a response.",
)
_NAMED = Text(
    "Virkningen er nævnt ved det punkt, der bruger det.", "What it does is named at the item that makes use of it."
)
_PURPOSE = Text("Det er ikke længere godkendt til det samme.", "It is no longer approved for the same.")
_UNREAD = Text(
    "Motoren læser det ikke og kan ikke sige mere om det.", "The engine does not read it and can say no more of it."
)
_LIFE = Text("Indholdet er det samme.", "The content is the same.")
_VERBATIM = Text(
    "Ingen læser eller svarer noget andet, men en version gemmes ord for ord og ændres aldrig.",
    "Nobody reads or answers anything else, but a version is stored word for word and never changes.",
)

_NONE, _PATCH, _MINOR, _MAJOR = Step
_JOINED, _JUDGE, _BROKEN = Joining
_KEEP, _REVIEW, _DROP = Carrying


def _kinds(area: Area, *rows: tuple[str, Step, Joining, Carrying, str, str, Text], rules: bool = False) -> None:
    for name, step, joining, carrying, da, en, why in rows:
        _CATALOGUE[name] = Kind(area, step, joining, carrying, Text(da, en), why, rules)


_CATALOGUE: dict[str, Kind] = {}

# fmt: off
_kinds(
    Area.WORDING,
    ("text_reworded", _MINOR, _JUDGE, _REVIEW, "Teksten er ændret.", "The text is changed.", _WORDS),
    ("text_reformatted", _PATCH, _JOINED, _KEEP, "Kun tegnsætning, mellemrum eller store og små bogstaver er ændret.",
     "Only punctuation, spaces or capital letters are changed.", _UNSEEN),
    ("translation_added", _PATCH, _JOINED, _KEEP, "En oversættelse er tilføjet.", "A translation is added.", _SAME),
    ("translation_removed", _MINOR, _JOINED, _KEEP, "En oversættelse er fjernet.", "A translation is removed.", _SAME),
    ("translation_reworded", _MINOR, _JUDGE, _REVIEW, "En oversættelse er ændret.",
     "A translation is changed.", _WORDS),
    ("help_changed", _MINOR, _JOINED, _KEEP, "Hjælpeteksten er ændret.", "The help text is changed.", _SAME),
    ("feedback_changed", _MINOR, _JOINED, _KEEP, "Tilbagemeldingen på svaret er ændret.",
     "The feedback on the answer is changed.", _SAME),
    ("picture_changed", _MINOR, _JUDGE, _REVIEW, "Et billede er ændret.", "A picture is changed.", _LOOKS),
    ("label_changed", _PATCH, _JOINED, _KEEP, "Nummer, kort tekst eller enhedens navn er ændret.",
     "The number, short text or name of the unit is changed.", _SAME),
    ("constraint_reworded", _PATCH, _JOINED, _KEEP, "En regels besked er ændret.",
     "A rule's message is changed.", _SAME),
    ("title_changed", _PATCH, _JOINED, _KEEP, "Titlen er ændret.", "The title is changed.", _SAME),
    ("language_changed", _MINOR, _JUDGE, _KEEP, "Grundsproget er et andet.", "The language of the texts is another.",
     _WORDS),
)
_kinds(
    Area.OPTIONS,
    ("option_added", _MINOR, _JUDGE, _KEEP, "En svarmulighed er tilføjet.", "An option is added.", _SCALE),
    ("option_removed", _MAJOR, _BROKEN, _DROP, "En svarmulighed er fjernet.", "An option is removed.", _GONE),
    ("option_reworded", _MINOR, _JUDGE, _REVIEW, "En svarmulighed hedder noget andet.", "An option reads otherwise.",
     _WORDS),
    ("option_recoded", _MAJOR, _JOINED, _KEEP, "En svarmulighed har fået en anden kode.", "An option has another code.",
     _MOVED),
    ("options_reordered", _MINOR, _JUDGE, _KEEP, "Svarmulighederne står i en anden rækkefølge.",
     "The options are in another order.", _LOOKS),
    ("option_exclusive", _MAJOR, _JOINED, _KEEP, "En svarmulighed kan ikke længere vælges sammen med andre.",
     "An option can no longer be chosen together with others.", _STRICTER),
    ("option_not_exclusive", _MINOR, _JOINED, _KEEP, "En svarmulighed kan nu vælges sammen med andre.",
     "An option can now be chosen together with others.", _SAME),
    ("value_set_changed", _MAJOR, _BROKEN, _REVIEW, "Svarene tages fra et andet værdisæt.",
     "The answers are taken from another value set.", _OTHER),
)
_kinds(
    Area.SCORING,
    ("option_reweighted", _MAJOR, _BROKEN, _KEEP, "En svarmulighed har en anden vægt.", "An option has another weight.",
     _NUMBER),
    ("calculation_added", _MAJOR, _BROKEN, _DROP, "Svaret bliver nu beregnet.",
     "The answer is now calculated.", _OTHER),
    ("calculation_changed", _MAJOR, _BROKEN, _DROP, "Svaret bliver beregnet på en anden måde.",
     "The answer is calculated otherwise.", _NUMBER),
    ("calculation_removed", _MAJOR, _BROKEN, _REVIEW, "Svaret bliver ikke længere beregnet.",
     "The answer is no longer calculated.", _OTHER),
    ("variable_changed", _PATCH, _JOINED, _KEEP, "En variabel er tilføjet, ændret, flyttet eller fjernet.",
     "A variable is added, changed, moved or removed.", _NAMED),
    ("context_changed", _MINOR, _JUDGE, _KEEP, "Andre værdier hentes udefra.", "Other values are taken from outside.",
     _LOOKS),
)
_kinds(
    Area.MEANING,
    ("type_changed", _MAJOR, _BROKEN, _REVIEW, "Punktet har en anden type.", "The item has another type.", _OTHER),
    ("type_widened", _MINOR, _JUDGE, _KEEP, "Der kan svares friere.", "Answers may be given more freely.", _SCALE),
    ("unit_changed", _MAJOR, _BROKEN, _DROP, "Enheden er en anden.", "The unit is another.", _OTHER),
    ("range_widened", _MINOR, _JUDGE, _REVIEW, "Der kan svares et lavere eller højere tal.",
     "A lower or higher number may be answered.", _SCALE),
    ("range_narrowed", _MAJOR, _JUDGE, _REVIEW, "Det laveste eller højeste tal er strammet eller ændret.",
     "The lowest or highest number is stricter or changed.", _NARROWER),
    ("condition_added", _MAJOR, _BROKEN, _KEEP, "Punktet stilles nu kun under en betingelse.",
     "The item is now asked under a condition only.", _ASKED),
    ("condition_changed", _MAJOR, _BROKEN, _KEEP, "Betingelsen for at stille punktet er ændret.",
     "The condition for asking the item is changed.", _ASKED),
    ("condition_removed", _MAJOR, _BROKEN, _KEEP, "Punktet stilles nu altid.", "The item is now always asked.", _ASKED),
    ("item_moved_into_condition", _MAJOR, _BROKEN, _KEEP, "Punktet er flyttet hen, hvor der gælder andre betingelser.",
     "The item is moved to where other conditions hold.", _ASKED),
    ("concept_changed", _MAJOR, _JUDGE, _REVIEW, "Koden eller definitionen af, hvad der spørges om, er en anden.",
     "The code or definition of what is asked is another.", _CONCEPT),
    ("fixed_answer_changed", _MAJOR, _BROKEN, _DROP, "Det skrivebeskyttede svar er et andet.",
     "The read-only answer is another.", _OTHER),
    ("initial_changed", _MINOR, _JUDGE, _KEEP, "Det forudfyldte svar er et andet.", "The initial answer is another.",
     _LOOKS),
    ("significance_changed", _MAJOR, _JOINED, _KEEP, "Svarenes betydning (farverne i skemaet) er ændret.",
     "The significance of answers (the questionnaire's colours) is changed.", _COLOUR),
    ("modifier_changed", _MAJOR, _JUDGE, _REVIEW, "En udvidelse, der ændrer betydningen, er en anden.",
     "An extension that modifies the meaning is another.", _UNREAD),
)
_kinds(
    Area.STRUCTURE,
    ("item_added", _MINOR, _JOINED, _KEEP, "Et punkt, der ikke skal besvares, er tilføjet.",
     "An item that need not be answered is added.", _SAME),
    ("required_item_added", _MAJOR, _JOINED, _KEEP, "Et punkt, der skal besvares, er tilføjet.",
     "An item that must be answered is added.", _STRICTER),
    ("item_removed", _MAJOR, _BROKEN, _DROP, "Punktet er fjernet.", "The item is removed.", _GONE),
    ("display_added", _MINOR, _JUDGE, _KEEP, "En tekst er tilføjet.", "A text is added.", _WORDS),
    ("display_removed", _MINOR, _JUDGE, _KEEP, "En tekst er fjernet.", "A text is removed.", _WORDS),
    ("display_moved", _MINOR, _JUDGE, _KEEP, "En tekst er flyttet.", "A text is moved.", _LOOKS),
    ("display_condition_changed", _MINOR, _JUDGE, _KEEP, "Teksten vises under en anden betingelse.",
     "The text is shown under another condition.", _LOOKS),
    ("display_link_id_changed", _PATCH, _JOINED, _KEEP, "Teksten har fået et andet linkId.",
     "The text has another linkId.", _UNSEEN),
    ("link_id_renamed", _MAJOR, _JOINED, _KEEP, "Spørgsmålet ser ud til at have fået et andet linkId.",
     "The question seems to have another linkId.", _MOVED),
    ("item_moved", _MAJOR, _JOINED, _KEEP, "Punktet er flyttet til et andet sted.", "The item is moved elsewhere.",
     _MOVED),
    ("items_reordered", _MINOR, _JOINED, _KEEP, "Punkterne står i en anden rækkefølge.",
     "The items are in another order.", _SAME),
    ("required_added", _MAJOR, _JOINED, _KEEP, "Punktet skal nu besvares.",
     "The item must now be answered.", _STRICTER),
    ("required_removed", _MINOR, _JOINED, _KEEP, "Punktet skal ikke længere besvares.",
     "The item need no longer be answered.", _SAME),
    ("repeats_added", _MINOR, _BROKEN, _KEEP, "Der kan nu gives flere svar.", "Several answers may now be given.",
     _SEVERAL),
    ("repeats_removed", _MAJOR, _BROKEN, _KEEP, "Der kan kun gives ét svar.", "Only one answer may be given.", _GONE),
    ("limit_loosened", _MINOR, _JOINED, _KEEP, "En grænse for svaret er løsnet.", "A limit on the answer is looser.",
     _SAME),
    ("limit_tightened", _MAJOR, _JOINED, _KEEP, "En grænse for svaret er strammet eller ændret.",
     "A limit on the answer is stricter or changed.", _STRICTER),
    ("hidden_added", _MINOR, _JUDGE, _KEEP, "Punktet er nu skjult.", "The item is now hidden.", _LOOKS),
    ("hidden_removed", _MINOR, _JUDGE, _KEEP, "Punktet er ikke længere skjult.", "The item is no longer hidden.",
     _LOOKS),
    ("read_only_added", _MAJOR, _JUDGE, _KEEP, "Svaret kan ikke længere ændres.", "The answer can no longer be edited.",
     _STRICTER),
    ("read_only_removed", _MINOR, _JUDGE, _KEEP, "Svaret kan nu ændres.", "The answer can now be edited.", _LOOKS),
    ("constraint_added", _MAJOR, _JOINED, _KEEP, "En regel, svarene skal overholde, er tilføjet.",
     "A rule that the answers must keep is added.", _STRICTER),
    ("constraint_changed", _MAJOR, _JOINED, _KEEP, "En regel, svarene skal overholde, er ændret.",
     "A rule that the answers must keep is changed.", _STRICTER),
    ("constraint_removed", _MINOR, _JOINED, _KEEP, "En regel, svarene skulle overholde, er væk eller advarer nu kun.",
     "A rule that the answers had to keep is gone or now warns only.", _SAME),
    ("advice_changed", _MINOR, _JOINED, _KEEP, "En regel, der kun advarer, er ændret.",
     "A rule that only warns is changed.", _SAME),
    ("presentation_changed", _MINOR, _JUDGE, _KEEP, "Punktet vises på en anden måde.", "The item is shown otherwise.",
     _LOOKS),
)
_kinds(
    Area.METADATA,
    ("url_changed", _MAJOR, _JUDGE, _KEEP, "Adressen (url) er en anden: det er et andet skema.",
     "The url is another: it is another questionnaire.", _STRICTER),
    ("metadata_changed", _PATCH, _JOINED, _KEEP, "En oplysning om skemaet er ændret.",
     "A statement about the questionnaire is changed.", _UNSEEN),
    ("status_changed", _PATCH, _JOINED, _KEEP, "Status eller dato er en anden.", "The status or a date is another.",
     _VERBATIM),
    ("concept_added", _PATCH, _JOINED, _KEEP, "En kode eller definition er tilføjet.", "A code or definition is added.",
     _UNSEEN),
    ("other_changed", _PATCH, _JOINED, _KEEP, "Noget, motoren ikke læser, er ændret.",
     "Something that the engine does not read is changed.", _UNREAD),
    ("written_otherwise", _PATCH, _JOINED, _KEEP, "Det samme er skrevet på en anden måde.",
     "The same is written otherwise.", _UNSEEN),
)
_kinds(
    Area.SCORING,
    ("score_added", _MINOR, _JOINED, _KEEP, "En score er tilføjet.", "A score is added.", _SAME),
    ("score_removed", _MAJOR, _BROKEN, _KEEP, "En score er fjernet.", "A score is removed.", _NUMBER),
    ("score_changed", _MAJOR, _BROKEN, _KEEP, "En score beregnes på en anden måde.", "A score is computed otherwise.",
     _NUMBER),
    ("score_range_changed", _MAJOR, _JUDGE, _KEEP, "En scores laveste eller højeste værdi er en anden.",
     "A score's lowest or highest value is another.", _SCALE),
    ("score_inputs_renamed", _PATCH, _JOINED, _KEEP, "En score følger spørgsmål, der har fået andre linkId'er.",
     "A score follows questions that have other linkIds.", _SAME),
    rules=True,
)
_kinds(
    Area.MEANING,
    ("rule_added", _MAJOR, _JOINED, _KEEP, "En regel for farver er tilføjet.", "A rule for colours is added.", _COLOUR),
    ("rule_removed", _MAJOR, _JOINED, _KEEP, "En regel for farver er fjernet.", "A rule for colours is removed.",
     _COLOUR),
    ("rule_changed", _MAJOR, _JOINED, _KEEP, "En regel gælder andre svar.", "A rule holds for other answers.", _COLOUR),
    ("threshold_changed", _MAJOR, _JOINED, _KEEP, "En regels grænser er ændret.", "A rule's thresholds are changed.",
     _COLOUR),
    ("colour_changed", _MAJOR, _JOINED, _KEEP, "En regel giver en anden farve.", "A rule gives another colour.",
     _COLOUR),
    ("colour_meaning_changed", _MAJOR, _JOINED, _KEEP, "Farverne bruges til noget andet (dialog eller triagering).",
     "The colours are for something else (dialogue or triage).", _COLOUR),
    ("purpose_changed", _MAJOR, _JOINED, _KEEP, "Formålet er et andet.", "The intended purpose is another.", _PURPOSE),
    ("device_class_changed", _MAJOR, _JOINED, _KEEP, "Klassen som medicinsk udstyr er en anden.",
     "The medical device class is another.", _PURPOSE),
    ("rules_added", _NONE, _JOINED, _KEEP, "Der er kommet et regelsæt.", "There is a rule set where there was none.",
     _LIFE),
    ("rules_removed", _NONE, _JOINED, _KEEP, "Der er ikke længere et regelsæt.", "There is no longer a rule set.",
     _LIFE),
    rules=True,
)
_kinds(
    Area.WORDING,
    ("score_label_changed", _PATCH, _JOINED, _KEEP, "En score hedder noget andet.", "A score has another name.", _SAME),
    ("rule_reworded", _MINOR, _JOINED, _KEEP, "En regels ord er ændret.", "A rule's words are changed.", _SAME),
    ("topics_changed", _PATCH, _JOINED, _KEEP, "Emnerne er ordnet eller kaldt noget andet.",
     "The topics are ordered or called otherwise.", _SAME),
    rules=True,
)
_kinds(
    Area.METADATA,
    ("rule_source_changed", _PATCH, _JOINED, _KEEP, "Kilden til en regel er en anden.", "A rule's source is another.",
     _UNSEEN),
    ("rule_renamed", _PATCH, _JOINED, _KEEP, "En regel har fået et andet id.", "A rule has another id.", _UNSEEN),
    ("rule_set_changed", _PATCH, _JOINED, _KEEP,
     "Regelsættets navn, titel eller de versioner af skemaet, det er lavet til, er ændret.",
     "The rule set's id, title or the questionnaire versions it is made for are changed.", _UNSEEN),
    ("rule_set_status_changed", _NONE, _JOINED, _KEEP, "Regelsættets status eller godkendelse er en anden.",
     "The rule set's status or approval is another.", _LIFE),
    rules=True,
)
# fmt: on

KINDS: Mapping[str, Kind] = MappingProxyType(_CATALOGUE)
"""Every kind of change, by name."""
