"""The ``parley db`` commands: upgrade the schema, print the database address."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import click

from bot.cli import user_messages
from bot.cli.command_runtime import run, settings
from bot.cli.options import json_option
from bot.cli.output import echo, print_json


@click.group()
def db() -> None:
    """Manage the database."""


@db.command()
@json_option
def upgrade(as_json: bool) -> None:
    """Upgrade the database schema to the newest revision."""
    loaded = settings()

    async def upgrade_schema() -> str | None:
        from bot.store import migrate
        from bot.store.opening import open_database

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
@json_option
def url(as_json: bool) -> None:
    """Print the database address, for example for psql.

    Without DATABASE_URL, this starts the bundled PostgreSQL and leaves it running.
    """
    loaded = settings()
    if loaded.database_url:
        address = loaded.database_url.get_secret_value()
    else:
        from bot.store.embedded import server as embedded_server

        address = embedded_server.start(loaded.data_dir, keep=True).url
    if as_json:
        print_json({"url": address})
    else:
        echo(address)


COMMANDS = (db,)
