"""Version numbers: how far one is from another, and whether that is far enough for what has changed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kpro_graph.questionnaires.differences.kinds import Step
from kpro_graph.questionnaires.problems import Severity

__all__ = ["Finding", "judge_versions", "step_between"]

_NUMBER = re.compile(r"[vV]?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")
_DATE = re.compile(r"(?:19|20)\d{2}(?:[-.]?\d{2}){1,2}.*")
_STEPS = {
    Step.NONE: ("intet trin", "no step"),
    Step.PATCH: ("en rettelse (patch)", "a patch"),
    Step.MINOR: ("et mindre trin (minor)", "a minor step"),
    Step.MAJOR: ("et større trin (major)", "a major step"),
}
_NAMES = {"questionnaire": ("Skemaets", "The questionnaire's"), "rules": ("Regelsættets", "The rule set's")}


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to be said of the version numbers. An error means that the new version may not be published so."""

    code: str
    severity: Severity
    da: str
    en: str


def step_between(old: str, new: str) -> Step | None:
    """Return the step from one version number to the next; none where they are equal.

    ``1.4`` is read as ``1.4.0``. None is returned where a version is no such number, such as a date, or goes back.
    """
    if old == new:
        return Step.NONE
    before, after = _read(old), _read(new)
    if before is None or after is None or after < before:
        return None
    if after[0] > before[0]:
        return Step.MAJOR
    if after[1] > before[1]:
        return Step.MINOR
    return Step.PATCH if after > before else Step.NONE


def judge_versions(document: str, old: str, new: str, needed: Step) -> tuple[Finding, ...]:
    """Return what is wrong with the new version number of the ``questionnaire`` or the ``rules``, if anything is."""
    whose, of_what = _NAMES[document]
    da, en = _STEPS[needed]
    before, after = _read(old), _read(new)
    if old != new and (before is None or after is None):
        said = f"{whose} version er ikke et nummer; om trinnet er stort nok, kan ikke afgøres."
        told = f"{of_what} version is no number; whether the step is large enough cannot be told."
        return (Finding("version_unreadable", Severity.WARNING, said, told),)
    if before is not None and after is not None and after < before:
        said, told = f"{whose} versionsnummer går tilbage.", f"{of_what} version number goes back."
        return (Finding("version_goes_back", Severity.ERROR, said, told),)
    given = step_between(old, new) or Step.NONE
    if given.size >= needed.size:
        return ()
    if old == new:
        said = f"{whose} version er den samme, men ændringerne kræver {da}."
        told = f"{of_what} version is the same, but the changes need {en}."
        return (Finding("version_unchanged", Severity.ERROR, said, told),)
    said = f"{whose} nye versionsnummer er kun {_STEPS[given][0]}, men ændringerne kræver {da}."
    told = f"{of_what} new version number is only {_STEPS[given][1]}, but the changes need {en}."
    return (Finding("step_too_small", Severity.ERROR, said, told),)


def _read(version: str) -> tuple[int, int, int, int, str] | None:
    """Return a version number in a form that sorts: one that is before a release comes before it."""
    found = _NUMBER.fullmatch(version)
    if found is None or _DATE.fullmatch(version):
        return None
    major, minor, patch = (int(part or 0) for part in found.groups()[:3])
    return (major, minor, patch, 0 if found[4] else 1, found[4] or "")
