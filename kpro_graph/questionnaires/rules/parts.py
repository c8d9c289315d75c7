"""The parts of a rule set: colours and what they mean, score definitions, intervals, rules, topics, approval."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from kpro_graph.questionnaires import instruments
from kpro_graph.questionnaires.instruments import ConversionTable, Direction, Instrument
from kpro_graph.questionnaires.words import Text, write_number

__all__ = [
    "AnswerScore",
    "Approval",
    "Case",
    "Colour",
    "DeviceClass",
    "InstrumentScore",
    "Interval",
    "ItemRule",
    "Meaning",
    "Missing",
    "Output",
    "Rule",
    "ScoreDefinition",
    "ScoreRule",
    "Status",
    "Topic",
    "TotalScore",
]


class Colour(StrEnum):
    """What an interpretation says. *Not interpreted* is no colour: it says that nobody may conclude anything."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"
    NOT_INTERPRETED = "not_interpreted"


class Meaning(StrEnum):
    """What a colour is for: to open a conversation, or to decide who is seen first."""

    DIALOGUE = "dialogue"
    TRIAGE = "triage"


class Status(StrEnum):
    """Whether the rule set speaks: only an approved one does."""

    DRAFT = "draft"
    APPROVED = "approved"
    OFF = "off"


class DeviceClass(StrEnum):
    """The class under the medical device regulation, (EU) 2017/745, as its owner has determined it."""

    NOT_A_DEVICE = "not_a_device"
    I = "I"  # noqa: E741 - the regulation's own name
    IIA = "IIa"
    IIB = "IIb"
    III = "III"


class Missing(StrEnum):
    """What a sum or a mean does about answers that are not there."""

    REFUSE = "refuse"
    """Every answer is needed."""
    SKIP = "skip"
    """The answers that are there are added or averaged, when there are enough of them."""
    MEAN = "mean"
    """A missing answer counts as the mean of those that are there, when there are enough of them."""


class Output(msgspec.Struct, frozen=True, gc=False):
    """One score a definition gives: its code, label and range. ``direction`` is known for instruments only."""

    code: str
    label: Text
    unit: str
    minimum: Decimal | None
    maximum: Decimal | None
    direction: Direction | None


class InstrumentScore(msgspec.Struct, frozen=True):
    """Scores of a published instrument: one scale, or all of them as ``<code>.<scale>``.

    Attributes:
        inputs: the linkId that feeds each input of the instrument.
        conversion: the table of an instrument that needs one.
    """

    code: str
    label: Text | None
    instrument: str
    scale: str | None
    inputs: dict[str, str]
    conversion: ConversionTable | None = None

    def link_ids(self) -> tuple[str, ...]:
        """Return the linkIds the score is made of."""
        return tuple(self.inputs.values())

    def prepare(self) -> Instrument:
        """Return the instrument, with its conversion table where there is one."""
        found = instruments.get(self.instrument)
        return found if self.conversion is None else found.with_table(self.conversion)

    def code_of(self, scale: str) -> str:
        """Return the score code of a scale of the instrument."""
        if self.scale is not None or len(instruments.get(self.instrument).scales) == 1:
            return self.code
        return f"{self.code}.{scale}"

    def outputs(self) -> tuple[Output, ...]:
        """Return the scores this definition gives."""
        return tuple(
            Output(
                code=self.code_of(one.code),
                label=one.label if self.label is None else self.label,
                unit=one.unit,
                minimum=one.minimum,
                maximum=one.maximum,
                direction=one.direction,
            )
            for one in instruments.get(self.instrument).scales
            if self.scale in (None, one.code)
        )


class TotalScore(msgspec.Struct, frozen=True):
    """The sum or the mean of answers, by their weight or number, times a factor.

    Attributes:
        at_least: the fewest answers needed, where ``missing`` is not ``REFUSE``.
    """

    code: str
    label: Text
    mean: bool
    items: tuple[str, ...]
    missing: Missing
    at_least: int
    factor: Decimal = Decimal(1)
    unit: str = ""
    minimum: Decimal | None = None
    maximum: Decimal | None = None

    def link_ids(self) -> tuple[str, ...]:
        """Return the linkIds the score is made of."""
        return self.items

    def outputs(self) -> tuple[Output, ...]:
        """Return the one score this definition gives."""
        return (Output(self.code, self.label, self.unit, self.minimum, self.maximum, None),)


class AnswerScore(msgspec.Struct, frozen=True):
    """The weight or number of one answer; ``calculated`` where the questionnaire computes that answer itself."""

    code: str
    label: Text
    item: str
    calculated: bool
    unit: str = ""
    minimum: Decimal | None = None
    maximum: Decimal | None = None

    def link_ids(self) -> tuple[str, ...]:
        """Return the one linkId the score is made of."""
        return (self.item,)

    def outputs(self) -> tuple[Output, ...]:
        """Return the one score this definition gives."""
        return (Output(self.code, self.label, self.unit, self.minimum, self.maximum, None),)


ScoreDefinition = InstrumentScore | TotalScore | AnswerScore


class Interval(msgspec.Struct, frozen=True, gc=False):
    """A range of numbers with its colour; a bound is ``None`` where the range is open-ended.

    Attributes:
        low_included, high_included: whether the bound itself belongs to the range.
        source: where the threshold is taken from.
    """

    low: Decimal | None
    low_included: bool
    high: Decimal | None
    high_included: bool
    colour: Colour
    word: Text
    source: str

    def holds(self, value: Decimal) -> bool:
        """Tell whether the value lies in the range."""
        if self.low is not None and (value < self.low or (value == self.low and not self.low_included)):
            return False
        return self.high is None or value < self.high or (value == self.high and self.high_included)

    @property
    def is_empty(self) -> bool:
        """Whether no number at all lies in the range."""
        if self.low is None or self.high is None:
            return False
        return self.low > self.high or (self.low == self.high and not (self.low_included and self.high_included))

    @property
    def text(self) -> Text:
        """The range in words."""
        low = None if self.low is None else Text(write_number(self.low, "da"), write_number(self.low, "en"))
        high = None if self.high is None else Text(write_number(self.high, "da"), write_number(self.high, "en"))
        if low is None or high is None:
            return self._one_sided(low, high)
        if self.low == self.high:
            return Text(f"netop {low.da}", f"exactly {low.en}")
        if self.low_included and self.high_included:
            return Text(f"fra {low.da} til og med {high.da}", f"from {low.en} to {high.en} inclusive")
        from_da = f"{low.da} eller derover" if self.low_included else f"over {low.da}"
        from_en = f"{low.en} or above" if self.low_included else f"above {low.en}"
        to_da = f"højst {high.da}" if self.high_included else f"under {high.da}"
        to_en = f"at most {high.en}" if self.high_included else f"below {high.en}"
        return Text(f"{from_da} og {to_da}", f"{from_en} and {to_en}")

    def _one_sided(self, low: Text | None, high: Text | None) -> Text:
        if low is not None:
            if self.low_included:
                return Text(f"{low.da} eller derover", f"{low.en} or above")
            return Text(f"over {low.da}", f"above {low.en}")
        if high is not None:
            if self.high_included:
                return Text(f"{high.da} eller derunder", f"{high.en} or below")
            return Text(f"under {high.da}", f"below {high.en}")
        return Text("enhver værdi", "any value")


class Case(msgspec.Struct, frozen=True, gc=False):
    """One answer with its colour. Exactly one of ``code``, ``boolean``, ``text`` and ``answered`` is set.

    Attributes:
        system: the code system; ``None`` compares the code alone.
        answered: matches whether there is an answer at all, whatever it says.
        source: where the rule is taken from.
    """

    colour: Colour
    word: Text
    source: str
    code: str | None = None
    system: str | None = None
    boolean: bool | None = None
    text: str | None = None
    answered: bool | None = None


class ScoreRule(msgspec.Struct, frozen=True):
    """Colours for every value of one score: a value that lies in no interval cannot be judged."""

    id: str
    score: str
    intervals: tuple[Interval, ...]

    @property
    def subject(self) -> str:
        """What the rule is about."""
        return f"score:{self.score}"


class ItemRule(msgspec.Struct, frozen=True):
    """Colours for some answers to one item, by number (``intervals``) or by answer (``cases``); others get none."""

    id: str
    item: str
    intervals: tuple[Interval, ...] = ()
    cases: tuple[Case, ...] = ()

    @property
    def subject(self) -> str:
        """What the rule is about."""
        return f"item:{self.item}"


Rule = ScoreRule | ItemRule


class Topic(msgspec.Struct, frozen=True, gc=False):
    """A heading for the reader and what stands under it, as ``score:<code>`` and ``item:<linkId>``."""

    id: str
    title: Text
    subjects: tuple[str, ...]


class Approval(msgspec.Struct, frozen=True, gc=False):
    """Who approved the rule set, and when."""

    by: str
    at: datetime
