"""The embedded server among real signals: nothing committed is lost, nobody innocent is hurt, nothing is left."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from kpro_graph.storage.embedded import embedded, open_embedded
from kpro_graph.storage.embedded.processes import lives, postgres_in
from kpro_graph.storage.embedded.roles import run
from tests.storage.holding import Hold, ask, count, is_stopped, linux, postmaster, root, until

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
