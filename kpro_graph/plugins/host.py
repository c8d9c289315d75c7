"""The plugin host: finds plugins, holds them to their promises and asks them, one host to each application.

pluggy registers, names and validates; the host calls the implementations itself, because pluggy cannot await and lets
one failure discard every other result. Order is always the same: what ships with the product first, then by id.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path

import pluggy

from kpro_graph.actors import Credentials, Identity
from kpro_graph.cpr import redact
from kpro_graph.errors import ConfigurationError, NotAuthenticated, Unavailable
from kpro_graph.plugins import hookspecs
from kpro_graph.plugins.bundles import CONTENT, QuestionnaireBundle, examine_bundle, read_bundles
from kpro_graph.plugins.calls import Outcome, ask, call, describe
from kpro_graph.plugins.discovery import Found, PluginOrigin, find_added, find_core, find_in_folder, find_installed
from kpro_graph.plugins.identities import ExaminedProvider, examine_identity, examine_provider
from kpro_graph.plugins.implementations import examine_hooks
from kpro_graph.plugins.manifest import Manifest, PluginRefused

__all__ = ["PluginHost", "PluginOrigin", "PluginState", "PluginStatus"]

log = logging.getLogger(__name__)


class PluginState(StrEnum):
    """How far a plugin has come."""

    DISCOVERED = "DISCOVERED"
    VALIDATED = "VALIDATED"
    RUNNING = "RUNNING"
    QUARANTINED = "QUARANTINED"


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """What is known of one plugin, for whoever looks after the installation.

    ``reason`` says why a plugin is quarantined; ``refused`` names what a running plugin registered in vain and why.
    """

    id: str
    origin: PluginOrigin
    state: PluginState
    reason: str = ""
    manifest: Manifest | None = None
    questionnaires: tuple[str, ...] = ()
    identity_providers: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class _Plugin:
    """A plugin on its way; only the host moves it."""

    manifest: Manifest
    origin: PluginOrigin
    folder: Path
    load: Callable[[], object] | None
    state: PluginState = PluginState.DISCOVERED
    reason: str = ""
    bundles: list[QuestionnaireBundle] = field(default_factory=list)
    providers: list[ExaminedProvider] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.manifest.id

    def quarantine(self, reason: str) -> None:
        self.state, self.reason = PluginState.QUARANTINED, redact(reason)
        self.bundles.clear()
        self.providers.clear()
        log.warning("plugin %s is quarantined: %s", self.id, self.reason)

    def refuse(self, what: str, reason: str) -> None:
        self.refused.append(redact(f"{what}: {reason}"))
        log.warning("plugin %s: %s is refused: %s", self.id, what, reason)

    def status(self) -> PluginStatus:
        return PluginStatus(
            id=self.id,
            origin=self.origin,
            state=self.state,
            reason=self.reason,
            manifest=self.manifest,
            questionnaires=tuple(bundle.canonical for bundle in self.bundles),
            identity_providers=tuple(provider.name for provider in self.providers),
            refused=tuple(self.refused),
        )


class PluginHost:
    """The plugins of one application.

    ``folder`` holds a municipality's own plugins, each in a folder with a manifest, or one level further down;
    ``installed`` says whether distributions with the entry point group ``kpro_graph`` are looked for. ``limit`` bounds
    each call at start-up and ``sign_in_limit`` each question to an identity provider, in seconds.
    """

    def __init__(
        self, folder: Path | None = None, *, installed: bool = True, limit: float = 10.0, sign_in_limit: float = 5.0
    ) -> None:
        self._folder = folder
        self._installed = installed
        self._limit = limit
        self._sign_in_limit = sign_in_limit
        self._added: list[tuple[object, Path]] = []
        self._plugins: list[_Plugin] = []
        self._unreadable: list[PluginStatus] = []
        self._questionnaires: tuple[QuestionnaireBundle, ...] = ()

    def add(self, plugin: object, folder: Path) -> None:
        """Add, before `start`, a plugin of the product's own that needs something only the application has.

        ``folder`` holds its manifest.
        """
        self._added.append((plugin, folder))

    def discover(self) -> tuple[PluginStatus, ...]:
        """Read the manifests of all plugins, importing none of them, and return what was found."""
        self._plugins, self._unreadable, self._questionnaires = [], [], ()
        for found in self._find():
            if found.manifest is None or found.folder is None:
                log.warning("plugin %s is quarantined: %s", found.name, found.reason)
                status = PluginStatus(found.name, found.origin, PluginState.QUARANTINED, redact(found.reason))
                self._unreadable.append(status)
            else:
                self._plugins.append(_Plugin(found.manifest, found.origin, found.folder, found.load))
        self._plugins.sort(key=_order)
        self._quarantine_repeated_ids()
        return self.plugins

    async def start(self, *, strict: bool = False) -> None:
        """Discover, load and validate every plugin, and collect what the hooks register.

        A plugin that fails is quarantined with the reason, and the others go on. Raises `ConfigurationError`, naming
        every failure, only when ``strict``.
        """
        self.discover()
        registry = pluggy.PluginManager(hookspecs.PROJECT)
        registry.add_hookspecs(hookspecs)
        for plugin in self._in_state(PluginState.DISCOVERED):
            await self._load(plugin, registry)
        for plugin in self._in_state(PluginState.VALIDATED):
            await self._collect_questionnaires(plugin, registry)
        for plugin in self._in_state(PluginState.VALIDATED):
            await self._collect_providers(plugin, registry)
        self._refuse_clashing_bundles()
        self._refuse_repeated_providers()
        for plugin in self._in_state(PluginState.VALIDATED):
            if plugin.refused and not plugin.bundles and not plugin.providers:
                plugin.quarantine("; ".join(plugin.refused))
            else:
                plugin.state = PluginState.RUNNING
        # Two plugins may bring the same bundle, byte for byte; one of them is enough.
        once = {bundle.canonical: bundle for plugin in reversed(self._plugins) for bundle in reversed(plugin.bundles)}
        self._questionnaires = tuple(reversed(once.values()))
        if strict and (faults := [fault for status in self.plugins for fault in _faults(status)]):
            raise ConfigurationError("Plugins do not hold: " + "; ".join(faults))

    @property
    def plugins(self) -> tuple[PluginStatus, ...]:
        """The state of every plugin, in the order in which they are asked."""
        return tuple(sorted([*(plugin.status() for plugin in self._plugins), *self._unreadable], key=_order))

    @property
    def questionnaires(self) -> tuple[QuestionnaireBundle, ...]:
        """The bundles of all running plugins, each url and version once, as bytes."""
        return self._questionnaires

    async def identify(self, credentials: Credentials) -> Identity:
        """Ask the identity providers in order and return the first identity, checked.

        Raises:
            NotAuthenticated: no provider claims the credentials, one says they do not hold, or one fails, takes too
                long or returns something that does not hold. After a failure nobody else is asked.
            Unavailable: a provider says that what it needs to judge them does not answer.
        """
        for plugin in self._plugins:
            for provider in plugin.providers:
                outcome = await call(provider.identify, credentials, limit=self._sign_in_limit)
                if outcome.failure is not None or outcome.value is not None:
                    return _judge(outcome, plugin, provider.name, credentials)
        raise NotAuthenticated("no identity provider recognises the credentials")

    def _find(self) -> Iterator[Found]:
        for plugin, folder in self._added:
            yield find_added(plugin, folder)
        yield from find_core()
        if self._installed:
            yield from find_installed()
        if self._folder is not None:
            yield from find_in_folder(self._folder)

    def _in_state(self, state: PluginState) -> list[_Plugin]:
        return [plugin for plugin in self._plugins if plugin.state is state]

    async def _load(self, plugin: _Plugin, registry: pluggy.PluginManager) -> None:
        if plugin.load is not None:
            outcome = await call(plugin.load, limit=self._limit)
            if outcome.failure is not None:
                plugin.quarantine(f"its code cannot be loaded: {describe(outcome.failure)}")
                return
            admitted = await call(_admit, outcome.value, plugin.id, registry, limit=self._limit)
            if admitted.failure is not None:
                plugin.quarantine(describe(admitted.failure))
                return
        plugin.state = PluginState.VALIDATED

    async def _collect_questionnaires(self, plugin: _Plugin, registry: pluggy.PluginManager) -> None:
        hook = _implementation(registry.hook.register_questionnaires, plugin)
        if plugin.load is None:
            content, owner = plugin.folder / CONTENT, plugin.manifest.municipality
            hook = partial(read_bundles, content, owner=owner)
        for number, bundle in enumerate(await self._collect("register_questionnaires", hook, plugin)):
            examined = await call(examine_bundle, bundle, plugin.manifest, limit=self._limit)
            if isinstance(examined.value, QuestionnaireBundle):
                plugin.bundles.append(examined.value)
            elif examined.failure is not None:
                plugin.refuse(_name_of(bundle, number), describe(examined.failure))

    async def _collect_providers(self, plugin: _Plugin, registry: pluggy.PluginManager) -> None:
        hook = _implementation(registry.hook.register_identity_providers, plugin)
        for number, provider in enumerate(await self._collect("register_identity_providers", hook, plugin)):
            examined = await call(examine_provider, provider, limit=self._limit)
            if isinstance(examined.value, ExaminedProvider):
                plugin.providers.append(examined.value)
            elif examined.failure is not None:
                plugin.refuse(f"identity provider {number + 1}", describe(examined.failure))

    async def _collect(self, name: str, hook: Callable[[], object] | None, plugin: _Plugin) -> list[object]:
        if hook is None:
            return []
        outcome = await ask(hook, limit=self._limit)
        if outcome.failure is not None:
            plugin.quarantine(f"{name} failed: {describe(outcome.failure)}")
            return []
        return list(outcome.value) if isinstance(outcome.value, list) else []

    def _quarantine_repeated_ids(self) -> None:
        holders: dict[str, list[str]] = defaultdict(list)
        for plugin in self._plugins:
            holders[plugin.id].append(f'"{plugin.folder.name}"')
        for plugin in self._plugins:
            # What ships with the product keeps its id: no folder can put it out of use by taking it.
            if len(holders[plugin.id]) > 1 and plugin.origin is not PluginOrigin.CORE:
                plugin.quarantine(f"its id is used more than once, in {' and '.join(holders[plugin.id])}")

    def _refuse_clashing_bundles(self) -> None:
        written: dict[str, list[tuple[_Plugin, QuestionnaireBundle]]] = defaultdict(list)
        for plugin in self._plugins:
            for bundle in plugin.bundles:
                written[bundle.canonical].append((plugin, bundle))
        for canonical, entries in written.items():
            if len({(bundle.questionnaire, bundle.rules) for _, bundle in entries}) > 1:
                names = " and ".join(dict.fromkeys(plugin.id for plugin, _ in entries))
                for plugin, bundle in entries:
                    plugin.bundles.remove(bundle)
                    plugin.refuse(_name_of(bundle, 0), f"{canonical} has different content in {names}")

    def _refuse_repeated_providers(self) -> None:
        holders: dict[str, str] = {}
        for plugin in self._plugins:
            held, plugin.providers = plugin.providers, []
            for provider in held:
                holder = holders.setdefault(provider.name, plugin.id)
                if provider.name in {each.name for each in plugin.providers} or holder != plugin.id:
                    plugin.refuse(f"identity provider {provider.name}", f"{holder} has one of that name")
                else:
                    plugin.providers.append(provider)


def _order(plugin: _Plugin | PluginStatus) -> tuple[bool, str]:
    return plugin.origin is not PluginOrigin.CORE, plugin.id


def _admit(code: object, name: str, registry: pluggy.PluginManager) -> None:
    examine_hooks(code, registry)
    registry.register(code, name=name)


def _implementation(hook: pluggy.HookCaller, plugin: _Plugin) -> Callable[[], object] | None:
    found = [each.function for each in hook.get_hookimpls() if each.plugin_name == plugin.id]
    return found[0] if found else None


def _judge(outcome: Outcome, plugin: _Plugin, provider: str, credentials: Credentials) -> Identity:
    if isinstance(outcome.failure, NotAuthenticated):
        raise NotAuthenticated(describe(outcome.failure, credentials.value, credentials.client))
    if isinstance(outcome.failure, Unavailable):
        raise Unavailable(describe(outcome.failure, credentials.value, credentials.client))
    failure = outcome.failure
    if failure is None:
        try:
            return examine_identity(outcome.value, provider, plugin.manifest)
        except PluginRefused as refused:
            failure = refused
    reason = describe(failure, credentials.value, credentials.client)
    log.error("identity provider %s of plugin %s failed: %s", provider, plugin.id, reason)
    raise NotAuthenticated("the credentials could not be checked")


def _name_of(bundle: object, number: int) -> str:
    name = bundle.name if isinstance(bundle, QuestionnaireBundle) and isinstance(bundle.name, str) else ""
    return f'questionnaire "{name}"' if name else f"questionnaire {number + 1}"


def _faults(status: PluginStatus) -> Iterator[str]:
    if status.state is PluginState.QUARANTINED:
        yield f"{status.id}: {status.reason}"
    else:
        yield from (f"{status.id}: {each}" for each in status.refused)
