"""The front door: health, the explorer's headers, the demo's tokens for this machine only."""

from __future__ import annotations

import re

import pytest

from kpro_graph.app import make_app
from tests.living import Api


async def test_the_explorer_is_served_with_a_strict_policy(api: Api) -> None:
    page = await api.http.get("/")
    assert page.status_code == 200
    assert "<html" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"


async def test_health_says_live_and_ready(api: Api) -> None:
    assert (await api.http.get("/health/live")).json()["live"] is True
    assert (await api.http.get("/health/ready")).json() == {"ready": True}


async def test_how_operations_were_executed_is_told_to_the_developer_and_counted(api: Api) -> None:
    token = api.token("viewer")
    compiled = await api.post("{ me { kind } careTeams { totalCount } }", token=token)
    assert compiled.headers["kpro-execution"] == "compiled"
    introspecting = await api.post("{ __typename __schema { queryType { name } } }", token=token)
    assert introspecting.headers["kpro-execution"].startswith("reference; ")
    counted = (await api.http.get("/metrics")).text
    assert re.search(r'^kpro_operations_total\{execution="compiled"\} [1-9]', counted, re.MULTILINE)
    assert re.search(r'^kpro_operations_total\{execution="reference",reason="[^"]+"\} [1-9]', counted, re.MULTILINE)


async def test_the_examples_are_offered_to_the_explorer(api: Api) -> None:
    names = {each["name"] for each in (await api.http.get("/examples")).json()}
    assert {"worklist", "submit-response", "response-updates"} <= names


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example"])
@pytest.mark.parametrize("path", ["/demo/tokens", "/graphql/", "/"])
async def test_the_demo_answers_to_this_machines_names_only(api: Api, host: str, path: str) -> None:
    assert (await api.http.get(path, headers={"Host": host})).status_code == 400
    assert (await api.http.get("/demo/tokens")).status_code == 200


async def test_without_the_demo_there_are_no_tokens(api: Api) -> None:
    import httpx

    transport = httpx.ASGITransport(app=make_app(api.product), client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://kpro.example") as http:
        assert (await http.get("/demo/tokens")).status_code == 404
        assert (await http.get("/health/live")).status_code == 200
