"""Differences between versions: every change is found and classified, and nothing changed is carried over silently."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kpro_graph.questionnaires import (
    Questionnaire,
    QuestionnaireInvalid,
    Severity,
    assemble,
    evaluate,
    read_questionnaire,
)
from kpro_graph.questionnaires.differences import KINDS, Area, Document, Joining, Migration, Step, compare, step_between
from tests.questionnaires import seeds
from tests.questionnaires.making import CORE, SYSTEM, answer_maps, coding, expression, form, forms, item, options
from tests.questionnaires.seeds import RULE_SEEDS, SEEDS, changed, document, read, read_rules, rules_document

DOCUMENT, RULES_DOCUMENT = document(), rules_document()
BEFORE, RULES = read(DOCUMENT), read_rules(RULES_DOCUMENT)
ANSWERS: dict[str, list[dict[str, Any]]] = {
    "weeks/mood": [coding("some")],
    "weeks/sleep": [coding("daily")],
    "pain": [{"valueInteger": 7}],
    "more": [{"valueString": "I ryggen"}],
    "note": [{"valueString": "Nej"}],
    "symptoms": [coding("cough"), coding("itch")],
    "consent": [{"valueString": "Version 1"}],
    "weight": [{"valueDecimal": Decimal("71.50")}],
    "place": [coding("home")],
    "medicines[0]/medicine": [{"valueString": "Panodil"}],
    "medicines[1]/medicine": [{"valueString": "Ipren"}],
    "medicines[1]/dose": [{"valueDecimal": Decimal("0.5")}],
}


def kinds(found: Any) -> set[str]:
    return {each.kind for each in found.changes}


def errors(questionnaire: Questionnaire, answers: Any, *, draft: bool = False) -> list[tuple[str, str]]:
    status = "in-progress" if draft else "completed"
    problems = evaluate(questionnaire, assemble(questionnaire, answers, status=status), draft=draft).problems
    return [(each.code, each.path) for each in problems if each.severity is Severity.ERROR]


# --- Every change is found, classified and nothing else


@pytest.mark.parametrize(("kind", "link_id", "seed"), SEEDS, ids=[f"{kind}-{name}" for kind, name, _ in SEEDS])
def test_a_single_change_is_found_as_what_it_is(kind: str, link_id: str, seed: seeds.Seed) -> None:
    found = compare(BEFORE, read(changed(seed, DOCUMENT)), RULES, RULES)
    assert kinds(found) == {kind}
    assert {each.link_id for each in found.changes} == {link_id}
    assert all(each.location.startswith("Questionnaire") for each in found.changes)
    assert found.step is KINDS[kind].step


@pytest.mark.parametrize(("kind", "subject", "seed"), RULE_SEEDS, ids=[f"{kind}-{at}" for kind, at, _ in RULE_SEEDS])
def test_a_single_change_of_the_rule_set_is_found_as_what_it_is(kind: str, subject: str, seed: seeds.Seed) -> None:
    found = compare(BEFORE, BEFORE, RULES, read_rules(changed(seed, RULES_DOCUMENT)))
    assert [each.kind for each in found.changes] == [kind]
    assert found.changes[0].subject == subject
    assert found.changes[0].document is Document.RULES
    assert (found.step, found.rules_step) == (Step.NONE, KINDS[kind].step)


def test_every_kind_of_change_is_seeded_here() -> None:
    seeded = {kind for kind, _, _ in SEEDS} | {kind for kind, _, _ in RULE_SEEDS}
    undone = {"rules_added", "rules_removed", "score_inputs_renamed", "hidden_removed", "option_not_exclusive"}
    assert seeded | undone == set(KINDS)


def test_what_is_undone_is_found_too() -> None:
    for kind, seed in ((kind, seed) for kind, _, seed in SEEDS if kind in ("hidden_added", "option_exclusive")):
        back = compare(read(changed(seed, DOCUMENT)), BEFORE)
        assert kinds(back) == {{"hidden_added": "hidden_removed"}.get(kind, "option_not_exclusive")}


@pytest.mark.parametrize(("kind", "link_id", "seed"), SEEDS, ids=[f"{kind}-{name}" for kind, name, _ in SEEDS])
def test_a_change_is_seen_in_either_direction(kind: str, link_id: str, seed: seeds.Seed) -> None:
    assert compare(read(changed(seed, DOCUMENT)), BEFORE)


@given(forms())
def test_a_version_compared_with_itself_has_no_changes_and_all_its_lines_go_on(questionnaire: Questionnaire) -> None:
    found = compare(questionnaire, read_questionnaire(dict(questionnaire.source)))
    assert not found
    assert found.step is Step.NONE
    assert all(trend.joined for trend in found.trends)


def test_only_the_digits_of_a_number_have_changed_and_it_is_said_that_it_means_the_same() -> None:
    whole = document()
    whole["item"][1]["item"][1]["answerOption"][1]["extension"][0]["valueDecimal"] = Decimal("1.0")
    assert kinds(compare(BEFORE, read(whole))) == {"written_otherwise"}


# --- Which item is which


def test_a_renumbered_questionnaire_passes_no_question_off_as_another() -> None:
    def numbered(*texts: str) -> Questionnaire:
        return form(*(item(str(number), "integer", text=text) for number, text in enumerate(texts, start=1)))

    found = compare(numbered("Smerte?", "Søvn?"), numbered("Appetit?", "Smerte?", "Søvn?"))
    assert [(each.kind, each.was, each.link_id) for each in found.changes] == [
        ("item_added", "", "1"),
        ("link_id_renamed", "1", "2"),
        ("link_id_renamed", "2", "3"),
    ]
    moved = found.migrate({"1": [{"valueInteger": 4}], "2": [{"valueInteger": 8}]})
    assert moved.kept == {}
    assert moved.answers() == {"2": ({"valueInteger": 4},), "3": ({"valueInteger": 8},)}


def test_questions_with_the_same_words_are_told_apart_by_their_link_ids_only() -> None:
    old = form(item("a", "string", text="Andet"), item("b", "string", text="Andet"))
    new = form(item("a", "string", text="Andet"), item("c", "string", text="Andet"), item("d", "string", text="Andet"))
    assert sorted(each.kind for each in compare(old, new).changes) == ["item_added", "item_added", "item_removed"]


def test_a_condition_and_a_calculation_that_follow_a_renamed_question_have_not_changed() -> None:
    def made(name: str) -> Questionnaire:
        total = expression("calculatedExpression", f"%resource.item.where(linkId='{name}').answer.value")
        return form(
            item(name, "integer", text="Hvor ondt?"),
            item(
                "why", "string", text="Hvorfor?", enableWhen=[{"question": name, "operator": ">", "answerInteger": 3}]
            ),
            item("sum", "integer", text="Sum", readOnly=True, extension=[total]),
        )

    found = compare(made("q1"), made("pain"))
    assert kinds(found) == {"link_id_renamed"}
    assert {trend.subject: trend.joined for trend in found.trends} == {"item:pain": True, "item:sum": True}


def test_a_score_follows_a_renamed_question() -> None:
    renamed = changed(lambda whole: seeds.rename(whole, "pain", "ache"), DOCUMENT)
    seeds.find(renamed, "more")["enableWhen"][0]["question"] = "ache"
    renamed["extension"][1]["extension"][2]["valueExpression"]["expression"] = (
        "%resource.item.where(linkId = 'ache').answer.count() < 2"
    )
    rules = changed(lambda whole: whole["scores"][1].update(item="ache"), RULES_DOCUMENT)
    found = compare(BEFORE, read(renamed), RULES, read_rules(rules))
    assert kinds(found) == {"link_id_renamed", "score_inputs_renamed"}
    assert found.trend("score:pain").joined


# --- Trend lines


def lines(found: Any) -> dict[str, str]:
    return {each.subject: each.joining.value for each in found.trends}


def test_a_line_is_joined_unless_something_it_is_made_of_has_changed() -> None:
    def after(kind: str, link_id: str = "") -> dict[str, str]:
        seed = next(seed for name, at, seed in SEEDS if name == kind and (not link_id or at == link_id))
        return lines(compare(BEFORE, read(changed(seed, DOCUMENT)), RULES, RULES))

    joined = dict.fromkeys(
        (
            "score:burden",
            "score:pain",
            "item:mood",
            "item:sleep",
            "item:total",
            "item:pain",
            "item:weight",
            "item:dose",
        ),
        "joined",
    )
    assert after("help_changed") == joined
    assert after("text_reworded", "mood") == joined | dict.fromkeys(
        ("score:burden", "item:mood", "item:total"), "to_be_judged"
    )
    assert after("option_reweighted") == joined | dict.fromkeys(("score:burden", "item:sleep", "item:total"), "broken")
    assert after("range_narrowed") == joined | dict.fromkeys(("score:pain", "item:pain"), "to_be_judged")
    assert after("unit_changed") == joined | {"item:weight": "broken"}
    assert after("calculation_changed") == joined | {"item:total": "broken"}


def test_an_instruction_at_the_top_has_a_say_in_every_line() -> None:
    seed = next(seed for kind, at, seed in SEEDS if (kind, at) == ("text_reworded", "intro"))
    assert set(lines(compare(BEFORE, read(changed(seed, DOCUMENT)))).values()) == {"to_be_judged"}


def test_a_question_added_to_what_a_total_is_made_of_breaks_its_line_and_no_other() -> None:
    def made(*names: str) -> Questionnaire:
        total = expression("calculatedExpression", "%resource.item.where(linkId='g').item.answer.value.weight().sum()")
        asked = [item(name, "choice", text=name, answerOption=options("a", "b")) for name in names]
        return form(item("g", "group", *asked), item("sum", "decimal", readOnly=True, text="Sum", extension=[total]))

    found = compare(made("x", "y"), made("x", "y", "z"))
    assert kinds(found) == {"item_added"}
    assert lines(found) == {"item:x": "joined", "item:y": "joined", "item:z": "broken", "item:sum": "broken"}
    assert "andre spørgsmål" in found.trend("item:sum").reasons[0].da


def test_a_changed_variable_is_told_of_where_it_makes_a_difference() -> None:
    def narrow(whole: dict[str, Any]) -> None:
        whole["extension"][0]["valueExpression"]["expression"] = "%resource.item.item.where(linkId = 'mood')"

    found = compare(BEFORE, read(changed(narrow, DOCUMENT)))
    assert [(each.kind, each.link_id) for each in found.changes] == [
        ("variable_changed", ""), ("calculation_changed", "total"),
    ]  # fmt: skip
    assert found.trend("item:total").joining is Joining.BROKEN
    assert found.trend("item:pain").joined


def test_thresholds_and_colours_leave_the_lines_of_numbers_alone() -> None:
    for kind in ("threshold_changed", "colour_changed", "rule_removed"):
        seed = next(seed for name, _, seed in RULE_SEEDS if name == kind)
        found = compare(BEFORE, BEFORE, RULES, read_rules(changed(seed, RULES_DOCUMENT)))
        assert all(trend.joined for trend in found.trends)


def test_a_score_that_is_in_one_version_only_has_no_line_across() -> None:
    found = compare(BEFORE, BEFORE, None, RULES)
    assert kinds(found) == {"rules_added"}
    assert lines(found)["score:burden"] == "broken"
    assert kinds(compare(BEFORE, BEFORE, RULES, None)) == {"rules_removed"}
    with pytest.raises(KeyError):
        found.trend("score:nothing")


# --- Version steps


@pytest.mark.parametrize(
    ("old", "new", "step"),
    [
        ("1.0.0", "1.0.0", Step.NONE), ("1.0.0", "1.0.1", Step.PATCH), ("1.0.9", "1.1.0", Step.MINOR),
        ("1.9", "2.0", Step.MAJOR), ("1.4", "1.4.1", Step.PATCH), ("v1", "v2", Step.MAJOR), ("1.0", "1.0.0", Step.NONE),
        ("1.2.0", "1.1.9", None), ("2025-01-01", "2026-01-01", None), ("spring", "autumn", None), ("20250101", "20260101", None),
        ("1.0.0-rc.1", "1.0.0", Step.PATCH), ("1.10", "1.9", None), ("", "1.0", None),
    ],
)  # fmt: skip
def test_the_step_between_two_version_numbers(old: str, new: str, step: Step | None) -> None:
    assert step_between(old, new) is step


@pytest.mark.parametrize(
    ("version", "codes", "sufficient"),
    [
        ("1.0.0", ["version_unchanged"], False), ("1.0.1", ["step_too_small"], False), ("1.1.0", [], True),
        ("2.0.0", [], True), ("0.9.0", ["version_goes_back"], False), ("next", ["version_unreadable"], True),
    ],
)  # fmt: skip
def test_a_version_number_has_to_move_as_far_as_the_changes_need(
    version: str, codes: list[str], sufficient: bool
) -> None:
    whole = changed(lambda each: each["item"].append(item("new", "string", text="Nyt?")), DOCUMENT)
    found = compare(BEFORE, read({**whole, "version": version}))
    assert found.step is Step.MINOR
    assert [each.code for each in found.findings] == codes
    assert found.sufficient is sufficient


def test_questionnaire_and_rule_set_are_versioned_apart() -> None:
    seed = next(seed for kind, _, seed in RULE_SEEDS if kind == "threshold_changed")
    rules = read_rules({**changed(seed, RULES_DOCUMENT), "version": "1.1.0"})
    found = compare(BEFORE, BEFORE, RULES, rules)
    assert (found.step, found.rules_step, found.sufficient) == (Step.NONE, Step.MAJOR, False)
    assert "regelsættets" in found.findings[0].da.lower()
    moved = read({**DOCUMENT, "version": "1.0.1"})
    assert [each.code for each in compare(BEFORE, moved, RULES, RULES).findings] == ["rules_for_another_version"]


def test_another_questionnaire_is_not_measured_by_version_numbers() -> None:
    found = compare(BEFORE, read({**DOCUMENT, "url": "urn:another", "version": "0.1"}))
    assert found.step is Step.MAJOR
    assert found.findings == ()


# --- Drafts


def test_an_unchanged_version_keeps_a_draft_as_it_is() -> None:
    moved = compare(BEFORE, read(document())).migrate(ANSWERS)
    assert {path: list(values) for path, values in moved.kept.items()} == ANSWERS
    assert (moved.changed, moved.to_review, moved.dropped) == ((), (), ())


@pytest.mark.parametrize(("kind", "link_id", "seed"), SEEDS, ids=[f"{kind}-{name}" for kind, name, _ in SEEDS])
def test_what_is_proposed_for_a_draft_has_no_errors(kind: str, link_id: str, seed: seeds.Seed) -> None:
    after = read(changed(seed, DOCUMENT))
    moved = compare(BEFORE, after).migrate(ANSWERS)
    assert errors(after, moved.answers(), draft=True) == []
    assert errors(after, moved.answers(reviewed=True), draft=True) == []
    assert told_of(moved) == set(ANSWERS)


def told_of(moved: Migration) -> set[str]:
    carried = {each.path for each in (*moved.changed, *moved.to_review)}
    return {*moved.kept, *carried, *(each.path for each in moved.dropped)}


def migrated(kind: str, at: str) -> dict[str, set[str]]:
    seed = next(seed for name, link_id, seed in SEEDS if (name, link_id) == (kind, at))
    moved = compare(BEFORE, read(changed(seed, DOCUMENT))).migrate(ANSWERS)
    return {
        "touched": set(ANSWERS) - set(moved.kept),
        "changed": {each.path for each in moved.changed},
        "review": {each.path for each in moved.to_review},
        "dropped": {each.path for each in moved.dropped},
    }


@pytest.mark.parametrize(
    ("kind", "at", "path", "fate"),
    [
        ("text_reworded", "mood", "weeks/mood", "review"), ("translation_reworded", "mood", "weeks/mood", "review"),
        ("range_widened", "pain", "pain", "review"), ("range_narrowed", "pain", "pain", "dropped"),
        ("type_changed", "pain", "pain", "review"), ("unit_changed", "weight", "weight", "dropped"),
        ("option_reworded", "mood", "weeks/mood", "review"), ("option_recoded", "symptoms", "symptoms", "changed"),
        ("link_id_renamed", "remark", "note", "changed"), ("item_moved", "note", "note", "changed"),
        ("item_removed", "note", "note", "dropped"), ("value_set_changed", "place", "place", "review"),
        ("fixed_answer_changed", "consent", "consent", "dropped"), ("calculation_added", "weight", "weight", "dropped"),
        ("limit_tightened", "note", "note", "dropped"), ("repeats_removed", "symptoms", "symptoms", "dropped"),
        ("modifier_changed", "note", "note", "review"), ("picture_changed", "pain", "pain", "review"),
    ],
)  # fmt: skip
def test_an_answer_whose_question_changed_its_meaning_is_not_carried_over_silently(
    kind: str, at: str, path: str, fate: str
) -> None:
    found = migrated(kind, at)
    assert (found["touched"], found[fate]) == ({path}, {path})


@pytest.mark.parametrize(
    ("kind", "at"),
    [("options_reordered", "sleep"), ("option_reweighted", "sleep"), ("help_changed", "pain"), ("text_reformatted", "mood"),
     ("required_added", "note"), ("condition_added", "note"), ("limit_loosened", "more"), ("title_changed", "")],
)  # fmt: skip
def test_a_change_that_leaves_the_answers_meaning_alone_leaves_the_draft_alone(kind: str, at: str) -> None:
    assert not any(migrated(kind, at).values())


def test_one_of_several_answers_that_is_gone_puts_the_others_up_for_review() -> None:
    seed = next(seed for kind, at, seed in SEEDS if (kind, at) == ("option_removed", "symptoms"))
    moved = compare(BEFORE, read(changed(seed, DOCUMENT))).migrate(ANSWERS)
    assert [(each.path, each.values) for each in moved.to_review] == [("symptoms", (coding("itch"),))]
    assert [(each.path, each.values) for each in moved.dropped] == [("symptoms", (coding("cough"),))]
    assert "symptoms" not in moved.answers()
    assert moved.answers(reviewed=True)["symptoms"] == (coding("itch"),)


def test_a_group_whose_stem_was_reworded_puts_all_its_answers_up_for_review() -> None:
    whole = changed(lambda each: seeds.find(each, "weeks").update(text="I de sidste fire uger:"), DOCUMENT)
    moved = compare(BEFORE, read(whole)).migrate(ANSWERS)
    assert {each.path for each in moved.to_review} == {"weeks/mood", "weeks/sleep"}


def test_a_group_that_no_longer_repeats_keeps_its_first_repetition() -> None:
    whole = changed(lambda each: seeds.find(each, "medicines").pop("repeats"), DOCUMENT)
    moved = compare(BEFORE, read(whole)).migrate(ANSWERS)
    assert [(each.path, each.new_path) for each in moved.changed] == []
    assert "medicines[0]/medicine" in moved.kept
    assert {each.path for each in moved.dropped} == {"medicines[1]/medicine", "medicines[1]/dose"}


def test_a_group_that_may_repeat_less_often_loses_its_last_repetitions() -> None:
    most = {"url": CORE + "questionnaire-maxOccurs", "valueInteger": 1}
    whole = changed(lambda each: seeds.extend(each, "medicines", most), DOCUMENT)
    moved = compare(BEFORE, read(whole)).migrate(ANSWERS)
    assert {each.path for each in moved.dropped} == {"medicines[1]/medicine", "medicines[1]/dose"}


def test_a_new_rule_that_the_draft_breaks_drops_the_answers_it_reads() -> None:
    broken = seeds.ruled("root-2", "%resource.item.where(linkId = 'pain').answer.value < 5")
    whole = changed(lambda each: each["extension"].append(broken), DOCUMENT)
    moved = compare(BEFORE, read(whole)).migrate(ANSWERS)
    assert [(each.path, each.reason.da) for each in moved.dropped] == [("pain", "Reglen er brudt")]


def test_what_was_no_answer_to_the_old_version_is_dropped_with_the_reason() -> None:
    strange: dict[str, Any] = {
        "nowhere": [{"valueString": "x"}],
        "weeks": [{"valueString": "x"}],
        "note": [{"x": 1}],
        "pain": [3],
    }
    moved = compare(BEFORE, BEFORE).migrate(strange)
    assert moved.kept == {}
    assert {each.path: bool(each.reason.da and each.reason.en) for each in moved.dropped} == dict.fromkeys(
        strange, True
    )


# --- Properties over forms of every kind


def mutate(data: st.DataObject, questionnaire: Questionnaire) -> tuple[str, Questionnaire]:
    """Make one change to a form; return the kind it has to be found as, and the form."""
    whole: dict[str, Any] = _copy(questionnaire.source)
    items = _flat(whole["item"])
    target = items[data.draw(st.integers(0, len(items) - 1))]
    length = data.draw(st.integers(0, 3))
    kind = _mutate(data.draw(st.sampled_from(MUTATIONS)), whole, target, length)
    return kind, read_questionnaire(whole)


MUTATIONS = (
    "reword", "required", "repeats", "add", "add_required", "hide", "length", "condition", "prefix", "option",
)  # fmt: skip


def _mutate(name: str, whole: dict[str, Any], target: dict[str, Any], length: int) -> str:
    if name in ("required", "repeats"):
        assume(target["type"] != "display")
        if target.pop(name, None):
            return f"{name}_removed"
        target[name] = True
        return f"{name}_added"
    if name in ("add", "add_required"):
        required = {"required": True} if name == "add_required" else {}
        whole["item"].append(item("added", "string", text="Added", **required))
        return "required_item_added" if required else "item_added"
    if name == "hide":
        target.setdefault("extension", []).append({"url": CORE + "questionnaire-hidden", "valueBoolean": True})
        return "hidden_added"
    if name == "length":
        assume(target["type"] in ("string", "text"))
        target["maxLength"] = length
        return "limit_tightened"
    if name == "condition":
        assume("enableWhen" in target)
        del target["enableWhen"]
        return "condition_removed"
    if name == "option":
        assume("answerOption" in target)
        target["answerOption"].append({"valueCoding": {"system": SYSTEM, "code": "very much"}})
        return "option_added"
    target["prefix" if name == "prefix" else "text"] = "Something else altogether"
    return "label_changed" if name == "prefix" else "text_reworded"


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(part) for name, part in value.items()}
    return [_copy(part) for part in value] if isinstance(value, list) else value


def _flat(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for one in items for each in (one, *_flat(one.get("item", [])))]


@given(st.data(), forms())
def test_a_change_anywhere_in_any_form_is_found_and_nothing_else_is(data: st.DataObject, before: Questionnaire) -> None:
    kind, after = mutate(data, before)
    assert kinds(compare(before, after)) == {kind}


@pytest.mark.parametrize(("kind", "link_id", "seed"), SEEDS, ids=[f"{kind}-{name}" for kind, name, _ in SEEDS])
def test_less_than_a_major_step_leaves_the_response_valid(kind: str, link_id: str, seed: seeds.Seed) -> None:
    assert errors(BEFORE, ANSWERS) == []
    after = read(changed(seed, DOCUMENT))
    if KINDS[kind].step is not Step.MAJOR:
        response = {**assemble(BEFORE, ANSWERS), "questionnaire": after.url}
        assert [each for each in evaluate(after, response).problems if each.severity is Severity.ERROR] == []


@given(st.data(), forms())
def test_less_than_a_major_step_leaves_every_valid_response_valid(data: st.DataObject, before: Questionnaire) -> None:
    _, after = mutate(data, before)
    answers = data.draw(answer_maps(before))
    assume(errors(before, answers) == [])
    found = compare(before, after)
    if found.step is not Step.MAJOR:
        response = {**assemble(before, answers), "questionnaire": after.url}
        problems = evaluate(after, response).problems
        assert [each for each in problems if each.severity is Severity.ERROR] == []


@given(st.data(), forms())
def test_an_unchanged_form_keeps_any_valid_draft(data: st.DataObject, before: Questionnaire) -> None:
    answers = data.draw(answer_maps(before))
    assume(errors(before, answers, draft=True) == [])
    moved = compare(before, read_questionnaire(dict(before.source))).migrate(answers)
    assert moved.kept == {path: tuple(values) for path, values in answers.items()}
    assert (moved.changed, moved.to_review, moved.dropped) == ((), (), ())


@given(st.data(), forms())
def test_a_migrated_draft_never_has_errors(data: st.DataObject, before: Questionnaire) -> None:
    _, after = mutate(data, before)
    assume(errors(after, {}, draft=True) == [])
    answers = data.draw(answer_maps(before))
    moved = compare(before, after).migrate(answers)
    assert errors(after, moved.answers(), draft=True) == []
    assert errors(after, moved.answers(reviewed=True), draft=True) == []


@given(st.data(), forms(), forms())
def test_any_two_forms_are_compared_and_any_draft_is_moved(
    data: st.DataObject, before: Questionnaire, after: Questionnaire
) -> None:
    found = compare(before, after)
    assert bool(found) is (before.content_hash != after.content_hash)
    answers = data.draw(answer_maps(before))
    moved = found.migrate(answers)
    assert told_of(moved) == set(answers)
    if not errors(after, {}, draft=True):
        assert errors(after, moved.answers(reviewed=True), draft=True) == []
    assert isinstance(found.to_json()["changes"], list)


def test_every_public_questionnaire_equals_itself_and_differs_from_its_neighbours(cases: Path) -> None:
    read_ones = []
    for path in sorted(cases.glob("questionnaires/*/*/questionnaire.json"), key=lambda each: each.stat().st_size)[:-3]:
        try:
            read_ones.append(read_questionnaire(path.read_bytes()))
        except QuestionnaireInvalid:
            continue
    assert len(read_ones) > 70
    for one, other in pairwise(read_ones):
        assert not compare(one, one)
        assert bool(compare(one, other)) is (one.content_hash != other.content_hash)


# --- The reference page


def test_the_reference_names_every_kind_with_its_step_and_what_it_does_to_lines_and_drafts() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "differences.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (\w+) \| (\w+) \| ([\w ]+) \| (\w+) \|$", page, re.MULTILINE)
    lines_say = {Joining.JOINED: "yes", Joining.JUDGE: "a person decides", Joining.BROKEN: "no"}
    assert rows == [
        (name, kind.what.en, kind.area.value, kind.step.value, lines_say[kind.joining], kind.carrying.value)
        for name, kind in KINDS.items()
    ]


def test_a_patch_never_touches_a_line_and_words_for_every_kind_are_in_both_languages() -> None:
    for name, kind in KINDS.items():
        assert kind.joining is Joining.JOINED or kind.step.size >= Step.MINOR.size, name
        assert all((kind.what.da, kind.what.en, kind.why.da, kind.why.en)), name
    assert {kind.area for kind in KINDS.values()} == set(Area)
