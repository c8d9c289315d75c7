"""Zero residue in a real browser: after a session at a reception computer its profile holds nothing of it, on disk."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.living import Api, example
from tests.receiving import REDEEM, SEEN, hand_out, register
from tests.test_main_job import open_assignment

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
END = "mutation { endReceptionSession { ended } }"
# What a kiosk page does: the token is in the page's memory and nowhere else.
PAGE = """
async ({secret, code, documents, ids, control}) => {
  const ask = async (query, variables, token) => {
    const headers = {"Content-Type": "application/json"};
    if (token) headers["Authorization"] = "Reception " + token;
    const answer = await fetch("/graphql/", {method: "POST", headers, body: JSON.stringify({query, variables})});
    return answer.json();
  };
  const begun = (await ask(documents.redeem, {secret, code})).data.redeemReceptionCode;
  const seen = await ask(documents.seen, {}, begun.token);
  const saved = await ask(documents.save, {...ids, path: "1", values: []}, begun.token);
  localStorage.setItem("control", control + "-cleared");
  document.cookie = "control=" + control + "-cookie; max-age=3600; path=/";
  const ended = await ask(documents.end, {}, begun.token);
  const after = await ask(documents.seen, {}, begun.token);
  return {
    token: begun.token, seen, saved, ended, after, cookie: document.cookie, local: localStorage.length,
    session: sessionStorage.length, databases: (await indexedDB.databases()).length,
    caches: (await caches.keys()).length,
    workers: (await navigator.serviceWorker.getRegistrations()).length,
  };
}
"""


class Tab:
    """A page of a browser, driven over its debugging protocol."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._sent = 0

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._sent += 1
        await self._channel.send(json.dumps({"id": self._sent, "method": method, "params": parameters}))
        async with asyncio.timeout(30):
            while (answer := json.loads(await self._channel.recv())).get("id") != self._sent:
                continue
        assert "error" not in answer, answer
        return dict(answer["result"])

    async def run(self, function: str, argument: Any = None) -> Any:
        """Call a function in the page and return what it resolves to."""
        result = await self.send(
            "Runtime.evaluate",
            expression=f"({function})({json.dumps(argument)})",
            awaitPromise=True,
            returnByValue=True,
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def go(self, address: str) -> None:
        """Open a page and wait until it is there."""
        await self.send("Page.navigate", url=address)
        async with asyncio.timeout(30):
            while await self.run("() => document.readyState + ' ' + location.href") != f"complete {address}":  # noqa: ASYNC110
                await asyncio.sleep(0.1)


@asynccontextmanager
async def browser(profile: Path) -> AsyncIterator[Tab]:
    """Start a browser over a profile, and end it as a person would, so that it writes what it keeps."""
    assert CHROMIUM is not None
    running = await asyncio.create_subprocess_exec(
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
        "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        port = await _port(profile)
        async with httpx.AsyncClient() as http:
            pages = (await http.get(f"http://127.0.0.1:{port}/json/list")).json()
        address = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
        async with connect(address, max_size=None) as channel:
            tab = Tab(channel)
            yield tab
            await channel.send(json.dumps({"id": 0, "method": "Browser.close"}))
            async with asyncio.timeout(30):
                await running.wait()
    finally:
        if running.returncode is None:
            os.killpg(running.pid, signal.SIGKILL)
            await running.wait()


async def _port(profile: Path) -> int:
    told = profile / "DevToolsActivePort"
    async with asyncio.timeout(60):
        while not told.is_file() or not told.read_text().strip():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.1)
    return int(told.read_text().splitlines()[0])


def holding(profile: Path, text: str) -> list[str]:
    """Return the files of a profile that hold a text, as it is or as browsers store wide text."""
    kept = []
    for file in profile.rglob("*"):
        if file.is_file() and not file.is_symlink():
            content = file.read_bytes()
            if text.encode() in content or text.encode("utf-16-le") in content:
                kept.append(str(file.relative_to(profile)))
    return kept


@pytest.mark.prove
@pytest.mark.timeout(300)
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
async def test_a_browsers_profile_holds_nothing_of_a_session_when_it_is_over(api: Api, tmp_path: Path) -> None:
    device, work = await register(api), await open_assignment(api)
    code = await hand_out(api, work)
    ids = {"assignment": work["assignment"]["id"], "questionnaire": work["questionnaire"]["id"]}
    documents = {"redeem": REDEEM, "seen": SEEN, "save": example("save-answer"), "end": END}
    control = "control-of-the-residue-test"
    profile = tmp_path / "profile"
    async with browser(profile) as tab:
        await tab.go(f"{api.address}/")
        argument = {
            "secret": device["secret"], "code": code, "documents": documents, "ids": ids, "control": control,
        }  # fmt: skip
        told = await tab.run(PAGE, argument)
        assert told["seen"]["data"]["receptionSession"]["assignments"][0]["id"] == ids["assignment"]
        assert told["saved"]["data"]["saveAnswer"]["__typename"] == "AnswerSaved"
        assert told["ended"] == {"data": {"endReceptionSession": {"ended": True}}}
        assert told["after"]["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert told["cookie"] == ""
        assert [told[name] for name in ("local", "session", "databases", "caches", "workers")] == [0] * 5
        # Whoever goes back finds an empty page, and what stays on purpose is found on the disk afterwards.
        await tab.go(f"{api.address}/health/live")
        await tab.run("() => history.back()")
        await asyncio.sleep(1)
        text = await tab.run("() => document.documentElement.innerHTML")
        assert ids["assignment"] not in text
        await tab.run("text => localStorage.setItem('control', text)", f"{control}-kept")
        await asyncio.sleep(1)
    assert holding(profile, f"{control}-kept")
    assert holding(profile, f"{control}-cookie") == []
    for secret in (
        told["token"],
        told["token"][-43:],
        device["secret"][-43:],
        ids["assignment"],
        "endReceptionSession",
    ):
        assert holding(profile, secret) == [], secret
