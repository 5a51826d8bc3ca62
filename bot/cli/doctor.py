"""The ``parley doctor`` command: checks settings, database, models and tokens, and prints fixes."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from typing import Any

import click

from bot.cli import user_messages
from bot.cli.command_runtime import explain, run, settings
from bot.cli.options import json_option
from bot.cli.output import echo, print_json
from bot.errors import ConfigError
from bot.types.checks import Check


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Check settings, database, models and tokens, and suggest fixes."""
    checks = run(_run_checks())
    if as_json:
        print_json({"checks": checks})
    else:
        echo(user_messages.checks(checks))
    if not all(check["ok"] for check in checks):
        sys.exit(1)


async def _run_checks() -> list[dict[str, Any]]:
    from bot.doctor import run_checks

    try:
        loaded = settings()
    except ConfigError as error:
        failed = Check.failed("settings", explain(error))
        return [asdict(replace(failed, fix=failed.fix or user_messages.SETTINGS_FIX))]
    checks = (Check("settings", True, user_messages.SETTINGS_OK), *await run_checks(loaded))
    return [asdict(check) for check in checks]


COMMANDS = (doctor,)
