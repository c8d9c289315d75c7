"""The documentation builds without a warning, and says of the product what the product says of itself."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from kpro_graph.demography import Demography
from kpro_graph.errors import KproError, Refused, Rejected
from kpro_graph.events import EventType
from kpro_graph.plugins import hookspecs
from kpro_graph.settings import variables

HOUSE = Path(__file__).parent.parent
DOCS = HOUSE / "docs"
SECTIONS = ("tutorials", "how-to", "reference", "explanation", "decisions")


def pages() -> list[Path]:
    return [DOCS / "index.md", *sorted(page for section in SECTIONS for page in (DOCS / section).glob("*.md"))]


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def generated() -> Any:
    """The program that writes the generated tables."""
    spec = importlib.util.spec_from_file_location("kpro_docs_generated", DOCS / "generated.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation, built from nothing with every warning an error."""
    folder = tmp_path_factory.mktemp("docs")
    build = subprocess.run(
        [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--nitpicky", "--quiet",
         "--doctree-dir", folder / "doctrees", DOCS, folder / "html"],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert build.returncode == 0, build.stderr[-4000:]
    return folder / "html"


# --- The build


def test_every_page_is_built_and_reached_from_the_first(site: Path) -> None:
    built = {each.relative_to(site).with_suffix("").as_posix() for each in site.rglob("*.html")}
    assert {each.relative_to(DOCS).with_suffix("").as_posix() for each in pages()} <= built
    reached, waiting = set(), [site / "index.html"]
    while waiting:
        here = waiting.pop()
        if here not in reached:
            reached.add(here)
            waiting += [target for target, _ in _Links.of(here).inside(here) if target.suffix == ".html"]
    assert {(site / each.relative_to(DOCS)).with_suffix(".html") for each in pages()} <= reached


def test_every_link_within_the_documentation_leads_somewhere(site: Path) -> None:
    dead = [
        f"{here.relative_to(site)} -> {target.relative_to(site) if target.is_relative_to(site) else target}#{anchor}"
        for here in sorted(site.rglob("*.html"))
        for target, anchor in _Links.of(here).inside(here)
        if not target.is_file() or (anchor and target.suffix == ".html" and anchor not in _Links.of(target).anchors)
    ]
    assert dead == []


def test_the_documentation_loads_nothing_from_elsewhere(site: Path) -> None:
    """Links may lead out; scripts, styles, fonts and pictures may not come in."""
    strangers = {source for here in site.rglob("*.html") for source in _Links.of(here).loads if "//" in source}
    assert strangers == set()


# --- What is said


def test_what_is_made_from_the_code_is_current(generated: Any) -> None:
    stale = [path.name for path, text, wanted in generated.pages() if text != wanted]
    assert stale == []


def test_every_generated_table_is_used_once(generated: Any) -> None:
    used = [name for each in pages() for name in re.findall(r"<!-- generated: (\S+) -->", each.read_text("utf-8"))]
    assert sorted(used) == sorted(generated.GENERATED)


def test_every_setting_is_in_the_reference() -> None:
    text = page("reference/settings.md")
    assert [name for name, _, _ in variables() if f"| `{name}` |" not in text] == []


def test_no_page_speaks_of_a_setting_that_is_not_there() -> None:
    # The database roles' passwords are read by compose and psql, KPRO_URL by `kpro query`.
    known = {name for name, _, _ in variables()} | {f"KPRO_{role}_PASSWORD" for role in ("OWNER", "API", "RELAY")}
    known |= {"KPRO_URL"}
    said = {name for each in pages() for name in re.findall(r"\bKPRO_[A-Z_]+\b", each.read_text(encoding="utf-8"))}
    assert said <= known


def test_every_code_an_error_can_have_is_in_the_reference(generated: Any) -> None:
    text = page("reference/errors.md")
    # Only the three roots are never raised themselves.
    raised = [each for each in generated._errors() if each not in {KproError, Refused, Rejected}]
    assert [each.__name__ for each in raised if f"`{each.code}`" not in text] == []
    elsewhere = {
        code
        for name in ("errors.py", "http.py", "failures.py", "entry.py")
        for code in re.findall(
            r"\"([A-Z]{3,}(?:_[A-Z]+)+)\"", (HOUSE / "kpro_graph" / "schema" / name).read_text("utf-8")
        )
    }
    assert "GRAPHQL_VALIDATION_FAILED" in elsewhere
    assert {code for code in elsewhere if f"`{code}`" not in text} == set()


def test_no_two_expected_failures_share_a_code(generated: Any) -> None:
    codes = [each.code for each in generated._errors() if generated._answered(each)]
    assert len(codes) == len(set(codes)) > 10


def test_every_event_is_in_the_reference() -> None:
    text = page("reference/events.md")
    assert [each for each in EventType if f"| `{each.value}` | `{each.name}` |" not in text] == []


def test_every_hook_is_documented_with_its_exact_signature() -> None:
    headings = re.findall(r"^## `(.+)`$", page("reference/hooks.md"), re.MULTILINE)
    hooks = [
        f"{name}{inspect.signature(hook)}".replace("'", "")
        for name, hook in vars(hookspecs).items()
        if callable(hook) and hasattr(hook, f"{hookspecs.PROJECT}_spec")
    ]
    assert hooks
    assert sorted(hooks) == sorted(headings)


def test_every_example_is_shown_to_somebody() -> None:
    shown = "".join(each.read_text(encoding="utf-8") for each in [*pages(), HOUSE / "README.md"])
    hidden = [each.name for each in sorted((HOUSE / "examples").glob("*.graphql")) if each.name not in shown]
    assert hidden == []


# --- Decisions


def test_every_decision_has_its_parts_and_its_number_once() -> None:
    numbers = []
    for each in sorted((DOCS / "decisions").glob("0*.md")):
        text = each.read_text(encoding="utf-8")
        assert text.startswith(f"# {each.name[:4]} "), each.name
        assert re.search(r"^Status: (accepted|replaced by .+), 20\d\d-\d\d$", text, re.MULTILINE), each.name
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Alternatives"], each.name
        assert len(text.splitlines()) <= 80, f"{each.name} is longer than a page"
        numbers.append(each.name[:4])
    assert len(numbers) == len(set(numbers)) >= 9


# --- The tutorial


def test_the_tutorials_citizen_is_the_demos() -> None:
    said = re.findall(r"--var cpr=(\d{10})", page("tutorials/first-answer.md"))
    assert said == [Demography().citizen_cpr("0101", 0)]


@pytest.mark.prove
@pytest.mark.timeout(300)
def test_the_tutorial_runs_as_it_is_written(tmp_path: Path) -> None:
    """Its shell blocks, in order, in one shell, against a demo of their own."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", page("tutorials/first-answer.md"), re.DOTALL | re.MULTILINE)
    kpro = Path(sys.executable).with_name("kpro")
    script = tmp_path / "tutorial.sh"
    # A step that fails takes the listener in the background with it.
    before = "set -euo pipefail\ntrap 'kill 0' ERR\n"
    script.write_text(before + "\n".join(blocks).replace(".venv/bin/kpro", str(kpro)), encoding="utf-8")
    for name in ("examples", "plugins"):
        (tmp_path / name).symlink_to(HOUSE / name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    known = {name: value for name, value in os.environ.items() if not name.startswith("KPRO_")}
    environment = {**known, "KPRO_FOLDER": str(tmp_path / "data"), "KPRO_URL": f"http://127.0.0.1:{port}"}
    log = tmp_path / "demo.log"
    with log.open("w", encoding="utf-8") as said:
        demo = subprocess.Popen(
            [kpro, "demo", "--citizens", "40", "--port", str(port)], cwd=tmp_path, env=environment,
            stdout=said, stderr=said,
        )  # fmt: skip
    try:
        _until_ready(demo, port, log)
        told = subprocess.run(
            ["bash", script], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=120, check=False, start_new_session=True,
        )  # fmt: skip
        assert told.returncode == 0, told.stdout[-2000:] + told.stderr[-2000:]
        assert "ResponseSubmitted" in told.stdout
        assert "RESPONSE_SUBMITTED" in told.stdout
        assert '"errors"' not in told.stdout
        assert '{"data": {"careTeam": null}}' in told.stdout.splitlines()[-1]
    finally:
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 0


def _until_ready(demo: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert demo.poll() is None, log.read_text(encoding="utf-8")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.3)
    raise AssertionError("the demo does not get ready")


class _Links(HTMLParser):
    """What a built page links to, loads, and can be linked to."""

    _read: dict[Path, _Links] = {}  # noqa: RUF012 - pages do not change while the tests run

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()

    @classmethod
    def of(cls, path: Path) -> _Links:
        if path not in cls._read:
            found = cls._read[path] = cls()
            found.feed(path.read_text(encoding="utf-8"))
        return cls._read[path]

    def inside(self, here: Path) -> list[tuple[Path, str]]:
        """Return each link that stays within the site, as file and anchor."""
        found = []
        for link in self.links:
            parts = urlsplit(link)
            if not parts.scheme and not parts.netloc:
                target = (here.parent / unquote(parts.path)).resolve() if parts.path else here
                found.append((target, unquote(parts.fragment)))
        return found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value}
        self.anchors.update(values[name] for name in ("id", "name") if name in values and tag != "meta")
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag in {"script", "img", "iframe", "source"} and "src" in values:
            self.loads.append(values["src"])
        elif tag == "link" and values.get("rel") in {"stylesheet", "preload", "icon"}:
            self.loads.append(values["href"])
