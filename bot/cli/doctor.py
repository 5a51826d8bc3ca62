"""``doctor``, ``manifest`` and ``db``."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Any

import click

from bot.cli.command_runtime import explain, json_option, print_json, run, settings
from bot.errors import ConfigError


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Check settings, database, models and tokens, and say what to do."""
    checks = run(_examined())
    if as_json:
        print_json({"checks": checks})
    else:
        for check in checks:
            click.echo(f"{'✓' if check['ok'] else '✗'} {check['name']}: {check['detail']}")
            if check["fix"]:
                click.echo(f"  → {check['fix']}")
    if not all(check["ok"] for check in checks):
        sys.exit(1)


async def _examined() -> list[dict[str, Any]]:
    from bot.doctor import Check, examine

    try:
        made = settings()
    except ConfigError as error:
        return [asdict(Check("settings", False, explain(error), "Change it in the environment or in .env."))]
    return [asdict(check) for check in (Check("settings", True, "understood"), *await examine(made))]


@click.group()
def manifest() -> None:
    """Print what a platform needs to know of the bot."""


@manifest.command(name="slack")
@json_option
def slack_manifest(as_json: bool) -> None:
    """Print the Slack app manifest, to be pasted at 'Create New App' > 'From a manifest' (JSON)."""
    from bot.platforms.slack.manifest import manifest as made

    given = settings()
    print_json(made(given.slack_public_url or "", many=bool(given.token_keys)))


@click.group()
def db() -> None:
    """Look after the database."""


@db.command()
@json_option
def upgrade(as_json: bool) -> None:
    """Bring the schema up to date."""
    made = settings()

    async def upgraded() -> str | None:
        from bot.app import open_database
        from bot.store import migrate

        async with AsyncExitStack() as stack:
            address = await open_database(made, stack)
            await asyncio.to_thread(migrate.upgrade, address)
            return (await asyncio.to_thread(migrate.revisions, address))[0]

    revision = run(upgraded())
    if as_json:
        print_json({"revision": revision})
    else:
        click.echo(f"The schema is at revision {revision}.")


@db.command()
@json_option
def url(as_json: bool) -> None:
    """Print the database address; the embedded server is left running, so that psql can be given it."""
    made = settings()
    if made.database_url:
        address = made.database_url.get_secret_value()
    else:
        from bot.store import embedded_postgres

        address = embedded_postgres.start(made.data_dir, keep=True).url
    if as_json:
        print_json({"url": address})
    else:
        click.echo(address)


COMMANDS = (doctor, manifest, db)
