"""The world tests live in: a real PostgreSQL, a migrated and loaded template, and the product on a real port."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from kpro_graph.app import Product
from kpro_graph.demo import load
from kpro_graph.plugins.demo_identity import FOLDER, DemoDirectory, DemoIdentity
from kpro_graph.plugins.host import PluginHost
from kpro_graph.settings import Settings
from kpro_graph.storage.embedded import EmbeddedServer, open_embedded
from kpro_graph.storage.migrate import migrate
from tests.living import Api, serving
from tests.people import PEOPLE

ROOT = Path(__file__).parent.parent
SECRET = b"a secret of the tests, long enough for everything made of it"
DEMO_SECRET = b"0123456789abcdef0123456789abcdef"
CITIZENS = 40


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the pages whose tests may take longest: a worker that came upon them last would be waited for."""
    longest: dict[Path, float] = {}
    for item in items:
        mark = item.get_closest_marker("timeout")
        longest[item.path] = max(longest.get(item.path, 0.0), float(mark.args[0]) if mark and mark.args else 0.0)
    items.sort(key=lambda item: -longest[item.path])


@pytest.fixture(scope="session")
def cases() -> Path:
    """Give the folder of questionnaires and verdicts that nobody here wrote, or skip."""
    folder = Path(os.environ.get("KPRO_CASES", ROOT.parent / "shared" / "cases"))
    if not folder.is_dir():
        pytest.skip(f"the cases are not at {folder}; set KPRO_CASES")
    return folder


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """Give an embedded server of the session's own."""
    server = open_embedded(tmp_path_factory.mktemp("postgresql") / "server")
    yield server
    server.close()


class Worlds:
    """Makes worlds: each a database cloned from a loaded template, and the product over it."""

    def __init__(self, postgres: EmbeddedServer) -> None:
        self.postgres = postgres
        self._made = 0

    def settings(self, database: str) -> Settings:
        """Return the settings of a product over this database."""
        return Settings(
            database_url=self.postgres.dsn("kpro_api", database),
            migration_url=self.postgres.dsn("kpro_owner", database),
            relay_url=self.postgres.dsn("kpro_relay", database),
            secret=SECRET,
            folder=self.postgres.folder.parent / "folders" / database,
            plugins_folder=ROOT / "plugins",
            # Tests change what somebody may and ask again at once; what is remembered has tests of its own.
            recognition=0,
        )

    @asynccontextmanager
    async def product(self, database: str, **changed: Any) -> AsyncIterator[tuple[Product, DemoIdentity]]:
        """Open the product over a database, with the demo's sign-in; ``changed`` are settings of its own."""
        settings = replace(self.settings(database), **changed)
        host = PluginHost(settings.plugins_folder)
        identity = DemoIdentity(DEMO_SECRET, DemoDirectory())
        host.add(identity, FOLDER)
        host.add(PEOPLE, PEOPLE.folder(settings.folder))
        async with Product(settings, host) as product:
            yield product, identity

    @asynccontextmanager
    async def fresh(self, template: str, **changed: Any) -> AsyncIterator[Api]:
        """Open a world of its own, served on a port of its own, with settings changed."""
        self._made += 1
        name = f"world_{self._made}"
        await asyncio.to_thread(self.postgres.create_database, name, template)
        async with self.product(name, **changed) as (product, identity), serving(product, identity) as api:
            yield api
        await asyncio.to_thread(self.postgres.drop_database, name)


@pytest.fixture(scope="session")
def worlds(postgres: EmbeddedServer) -> Worlds:
    """Give the maker of worlds."""
    return Worlds(postgres)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def loaded(worlds: Worlds) -> str:
    """Give the name of a database with the demo municipalities, to be cloned."""
    await asyncio.to_thread(worlds.postgres.create_database, "loaded")
    owner = worlds.postgres.dsn("kpro_owner", "loaded")
    await migrate(owner)
    async with worlds.product("loaded") as (product, _):
        await load(product.database, owner, product.host, citizens=CITIZENS)
    return "loaded"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def api(worlds: Worlds, loaded: str) -> AsyncIterator[Api]:
    """Give the product over a loaded database of the module's own."""
    async with worlds.fresh(loaded) as api:
        yield api
