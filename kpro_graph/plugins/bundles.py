"""Questionnaire bundles: a questionnaire and its rules as bytes, read from a folder and proved before use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kpro_graph.errors import Rejected
from kpro_graph.plugins.manifest import DEVICE_CLASSES, Manifest, PluginRefused

if TYPE_CHECKING:
    from kpro_graph.questionnaires import Questionnaire, RuleSet

__all__ = ["CONTENT", "QuestionnaireBundle", "examine_bundle", "read_bundles"]

CONTENT = "content"
"""Where a plugin made of data alone keeps its questionnaires."""

_LARGEST = 8_000_000


@dataclass(frozen=True, slots=True)
class QuestionnaireBundle:
    """A questionnaire as its author wrote it, with the rules that score and colour it, if there are any.

    ``questionnaire`` is a FHIR R4 Questionnaire and ``rules`` a rule set, both JSON in UTF-8. ``owner`` is the
    municipality's four-digit code, or None for the national library. ``name`` is for messages. ``plugin`` and
    ``canonical`` (``url|version``) are set by the host.
    """

    questionnaire: bytes = field(repr=False)
    rules: bytes | None = field(default=None, repr=False)
    owner: str | None = None
    name: str = ""
    plugin: str = ""
    canonical: str = ""


def read_bundles(folder: Path, *, owner: str | None) -> list[QuestionnaireBundle]:
    """Read every ``<folder>/<name>/questionnaire.json``, with ``rules.json`` beside it where there is one, by name.

    Raises:
        PluginRefused: there are none, or a file is absent, unreadable, larger than 8 MB or outside the folder.
    """
    try:
        names = sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith((".", "_")))
    except OSError:
        names = []
    if not names:
        raise PluginRefused(f'the folder "{folder.name}" holds no questionnaires')
    found = []
    for child in names:
        questionnaire = _read(folder, child / "questionnaire.json")
        if questionnaire is None:
            raise PluginRefused(f'"{child.name}" has no questionnaire.json')
        found.append(QuestionnaireBundle(questionnaire, _read(folder, child / "rules.json"), owner, child.name))
    return found


def _read(folder: Path, file: Path) -> bytes | None:
    place = f'"{file.parent.name}/{file.name}"'
    try:
        if not file.resolve().is_relative_to(folder.resolve()):
            raise PluginRefused(f"{place} leads out of the plugin's folder")
        with file.open("rb") as stream:
            read = stream.read(_LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PluginRefused(f"{place} cannot be read: {error.strerror}") from error
    if len(read) > _LARGEST:
        raise PluginRefused(f"{place} is larger than {_LARGEST // 1_000_000} MB")
    return read


def examine_bundle(bundle: object, manifest: Manifest) -> QuestionnaireBundle:
    """Return the bundle with its plugin and canonical, once everything in it has been read.

    Raises:
        PluginRefused: it is no bundle or has another owner than the plugin's publisher, the questionnaire or the rules
            cannot be read, they do not belong together, or the plugin has not declared that it interprets answers.
    """
    if type(bundle) is not QuestionnaireBundle:
        raise PluginRefused(f"{type(bundle).__name__} is no QuestionnaireBundle")
    fields: tuple[tuple[str, object, type], ...] = (
        ("questionnaire", bundle.questionnaire, bytes),
        ("rules", bundle.rules or b"", bytes),
        ("name", bundle.name, str),
    )
    for name, value, kind in fields:
        if not isinstance(value, kind):
            raise PluginRefused(f"its {name} is not {kind.__name__}")
    if bundle.owner != manifest.municipality:
        raise PluginRefused("the owner is not the plugin's publisher")
    questionnaire = _questionnaire(bundle.questionnaire)
    if bundle.rules is not None:
        if not manifest.intended_purpose:
            raise PluginRefused("it has rules, and the manifest has no [interpretation]")
        _hold_together(questionnaire, _rules(bundle.rules), manifest)
    return replace(bundle, plugin=manifest.id, canonical=f"{questionnaire.url}|{questionnaire.version}")


def _questionnaire(source: bytes) -> Questionnaire:
    # Imported when first needed: the door for plugin authors stays light.
    from kpro_graph.questionnaires import read_questionnaire

    try:
        questionnaire = read_questionnaire(source)
    except Rejected as rejected:
        raise PluginRefused(f"the questionnaire cannot be read: {_first(rejected)}") from rejected
    if not questionnaire.url or not questionnaire.version:
        raise PluginRefused("the questionnaire has no url or no version")
    return questionnaire


def _rules(source: bytes) -> RuleSet:
    from kpro_graph.questionnaires import read_rule_set

    try:
        return read_rule_set(source)
    except Rejected as rejected:
        raise PluginRefused(f"the rules cannot be read: {_first(rejected)}") from rejected


def _hold_together(questionnaire: Questionnaire, rules: RuleSet, manifest: Manifest) -> None:
    if not rules.is_for(questionnaire.url, questionnaire.version):
        raise PluginRefused("the rules are made for another questionnaire or version")
    if strangers := sorted(rules.link_ids() - questionnaire.by_link_id.keys()):
        raise PluginRefused(f"the rules name linkIds that the questionnaire lacks: {', '.join(strangers)}")
    if DEVICE_CLASSES.index(rules.medical_device_class) > DEVICE_CLASSES.index(manifest.medical_device_class):
        raise PluginRefused("the rules are of a higher medical device class than the manifest declares")


def _first(rejected: Rejected) -> str:
    problems: Iterable[object] = getattr(rejected, "problems", ())
    for problem in problems:
        place = getattr(problem, "location", "") or getattr(problem, "path", "")
        message = getattr(problem, "en", "") or getattr(getattr(problem, "message", None), "en", "")
        return f"{place}: {message}" if place else message
    return str(rejected)
