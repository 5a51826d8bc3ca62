"""The ``parley db`` commands: upgrade, distribute or move the database, and print its address."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from bot.cli import user_messages
from bot.cli.command_runtime import run, settings
from bot.cli.options import json_option
from bot.cli.output import echo, print_json
from bot.cli.parameter_types import Identifier
from bot.config import load
from bot.errors import UsageError

if TYPE_CHECKING:
    from bot.store.database.distribution import Distribution
    from bot.store.database.move import Moved


@click.group()
def db() -> None:
    """Manage the database."""


@db.command()
@json_option
def upgrade(as_json: bool) -> None:
    """Upgrade the database schema to the newest revision."""
    loaded = settings()

    async def upgrade_schema() -> str | None:
        from bot.store.database import migrate
        from bot.store.database_startup import open_database

        async with AsyncExitStack() as stack:
            address = await open_database(loaded, stack)
            await asyncio.to_thread(migrate.upgrade, address)
            return (await asyncio.to_thread(migrate.revisions, address))[0]

    revision = run(upgrade_schema())
    if as_json:
        print_json({"revision": revision})
    else:
        echo(user_messages.schema_revision(revision))


@db.command()
@click.option("--superuser", is_flag=True, help="The bundled server's superuser, whom pg_dump and pg_restore need.")
@json_option
def url(superuser: bool, as_json: bool) -> None:
    """Print the database address, for example for psql.

    Without DATABASE_URL, this starts the bundled PostgreSQL and leaves it running.
    """
    loaded = settings()
    if loaded.database_url:
        if superuser:
            raise UsageError(user_messages.NO_SUPERUSER)
        address = loaded.database_url.get_secret_value()
    else:
        from bot.store.embedded import server as embedded_server

        server = embedded_server.start(loaded.data_dir, keep=True)
        address = server.admin_url if superuser else server.url
    if as_json:
        print_json({"url": address})
    else:
        echo(address)


@db.command()
@json_option
def programs(as_json: bool) -> None:
    """Print the folder of the bundled PostgreSQL's programs, such as psql, pg_dump and pg_restore."""
    from bot.store.embedded import binaries

    folder = str(binaries.directory())
    if as_json:
        print_json({"folder": folder})
    else:
        echo(folder)


@db.command()
@click.argument("target_url", type=Identifier(), metavar="TARGET_URL")
@json_option
def move(target_url: str, as_json: bool) -> None:
    """Copy all data to the empty database at TARGET_URL, for example from the bundled PostgreSQL to your own.

    Stop every part of Parley first. The old database stays as it is. Set DATABASE_URL to TARGET_URL afterwards.
    """
    target = load(database_url=target_url).database_url
    loaded = settings()

    async def copy() -> Moved:
        from bot.store.database import move as moving
        from bot.store.database_startup import open_database, session_url

        async with AsyncExitStack() as stack:
            source = session_url(loaded, await open_database(loaded, stack))
            return await asyncio.to_thread(moving.move, source, target.get_secret_value() if target else target_url)

    moved = run(copy())
    if as_json:
        print_json(asdict(moved))
    else:
        echo(user_messages.moved(moved.tables, moved.rows))


@db.command()
@json_option
def distribute(as_json: bool) -> None:
    """Distribute the tables over the nodes of a Citus cluster, by tenant.

    Upgrades the schema first, and leaves alone what is distributed already. Stop every part of Parley before you run
    it.
    """
    loaded = settings()

    async def distribute_tables() -> Distribution:
        from bot.store.database import distribution
        from bot.store.database_startup import open_database, session_url

        async with AsyncExitStack() as stack:
            address = session_url(loaded, await open_database(loaded, stack))
            return await asyncio.to_thread(distribution.distribute, address)

    done = run(distribute_tables())
    if as_json:
        print_json(asdict(done))
    else:
        echo(user_messages.distributed(len(done.distributed), len(done.already_distributed), done.nodes))
        for statement in done.settings:
            echo(user_messages.setting_changed(statement))


COMMANDS = (db,)
