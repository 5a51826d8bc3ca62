"""``export`` and ``erase``: privacy requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import click

from bot.cli.command_runtime import json_option, print_json, run, settings, tenant_option

user_option = click.option("--user", required=True, help="The person's id on their platform.")


@click.command()
@user_option
@tenant_option
@json_option
def export(user: str, tenant: str, as_json: bool) -> None:
    """Print everything that is kept of a person, as JSON."""
    from bot.store import privacy

    print_json(_in_tenant(tenant, lambda session: privacy.export(session, tenant_id=tenant, user_id=user)))


@click.command()
@user_option
@tenant_option
@json_option
def erase(user: str, tenant: str, as_json: bool) -> None:
    """Erase a person; the ledger stays, under nobody's name."""
    from bot.store import privacy

    done = _in_tenant(tenant, lambda session: privacy.erase(session, tenant_id=tenant, user_id=user))
    if as_json:
        print_json({"user": user, "erased": done})
    else:
        click.echo(f"Erased {user}: " + ", ".join(f"{count} {name}" for name, count in done.items()))


def _in_tenant(tenant: str, work: Callable[[Any], Awaitable[Any]]) -> Any:
    made = settings()

    async def opened() -> Any:
        from bot.app import opened_database

        async with opened_database(made) as database, database.tenant(tenant) as session:
            return await work(session)

    return run(opened())


COMMANDS = (export, erase)
