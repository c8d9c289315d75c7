"""`kpro keys`: which keys the stored CPR numbers are sealed with, and a fresh key for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import typer

from kpro_graph.commands.output import console, problem, progressing, script
from kpro_graph.commands.serving import run
from kpro_graph.settings import Settings

__all__ = ["app"]

app = typer.Typer(help="The keys that CPR numbers are sealed with.", no_args_is_help=True)
_Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]

# A process that shares the ring's file sees a fresh key at its next statement; what it began before is done by then.
_UNTIL_SEEN = 2.0


@app.command()
def status(json: _Json = False) -> None:
    """Count the CPR numbers under each key, as the owner's role (KPRO_MIGRATION_URL).

    The exit code is 1 if some are sealed with a key that is not in the ring.
    """
    _tell(run(_status()), json=json)


@app.command()
def rotate(json: _Json = False) -> None:
    """Seal every CPR number anew with the first key, as the owner's role (KPRO_MIGRATION_URL), while the API serves.

    With the embedded database a fresh key is made and put first; elsewhere the first of KPRO_KEYS is taken. It can be
    broken off and run again. The exit code is 1 if some rows are left.
    """
    _tell(run(_rotate()), json=json)


async def _status() -> dict[str, Any]:
    from kpro_graph.storage.owner import owning
    from kpro_graph.storage.rotation import remaining

    settings = Settings.read()
    async with _ring(settings, owning) as (connection, cipher):
        return _found(await remaining(connection, cipher), cipher.ring)


async def _rotate() -> dict[str, Any]:
    from kpro_graph.storage import rotation
    from kpro_graph.storage.cipher import SECRET_KEY, RingFile

    settings = Settings.read()
    async with _ring(settings, rotation.alone) as (connection, cipher):
        if settings.embedded and not settings.keys:
            begun = cipher.ring[0] != SECRET_KEY and (await rotation.remaining(connection, cipher)).stale > 0
            if not begun:  # one that was broken off is finished first, under the key it had made
                RingFile(settings.folder).add()
                await asyncio.sleep(_UNTIL_SEEN)
        with progressing() as progress:
            sealed = await rotation.rotate(connection, cipher, progress)
        return {"sealed": sealed, **_found(await rotation.remaining(connection, cipher), cipher.ring)}


@asynccontextmanager
async def _ring(settings: Settings, opening: Any) -> AsyncIterator[tuple[Any, Any]]:
    from kpro_graph.app import databases, load_secret
    from kpro_graph.storage.cipher import Cipher
    from kpro_graph.storage.migrate import migrate

    async with databases(settings) as urls:
        owner = urls.need("owner")
        if settings.embedded:
            await migrate(owner)
        secret = load_secret(settings)
        async with opening(owner) as connection:
            yield connection, Cipher.of(secret, settings.keys, settings.folder if settings.embedded else None)


def _found(remaining: Any, ring: tuple[str, ...]) -> dict[str, Any]:
    return {
        "ring": list(ring),
        "rows": remaining.keys,
        "left": remaining.stale,
        "unknown": sorted(remaining.unknown(ring)),
    }


def _tell(found: dict[str, Any], *, json: bool) -> None:
    rotated = "sealed" in found
    if json:
        script(found)
    else:
        if rotated:
            console.print(f"Sealed {found['sealed']} CPR numbers anew with the key {found['ring'][0]}.")
        console.print(f"The ring, first the key that seals: {', '.join(found['ring'])}.")
        for table, counted in found["rows"].items():
            rows = ", ".join(f"{number} under {key or 'no key'}" for key, number in counted.items()) or "none"
            console.print(f"  {table}: {rows}")
        console.print(f"Left to be sealed anew: {found['left']}.")
    if found["unknown"]:
        problem("some are sealed with a key that is not in the ring: put it back into KPRO_KEYS, at the end")
    elif rotated and found["left"]:
        problem("rows are left that were held or do not open; run it again")
    if found["unknown"] or (rotated and found["left"]):
        raise typer.Exit(1)
