"""The embedded server, with real processes: what a start makes, who shares it, and what is refused."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from kpro_graph.errors import ConfigurationError, Unavailable
from kpro_graph.storage.embedded import ROLES, EmbeddedServer, embedded, open_embedded
from kpro_graph.storage.embedded.processes import lives, postgres_in
from kpro_graph.storage.embedded.roles import run
from tests.storage.holding import Hold, ask, is_stopped, linux, postmaster, until

# What a first start makes


def test_a_first_start_makes_the_database_and_its_roles(new_folder: Path) -> None:
    with open_embedded(new_folder) as server:
        for role in ROLES:
            assert ask(server, "SELECT current_user", role) == role
        powers = "rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication"
        assert ask(server, f"SELECT array_agg(rolname) FROM pg_roles WHERE rolcanlogin AND ({powers})") == ["postgres"]
        assert ask(server, "SELECT datdba::regrole::text FROM pg_database WHERE datname = 'kpro'") == "kpro_owner"
        assert ask(server, "SELECT current_setting('server_version')").startswith("18.")
        assert ask(server, "SELECT current_setting('server_encoding')") == "UTF8"
        assert ask(server, "SELECT current_setting('data_checksums')") == "on"
        assert ask(server, "SELECT lower('ÆØÅ')") == "æøå"


def test_a_url_and_parameters_lead_to_the_same_server(folder: Path) -> None:
    async def ask_both(server: EmbeddedServer) -> list[Any]:
        answers = []
        for connecting in (asyncpg.connect(server.dsn("kpro_api")), asyncpg.connect(**server.parameters("kpro_api"))):
            connection = await connecting
            answers.append(await connection.fetchrow("SELECT current_user::text, current_database()::text"))
            await connection.close()
        return answers

    with open_embedded(folder) as server:
        assert asyncio.run(ask_both(server)) == [("kpro_api", "kpro")] * 2
        with pytest.raises(ValueError, match="kpro_relay"):
            server.dsn("somebody")


def test_a_role_that_gained_power_loses_it_at_the_next_start(folder: Path) -> None:
    with open_embedded(folder) as server:
        run(server.parameters("postgres"), lambda connection: connection.execute("ALTER ROLE kpro_api BYPASSRLS"))
    with open_embedded(folder) as server:
        assert ask(server, "SELECT rolbypassrls FROM pg_roles WHERE rolname = 'kpro_api'") is False


@linux
def test_no_network_port_is_opened(folder: Path) -> None:
    with open_embedded(folder) as server:
        assert ask(server, "SHOW listen_addresses") == ""
        sockets = set()
        try:
            for pid in postgres_in(folder / "postgres"):
                for file in Path(f"/proc/{pid}/fd").iterdir():
                    with suppress(FileNotFoundError):
                        sockets.add(file.readlink().name.removeprefix("socket:[").removesuffix("]"))
        except PermissionError:
            pytest.skip("other accounts' open files may not be looked at here")
        network = [
            line.split() for table in Path("/proc/net").glob("[tu][cd]p*") for line in table.read_text().splitlines()
        ]
        assert sockets.isdisjoint(columns[9] for columns in network)
        assert len(sockets) > 1


def test_only_the_owner_reaches_the_socket_and_no_folder_above_is_touched(folder: Path) -> None:
    def look(path: Path) -> tuple[int, int, int]:
        found = path.stat()
        return stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid

    above = [look(path) for path in folder.parents]
    with open_embedded(folder) as server:
        assert look(server.socket_folder)[0] == 0o700
        assert look(server.socket_folder / ".s.PGSQL.5432")[0] == 0o700
        assert look(folder / "server.log")[0] == 0o600
    assert [look(path) for path in folder.parents] == above


def test_the_log_tells_nothing_of_what_statements_were_about(folder: Path) -> None:
    async def fail(connection: Any) -> None:
        await connection.execute("CREATE TABLE t (v text PRIMARY KEY); INSERT INTO t VALUES ('told-by-key')")
        for statement, values in (
            ("SELECT 'told-by-literal'::int", ()),
            ("SELECT ($1::text)::int", ("told-by-parameter",)),
            ("INSERT INTO t VALUES ($1)", ("told-by-key",)),
            ("told-by-syntax", ()),
        ):
            with pytest.raises(asyncpg.PostgresError, match=r"told-by|syntax"):
                await connection.execute(statement, *values)
        await connection.execute("DO $$ BEGIN RAISE WARNING 'told-by-warning'; END $$")

    async def crash(connection: Any) -> None:
        running = asyncio.ensure_future(connection.execute("SELECT 'told-by-crash', pg_sleep(60)"))
        await asyncio.sleep(0.1)
        os.kill(connection.get_server_pid(), signal.SIGKILL)
        with pytest.raises((asyncpg.PostgresError, OSError)):
            await running

    with open_embedded(folder) as server:
        run(server.parameters("kpro_owner"), fail)
        run(server.parameters("kpro_owner"), crash)
        until(lambda: server.log.read_text().count("ready to accept connections") == 2)
    assert "terminated by signal 9" in server.log.read_text()
    assert "told-by" not in server.log.read_text()


def test_an_overlong_log_is_put_aside(folder: Path) -> None:
    (folder / "server.log").write_text("long ago\n" * 200_000)
    with open_embedded(folder) as server:
        assert "ready to accept connections" in server.log.read_text()
    assert server.log.stat().st_size < 10_000
    assert (folder / "server.log.1").read_text().startswith("long ago")


def test_a_database_is_copied_from_a_template_and_dropped_although_in_use(folder: Path) -> None:
    async def stay_while_dropped(connection: Any) -> None:
        await asyncio.to_thread(server.drop_database, "copy")
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await connection.fetchval("SELECT 1")

    with open_embedded(folder) as server:
        server.create_database("migrated")
        owner = server.parameters("kpro_owner", "migrated")
        run(owner, lambda connection: connection.execute("CREATE TABLE fruit AS SELECT 'apple' AS name"))
        server.create_database("copy", template="migrated")
        assert ask(server, "SELECT name FROM fruit", "kpro_owner", "copy") == "apple"
        run(server.parameters("kpro_owner", "copy"), stay_while_dropped)
        with pytest.raises(asyncpg.InvalidCatalogNameError):
            ask(server, "SELECT 1", database="copy")
        server.drop_database("copy")
        with pytest.raises(ValueError, match="belongs to the server"):
            server.drop_database("kpro")
        with pytest.raises(ValueError, match="a-z"):
            server.create_database('x"; DROP DATABASE kpro; --')


# Sharing


def test_two_processes_share_one_server_and_the_last_one_stops_it(folder: Path, hold: Hold) -> None:
    first = hold().ready()
    second = hold().ready()
    pid = postmaster(folder)
    first.close()
    assert postmaster(folder) == pid
    assert lives(pid)
    second.close()
    assert not lives(pid)
    assert is_stopped(folder)
    assert "shutting down" in (folder / "server.log").read_text()


def test_processes_that_open_a_new_folder_at_once_get_the_same_server(new_folder: Path, hold: Hold) -> None:
    holders = [hold() for _ in range(4)]
    for holder in holders:
        holder.ready()
    assert (new_folder / "server.log").read_text().count("starting PostgreSQL") == 1
    for holder in holders:
        holder.say("close")
    for holder in holders:
        assert holder.hear() == "closed"
    assert is_stopped(new_folder)


def test_one_process_may_open_a_folder_twice(folder: Path) -> None:
    with open_embedded(folder) as first:
        with open_embedded(folder) as second:
            assert second.dsn("kpro_api") == first.dsn("kpro_api")
        second.close()
        assert ask(first, "SELECT 1") == 1
    assert is_stopped(folder)


def test_a_forked_child_neither_lets_go_of_the_server_nor_keeps_it(folder: Path, hold: Hold) -> None:
    holder = hold().ready()
    holder.say("fork")
    child = int(holder.hear())
    try:
        with open_embedded(folder):
            pass
        assert not is_stopped(folder)
        holder.say("close")
        assert holder.hear() == "closed"
        assert lives(child)
        assert is_stopped(folder)
        with open_embedded(folder) as server:
            assert ask(server, "SELECT 1") == 1
    finally:
        os.kill(child, signal.SIGKILL)


def test_an_interrupt_at_the_terminal_does_not_reach_the_server(folder: Path, hold: Hold) -> None:
    holder = hold().ready()
    pid = postmaster(folder)
    assert os.getsid(pid) != os.getsid(holder.pid)
    with open_embedded(folder) as server:
        os.killpg(holder.pid, signal.SIGINT)
        holder.bury()
        assert ask(server, "SELECT 1") == 1
        assert postmaster(folder) == pid


async def test_the_event_loop_goes_on_while_a_server_opens_and_closes(folder: Path) -> None:
    longest, before = 0.0, time.monotonic()

    async def tick() -> None:
        nonlocal longest, before
        while True:
            await asyncio.sleep(0.005)
            longest, before = max(longest, time.monotonic() - before), time.monotonic()

    ticking = asyncio.create_task(tick())
    async with embedded(folder) as server:
        connection = await asyncpg.connect(**server.parameters("kpro_api"))
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()
    ticking.cancel()
    assert longest < 0.2
    assert is_stopped(folder)


async def test_a_cancelled_opening_leaves_no_server(new_folder: Path) -> None:
    async def work() -> None:
        async with embedded(new_folder):
            pytest.fail("the opening was not cancelled")

    working = asyncio.create_task(work())
    await asyncio.sleep(0.1)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert is_stopped(new_folder)


# What is refused


def test_the_data_of_another_version_is_refused(new_folder: Path) -> None:
    open_embedded(new_folder).close()
    (new_folder / "postgres" / "PG_VERSION").write_text("17\n")
    with pytest.raises(ConfigurationError, match=rf"{new_folder}.* PostgreSQL 17.* 18"):
        open_embedded(new_folder)


def test_a_folder_with_something_else_in_it_is_refused_and_left_as_it_is(new_folder: Path) -> None:
    new_folder.mkdir()
    (new_folder / "letter.txt").write_text("Dear Sir")
    with pytest.raises(ConfigurationError, match=rf"{new_folder} is not empty"):
        open_embedded(new_folder)
    assert [path.name for path in new_folder.iterdir()] == ["letter.txt"]


def test_a_folder_that_cannot_be_made_is_named(new_folder: Path) -> None:
    new_folder.write_text("a file")
    with pytest.raises(ConfigurationError, match=rf"{new_folder}/below cannot be used: Not a directory"):
        open_embedded(new_folder / "below")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(new_folder: Path) -> None:
    new_folder.mkdir(mode=0o500)
    with pytest.raises(ConfigurationError, match=rf"{new_folder} cannot be used: Permission denied"):
        open_embedded(new_folder)


def test_a_server_that_does_not_start_is_reported_with_its_own_words(new_folder: Path) -> None:
    open_embedded(new_folder).close()
    with (new_folder / "postgres" / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(ConfigurationError, match=rf"{new_folder}[\s\S]*no_such_setting"):
        open_embedded(new_folder)
    assert is_stopped(new_folder)


def test_patience_with_a_server_that_does_not_answer_ends(folder: Path) -> None:
    with open_embedded(folder) as server:
        os.kill(postmaster(folder), signal.SIGSTOP)
        try:
            with pytest.raises(Unavailable, match=rf"{folder}, without progress[\s\S]*ready to accept connections"):
                open_embedded(folder, patience=0.3)
        finally:
            os.kill(postmaster(folder), signal.SIGCONT)
        assert ask(server, "SELECT 1") == 1


def test_patience_with_somebody_else_who_starts_the_server_ends(folder: Path) -> None:
    with (folder / "gate.lock").open("w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        with pytest.raises(Unavailable, match=r"Another process .* without progress"):
            open_embedded(folder, patience=0.1)
    open_embedded(folder).close()
