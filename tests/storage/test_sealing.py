"""Sealing: positions without gaps, hashes that chain, signed heads outside, and a verification that finds any change."""

from __future__ import annotations

import asyncio
import base64
import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tortoise.context import TortoiseContext
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget

from kpro_graph.actors import Actor, ActorKind, AssuranceLevel, Role
from kpro_graph.errors import BadInput, ConfigurationError
from kpro_graph.relay import Sealer
from kpro_graph.settings import Settings
from kpro_graph.storage import rotation, tables
from kpro_graph.storage.cipher import Cipher, Key
from kpro_graph.storage.database import Database, model_config
from kpro_graph.storage.migrate import migrate
from kpro_graph.storage.sealing import COLUMNS, Batch, Chain
from kpro_graph.storage.verification import Report, examine, verify
from kpro_graph.storage.witness import Head, PublicKey, SigningKey, Witness, read
from tests.conftest import SECRET, Worlds

HERE = (101, 851)
KEY = SigningKey.derive(SECRET)
OTHER = SigningKey(bytes(range(32)))


@dataclass
class Log:
    """A database without a product over it: whoever seals is under the test's control."""

    database: Database
    superuser: str
    relay: str
    citizens: dict[int, list[UUID]]
    heads: Path

    async def write(self, municipality: int, count: int = 1, *, pause: float = 0, fail: bool = False) -> None:
        """Write one operation with so many lines."""
        actor = Actor(
            ActorKind.EMPLOYEE, tables.new_id(), municipality, (municipality,), AssuranceLevel.HIGH,
            roles=frozenset({Role.CLINICAL_VIEWER}), organisation_unit=tables.new_id(), care_team=tables.new_id(),
        )  # fmt: skip
        async with self.database.read(actor, "Tested") as reading:
            for citizen in random.sample(self.citizens[municipality], count):
                reading.saw(municipality, citizen, ("answers", "colours"), questionnaires=("https://x.dk/Q/1",))
            await asyncio.sleep(pause)
            if fail:
                raise RuntimeError("no line after all")

    async def seal(self) -> None:
        """Seal what is committed, and have it witnessed."""
        connection = await asyncpg.connect(self.relay)
        try:
            heads = await (await Chain.load(connection)).seal()
        finally:
            await connection.close()
        Witness(self.heads, KEY).append(heads)

    async def positions(self, municipality: int) -> list[int | None]:
        """Return the municipality's positions in order; None for lines that wait."""
        connection = await asyncpg.connect(self.superuser)
        try:
            rows = await connection.fetch(
                "SELECT position FROM access_log WHERE municipality_id = $1 ORDER BY position", municipality
            )
        finally:
            await connection.close()
        return [row["position"] for row in rows]

    async def settled(self, municipality: int, count: int | None = None, seconds: float = 10) -> list[int | None]:
        """Return the positions once none is missing, and there are so many lines."""
        for _ in range(int(seconds * 20)):
            found = await self.positions(municipality)
            if None not in found and (count is None or len(found) == count):
                return found
            await asyncio.sleep(0.05)
        raise AssertionError(f"lines are left without a position: {found.count(None)} of {len(found)}")

    async def verify(self) -> Report:
        """Verify as the command does."""
        return await verify(self.relay, [self.heads], [KEY.public])


@asynccontextmanager
async def new_log(worlds: Worlds, loaded: str, folder: Path, name: str) -> AsyncIterator[Log]:
    await asyncio.to_thread(worlds.postgres.create_database, name, loaded)
    dsn = worlds.postgres.dsn
    database = await Database.open(dsn("kpro_api", name), Cipher(SECRET), size=8)
    citizens: dict[int, list[UUID]] = {}
    for municipality in HERE:
        async with database.peek(municipality) as connection:
            citizens[municipality] = [row["id"] for row in await connection.fetch("SELECT id FROM citizen ORDER BY id")]
    try:
        yield Log(database, dsn("postgres", name), dsn("kpro_relay", name), citizens, folder / f"{name}.jsonl")
    finally:
        await database.close()
        await asyncio.to_thread(worlds.postgres.drop_database, name)


@pytest_asyncio.fixture(loop_scope="session")
async def log(worlds: Worlds, loaded: str, tmp_path: Path) -> AsyncIterator[Log]:
    """Give an empty log of the test's own."""
    async with new_log(worlds, loaded, tmp_path, f"log_{random.getrandbits(40):x}") as log:
        yield log


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sealed(worlds: Worlds, loaded: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Log]:
    """Give a log of two municipalities, sealed in five batches each; tests put back what they change."""
    async with new_log(worlds, loaded, tmp_path_factory.mktemp("heads"), "log_sealed") as log:
        for _ in range(5):
            for municipality in HERE:
                await log.write(municipality, 3)
            await log.seal()
        assert (await log.verify()).findings == []
        yield log


@asynccontextmanager
async def sealing(log: Log) -> AsyncIterator[Sealer]:
    sealer = Sealer(log.relay, Witness(log.heads, KEY))
    await sealer.start()
    try:
        yield sealer
    finally:
        await sealer.stop()


# --- Positions


async def test_lines_are_placed_and_sealed_within_a_second_of_their_commit(log: Log) -> None:
    async with sealing(log):
        await log.write(101)
        await log.settled(101)
        for _ in range(5):
            await log.write(101, 3)
            began = asyncio.get_running_loop().time()
            await log.settled(101)
            assert asyncio.get_running_loop().time() - began < 1
            await asyncio.sleep(random.random() / 3)
    report = await log.verify()
    assert (report.findings, report.lines) == ([], 16)
    assert report.seals == report.heads >= 6


async def test_concurrent_writers_get_positions_without_gaps_in_each_municipality(log: Log) -> None:
    async with sealing(log):
        outcomes = await asyncio.gather(
            *(log.write(HERE[n % 2], 1 + n % 3, pause=(n * 7 % 5) / 50, fail=n % 10 == 3) for n in range(60)),
            return_exceptions=True,
        )
        assert sum(isinstance(outcome, RuntimeError) for outcome in outcomes) == 6
        kept = [n for n in range(60) if n % 10 != 3]
        for place, municipality in enumerate(HERE):
            lines = sum(1 + n % 3 for n in kept if n % 2 == place)
            assert await log.settled(municipality, lines) == list(range(1, lines + 1))
    assert (await log.verify()).findings == []


async def test_a_line_that_commits_late_comes_after_those_already_sealed(log: Log) -> None:
    async with sealing(log):
        slow = asyncio.create_task(log.write(101, pause=1.0))
        await asyncio.sleep(0.1)
        await log.write(101, 2)
        assert await log.settled(101) == [1, 2]
        await slow
        assert await log.settled(101, 3) == [1, 2, 3]
    assert (await log.verify()).findings == []


async def test_a_second_sealer_stands_by_and_takes_over(log: Log) -> None:
    async with sealing(log) as first, sealing(log):
        await log.write(101)
        await log.settled(101)
        await first.stop()
        await log.write(101)
        assert await log.settled(101, 2) == [1, 2]
    assert (await log.verify()).findings == []


async def test_a_verification_finds_nothing_while_the_log_is_written_and_sealed(log: Log) -> None:
    async def writing(municipality: int) -> None:
        while not done.is_set():
            await log.write(municipality, 2, pause=random.random() / 50)

    done = asyncio.Event()
    async with sealing(log):
        writers = [asyncio.create_task(writing(municipality)) for municipality in HERE * 2]
        for _ in range(25):
            assert (await log.verify()).findings == []
            await asyncio.sleep(random.random() / 5)
        done.set()
        await asyncio.gather(*writers)


SEALING = """
import asyncio, sys
from pathlib import Path
from kpro_graph.relay import Sealer
from kpro_graph.storage.witness import SigningKey, Witness

async def main():
    await Sealer(sys.argv[1], Witness(Path(sys.argv[2]), SigningKey.derive(bytes.fromhex(sys.argv[3])))).start()
    print("ready", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_sealer_that_is_killed_is_gone_on_from_cleanly(log: Log) -> None:
    done = asyncio.Event()

    async def writing() -> int:
        written = 0
        while not done.is_set():
            await log.write(101, 2)
            written += 2
        return written

    writer = asyncio.create_task(writing())
    for _ in range(6):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SEALING, log.relay, str(log.heads), SECRET.hex(), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        await asyncio.sleep(random.random() * 0.5)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    done.set()
    written = await writer
    async with sealing(log):
        assert await log.settled(101, written) == list(range(1, written + 1))
        await asyncio.sleep(0.5)
    report = await log.verify()
    assert (report.findings, report.lines) == ([], written)


# --- Walls


async def test_nobody_below_a_superuser_changes_or_removes_a_line(sealed: Log) -> None:
    everywhere = "SELECT set_config('kpro.municipalities', '{101,851}', false)"
    for role, outcome in (("kpro_owner", "0"), ("kpro_relay", "0")):
        connection = await asyncpg.connect(sealed.relay.replace("kpro_relay", role))
        try:
            await connection.execute(everywhere)
            assert await connection.execute("UPDATE access_log SET position = 99") == f"UPDATE {outcome}"
            if role == "kpro_owner":
                assert await connection.execute("DELETE FROM access_log") == "DELETE 0"
                assert await connection.execute("UPDATE access_log_seal SET number = 99") == "UPDATE 0"
                assert await connection.execute("DELETE FROM access_log_seal") == "DELETE 0"
        finally:
            await connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE access_log SET purpose = 'own'",
        "DELETE FROM access_log",
        "INSERT INTO access_log (municipality_id, id) VALUES (101, gen_random_uuid())",
        "UPDATE access_log_seal SET number = 9",
        "DELETE FROM access_log_seal",
        "SELECT * FROM access_log_0",
        "TRUNCATE access_log",
        "SELECT * FROM citizen",
    ],
)
async def test_the_relays_role_cannot(sealed: Log, statement: str) -> None:
    connection = await asyncpg.connect(sealed.relay)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_line_is_on_the_disk_before_its_answer_whatever_the_role_is_set_to(log: Log) -> None:
    superuser = await asyncpg.connect(log.superuser)
    await superuser.execute("ALTER ROLE kpro_api SET synchronous_commit = off")
    try:
        database = await Database.open(log.relay.replace("kpro_relay", "kpro_api"), Cipher(SECRET))
        try:
            async with database.peek(101) as connection:
                assert await connection.fetchval("SHOW synchronous_commit") == "on"
        finally:
            await database.close()
    finally:
        await superuser.execute("ALTER ROLE kpro_api RESET synchronous_commit")
        await superuser.close()


async def test_the_log_is_untouched_by_a_rotation_of_keys(log: Log) -> None:
    await log.write(101, 3)
    await log.seal()
    superuser = await asyncpg.connect(log.superuser)
    try:
        before = await superuser.fetch("SELECT *, xmin, ctid FROM access_log ORDER BY id")
        async with rotation.alone(log.relay.replace("kpro_relay", "kpro_owner")) as owner:
            assert await rotation.rotate(owner, Cipher(SECRET, [Key("fresh", bytes(range(32)))])) > 0
        assert await superuser.fetch("SELECT *, xmin, ctid FROM access_log ORDER BY id") == before
    finally:
        await superuser.close()
    assert (await log.verify()).findings == []


def test_every_column_of_a_line_is_under_its_seal() -> None:
    assert sorted(COLUMNS) == sorted(tables.shape(tables.AccessLogLine)[1])


async def test_lines_from_before_the_log_was_parted_are_kept(worlds: Worlds) -> None:
    name = f"log_{random.getrandbits(40):x}"
    await asyncio.to_thread(worlds.postgres.create_database, name)
    owner = worlds.postgres.dsn("kpro_owner", name)
    try:
        async with TortoiseContext() as context:
            await context.init(config=model_config("asyncpg://" + owner.split("://", 1)[1]))
            executor = MigrationExecutor(context.connections.get("default"), model_config()["apps"])
            await executor.migrate([MigrationTarget("kpro", "m0002_people")], direction="forward")
        superuser = await asyncpg.connect(worlds.postgres.dsn("postgres", name))
        try:
            await superuser.execute("INSERT INTO municipality (id, name, cvr) VALUES (101, 'K', '1')")
            await superuser.execute(
                "INSERT INTO person VALUES ('018f0000-0000-7000-8000-000000000001', 'i', 's');"
                "INSERT INTO citizen VALUES (101, '018f0000-0000-7000-8000-000000000002',"
                " '018f0000-0000-7000-8000-000000000001', 'A', 'B', 'A B', 'b a', '2000-01-01')"
            )
            await superuser.execute(
                "INSERT INTO access_log (municipality_id, id, operation_id, citizen_id, action, operation, actor_kind,"
                " actor_id, roles, fields_seen) VALUES (101, gen_random_uuid(), gen_random_uuid(),"
                " '018f0000-0000-7000-8000-000000000002', 'read', 'Old', 'citizen', gen_random_uuid(), '', 'identity')"
            )
            before = dict((await superuser.fetch("SELECT * FROM access_log"))[0])
            await migrate(owner)
            after = dict((await superuser.fetch("SELECT * FROM access_log"))[0])
            assert before.items() <= after.items()
            assert (after["purpose"], after["position"]) == ("own", None)
        finally:
            await superuser.close()
    finally:
        await asyncio.to_thread(worlds.postgres.drop_database, name)


# --- Tampering: everything a superuser can do to a sealed log without the signing key

EXPRESSIONS = {
    "municipality_id": "810", "position": "position + 1000000", "action": "'tampered'", "actor_kind": "'tampered'",
    "purpose": "'tampered'", "override": "NOT override", "protected": "NOT protected",
    "recorded_at": "recorded_at + interval '1 microsecond'", "questionnaires": "array_append(questionnaires, 'x')",
    "viewers": "array_append(viewers, 'x')", "operation": "operation || 'x'", "roles": "''",
    "fields_seen": "'identity'", "trace_id": "reverse(trace_id)",
}  # fmt: skip
OPENED = """
SET LOCAL session_replication_role = replica;
ALTER TABLE access_log DROP CONSTRAINT access_log_action, DROP CONSTRAINT access_log_purpose,
    DROP CONSTRAINT access_log_actor_kind, DROP CONSTRAINT access_log_key;
DROP INDEX access_log_position;
ALTER TABLE access_log_seal DROP CONSTRAINT access_log_seal_pkey, DROP CONSTRAINT access_log_seal_check,
    DROP CONSTRAINT access_log_seal_municipality_id_last_position_key;
"""
Tampering = Callable[[Any, st.DataObject], Awaitable[None]]


async def examined(log: Log, tamper: Callable[[Any], Awaitable[None]] | None = None) -> Report:
    """Return what verification finds after a superuser has tampered with the database, which is then put back."""
    connection = await asyncpg.connect(log.superuser)
    try:
        transaction = connection.transaction()
        await transaction.start()
        try:
            if tamper is not None:
                await connection.execute(OPENED)
                await tamper(connection)
            # Two minutes later nothing is excused as being under way.
            later = datetime.now(UTC) + timedelta(minutes=2)
            return await examine(connection, read([log.heads], [KEY.public]), now=later)
        finally:
            await transaction.rollback()
    finally:
        await connection.close()


async def rechain(connection: Any, municipality: int) -> None:
    """Write every seal of a municipality anew over the lines as they are now, as someone with all rights would."""
    previous = b""
    for seal in await connection.fetch(
        "SELECT * FROM access_log_seal WHERE municipality_id = $1 ORDER BY number", municipality
    ):
        batch = Batch(
            municipality, seal["number"], seal["first_position"], seal["last_position"], seal["sealed_at"], previous
        )
        for line in await connection.fetch(
            "SELECT * FROM access_log WHERE municipality_id = $1 AND position BETWEEN $2 AND $3 ORDER BY position",
            municipality, seal["first_position"], seal["last_position"],
        ):  # fmt: skip
            batch.add(line)
        await connection.execute(
            "UPDATE access_log_seal SET previous = $3, hash = $4 WHERE municipality_id = $1 AND number = $2",
            municipality, seal["number"], previous, batch.digest(),
        )  # fmt: skip
        previous = batch.digest()


async def change_a_column(connection: Any, data: st.DataObject, *, sealing_it_again: bool = False) -> None:
    column = data.draw(
        st.sampled_from(
            [name for name in COLUMNS if not sealing_it_again or name not in {"municipality_id", "position"}]
        )
    )
    where = f"municipality_id = 101 AND position = {data.draw(st.integers(1, 15))}"
    await connection.execute(
        f"UPDATE access_log SET {column} = {EXPRESSIONS.get(column, 'gen_random_uuid()')} WHERE {where}"
    )
    if sealing_it_again:
        await rechain(connection, 101)


async def change_a_column_and_chain_anew(connection: Any, data: st.DataObject) -> None:
    await change_a_column(connection, data, sealing_it_again=True)


async def delete_a_line(connection: Any, data: st.DataObject) -> None:
    place = data.draw(st.integers(1, 15))
    await connection.execute("DELETE FROM access_log WHERE municipality_id = 101 AND position = $1", place)


async def delete_a_line_close_the_gap_and_chain_anew(connection: Any, data: st.DataObject) -> None:
    place = data.draw(st.integers(1, 15))
    await connection.execute("DELETE FROM access_log WHERE municipality_id = 101 AND position = $1", place)
    await connection.execute(
        "UPDATE access_log SET position = position - 1 WHERE municipality_id = 101 AND position > $1", place
    )
    await connection.execute(
        "UPDATE access_log_seal SET last_position = last_position - 1 WHERE municipality_id = 101 AND last_position >= $1",
        place,
    )
    await connection.execute(
        "UPDATE access_log_seal SET first_position = first_position - 1 WHERE municipality_id = 101 AND first_position > $1",
        place,
    )
    await rechain(connection, 101)


async def delete_a_seal(connection: Any, data: st.DataObject) -> None:
    number = data.draw(st.integers(1, 5))
    await connection.execute("DELETE FROM access_log_seal WHERE municipality_id = 101 AND number = $1", number)


async def change_a_seal(connection: Any, data: st.DataObject) -> None:
    changed = data.draw(
        st.sampled_from(["number = number + 5", "form = 2", "first_position = first_position + 1",
                         "last_position = last_position - 1", "sealed_at = sealed_at - interval '1 day'",
                         r"previous = '\x00'", r"hash = '\x00'", "municipality_id = 810"])
    )  # fmt: skip
    number = data.draw(st.integers(1, 5))
    await connection.execute(
        f"UPDATE access_log_seal SET {changed} WHERE municipality_id = 101 AND number = $1", number
    )


async def swap_two_lines(connection: Any, data: st.DataObject) -> None:
    one, other = data.draw(st.lists(st.integers(1, 15), min_size=2, max_size=2, unique=True))
    await connection.execute(
        "UPDATE access_log SET position = CASE position WHEN $1 THEN $2 ELSE $1 END"
        " WHERE municipality_id = 101 AND position IN ($1::bigint, $2::bigint)",
        one, other,
    )  # fmt: skip


async def cut_the_tail_off(connection: Any, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, 4))
    await connection.execute("DELETE FROM access_log WHERE municipality_id = 101 AND position > $1", number * 3)
    await connection.execute("DELETE FROM access_log_seal WHERE municipality_id = 101 AND number > $1", number)


async def insert_a_line(connection: Any, data: st.DataObject) -> None:
    place = data.draw(st.integers(1, 17))
    await connection.execute(
        "CREATE TEMP TABLE added ON COMMIT DROP AS SELECT * FROM access_log WHERE municipality_id = 101 AND position = 1"
    )
    await connection.execute("UPDATE added SET position = $1, id = gen_random_uuid()", place)
    await connection.execute("INSERT INTO access_log SELECT * FROM added")


async def remove_a_whole_municipality(connection: Any, _data: st.DataObject) -> None:
    await connection.execute("DELETE FROM access_log WHERE municipality_id = 101")
    await connection.execute("DELETE FROM access_log_seal WHERE municipality_id = 101")


async def take_a_lines_place_away(connection: Any, data: st.DataObject) -> None:
    place = data.draw(st.integers(1, 15))
    await connection.execute(
        "UPDATE access_log SET position = NULL WHERE municipality_id = 101 AND position = $1", place
    )


TAMPERINGS: list[Tampering] = [
    change_a_column, change_a_column_and_chain_anew, delete_a_line, delete_a_line_close_the_gap_and_chain_anew,
    delete_a_seal, change_a_seal, swap_two_lines, cut_the_tail_off, insert_a_line, remove_a_whole_municipality,
    take_a_lines_place_away,
]  # fmt: skip


@given(data=st.data())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_tampering_with_a_sealed_log_is_found(sealed: Log, data: st.DataObject) -> None:
    tampering = data.draw(st.sampled_from(TAMPERINGS))
    report = await examined(sealed, lambda connection: tampering(connection, data))
    assert report.findings, tampering.__name__
    assert all(each.text.endswith(".") for each in report.findings)


@pytest.mark.parametrize("column", COLUMNS)
async def test_a_change_of_any_column_is_found_and_placed(sealed: Log, column: str) -> None:
    value = EXPRESSIONS.get(column, "gen_random_uuid()")

    async def tamper(connection: Any) -> None:
        await connection.execute(
            f"UPDATE access_log SET {column} = {value} WHERE municipality_id = 101 AND position = 8"
        )

    found = [each for each in (await examined(sealed, tamper)).findings if each.municipality == 101]
    assert any("positions 7 to 9" in each.text for each in found)


async def test_an_untouched_log_gives_no_finding_later_either(sealed: Log) -> None:
    report = await examined(sealed)
    assert report.findings == []
    assert (report.lines, report.seals, report.heads, report.municipalities) == (30, 10, 10, 2)


# --- The witness


def cut_line(lines: list[bytes], n: int) -> list[bytes]:
    return lines[:n] + lines[n + 1 :]


def cut_tail(lines: list[bytes], n: int) -> list[bytes]:
    return lines[:n]


def alter(lines: list[bytes], n: int) -> list[bytes]:
    return [*lines[:n], lines[n].replace(b'"position":', b'"position":1'), *lines[n + 1 :]]


def tear(lines: list[bytes], n: int) -> list[bytes]:
    return [*lines[:n], lines[n][:-20]]


def swap(lines: list[bytes], n: int) -> list[bytes]:
    changed = list(lines)
    changed[n], changed[n - 1] = changed[n - 1], changed[n]
    return changed


@pytest.mark.parametrize("change", [cut_line, cut_tail, alter, tear, swap])
@pytest.mark.parametrize("n", [0, 4, 9])
async def test_a_file_of_heads_that_was_tampered_with_is_found(
    sealed: Log, tmp_path: Path, n: int, change: Callable[[list[bytes], int], list[bytes]]
) -> None:
    altered = replace(sealed, heads=tmp_path / "heads.jsonl")
    altered.heads.write_bytes(b"".join(change(sealed.heads.read_bytes().splitlines(keepends=True), n)))
    assert (await examined(altered)).findings


async def test_heads_signed_with_another_key_are_not_believed(sealed: Log, tmp_path: Path) -> None:
    forged = replace(sealed, heads=tmp_path / "heads.jsonl")
    chain = read([sealed.heads], [KEY.public]).heads
    Witness(forged.heads, OTHER).append(chain)
    codes = {each.code for each in (await examined(forged)).findings}
    assert codes == {"heads_altered", "heads_cut_off"}


async def test_heads_of_a_replaced_key_are_believed_where_its_public_part_is_named(sealed: Log, tmp_path: Path) -> None:
    file = tmp_path / "heads.jsonl"
    chain = read([sealed.heads], [KEY.public]).heads
    Witness(file, KEY).append(chain[:4])
    Witness(file, OTHER).append(chain[4:])
    assert read([file], [KEY.public, OTHER.public]).heads == chain
    assert read([file], [KEY.public, OTHER.public]).faults == ()
    for only, believed in ((KEY.public, chain[:4]), (OTHER.public, chain[4:])):
        testimony = read([file], [only])
        assert (testimony.heads, len(testimony.faults)) == (believed, 10 - len(believed))


def test_a_head_that_names_a_key_it_is_not_signed_with_is_forged(tmp_path: Path) -> None:
    file = tmp_path / "heads.jsonl"
    Witness(file, OTHER).append([head(1)])
    file.write_bytes(file.read_bytes().replace(OTHER.public.name.encode(), KEY.public.name.encode()))
    testimony = read([file], [KEY.public, OTHER.public])
    assert (testimony.heads, len(testimony.faults)) == ((), 1)
    assert "forged" in testimony.faults[0]


def test_an_installations_derived_key_stays_the_same(tmp_path: Path) -> None:
    assert str(SigningKey.derive(SECRET).public) == "2Mw6DPXoH0tfkIvKWnHMtQAYYGmGjG9O7gvZYZT0mR8="
    assert KEY.public.name == "0bd3fb8254f4fd19"
    Witness(tmp_path / "heads.jsonl", KEY).append([head(1)])
    assert f'"key":"{KEY.public.name}"' in (tmp_path / "heads.jsonl").read_text()


@pytest.mark.parametrize(
    "text", ["x", "AAAA", base64.b64encode(bytes(31)).decode(), base64.b64encode(bytes(33)).decode()]
)
def test_a_seed_of_another_length_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ConfigurationError, match="KPRO_ACCESS_LOG_KEY") as refused:
        Settings.read({"KPRO_ACCESS_LOG_KEY": text})
    assert text not in str(refused.value)


def test_a_public_key_is_read_as_it_is_written() -> None:
    assert PublicKey.parse(str(KEY.public)) == KEY.public
    for wrong in ("", "x", "AAAA", str(KEY.public)[:-4], "A" * 88):
        with pytest.raises(BadInput, match="32 bytes"):
            PublicKey.parse(wrong)


async def test_a_missing_file_of_heads_is_found(sealed: Log, tmp_path: Path) -> None:
    missing = replace(sealed, heads=tmp_path / "none.jsonl")
    assert {each.code for each in (await examined(missing)).findings} == {"heads_altered", "heads_cut_off"}


async def test_lines_that_wait_too_long_for_a_seal_are_found(log: Log) -> None:
    await log.write(101, 2)
    log.heads.touch()
    found = (await examined(log)).findings
    assert [each.code for each in found] == ["unsealed"]
    assert found[0].text.startswith("2 lines ")


async def test_a_log_that_contradicts_its_signed_heads_is_not_gone_on_with(
    log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        await log.write(101)
        await log.write(851)
        await log.seal()
    superuser = await asyncpg.connect(log.superuser)
    await superuser.execute(
        "SET session_replication_role = replica;"
        "DELETE FROM access_log WHERE municipality_id = 101 AND position = 2;"
        "DELETE FROM access_log_seal WHERE municipality_id = 101 AND number = 2"
    )
    await superuser.close()
    async with sealing(log):
        await log.write(101)
        await log.write(851)
        assert await log.settled(851, 3) == [1, 2, 3]
        await asyncio.sleep(0.6)
        assert await log.positions(101) == [1, None]
    assert "contradicts its signed heads" in caplog.text
    assert {each.code for each in (await log.verify()).findings} == {"cut_off"}


async def test_heads_that_cannot_be_written_are_owed_until_they_can(log: Log) -> None:
    async with sealing(log):
        await log.write(101)
        await log.settled(101)
        await asyncio.sleep(0.2)
        aside = log.heads.with_suffix(".aside")
        log.heads.rename(aside)
        log.heads.mkdir()
        await log.write(101)
        await log.settled(101, 2)
        await asyncio.sleep(0.6)
        log.heads.rmdir()
        aside.rename(log.heads)
        await asyncio.sleep(1)
    assert [head.position for head in read([log.heads], [KEY.public]).heads] == [1, 2]


def head(number: int) -> Head:
    return Head(101, number, number * 2, bytes(32), datetime(2026, 11, 1, 12, tzinfo=UTC))


def test_a_head_torn_off_by_a_loss_of_power_is_taken_away_and_those_before_it_stay(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "deep" / "heads.jsonl", KEY)
    witness.prepare()
    witness.append([head(1), head(2)])
    whole = witness.path.read_bytes()
    for torn in (b"{", whole.splitlines()[1][:-1]):
        witness.path.write_bytes(whole + torn)
        witness.prepare()
        assert witness.path.read_bytes() == whole
    witness.append([head(3)])
    assert witness.latest() == {101: head(3)}
    testimony = read([witness.path], [KEY.public])
    assert (len(testimony.heads), testimony.faults) == (3, ())


def test_a_file_of_heads_can_be_put_aside_and_both_be_read(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "heads.jsonl", KEY)
    witness.append([head(1)])
    old = witness.path.rename(tmp_path / "old.jsonl")
    witness.append([head(2)])
    testimony = read([old, witness.path], [KEY.public])
    assert (testimony.heads, testimony.faults) == ((head(1), head(2)), ())


def test_heads_that_have_no_place_to_be_kept_are_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="KPRO_ACCESS_LOG_HEADS"):
        Witness(tmp_path / "file" / "heads.jsonl", KEY).prepare()


def test_a_head_tells_nothing_of_anybody(sealed: Log) -> None:
    assert set(sealed.heads.read_text().splitlines()[0].split('"')[1::2]) >= {"municipality", "hash", "signature"}
    assert not any(citizen.hex in sealed.heads.read_text() for citizen in sealed.citizens[101])
