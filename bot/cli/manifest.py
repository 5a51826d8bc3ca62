"""The ``parley manifest`` commands: print the app manifest that sets up the bot on a platform."""

from __future__ import annotations

import click

from bot.cli.command_runtime import settings
from bot.cli.options import json_option
from bot.cli.output import print_json


@click.group()
def manifest() -> None:
    """Print the app manifest for a platform."""


@manifest.command(name="slack")
@json_option
def slack_manifest(as_json: bool) -> None:
    """Print the Slack app manifest.

    Paste it in Slack under 'Create New App' > 'From a manifest' > JSON. The output is always JSON.
    """
    from bot.platforms.slack.installation.manifest import manifest as build_manifest

    loaded = settings()
    print_json(build_manifest(loaded.slack_public_url or "", many=bool(loaded.token_keys)))


COMMANDS = (manifest,)
