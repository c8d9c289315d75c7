"""Keys: CPR numbers are sealed with a ring of them, and sealed anew while the product is in use."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpro_graph.app import Product
from kpro_graph.demography import Demography
from kpro_graph.errors import ConfigurationError
from kpro_graph.plugins.demo_identity import FOLDER
from kpro_graph.plugins.host import PluginHost
from kpro_graph.settings import Settings
from kpro_graph.storage.cipher import LEGACY_LENGTH, SECRET_KEY, Cipher, Key, RingFile
from kpro_graph.storage.owner import owning
from kpro_graph.storage.rotation import alone, remaining, rotate
from kpro_graph.storage.tables import new_id
from tests.conftest import ROOT, SECRET, Worlds
from tests.living import Api, serving

NUMBER = "7312632330"
ROW, OTHER_ROW = UUID(int=7), UUID(int=8)
FIRST, SECOND = Key("k1", b"1" * 32), Key("k2", b"2" * 32)
# Made before there was a ring.
LEGACY = bytes.fromhex("0c07681b1b5cd306b8594391fd449e40bc02e346b408f80b0629ce2e4b8c7f84337108002761")
LEGACY_INDEX = bytes.fromhex("8f42b02dc45ac916a9e1c1f1af762e670c6a5f11ee18cb4d20cfb79ebc98fd6b")


# --- The ring


def test_what_was_sealed_before_there_was_a_ring_still_opens_and_is_still_found() -> None:
    for cipher in (Cipher(SECRET), Cipher(SECRET, [FIRST, SECOND])):
        assert len(LEGACY) == LEGACY_LENGTH
        assert cipher.unseal(LEGACY, ROW) == NUMBER
        assert LEGACY_INDEX in cipher.indexes(NUMBER)
    assert Cipher(SECRET).index(NUMBER) == LEGACY_INDEX


def test_the_first_key_seals_and_is_named_and_all_open() -> None:
    before, after = Cipher(SECRET, [FIRST]), Cipher(SECRET, [SECOND, FIRST])
    for cipher, key in ((before, FIRST), (after, SECOND), (Cipher(SECRET), None)):
        sealed = cipher.seal(NUMBER, ROW)
        assert (key.id if key else SECRET_KEY).encode() in sealed
        assert sealed.startswith(cipher.mark)
        assert NUMBER.encode() not in sealed
        assert sealed != cipher.seal(NUMBER, ROW)
        assert after.unseal(sealed, ROW) == NUMBER
    assert after.ring == ("k2", "k1", SECRET_KEY)


def test_a_key_that_is_not_in_the_ring_is_said_and_the_value_is_not() -> None:
    sealed = Cipher(SECRET, [FIRST]).seal(NUMBER, ROW)
    for ring in ([], [SECOND], [Key("k1", b"another" * 8)]):
        with pytest.raises(ConfigurationError, match=r"KPRO_KEYS|differs") as refused:
            Cipher(SECRET, ring).unseal(sealed, ROW)
        assert NUMBER not in str(refused.value)
    with pytest.raises(ConfigurationError):
        Cipher(b"another secret" * 4).unseal(LEGACY, ROW)


def test_a_sealed_number_opens_in_its_own_row_only() -> None:
    cipher = Cipher(SECRET, [FIRST])
    sealed = cipher.seal(NUMBER, ROW)
    with pytest.raises(ConfigurationError, match="moved"):
        cipher.unseal(sealed, OTHER_ROW)


@given(st.data())
def test_a_sealed_number_that_was_altered_does_not_open(data: st.DataObject) -> None:
    cipher = Cipher(SECRET, [FIRST, SECOND])
    sealed = bytearray(cipher.seal(NUMBER, ROW))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ConfigurationError):
        cipher.unseal(bytes(sealed), ROW)


@given(st.binary(max_size=80))
def test_bytes_that_nobody_sealed_are_refused(rubbish: bytes) -> None:
    with pytest.raises(ConfigurationError):
        Cipher(SECRET, [FIRST]).unseal(rubbish, ROW)


def test_the_name_of_another_key_cannot_be_put_on_a_sealed_number() -> None:
    twin = Key("k2", FIRST.material)
    sealed = Cipher(SECRET, [FIRST]).seal(NUMBER, ROW)
    with pytest.raises(ConfigurationError):
        Cipher(SECRET, [twin, FIRST]).unseal(sealed.replace(b"k1", b"k2", 1), ROW)


def test_each_key_has_an_index_of_its_own_and_all_rings_one_lock() -> None:
    forth, back, none = Cipher(SECRET, [FIRST, SECOND]), Cipher(SECRET, [SECOND, FIRST]), Cipher(SECRET)
    assert forth.index(NUMBER) == forth.indexes(NUMBER)[0]
    assert len(set(forth.indexes(NUMBER))) == 3
    assert set(forth.indexes(NUMBER)) == set(back.indexes(NUMBER))
    assert forth.lock(NUMBER) == back.lock(NUMBER) == none.lock(NUMBER)
    assert forth.lock(NUMBER) != forth.lock("7312632332")
    assert -(2**63) <= forth.lock(NUMBER) < 2**63


@pytest.mark.parametrize("id_", ["", "K1", "1k", "a" * 17, "k_1", "æ", SECRET_KEY])
def test_a_keys_id_is_short_lower_case_text_and_not_the_secrets_own(id_: str) -> None:
    with pytest.raises(ConfigurationError, match="id"):
        Key(id_, b"1" * 32)


def test_no_text_of_a_key_or_of_the_settings_shows_it() -> None:
    material = base64.b64encode(b"material" * 4).decode()
    settings = Settings.read({"KPRO_KEYS": f" k2:{material} , k1:{base64.b64encode(FIRST.material).decode()}"})
    assert settings.keys == (("k2", b"material" * 4), ("k1", FIRST.material))
    assert "material" not in f"{settings!r} {Key(*settings.keys[0])!r}"
    assert material not in repr(settings)
    assert Cipher.of(SECRET, settings.keys, None).ring == ("k2", "k1", SECRET_KEY)


@pytest.mark.parametrize("text", ["k1", "k1:", "k1:nonsense!", "k1:c2hvcnQ=", f"k1:{'A' * 44},k1:{'B' * 44}"])
def test_a_malformed_ring_is_refused_without_its_value(text: str) -> None:
    with pytest.raises(ConfigurationError, match="KPRO_KEYS") as refused:
        Settings.read({"KPRO_KEYS": text})
    assert text.partition(":")[2] == "" or text.partition(":")[2] not in str(refused.value)


# --- The ring's file


def test_a_fresh_key_in_the_file_is_first_and_seen_by_whoever_shares_it(tmp_path: Path) -> None:
    other = Cipher.of(SECRET, (), tmp_path)
    assert list(other.ring) == [SECRET_KEY]
    sealed = other.seal(NUMBER, ROW)
    assert [RingFile(tmp_path).add().id, RingFile(tmp_path).add().id] == ["k1", "k2"]
    assert list(other.ring) == ["k2", "k1", SECRET_KEY]
    assert other.unseal(sealed, ROW) == NUMBER
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == ["keys"]
    assert Cipher.of(SECRET, (("k9", b"9" * 32),), tmp_path).ring == ("k9", SECRET_KEY)


@pytest.mark.parametrize("content", [b"k1", b"k1:!!", b"\xff", b"K:" + b"A" * 44])
def test_a_damaged_ring_file_is_said_at_once_and_not_repeated(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "keys").write_bytes(content)
    with pytest.raises(ConfigurationError) as refused:
        Cipher.of(SECRET, (), tmp_path)
    assert "A" * 44 not in str(refused.value)


def test_a_ring_file_that_has_gone_stops_everything_instead_of_making_people_strangers(tmp_path: Path) -> None:
    RingFile(tmp_path).add()
    cipher = Cipher.of(SECRET, (), tmp_path)
    (tmp_path / "keys").unlink()
    with pytest.raises(ConfigurationError, match="has gone"):
        cipher.indexes(NUMBER)


# --- Rotation


@asynccontextmanager
async def ringed(worlds: Worlds, loaded: str, ring: list[Key]) -> AsyncIterator[Api]:
    """Open a world whose product works with this ring, which may change meanwhile."""
    async with worlds.fresh(loaded) as api:
        api.product.database.cipher = Cipher(SECRET, lambda: ring)
        yield api


@asynccontextmanager
async def beside(api: Api, ring: Callable[[], list[Key]]) -> AsyncIterator[Api]:
    """Open a second process' product over the same database, with a ring of its own."""
    host = PluginHost(api.product.settings.plugins_folder)
    host.add(api.identity, FOLDER)
    async with (
        Product(api.product.settings, host, sequencing=False) as product,
        serving(product, api.identity) as other,
    ):
        product.database.cipher = Cipher(SECRET, ring)
        yield other


async def turn(api: Api, told: Callable[[int, int, str], object] | None = None) -> tuple[int, Any]:
    """Rotate the world's database with its product's ring; return how many were sealed and what is left."""
    async with alone(api.product.databases.need("owner")) as connection:
        sealed = await rotate(connection, api.product.database.cipher, told)
        return sealed, await remaining(connection, api.product.database.cipher)


async def persons(api: Api) -> list[Any]:
    async with owning(api.product.databases.need("owner")) as connection:
        return list(await connection.fetch("SELECT id, cpr_index, cpr_sealed FROM person ORDER BY id"))


async def employees(api: Api) -> list[Any]:
    rows = []
    async with owning(api.product.databases.need("owner")) as connection, connection.transaction():
        await connection.execute("SELECT set_config('kpro.municipalities', '{101,851,810,265}', true)")
        rows += await connection.fetch("SELECT municipality_id, id, cpr_sealed FROM employee ORDER BY id")
    return rows


async def find(api: Api, number: str, municipality: str = "0101") -> str | None:
    found = (await api.run("find-citizen", "enroller", municipality, cpr=number))["findCitizen"]
    return found["citizen"]["id"] if found["__typename"] == "CitizenFound" else None


REGISTER = """
  mutation ($cpr: CPR!) { registerCitizen(input: { cpr: $cpr, givenName: "Ny", familyName: "Borger" }) {
    ... on CitizenRegistered { created citizen { id } } } }
"""


async def register(api: Api, number: str, municipality: str = "0101") -> tuple[str, bool]:
    made = (await api.run(REGISTER, "enroller", municipality, cpr=number))["registerCitizen"]
    return made["citizen"]["id"], made["created"]


async def test_a_rotation_seals_every_person_and_employee_anew_and_binds_each_to_its_row(
    worlds: Worlds, loaded: str
) -> None:
    ring: list[Key] = []
    async with ringed(worlds, loaded, ring) as api:
        cipher, before = api.product.database.cipher, await persons(api)
        numbers = {row["id"]: cipher.unseal(row["cpr_sealed"], row["id"]) for row in before}
        staff = {row["id"]: cipher.unseal(row["cpr_sealed"], row["id"]) for row in await employees(api)}
        assert len(staff) > 10
        ring.insert(0, FIRST)
        sealed, left = await turn(api)
        assert sealed == len(numbers) + len(staff)
        assert (left.stale, left.unknown(cipher.ring)) == (0, set())
        assert left.keys == {"person": {"k1": len(numbers)}, "employee": {"k1": len(staff)}}
        after = await persons(api)
        for row in after:
            assert cipher.unseal(row["cpr_sealed"], row["id"]) == numbers[row["id"]]
            assert row["cpr_index"] == cipher.index(numbers[row["id"]])
            with pytest.raises(ConfigurationError):
                cipher.unseal(row["cpr_sealed"], new_id())
        assert {row["id"]: cipher.unseal(row["cpr_sealed"], row["id"]) for row in await employees(api)} == staff
        assert not {row["cpr_index"] for row in before} & {row["cpr_index"] for row in after}
        assert await turn(api) == (0, left)
        assert await find(api, Demography().citizen_cpr("0101", 0)) is not None


async def test_a_rotation_touches_no_line_of_the_access_log(worlds: Worlds, loaded: str) -> None:
    ring: list[Key] = []
    async with ringed(worlds, loaded, ring) as api:
        await find(api, Demography().citizen_cpr("0101", 0))

        async def lines() -> list[Any]:
            async with api.product.database.peek(101) as connection:
                return list(await connection.fetch("SELECT xmin::text, ctid::text, t.id FROM access_log t ORDER BY id"))

        before = await lines()
        assert before
        ring.insert(0, FIRST)
        assert (await turn(api))[0] > 0
        assert [line["id"] for line in await lines()] == [line["id"] for line in before]


async def test_a_rotation_that_is_broken_off_goes_on_where_it_was(worlds: Worlds, loaded: str) -> None:
    ring: list[Key] = []
    async with ringed(worlds, loaded, ring) as api:
        total = len(await persons(api)) + len(await employees(api))
        ring.insert(0, FIRST)

        class Broken(Exception):
            pass

        def tell(_done: int, _total: int, what: str) -> None:
            if what == "employee":
                raise Broken

        with pytest.raises(Broken):
            await turn(api, tell)
        number = Demography().citizen_cpr("0101", 0)
        citizen = await find(api, number)
        assert citizen is not None
        sealed, left = await turn(api)
        assert 0 < sealed < total
        assert left.stale == 0
        assert await find(api, number) == citizen


async def test_nobody_is_lost_or_doubled_while_keys_are_rotated(worlds: Worlds, loaded: str) -> None:
    """Look-ups and registrations from two processes, whose rings are in different orders, during many rotations."""
    ring: list[Key] = [FIRST]
    async with ringed(worlds, loaded, ring) as api, beside(api, lambda: [*ring[1:], ring[0]]) as other:
        known = {n: await find(api, Demography().citizen_cpr("0101", n)) for n in range(5)}
        assert None not in known.values()
        count = len(await persons(api))
        over = asyncio.Event()
        looked = 0
        registered: set[str] = set()

        async def look() -> None:
            nonlocal looked
            while not over.is_set():
                for n, citizen in known.items():
                    assert await find((api, other)[looked % 2], Demography().citizen_cpr("0101", n)) == citizen
                    looked += 1

        async def enrol() -> None:
            while not over.is_set():
                number = f"010170{1000 + len(registered):04}"
                registered.add(number)
                both = await asyncio.gather(*(register(each, number) for each in (api, other)))
                assert {citizen for citizen, _ in both} == {both[0][0]}
                assert sorted(created for _, created in both) == [False, True]
                assert (await register(api, number, "0851"))[0] != both[0][0]

        async def rotations() -> None:
            try:
                for n in range(2, 10):
                    ring.insert(0, Key(f"k{n}", bytes([n]) * 32))
                    await asyncio.sleep(0.2)  # whoever began under the ring that was is done by then
                    _, left = await turn(api)
                    assert left.unknown(api.product.database.cipher.ring) == set()
            finally:
                over.set()

        async with asyncio.TaskGroup() as group:
            for work in (look(), enrol(), rotations()):
                group.create_task(work)
        assert looked >= 20
        assert len(registered) >= 5
        assert len(await persons(api)) == count + len(registered)
        assert (await turn(api))[1].stale == 0
        for number in registered:
            assert (await register(other, number))[1] is False


async def test_one_number_registered_from_two_rings_at_once_is_one_person(worlds: Worlds, loaded: str) -> None:
    async with ringed(worlds, loaded, [FIRST, SECOND]) as api, beside(api, lambda: [SECOND, FIRST]) as other:
        before = len(await persons(api))
        for n in range(10):
            number = f"020270{2000 + n}"
            places = ("0101", "0851", "0810", "0265")
            made = await asyncio.gather(*(register(each, number, place) for each in (api, other) for place in places))
            assert sorted(created for _, created in made) == [False] * 4 + [True] * 4
            assert len({citizen for citizen, _ in made}) == 4
        assert len(await persons(api)) == before + 10


async def test_a_row_that_somebody_holds_is_left_and_counted_and_taken_the_next_time(
    worlds: Worlds, loaded: str
) -> None:
    ring: list[Key] = []
    async with ringed(worlds, loaded, ring) as api:
        ring.insert(0, FIRST)
        async with owning(api.product.databases.need("owner")) as holder:
            async with holder.transaction():
                held = await holder.fetchval("SELECT id FROM person ORDER BY id LIMIT 1 FOR UPDATE")
                _, left = await turn(api)
                assert left.stale == 1
                assert left.keys["person"][SECRET_KEY] == 1
            sealed, left = await turn(api)
            assert (sealed, left.stale) == (1, 0)
            assert held in {row["id"] for row in await persons(api)}


async def test_what_does_not_open_is_left_as_it_is_and_counted(worlds: Worlds, loaded: str) -> None:
    ring = [FIRST]
    async with ringed(worlds, loaded, ring) as api:
        lost, double = new_id(), new_id()
        stranger, number = Cipher(SECRET, [SECOND]), Demography().citizen_cpr("0101", 0)
        async with owning(api.product.databases.need("owner")) as connection:
            for id_, cipher, digits in ((lost, stranger, "0303701234"), (double, Cipher(SECRET), number)):
                await connection.execute(
                    "INSERT INTO person (id, cpr_index, cpr_sealed) VALUES ($1, $2, $3)",
                    id_,
                    # A second person of one number cannot come about by the product's own doing.
                    stranger.index(digits),
                    cipher.seal(digits, id_),
                )
        _, left = await turn(api)
        assert left.keys["person"]["k2"] == 1
        assert left.unknown(api.product.database.cipher.ring) == {"k2"}
        assert left.stale == 2
        rows = {row["id"]: row["cpr_sealed"] for row in await persons(api)}
        assert stranger.unseal(rows[lost], lost) == "0303701234"


# --- The command


def kpro(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("KPRO_")}
    return subprocess.run(
        [sys.executable, "-m", "kpro_graph", *arguments],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=110,
        env={**known, "KPRO_FOLDER": str(folder), "NO_COLOR": "1", "COLUMNS": "200", **environment},
    )  # fmt: skip


async def test_the_command_rotates_to_the_first_of_the_given_keys_and_says_what_is_left(
    worlds: Worlds, loaded: str, tmp_path: Path
) -> None:
    async with ringed(worlds, loaded, []) as api:
        environment = {
            "KPRO_MIGRATION_URL": api.product.databases.need("owner"),
            "KPRO_SECRET": base64.b64encode(SECRET).decode(),
        }
        ring = ",".join(f"{key.id}:{base64.b64encode(key.material).decode()}" for key in (SECOND, FIRST))

        async def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
            return await asyncio.to_thread(kpro, "keys", *arguments, folder=tmp_path, **environment, **more)

        total = len(await persons(api)) + len(await employees(api))
        before = json.loads((await run("status", "--json")).stdout)
        assert (before["ring"], before["unknown"]) == ([SECRET_KEY], [])
        done = await run("rotate", "--json", KPRO_KEYS=ring)
        found = json.loads(done.stdout)
        assert (done.returncode, found["sealed"], found["left"]) == (0, total, 0), done.stderr
        assert (found["ring"], set(found["rows"]["person"])) == (["k2", "k1", SECRET_KEY], {"k2"})
        shown = await run("status", KPRO_KEYS=ring)
        assert "under k2" in shown.stdout
        assert "Left to be sealed anew: 0." in shown.stdout
        lost = await run("status")
        assert (lost.returncode, "not in the ring" in lost.stderr) == (1, True)
        for output in (done, shown, lost):
            assert base64.b64encode(SECOND.material).decode() not in output.stdout + output.stderr
        without = await asyncio.to_thread(kpro, "keys", "status", folder=tmp_path, KPRO_RELAY_URL="postgresql://x")
        assert (without.returncode, "KPRO_MIGRATION_URL is needed" in without.stderr) == (1, True)


def test_an_embedded_installation_makes_a_fresh_key_by_itself_and_finishes_what_was_broken_off(tmp_path: Path) -> None:
    folder = tmp_path / "kpro"
    made = kpro("demo", "--load-only", "--citizens", "8", folder=folder)
    assert made.returncode == 0, made.stderr

    def rotated() -> tuple[list[str], dict[str, int]]:
        done = kpro("keys", "rotate", "--json", folder=folder)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["left"] == 0
        return found["ring"], found["rows"]["person"]

    assert rotated() == (["k1", SECRET_KEY], {"k1": 8})
    RingFile(folder).add()  # as far as a rotation has come that was broken off at once
    assert rotated() == (["k2", "k1", SECRET_KEY], {"k2": 8})
    assert rotated() == (["k3", "k2", "k1", SECRET_KEY], {"k3": 8})
    assert kpro("keys", "status", folder=folder).returncode == 0
    # Whoever is loaded and signs in afterwards is found under the ring, and nobody is loaded twice.
    more = kpro("demo", "--load-only", "--citizens", "12", folder=folder)
    assert more.returncode == 0, more.stderr
    assert json.loads(kpro("keys", "status", "--json", folder=folder).stdout)["rows"]["person"] == {"k3": 12}


async def test_the_product_opens_with_its_installations_ring(worlds: Worlds, loaded: str) -> None:
    async with ringed(worlds, loaded, [FIRST]) as api:
        await turn(api)
        settings = replace(api.product.settings, keys=((FIRST.id, FIRST.material),))
        host = PluginHost(settings.plugins_folder)
        host.add(api.identity, FOLDER)
        async with Product(settings, host, sequencing=False) as product, serving(product, api.identity) as other:
            assert product.database.cipher.ring == ("k1", SECRET_KEY)
            assert await find(other, Demography().citizen_cpr("0101", 0)) is not None
            mine = await other.run("{ me { name } }", "citizen")
            assert mine["me"]["name"]
