"""`kpro response`, `kpro fhirpath` and `kpro questionnaire diff`: the questionnaire engine at a shell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from kpro_graph.commands import questionnaire as questionnaires
from kpro_graph.commands.output import console, problem

if TYPE_CHECKING:
    from kpro_graph.questionnaires import Evaluation, Questionnaire, RuleSet
    from kpro_graph.questionnaires.differences import Differences

__all__ = ["register"]

_Read = TypeVar("_Read")
_File = {"exists": True, "dir_okay": False}
_Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
_Rules = Annotated[Path | None, typer.Option(help="A rule set, to score and interpret by.", **_File)]

response = typer.Typer(help="Check, score and interpret answers.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    questionnaires.app.command("diff")(diff)
    app.add_typer(response, name="response")
    app.command()(fhirpath)


@response.callback()
def _response() -> None:
    """Keep `evaluate` a subcommand, also while it is the only one."""


@response.command("evaluate")
def evaluate_response(
    file: Annotated[Path | None, typer.Argument(help="A FHIR R4 QuestionnaireResponse as JSON.", **_File)] = None,
    questionnaire: Annotated[Path | None, typer.Option(help="The questionnaire it answers.", **_File)] = None,
    rules: _Rules = None,
    draft: Annotated[bool, typer.Option("--draft", help="Check leniently: what is missing is a warning.")] = False,
    json: _Json = False,
    batch: Annotated[
        bool,
        typer.Option(
            "--batch",
            help="Read lines {id, questionnaire, response, rules?, draft?, supporting_resources?} from standard input, "
            "write a line each.",
        ),
    ] = False,
) -> None:
    """Check, calculate, score and interpret a response. The exit code is 1 if it is not valid.

    With --batch each line is answered by {id, valid, problems, enabled, response, scores, colours}, with an error
    beside them where the questionnaire or the response cannot be read, or by {id, error} where the line asks nothing;
    the exit code is then 0.
    """
    if batch:
        if file or questionnaire or rules or draft:
            raise typer.BadParameter("with --batch, everything is in the lines")
        from kpro_graph.commands.batch import answer_evaluation, stream

        stream(answer_evaluation)
        return
    if file is None or questionnaire is None:
        raise typer.BadParameter("a response and --questionnaire are needed, or --batch")
    from kpro_graph.commands.batch import read_response
    from kpro_graph.questionnaires import evaluate

    asked = _read_questionnaire(questionnaire)
    rule_set = _read_rules(rules)
    evaluation = evaluate(asked, _read(file, read_response), rules=rule_set, draft=draft)
    if json:
        _print_json(_tell(evaluation))
    else:
        _show(evaluation)
    if not evaluation.valid:
        raise typer.Exit(1)


def fhirpath(
    expression: Annotated[str | None, typer.Argument(help="A FHIRPath expression.")] = None,
    resource: Annotated[Path | None, typer.Argument(help="The resource it is about, as JSON.", **_File)] = None,
    questionnaire: Annotated[
        Path | None, typer.Option(help="The questionnaire of a response: its weights and variables count.", **_File)
    ] = None,
    link_id: Annotated[str | None, typer.Option(help="The item that is %context.")] = None,
    instance: Annotated[int, typer.Option(help="Which repetition of the item, from 0.", min=0)] = 0,
    batch: Annotated[
        bool,
        typer.Option(
            "--batch",
            help="Read lines {id, expression, resource, questionnaire?, linkId?, instance?} from standard input, "
            "write {id, result} or {id, error} for each.",
        ),
    ] = False,
) -> None:
    """Evaluate a FHIRPath expression on a resource and print the result, a JSON list.

    The exit code is 1 if the expression is invalid or fails; with --batch it is 0.
    """
    if batch:
        if expression or resource or questionnaire or link_id:
            raise typer.BadParameter("with --batch, everything is in the lines")
        from kpro_graph.commands.batch import answer_expression, stream

        stream(answer_expression)
        return
    if expression is None:
        raise typer.BadParameter("an expression is needed, or --batch")
    from kpro_graph.questionnaires import read_json, write_json
    from kpro_graph.questionnaires.expressions import run_batch

    line: dict[str, Any] = {"expression": expression, "instance": instance}
    for name, file in (("resource", resource), ("questionnaire", questionnaire)):
        if file is not None:
            line[name] = _read(file, read_json)
    if link_id is not None:
        line["linkId"] = link_id
    (answer,) = run_batch([write_json(line).decode()])
    found = read_json(answer)
    assert isinstance(found, dict)
    if "error" in found:
        problem(str(found["error"]))
        raise typer.Exit(1)
    _print_json(found["result"])


def diff(
    old: Annotated[Path, typer.Argument(help="The old version.", **_File)],
    new: Annotated[Path, typer.Argument(help="The new version.", **_File)],
    rules_a: Annotated[Path | None, typer.Option(help="The rule set of the old version.", **_File)] = None,
    rules_b: Annotated[Path | None, typer.Option(help="The rule set of the new version.", **_File)] = None,
    json: _Json = False,
) -> None:
    """Say what has changed between two versions, the version step it needs, and which trend lines may go on.

    The exit code is 1 if the new version number is not far enough from the old one for what has changed.
    """
    from kpro_graph.questionnaires.differences import compare

    found = compare(_read_questionnaire(old), _read_questionnaire(new), _read_rules(rules_a), _read_rules(rules_b))
    if json:
        _print_json(found.to_json())
    else:
        _show_differences(found)
    if not found.sufficient:
        raise typer.Exit(1)


# --- Reading


def _read(file: Path, read: Callable[[bytes], _Read]) -> _Read:
    """Read a document; a refusal is printed with its reasons and ends the command."""
    from kpro_graph.questionnaires import DocumentRefused, QuestionnaireInvalid, RuleSetInvalid

    try:
        return read(file.read_bytes())
    except DocumentRefused as refused:
        problem(f"{file} is refused: {refused}")
    except QuestionnaireInvalid as refused:
        problem(f"{file} is refused: it is no questionnaire that can be used")
        for fault in refused.problems:
            problem(f"  {fault.location}: {fault.en}")
    except RuleSetInvalid as refused:
        problem(f"{file} is refused: {refused}")
        for each in refused.problems:
            problem(f"  {each.path}: {each.message.en}")
    raise typer.Exit(1)


def _read_questionnaire(file: Path) -> Questionnaire:
    from kpro_graph.questionnaires import read_questionnaire

    return _read(file, read_questionnaire)


def _read_rules(file: Path | None) -> RuleSet | None:
    from kpro_graph.questionnaires import read_rule_set

    return None if file is None else _read(file, read_rule_set)


# --- Telling


def _print_json(value: Any) -> None:
    from kpro_graph.questionnaires import write_json

    typer.echo(write_json(value, indent=2 if console.is_terminal else 0).decode())


def _tell(evaluation: Evaluation) -> dict[str, Any]:
    """Return everything about an evaluation: as in a batch, with messages and explanations."""
    from kpro_graph.commands.batch import tell_evaluation

    told = tell_evaluation(evaluation)
    for each, fault in zip(told["problems"], evaluation.problems, strict=True):
        each["message"] = {"da": fault.da, "en": fault.en}
    for each, made in zip(told["scores"], evaluation.scores, strict=True):
        each["explanation"] = made.explanation.to_json()
    for each, colour in zip(told["colours"], evaluation.interpretations, strict=True):
        each["explanation"] = colour.explanation.to_json()
    return told


_SHADES = {
    "error": "red",
    "warning": "yellow",
    "information": "blue",
    "green": "green",
    "yellow": "yellow",
    "red": "red",
}


def _table(*columns: str) -> Any:
    from rich import box
    from rich.table import Table

    return Table(*columns, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")


def _two(da: str, en: str) -> Any:
    """Return a text in both languages, Danish first."""
    from rich.text import Text

    return Text(da) if da == en else Text.assemble(da, "\n", (en, "dim"))


def _shaded(word: str, key: str = "") -> Any:
    from rich.text import Text

    return Text(word, style=_SHADES.get(key or word, ""))


def _plain(text: str) -> Any:
    """Return a text that is no markup, whatever it holds."""
    from rich.text import Text

    return Text(text)


def _show(evaluation: Evaluation) -> None:
    errors = sum(each.severity.value == "error" for each in evaluation.problems)
    if evaluation.valid:
        console.print("[green]✓[/] The response is valid.")
    else:
        console.print(f"[red]✗[/] The response is not valid: {errors} error{'' if errors == 1 else 's'}.")
    if evaluation.problems:
        table = _table("Problem", "Where", "What is the case")
        for each in evaluation.problems:
            place = each.path or each.location
            table.add_row(_shaded(each.code, each.severity.value), _plain(place), _two(each.da, each.en))
        console.print(table)
    if evaluation.scores:
        table = _table("Score", "Value", "How")
        for made in evaluation.scores:
            value = "–" if made.value is None else f"{made.value:f}"
            sentences = (made.explanation.sentence("da"), made.explanation.sentence("en"))
            table.add_row(_plain(made.code), _plain(f"{value} {made.unit}".strip()), _two(*sentences))
        console.print(table)
    if evaluation.interpretations:
        table = _table("Subject", "Colour", "Why")
        for one in evaluation.interpretations:
            said = _two(one.explanation.sentence("da"), one.explanation.sentence("en"))
            table.add_row(_plain(one.subject), _shaded(one.colour.value), said)
        console.print(table)


def _show_differences(found: Differences) -> None:
    if not found:
        console.print("Nothing has changed.")
    else:
        table = _table("Change", "Step", "Where", "What is the case")
        for each in found.changes:
            said = _two(each.da, each.en)
            if each.before or each.after:
                said.append(f"\n{each.before or '–'} → {each.after or '–'}")
            where = each.link_id or each.subject or each.location
            table.add_row(_plain(each.kind), each.step.value, _plain(where), said)
        console.print(table)
        stopped = [each for each in found.trends if not each.joined]
        if stopped:
            table = _table("Trend line", "Goes on", "Why not")
            for line in stopped:
                verdict = "a person decides" if line.joining.value == "to_be_judged" else "no"
                reasons = _two("\n".join(each.da for each in line.reasons), "\n".join(each.en for each in line.reasons))
                table.add_row(_plain(line.subject), verdict, reasons)
            console.print(table)
        joined = len(found.trends) - len(stopped)
        console.print(f"{joined} of {len(found.trends)} trend lines may go on.")
    steps = f"The changes need: {found.step.value}"
    if found.rules_step.value != "none":
        steps += f"; those of the rule set: {found.rules_step.value}"
    console.print(f"{steps}.")
    for finding in found.findings:
        mark = "[red]✗[/]" if finding.severity.value == "error" else "[yellow]![/]"
        console.print(mark, _two(finding.da, finding.en))
    if found.sufficient:
        console.print("[green]✓[/] The version step suffices.")
