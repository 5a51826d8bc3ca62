"""The ``parley export`` and ``parley erase`` commands for privacy requests."""

from __future__ import annotations

import sys
from typing import Any

import click

from bot.cli import user_messages
from bot.cli.command_runtime import with_tenant
from bot.cli.options import data_options
from bot.cli.output import confirm, echo, print_json
from bot.cli.parameter_types import Identifier
from bot.errors import ParleyError, UsageError

user_option = click.option(
    "--user", type=Identifier(), required=True, metavar="ID", help="The user's ID on their platform."
)


@click.command()
@user_option
@data_options
def export(user: str, tenant: str, as_json: bool) -> None:
    """Print all data stored about a user, as JSON."""
    from bot.store.privacy import data_export

    found = with_tenant(tenant, lambda session: data_export.export(session, tenant_id=tenant, user_id=user))
    if not any(isinstance(rows, list) and rows for rows in found.values()):
        raise ParleyError(user_messages.nothing_stored(user, tenant))
    print_json(found)


@click.command()
@user_option
@click.option(
    "--documents",
    type=click.Choice(["delete", "keep"]),
    help="What becomes of the documents that the user uploaded: delete them, or keep them for the admins.",
)
@data_options
def erase(user: str, documents: Any, tenant: str, as_json: bool) -> None:
    """Erase a user's data. Cost records are kept, anonymized."""
    from bot.store.privacy import erasure

    def run(choice: Any) -> Any:
        return with_tenant(
            tenant, lambda session: erasure.erase(session, tenant_id=tenant, user_id=user, documents=choice)
        )

    try:
        counts = run(documents)
    except erasure.UndecidedDocuments as undecided:
        if as_json or not sys.stdin.isatty():
            raise UsageError(user_messages.undecided_documents(user, undecided.count)) from None
        delete = confirm(user_messages.delete_documents(user, undecided.count))
        counts = run("delete" if delete else "keep")
    if not any(counts.values()):
        raise ParleyError(user_messages.nothing_stored(user, tenant))
    if as_json:
        print_json({"user": user, "erased": counts})
    else:
        echo(user_messages.erased(user, counts))


COMMANDS = (export, erase)
