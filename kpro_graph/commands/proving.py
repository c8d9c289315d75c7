"""`kpro questionnaire check` and `kpro questionnaire tests`: the proof before publishing, at a shell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kpro_graph.commands import questionnaire as questionnaires
from kpro_graph.commands.output import console, problem

if TYPE_CHECKING:
    from kpro_graph.questionnaires import Problem, Questionnaire, RuleSet
    from kpro_graph.questionnaires.proof import Finding, Proof, ScoreRange

__all__ = ["register"]

_FILE = {"exists": True, "dir_okay": False}
_MOST_NAMED = 4
_SHADES = {"error": "red", "undecided": "magenta", "warning": "yellow", "information": "blue"}

_Questionnaire = Annotated[Path, typer.Argument(help="A FHIR R4 Questionnaire as JSON.", **_FILE)]
_Rules = Annotated[Path | None, typer.Option(help="Its rule set; a draft speaks as if it were approved.", **_FILE)]


def register(_: typer.Typer) -> None:
    """Add the commands to those about questionnaires."""
    questionnaires.app.command("check")(check)
    questionnaires.app.command("tests")(fixtures)


def check(
    file: _Questionnaire,
    rules: _Rules = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON, with a counter-example to each finding that has one.")
    ] = False,
) -> None:
    """Prove a questionnaire before it is published, and say what was found.

    Items that are never asked, answers after which no response is valid, circles, gaps and overlaps of colours, scores
    outside their range, worse answers that turn greener, faults of expressions and texts. What could not be decided is
    said to be undecided. The exit code is 1 if a finding hinders that the version comes into use, and where the file
    is refused as no questionnaire that can be used; its findings are then the reasons.
    """
    proof = _prove(file, rules, json=json)
    if json:
        told = proof.to_json()
        del told["fixtures"]
        _print_json(told)
    else:
        _show(proof)
    if not proof.may_activate:
        raise typer.Exit(1)


def fixtures(file: _Questionnaire, rules: _Rules = None) -> None:
    """Print responses to test with, as JSON: few, and together they show everything the questionnaire can do.

    Each says what it shows and what is expected of it: whether it is valid, what is asked, scores and colours. The exit
    code is 1 if a finding hinders that the version comes into use.
    """
    proof = _prove(file, rules)
    told = proof.to_json()
    _print_json({name: told[name] for name in ("questionnaire", "ruleSet", "fixtures")})
    if not proof.may_activate:
        raise typer.Exit(1)


def _prove(file: Path, rules: Path | None, *, json: bool = False) -> Proof:
    from kpro_graph.questionnaires.proof import prove

    return prove(_read_questionnaire(file, json=json), _read_rules(rules))


def _read_questionnaire(file: Path, *, json: bool) -> Questionnaire:
    from kpro_graph.questionnaires import QuestionnaireInvalid, read_questionnaire

    try:
        return read_questionnaire(file.read_bytes())
    except QuestionnaireInvalid as refused:
        problem(f"{file} is refused: it is no questionnaire that can be used")
        for fault in refused.problems:
            problem(f"  {fault.location}: {fault.en}")
        if json:
            reasons = [_tell_refusal(fault) for fault in refused.problems]
            _print_json({"questionnaire": None, "ruleSet": None, "mayActivate": False, "findings": reasons})
    raise typer.Exit(1)


def _tell_refusal(fault: Problem) -> dict[str, Any]:
    """Return why a file is refused in the shape of a finding."""
    return {
        "code": fault.code,
        "severity": fault.severity.value,
        "linkIds": [fault.link_id] if fault.link_id else [],
        "location": fault.location,
        "da": fault.da,
        "en": fault.en,
    }


def _read_rules(file: Path | None) -> RuleSet | None:
    from kpro_graph.questionnaires import RuleSetInvalid, read_rule_set

    if file is None:
        return None
    try:
        return read_rule_set(file.read_bytes())
    except RuleSetInvalid as refused:
        problem(f"{file} is refused: {refused}")
        for each in refused.problems:
            problem(f"  {each.path}: {each.message.en}")
    raise typer.Exit(1)


def _print_json(value: Any) -> None:
    from kpro_graph.questionnaires import write_json

    typer.echo(write_json(value, indent=2 if console.is_terminal else 0).decode())


def _show(proof: Proof) -> None:
    from rich import box
    from rich.table import Table

    if proof.findings:
        table = Table("Finding", "Where", "What is the case", box=box.SIMPLE_HEAD)
        for finding in proof.findings:
            table.add_row(_mark(finding), _place(finding), _say(finding))
        console.print(table)
    for score in proof.scores:
        console.print(_span(score))
    count = len(proof.fixtures)
    console.print(f"{proof.cases} sets of answers were tried; {count} show everything: kpro questionnaire tests.")
    if proof.may_activate:
        console.print("[green]✓[/] Nothing hinders that this version comes into use.")
    else:
        errors = sum(finding.severity.value == "error" for finding in proof.findings)
        console.print(
            f"[red]✗[/] {errors} error{'' if errors == 1 else 's'} hinder{'s' if errors == 1 else ''} its use."
        )


def _mark(finding: Finding) -> Any:
    from rich.text import Text

    return Text(finding.code, style=_SHADES[finding.severity.value])


def _place(finding: Finding) -> Any:
    from rich.text import Text

    named = ", ".join(finding.link_ids[:_MOST_NAMED])
    more = f" and {len(finding.link_ids) - _MOST_NAMED} more" if len(finding.link_ids) > _MOST_NAMED else ""
    lines = [each for each in (finding.key, f"{named}{more}", finding.location) if each]
    return Text("\n".join(lines))


def _say(finding: Finding) -> Any:
    from rich.text import Text

    shown = "\n(a counter-example is in --json)" if finding.counter_example is not None else ""
    return Text.assemble(finding.da, "\n", (finding.en + shown, "dim"))


def _span(score: ScoreRange) -> Any:
    from rich.text import Text

    ends = [f"{each:f}" if each is not None else "–" for each in (score.minimum, score.maximum)]
    values = "any value" if score.count is None else f"{score.count} value{'' if score.count == 1 else 's'}"
    unsure = "" if score.decided else ", as far as was found"
    return Text(f"{score.code}: from {ends[0]} to {ends[1]}, {values}{unsure}")
