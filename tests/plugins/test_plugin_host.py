"""The host finds plugins, holds each to its promises, and lets none of them hurt another."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

from kpro_graph.actors import Credentials, Identity
from kpro_graph.errors import ConfigurationError, NotAuthenticated
from kpro_graph.plugins import IdentityProvider, hookimpl
from kpro_graph.plugins.host import PluginHost, PluginOrigin, PluginState, PluginStatus

Write = Callable[..., Path]
Questionnaire = Callable[..., bytes]
TOKEN = Credentials("bearer", "secret-token-0101701234", "127.0.0.1")

REGISTERS = """
from kpro_graph.plugins import QuestionnaireBundle, hookimpl

@hookimpl
{kind}def register_questionnaires():
    return [QuestionnaireBundle({questionnaire!r}, owner={owner!r}, name={name!r})]
"""


def registering(questionnaire: bytes, *, owner: str | None = "0101", name: str = "q", kind: str = "") -> str:
    return REGISTERS.format(questionnaire=questionnaire, owner=owner, name=name, kind=kind)


async def started(folder: Path | None = None, **settings: float) -> PluginHost:
    host = PluginHost(folder, installed=False, **settings)
    await host.start()
    return host


def status(host: PluginHost, name: str) -> PluginStatus:
    return next(each for each in host.plugins if each.id == name)


def names(host: PluginHost) -> list[str]:
    """The questionnaires that are not the product's own, by their last part."""
    return [each.canonical.rpartition("/")[2] for each in host.questionnaires if each.owner is not None]


# --- what is found -----------------------------------------------------------------------------------------------


def test_discovering_runs_no_plugins_code(plugins: Path, write_plugin: Write, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    write_plugin("runs", f"open({str(mark)!r}, 'w').close()")
    found = PluginHost(plugins, installed=False).discover()
    assert [(each.id, each.state) for each in found if each.origin is PluginOrigin.FOLDER] == [
        ("runs", PluginState.DISCOVERED)
    ]
    assert not mark.exists()


async def test_a_folder_of_data_alone_is_a_plugin(
    plugins: Path, write_plugin: Write, questionnaire: Questionnaire
) -> None:
    write_plugin("forms", content={"b": questionnaire("b"), "a": questionnaire("a")})
    host = await started(plugins)
    assert names(host) == ["a|1.0.0", "b|1.0.0"]
    bundle = host.questionnaires[-1]
    assert (bundle.owner, bundle.plugin, bundle.name, bundle.rules) == ("0101", "forms", "b", None)
    assert bundle.questionnaire == questionnaire("b")
    assert status(host, "forms").state is PluginState.RUNNING


async def test_plugins_may_lie_one_level_further_down(
    plugins: Path, write_plugin: Write, questionnaire: Questionnaire
) -> None:
    write_plugin("forms", content={"a": questionnaire("a")}, inside="ours")
    assert names(await started(plugins)) == ["a|1.0.0"]


async def test_a_forgotten_manifest_is_seen(plugins: Path) -> None:
    (plugins / "forgotten").mkdir()
    (plugins / "__pycache__").mkdir()
    (plugins / ".git").mkdir()
    host = await started(plugins)
    assert [each.id for each in host.plugins if each.origin is PluginOrigin.FOLDER] == ["forgotten"]
    assert status(host, "forgotten").reason == "the folder has no kpro-plugin.toml"


async def test_python_files_without_a_package_are_seen(plugins: Path, write_plugin: Write) -> None:
    (write_plugin("stray") / "plugin.py").write_text("")
    assert "no __init__.py" in status(await started(plugins), "stray").reason


async def test_without_a_plugins_folder_the_products_own_still_run(tmp_path: Path) -> None:
    for folder in (None, tmp_path / "absent"):
        host = await started(folder)
        assert [(each.id, each.state) for each in host.plugins] == [("national-questionnaires", PluginState.RUNNING)]


async def test_an_installed_distribution_is_found_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, questionnaire: Questionnaire
) -> None:
    package = tmp_path / "vejle_forms" / "inner"
    package.mkdir(parents=True)
    (tmp_path / "vejle_forms" / "__init__.py").write_text("")
    (package / "__init__.py").write_text(registering(questionnaire("vejle"), owner="0630"))
    (tmp_path / "vejle_forms" / "kpro-plugin.toml").write_text(
        'id = "vejle-forms"\nversion = "1.0.0"\npublisher = "0630"\ntitle = "V"\ntitle_en = "V"\nhook_api = ">=1"\n'
    )
    (tmp_path / "bare.py").write_text("")
    information = tmp_path / "vejle_forms-1.0.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: vejle-forms\nVersion: 1.0.0\n")
    (information / "entry_points.txt").write_text(
        "[kpro_graph]\nvejle = vejle_forms.inner\nbare = bare\nabsent = absent_forms\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    host = PluginHost()
    host.discover()
    assert "vejle_forms" not in sys.modules
    await host.start()
    assert names(host) == ["vejle|1.0.0"]
    assert status(host, "vejle-forms").origin is PluginOrigin.INSTALLED
    assert status(host, "bare").reason == status(host, "absent").reason == "its package has no kpro-plugin.toml"


async def test_two_plugins_with_one_id_are_both_named_and_neither_loaded(
    plugins: Path, write_plugin: Write, questionnaire: Questionnaire
) -> None:
    write_plugin("same", content={"a": questionnaire("a")}, folder="one")
    write_plugin("same", content={"b": questionnaire("b")}, folder="two")
    host = await started(plugins)
    reasons = [each.reason for each in host.plugins if each.id == "same"]
    assert reasons == ['its id is used more than once, in "one" and "two"'] * 2
    assert names(host) == []


async def test_no_folder_can_take_the_id_of_a_plugin_of_the_product(
    plugins: Path, write_plugin: Write, questionnaire: Questionnaire
) -> None:
    write_plugin("national-questionnaires", content={"a": questionnaire("a")})
    host = await started(plugins)
    assert [each.state for each in host.plugins] == [PluginState.RUNNING, PluginState.QUARANTINED]
    assert len(host.questionnaires) == 4


# --- what is refused before anything is asked --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ImportError('no such thing')", "its code cannot be loaded: ImportError: no such thing"),
        ("import sys; sys.exit(3)", "its code cannot be loaded: it raised SystemExit"),
        ("def (", "its code cannot be loaded: SyntaxError"),
        ("", "it implements no hook"),
        (
            "from kpro_graph.plugins import hookimpl\n@hookimpl\ndef register_questionaires(): return []",
            'there is no hook "register_questionaires"; did you mean "register_questionnaires"?',
        ),
        (
            "from kpro_graph.plugins import hookimpl\n@hookimpl\ndef wholly_other(): return []",
            'there is no hook "wholly_other"',
        ),
        (
            "from kpro_graph.plugins import hookimpl\n@hookimpl\ndef register_questionnaires(context): return []",
            'register_questionnaires has no argument "context" (it has none)',
        ),
        (
            "from kpro_graph.plugins import hookimpl\n@hookimpl\ndef register_questionnaires(**all): return []",
            "register_questionnaires takes any arguments; it must name those it uses",
        ),
        ("def register_questionnaires(): return []", "register_questionnaires is not marked with @hookimpl"),
        (
            "import pluggy\n@pluggy.HookimplMarker('kpro_graph')(wrapper=True)\n"
            "def register_questionnaires(): return (yield)",
            "register_questionnaires: wrappers, orderings, other names and optional hooks are not offered",
        ),
        (
            "import pluggy\n@pluggy.HookimplMarker('kpro_graph')(specname='register_questionnaires')\n"
            "def another(): return []",
            "another: wrappers, orderings, other names and optional hooks are not offered",
        ),
    ],
)
async def test_a_plugin_that_cannot_hold_is_quarantined_with_the_reason(
    plugins: Path, write_plugin: Write, questionnaire: Questionnaire, code: str, reason: str
) -> None:
    write_plugin("bad", code)
    write_plugin("good", content={"a": questionnaire("a")})
    host = await started(plugins)
    bad = status(host, "bad")
    assert bad.state is PluginState.QUARANTINED
    assert bad.reason.startswith(reason)
    assert names(host) == ["a|1.0.0"]


async def test_code_that_hangs_while_loading_is_left_at_the_limit(
    plugins: Path, write_plugin: Write, questionnaire: Questionnaire
) -> None:
    write_plugin("hangs", "import time; time.sleep(2)")
    write_plugin("good", content={"a": questionnaire("a")})
    host = await started(plugins, limit=0.5)
    assert "did not answer within 0.5 s" in status(host, "hangs").reason
    assert names(host) == ["a|1.0.0"]


async def test_modules_of_a_plugin_import_each_other_relatively(
    plugins: Path, write_plugin: Write, questionnaire: Questionnaire
) -> None:
    folder = write_plugin("split", "from .part import register_questionnaires")
    (folder / "part.py").write_text(registering(questionnaire("a")))
    assert names(await started(plugins)) == ["a|1.0.0"]


# --- register_questionnaires -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["", "async "])
async def test_hook_register_questionnaires_may_be_plain_or_async(
    plugins: Path, write_plugin: Write, questionnaire: Questionnaire, kind: str
) -> None:
    write_plugin("forms", registering(questionnaire("a"), kind=kind))
    host = await started(plugins)
    assert names(host) == ["a|1.0.0"]
    assert status(host, "forms").questionnaires == ("https://example.org/Questionnaire/a|1.0.0",)


async def test_the_products_plugins_come_first_and_the_rest_by_id(
    plugins: Path, write_plugin: Write, questionnaire: Questionnaire
) -> None:
    for name, folder in (("b", "1"), ("c", "0"), ("a", "2")):
        write_plugin(name, content={name: questionnaire(name)}, folder=folder)
    host = await started(plugins)
    assert [each.id for each in host.plugins] == ["national-questionnaires", "a", "b", "c"]
    assert [each.plugin for each in host.questionnaires][-4:] == ["national-questionnaires", "a", "b", "c"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise ValueError('no 010170-1234')", "register_questionnaires failed: ValueError: no ******-****"),
        ("return None", "register_questionnaires failed: it returned a NoneType, no iterable"),
        ("import time; time.sleep(2)", "register_questionnaires failed: it did not answer within 0.5 s"),
        ("yield 1; raise ValueError('late')", "register_questionnaires failed: ValueError: late"),
        ("while True: yield 1", "register_questionnaires failed: it registered more than 1000 objects"),
        ("return [1]", "questionnaire 1: int is no QuestionnaireBundle"),
    ],
)
async def test_hook_register_questionnaires_that_fails_harms_nobody_else(
    plugins: Path, write_plugin: Write, questionnaire: Questionnaire, body: str, reason: str
) -> None:
    code = f"from kpro_graph.plugins import hookimpl\n@hookimpl\ndef register_questionnaires():\n    {body}\n"
    write_plugin("bad", code)
    write_plugin("good", content={"a": questionnaire("a")})
    host = await started(plugins, limit=0.5)
    assert status(host, "bad").state is PluginState.QUARANTINED
    assert status(host, "bad").reason.startswith(reason)
    assert names(host) == ["a|1.0.0"]


async def test_a_bundle_that_does_not_hold_is_named_and_the_others_stay(
    plugins: Path, write_plugin: Write, questionnaire: Questionnaire
) -> None:
    folder = write_plugin(
        "forms",
        content={
            "good": questionnaire("good"),
            "json": b"{",
            "patient": b'{"resourceType": "Patient"}',
            "unversioned": questionnaire("u", ""),
            "ruled": questionnaire("ruled"),
        },
    )
    (folder / "content" / "ruled" / "rules.json").write_text("{}")
    host = await started(plugins)
    assert names(host) == ["good|1.0.0"]
    forms = status(host, "forms")
    assert forms.state is PluginState.RUNNING
    assert [each.partition(":")[0] for each in forms.refused] == [
        'questionnaire "json"',
        'questionnaire "patient"',
        'questionnaire "ruled"',
        'questionnaire "unversioned"',
    ]
    assert "the manifest has no [interpretation]" in forms.refused[2]
    assert "no url or no version" in forms.refused[3]


async def test_the_owner_is_the_publisher_and_nobody_else(
    plugins: Path, write_plugin: Write, questionnaire: Questionnaire
) -> None:
    write_plugin("neighbour", registering(questionnaire("a"), owner="0851"))
    write_plugin("nation", registering(questionnaire("b"), owner=None))
    host = await started(plugins)
    for name in ("neighbour", "nation"):
        assert "the owner is not the plugin's publisher" in status(host, name).reason
    assert names(host) == []


async def test_one_url_and_version_with_other_content_names_both_and_loads_neither(
    plugins: Path, write_plugin: Write, questionnaire: Questionnaire
) -> None:
    write_plugin("one", content={"a": questionnaire("a", text="Et"), "b": questionnaire("b")})
    write_plugin("two", content={"a": questionnaire("a", text="To")}, publisher="0851")
    host = await started(plugins)
    clash = "https://example.org/Questionnaire/a|1.0.0 has different content in one and two"
    assert status(host, "one").refused == (f'questionnaire "a": {clash}',)
    assert status(host, "two").reason == f'questionnaire "a": {clash}'
    assert names(host) == ["b|1.0.0"]


async def test_the_same_bundle_twice_is_loaded_once(
    plugins: Path, write_plugin: Write, questionnaire: Questionnaire
) -> None:
    write_plugin("one", content={"a": questionnaire("a")})
    write_plugin("two", content={"a": questionnaire("a")})
    host = await started(plugins)
    assert [(each.plugin, each.canonical[-7:]) for each in host.questionnaires[-1:]] == [("one", "a|1.0.0")]
    assert status(host, "two").state is PluginState.RUNNING


async def test_content_that_leads_out_of_the_folder_is_refused(
    plugins: Path, write_plugin: Write, questionnaire: Questionnaire, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.json"
    outside.write_bytes(questionnaire("outside"))
    folder = write_plugin("forms", content={"a": questionnaire("a")})
    (folder / "content" / "b").mkdir()
    (folder / "content" / "b" / "questionnaire.json").symlink_to(outside)
    assert "leads out of the plugin's folder" in status(await started(plugins), "forms").reason


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: (content / "a" / "questionnaire.json").unlink(), '"a" has no questionnaire.json'),
        (lambda content: (content / "a" / "questionnaire.json").write_bytes(b" " * 8_000_001), "larger than 8 MB"),
        (lambda content: (content / "a" / "rules.json").mkdir(), "cannot be read"),
        (lambda content: content.rename(content.with_name("contents")), "holds no questionnaires"),
    ],
)
async def test_data_that_cannot_be_read_is_said(
    plugins: Path,
    write_plugin: Write,
    questionnaire: Questionnaire,
    damage: Callable[[Path], object],
    reason: str,
) -> None:
    damage(write_plugin("forms", content={"a": questionnaire("a")}) / "content")
    forms = status(await started(plugins), "forms")
    assert forms.state is PluginState.QUARANTINED
    assert reason in forms.reason


async def test_every_failure_is_fatal_when_strict(
    plugins: Path, write_plugin: Write, questionnaire: Questionnaire
) -> None:
    write_plugin("bad", "")
    write_plugin("half", content={"a": questionnaire("a"), "b": b"{"})
    host = PluginHost(plugins, installed=False)
    with pytest.raises(ConfigurationError) as caught:
        await host.start(strict=True)
    assert "bad: it implements no hook" in str(caught.value)
    assert 'half: questionnaire "b"' in str(caught.value)


async def test_nothing_is_fatal_when_everything_holds(
    plugins: Path, write_plugin: Write, questionnaire: Questionnaire
) -> None:
    write_plugin("forms", content={"a": questionnaire("a")})
    host = PluginHost(plugins, installed=False)
    await host.start(strict=True)
    await host.start(strict=True)
    assert names(host) == ["a|1.0.0"]


async def test_two_hosts_in_one_process_share_nothing(
    plugins: Path, write_plugin: Write, questionnaire: Questionnaire
) -> None:
    write_plugin("forms", registering(questionnaire("a")))
    first, second = await started(plugins), await started(None)
    assert (names(first), names(second)) == (["a|1.0.0"], [])


# --- register_identity_providers and signing in ------------------------------------------------------------------


class Provider:
    """A provider that answers as the test says; also the plugin that registers it."""

    def __init__(self, answer: object, name: str = "test") -> None:
        self.name = name
        self.answer = answer
        self.asked = 0

    @hookimpl
    def register_identity_providers(self) -> Iterable[IdentityProvider]:
        return [self]

    async def identify(self, credentials: Credentials) -> Identity | None:
        self.asked += 1
        if isinstance(self.answer, BaseException):
            raise self.answer
        if self.answer == "hang":
            await asyncio.sleep(10)
        return self.answer  # type: ignore[return-value]


async def hosting(tmp_path: Path, *providers: Provider) -> PluginHost:
    host = PluginHost(installed=False, sign_in_limit=0.2)
    for number, provider in enumerate(providers):
        folder = tmp_path / f"provider-{number}"
        folder.mkdir()
        (folder / "kpro-plugin.toml").write_text(
            f'id = "provider-{number}"\nversion = "1.0.0"\npublisher = "national"\ntitle = "P"\ntitle_en = "P"\n'
            'hook_api = ">=1,<2"\n[needs]\ncpr = "read"\n'
        )
        host.add(provider, folder)
    await host.start(strict=True)
    return host


async def test_hook_register_identity_providers_gives_the_first_that_claims(tmp_path: Path, citizen: Identity) -> None:
    first = Provider(None, "first")
    second = Provider(replace(citizen, provider="second"), "second")
    third = Provider(replace(citizen, provider="third"), "third")
    host = await hosting(tmp_path, first, second, third)
    assert (await host.identify(TOKEN)).provider == "second"
    assert (first.asked, second.asked, third.asked) == (1, 1, 0)
    assert status(host, "provider-0").identity_providers == ("first",)


async def test_credentials_that_nobody_claims_sign_nobody_in(tmp_path: Path) -> None:
    for host in (await hosting(tmp_path, Provider(None)), PluginHost()):
        with pytest.raises(NotAuthenticated, match="no identity provider recognises the credentials"):
            await host.identify(TOKEN)


@pytest.mark.parametrize(
    "answer",
    [ValueError("secret-token-0101701234"), SystemExit(1), TimeoutError(), "hang", "rubbish", object()],
)
async def test_a_provider_that_fails_signs_nobody_in_and_nobody_else_is_asked(
    tmp_path: Path, citizen: Identity, caplog: pytest.LogCaptureFixture, answer: object
) -> None:
    willing = Provider(replace(citizen, provider="willing"), "willing")
    host = await hosting(tmp_path, Provider(answer), willing)
    with caplog.at_level(logging.ERROR), pytest.raises(NotAuthenticated) as caught:
        await host.identify(TOKEN)
    assert str(caught.value) == "the credentials could not be checked"
    assert willing.asked == 0
    assert "identity provider test of plugin provider-0 failed" in caplog.text
    assert "secret-token" not in caplog.text


async def test_credentials_that_a_provider_knows_as_bad_are_judged_by_it_alone(
    tmp_path: Path, citizen: Identity
) -> None:
    willing = Provider(replace(citizen, provider="willing"), "willing")
    bad = Provider(NotAuthenticated(f"{TOKEN.value} from {TOKEN.client} for 010170-1234 has expired"))
    host = await hosting(tmp_path, bad, willing)
    with pytest.raises(NotAuthenticated) as caught:
        await host.identify(TOKEN)
    assert str(caught.value) == "… from … for ******-**** has expired"
    assert willing.asked == 0


async def test_an_identity_that_does_not_hold_signs_nobody_in(
    tmp_path: Path, citizen: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    host = await hosting(tmp_path, Provider(replace(citizen, municipality="København")))
    with caplog.at_level(logging.ERROR), pytest.raises(NotAuthenticated):
        await host.identify(TOKEN)
    assert "the municipality is not a four-digit code" in caplog.text
    assert "København" not in caplog.text


async def test_before_the_start_nobody_is_signed_in(tmp_path: Path, citizen: Identity) -> None:
    host = PluginHost(installed=False)
    host.add(Provider(citizen), tmp_path)
    with pytest.raises(NotAuthenticated):
        await host.identify(TOKEN)


async def test_two_providers_of_one_name_are_told_apart_by_order(
    plugins: Path, write_plugin: Write, tmp_path: Path, citizen: Identity
) -> None:
    code = dedent(
        """
        from kpro_graph.plugins import hookimpl

        class Impostor:
            name = "test"
            async def identify(self, credentials):
                raise RuntimeError

        @hookimpl
        def register_identity_providers():
            return [Impostor(), 7]
        """
    )
    write_plugin("impostor", code)
    (tmp_path / "kpro-plugin.toml").write_text(
        'id = "real"\nversion = "1.0.0"\npublisher = "national"\ntitle = "P"\ntitle_en = "P"\nhook_api = ">=1"\n'
        '[needs]\ncpr = "read"\n'
    )
    host = PluginHost(plugins, installed=False)
    host.add(Provider(citizen), tmp_path)
    await host.start()
    assert (await host.identify(TOKEN)).provider == "test"
    impostor = status(host, "impostor")
    assert impostor.state is PluginState.QUARANTINED
    assert "identity provider test: real has one of that name" in impostor.reason
    assert "identity provider 2: int is no identity provider" in impostor.reason


async def test_many_can_sign_in_at_once(tmp_path: Path, citizen: Identity) -> None:
    host = await hosting(tmp_path, Provider(None, "first"), Provider(citizen))
    found = await asyncio.gather(*(host.identify(TOKEN) for _ in range(100)))
    assert all(each == citizen for each in found)
