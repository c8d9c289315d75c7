"""Data folders for the tests of the embedded server, and processes that hold them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kpro_graph.storage.embedded import open_embedded
from tests.storage.holding import Hold, Holder, end


@pytest.fixture(scope="session")
def closed() -> Iterator[Path]:
    """A folder that is closed to all but us."""
    closed = Path(tempfile.mkdtemp(prefix="kpro-test-"))
    yield closed
    shutil.rmtree(closed)


@pytest.fixture
def new_folder(closed: Path) -> Iterator[Path]:
    """A data folder that does not exist yet, below a folder that is closed to all but us."""
    # Removed with the rest at the end: file systems are slow to make files anew right after thousands were removed.
    folder = Path(tempfile.mkdtemp(dir=closed)) / "database"
    yield folder
    end(folder)


@pytest.fixture(scope="session")
def made(closed: Path) -> Path:
    """A folder in which a server has been before; it is handed from test to test."""
    open_embedded(closed / "made").close()
    return closed / "made"


@pytest.fixture
def folder(made: Path, new_folder: Path) -> Iterator[Path]:
    """A data folder with a database that nobody holds."""
    made.rename(new_folder)
    for log in new_folder.glob("server.log*"):
        log.unlink()
    yield new_folder
    end(new_folder)
    new_folder.rename(made)


@pytest.fixture
def hold(new_folder: Path) -> Iterator[Hold]:
    """Start processes that hold the folder's server."""
    holders: list[Holder] = []

    def start(at: Path = new_folder, **options: Any) -> Holder:
        holders.append(Holder(at, **options))
        return holders[-1]

    yield start
    for holder in holders:
        with suppress(ValueError):  # it is buried already
            holder.kill()
