"""Changes between two versions: what each is, which version step it needs, and what it does to trends and drafts."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from kpro_graph.questionnaires.differences.kinds import KINDS, Area, Carrying, Joining, Kind, Step
from kpro_graph.questionnaires.model import Value
from kpro_graph.questionnaires.words import Text

__all__ = ["Change", "Changes", "Document"]


class Document(StrEnum):
    """Which document a change is in: the two are versioned apart."""

    QUESTIONNAIRE = "questionnaire"
    RULES = "rules"


@dataclass(frozen=True, slots=True)
class Change:
    """One change. The words for what it is and why stand in the catalogue under its ``kind``.

    Attributes:
        link_id: the item it is about, by its name in the new version where it is there; empty for the whole.
        location: the FHIRPath place, in the new version; in the old one for what is gone.
        joins_trend: whether a trend line may go on across the change.
        joining: the same, telling also where only a person can decide.
        was: the linkId in the old version, where it is another.
        subject: the score or rule a change of a rule set is about, such as ``score:phq9``; else empty.
        before, after: the two versions in short, where that can be shown.
        option: the answer option a change is about; ``option_after`` is what it has become.
    """

    kind: str
    link_id: str
    location: str
    was: str = ""
    subject: str = ""
    before: str = ""
    after: str = ""
    option: Value | None = field(default=None, repr=False)
    option_after: Value | None = field(default=None, repr=False)

    @property
    def about(self) -> Kind:
        """The entry of the catalogue."""
        return KINDS[self.kind]

    @property
    def document(self) -> Document:
        """The document the change is in."""
        return Document.RULES if self.about.in_rules else Document.QUESTIONNAIRE

    @property
    def area(self) -> Area:
        """What the change touches."""
        return self.about.area

    @property
    def step(self) -> Step:
        """The least version step it needs."""
        return self.about.step

    @property
    def joining(self) -> Joining:
        """What it does to a trend line."""
        return self.about.joining

    @property
    def joins_trend(self) -> bool:
        """Whether a trend line may go on across the change without anybody's decision."""
        return self.about.joining is Joining.JOINED

    @property
    def carrying(self) -> Carrying:
        """What becomes of an answer in an open draft."""
        return self.about.carrying

    @property
    def da(self) -> str:
        """What is changed, in Danish."""
        return self.about.what.da

    @property
    def en(self) -> str:
        """What is changed, in English."""
        return self.about.what.en

    @property
    def why(self) -> Text:
        """Why it needs that step and does that to a trend line."""
        return self.about.why

    def to_json(self) -> dict[str, object]:
        """Return the change as plain objects."""
        written: dict[str, object] = {
            "kind": self.kind,
            "document": self.document.value,
            "area": self.area.value,
            "linkId": self.link_id,
            "location": self.location,
            "step": self.step.value,
            "joinsTrend": self.joins_trend,
            "trend": self.joining.value,
            "da": self.da,
            "en": self.en,
            "why": {"da": self.why.da, "en": self.why.en},
        }
        further = {"was": self.was, "subject": self.subject, "before": self.before, "after": self.after}
        return written | {name: value for name, value in further.items() if value}


class Changes:
    """The changes found so far, in the order they are found."""

    def __init__(self) -> None:
        self.found: list[Change] = []

    def add(
        self,
        kind: str,
        link_id: str = "",
        location: str = "Questionnaire",
        *,
        was: str = "",
        subject: str = "",
        before: object = "",
        after: object = "",
        option: Value | None = None,
        option_after: Value | None = None,
    ) -> None:
        """Take down one change. Raise KeyError for a kind that is not in the catalogue."""
        _ = KINDS[kind]
        old, new = _short(before), _short(after)
        self.found.append(Change(kind, link_id, location, was, subject, old, new, option, option_after))


def _short(value: object) -> str:
    """Return a value in a line's length."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = " ".join(str(value).split())
    return text if len(text) <= 120 else f"{text[:119]}…"
