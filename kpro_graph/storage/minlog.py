"""Min Log's words: what a line of the access log says, in Danish and English, to the citizen it is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kpro_graph.actors import ActorKind, Purpose, Role
from kpro_graph.storage.log import Action

__all__ = ["GROUPS", "LONGEST_ACTIVITY", "PURPOSES", "ROLES", "SOMEBODY", "Words", "activity", "sentence"]

Words = tuple[str, str]
"""The same in Danish and in English."""

LONGEST_ACTIVITY = 75
"""Min Log takes an activity of so many characters (registration 2025-03-12)."""

GROUPS: Mapping[str, Words] = {
    "identity": ("navn og fødselsdato", "name and date of birth"),
    "cpr": ("CPR-nummer", "CPR number"),
    "episode": ("forløb", "episodes of care"),
    "consent": ("samtykke", "consent"),
    "representation": ("fuldmagter og værger", "representatives"),
    "emergency": ("værdispring", "emergency accesses"),
    "hand_over": ("overdragelse", "hand-over"),
    "assignment": ("tildelte spørgeskemaer", "assigned questionnaires"),
    "response": ("besvarelser", "responses"),
    "answers": ("svar", "answers"),
    "scores": ("scorer", "scores"),
    "colours": ("farver", "colours"),
    "receipt": ("kvittering", "receipt"),
    "reception": ("adgang ved modtagelsens computer", "access at a reception computer"),
    "access_log": ("adgangslog", "access log"),
}
"""What a group of fields is called. A group that is not here is called information."""

PURPOSES: Mapping[Purpose, Words] = {
    Purpose.OWN: ("Egen adgang", "Own look-up"),
    Purpose.REPRESENTATION: ("På borgerens vegne", "On the citizen's behalf"),
    Purpose.TREATMENT: ("Behandling og opfølgning", "Treatment and follow-up"),
    Purpose.ADMINISTRATION: ("Administration", "Administration"),
    Purpose.EMERGENCY: ("Værdispring", "Emergency access"),
    Purpose.INTEGRATION: ("Overførsel til et andet it-system", "Transfer to another system"),
    Purpose.SECURITY: ("Kontrol af adgang", "Control of access"),
    Purpose.OPERATION: ("Drift af systemet", "Operation of the system"),
}

ROLES: Mapping[str, Words] = {
    Role.CARETEAM_ADMINISTRATOR: ("Administrator af careteams", "Administrator of care teams"),
    Role.CLINICAL_ADMINISTRATOR: ("Pakke- og forløbsbygger", "Builder of packages and pathways"),
    Role.QUESTIONNAIRE_EDITOR: ("Redaktør af spørgeskemaer", "Editor of questionnaires"),
    Role.CITIZEN_ENROLLER: ("Borgeropretter", "Enroller of citizens"),
    Role.CLINICAL_VIEWER: ("Fagperson med klinisk se-adgang", "Professional with clinical read access"),
    Role.MONITORING_ASSISTOR: ("Monitoreringsmedhjælper", "Monitoring assistant"),
    Role.SECURITY_OFFICER: ("Sikkerhedsmedarbejder", "Security officer"),
    Role.INTEGRATOR: ("It-system", "System"),
}

SOMEBODY: Mapping[ActorKind, Words] = {
    ActorKind.CITIZEN: ("En person, der handler på borgerens vegne", "Someone acting on the citizen's behalf"),
    ActorKind.EMPLOYEE: ("En medarbejder i kommunen", "An employee of the municipality"),
    ActorKind.SYSTEM: ("Et it-system", "A system"),
    ActorKind.SECURITY_OFFICER: ("En sikkerhedsmedarbejder i kommunen", "A security officer of the municipality"),
    ActorKind.OPERATOR: ("Systemets driftsansvarlige", "The operator of the system"),
}
"""Who it was, where there is no name."""

_VERBS: Mapping[Action, Words] = {
    Action.READ: ("Så", "Saw"),
    Action.CREATE: ("Registrerede", "Recorded"),
    Action.UPDATE: ("Ændrede", "Changed"),
    Action.SEARCH: ("Søgte og så", "Searched and saw"),
    Action.DELIVER: ("Fik leveret", "Was sent"),
}
_AND = ("og", "and")
_IN = ("i", "of")
_COUNTED = (("spørgeskema", "questionnaire"), ("spørgeskemaer", "questionnaires"))
_INFORMATION = ("oplysninger", "information")
_NOBODY = ("Søgte uden at finde nogen", "Searched and found nobody")
_THE_LOG = ("Søgte i adgangsloggen", "Searched the access log")


def sentence(line: Mapping[str, Any], titles: Sequence[Words]) -> Words:
    """Return what was done as one plain sentence; ``titles`` are those of the line's questionnaires."""
    danish, english = (next(iter(_tellings(line, [title[n] for title in titles], n))) for n in (0, 1))
    return f"{danish}.", f"{english}."


def activity(line: Mapping[str, Any], titles: Sequence[Words]) -> str:
    """Return what was done in Danish in at most 75 characters, as Min Log takes it: the fullest telling that fits."""
    told = _tellings(line, [title[0] for title in titles], 0)
    return next(text for text in told if len(text) <= LONGEST_ACTIVITY)


def _tellings(line: Mapping[str, Any], titles: Sequence[str], n: int) -> Iterable[str]:
    """Yield ever shorter tellings of a line in one language; the last is short."""
    action, groups = Action(line["action"]), line["fields_seen"].split()
    if action is Action.SEARCH and groups == ["access_log"]:
        yield _THE_LOG[n]
        return
    if action is Action.SEARCH and line["citizen_id"] is None:
        yield _NOBODY[n]
        return
    verb = _VERBS[action][n]
    names = [words[n] for group, words in GROUPS.items() if group in groups]
    if len(names) < len(groups) or not names:
        names.append(_INFORMATION[n])
    what = f"{verb} {_listed(names, n)}"
    if titles:
        yield f"{what} {_IN[n]} {_listed(sorted(titles), n)}"
        yield f"{what} {_IN[n]} {len(titles)} {_COUNTED[len(titles) > 1][n]}"
    yield what
    yield f"{verb} {names[-1]} {_AND[n]} {_INFORMATION[n]}"
    yield f"{verb} {_INFORMATION[n]}"


def _listed(parts: Sequence[str], n: int) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {_AND[n]} {parts[-1]}"
