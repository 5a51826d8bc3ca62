"""Builds the Slack app manifest: scopes, events, commands and shortcuts. Pasting it into Slack completes the setup."""

from __future__ import annotations

from typing import Any

from bot.commands import registry as commands
from bot.platforms.slack import user_messages

NAME = "Parley"

SCOPES: dict[str, str] = {
    "app_mentions:read": "receives mentions of the bot",
    "assistant:write": "lists the bot among Slack's agents, receives Slack's stop button, and shows what it does",
    "channels:history": "follows threads in public channels that the bot is in, and reads their history for /ingest",
    "channels:read": "checks who reads a public channel, for answers and for /ingest",
    "chat:write": "posts and edits answers",
    "commands": "provides /parley and the short commands",
    "files:read": "reads files attached to a question",
    "files:write": "uploads charts and CSV files",
    "groups:history": "follows threads in private channels that the bot is in, and reads their history for /ingest",
    "groups:read": "checks who reads a private channel, for answers and for /ingest",
    "im:history": "reads direct messages to the bot",
    "im:write": "opens a direct message for progress and private files",
    "mpim:history": "follows threads in group messages",
    "mpim:read": "checks whether people outside the team read a group message",
    "reactions:read": "takes 👍 and 👎 as ratings, 🛑 to stop an answer, and the emoji of PARLEY_SAVE_EMOJI to save it",
    "usergroups:read": "shows the names of user groups in place of their IDs",
    "users:read": "shows names in place of IDs, and recognizes members, guests and admins of the workspace",
}
"""Every bot scope with its purpose."""

EVENTS = (
    "app_mention",
    "message.channels",
    "message.groups",
    "message.im",
    "message.mpim",
    "agent_session_stopped",
    "reaction_added",
    "reaction_removed",
    "app_uninstalled",
    "tokens_revoked",
)

SHORT_COMMANDS = ("ask", "ingest", "docs", "budget", "costs")
"""Commands that also work without ``/parley``: Slack does not use their names, and they make sense outside threads."""

EVENTS_PATH = "/slack/events"
"""Path below the public address to which Slack sends all requests in HTTP mode."""
INSTALL_PATH, REDIRECT_PATH = "/slack/install", "/slack/oauth_redirect"
"""Paths where a browser starts the installation, and where Slack redirects it afterwards."""
ABOUT_SHORTCUT, FORGET_SHORTCUT = "parley_about", "parley_forget"
"""Callback IDs of the message shortcuts."""


def redirect_url(public_url: str) -> str:
    """Return the address to which Slack redirects the browser after the installation."""
    return f"{public_url.rstrip('/')}{REDIRECT_PATH}"


def manifest(public_url: str = "", *, many: bool = False) -> dict[str, Any]:
    """Return the manifest for Slack's "From a manifest" dialog.

    With a public address it configures HTTP mode, without one Socket Mode. ``many``: workspaces install the app
    themselves, with token rotation, which cannot be switched off again for an app.
    """
    oauth = {"redirect_urls": [redirect_url(public_url)]} if public_url else {}
    request_url = {"request_url": f"{public_url.rstrip('/')}{EVENTS_PATH}"} if public_url else {}
    return {
        "_metadata": {"major_version": 2, "minor_version": 1},
        "display_information": {
            "name": NAME,
            "description": user_messages.APP_DESCRIPTION,
            "long_description": user_messages.APP_LONG_DESCRIPTION,
            "background_color": "#1f3a5f",
        },
        "features": _features(request_url),
        "oauth_config": {**oauth, "scopes": {"bot": sorted(SCOPES)}},
        "settings": {
            "event_subscriptions": {**request_url, "bot_events": sorted(EVENTS)},
            "interactivity": {"is_enabled": True, **request_url},
            "org_deploy_enabled": False,
            "socket_mode_enabled": not request_url,
            "token_rotation_enabled": bool(public_url) and many,
        },
    }


def _features(request_url: dict[str, str]) -> dict[str, Any]:
    url = {"url": request_url["request_url"]} if request_url else {}
    slash_commands = [
        _parley_command(),
        *(_short_command(name) for name in SHORT_COMMANDS if name in commands.COMMANDS),
    ]
    return {
        "app_home": {
            "home_tab_enabled": False,
            "messages_tab_enabled": True,
            "messages_tab_read_only_enabled": False,
        },
        "agent_view": {
            "agent_description": user_messages.APP_DESCRIPTION,
            "suggested_prompts": [
                {"title": user_messages.PROMPT_TOPICS_TITLE, "message": user_messages.PROMPT_TOPICS},
                {"title": user_messages.PROMPT_HELP_TITLE, "message": "help"},
            ],
        },
        "bot_user": {"display_name": NAME, "always_online": True},
        "shortcuts": [
            {
                "name": user_messages.ABOUT_MENU,
                "type": "message",
                "callback_id": ABOUT_SHORTCUT,
                "description": user_messages.ABOUT_MENU_DESCRIPTION,
            },
            {
                "name": user_messages.FORGET_MENU,
                "type": "message",
                "callback_id": FORGET_SHORTCUT,
                "description": user_messages.FORGET_MENU_DESCRIPTION,
            },
        ],
        "slash_commands": [{**command, **url} for command in slash_commands],
    }


def _parley_command() -> dict[str, Any]:
    return {
        "command": "/parley",
        "description": user_messages.PARLEY_COMMAND_DESCRIPTION,
        "usage_hint": "help | " + " | ".join(sorted(set(commands.COMMANDS) - {"help"})),
        "should_escape": True,
    }


def _short_command(name: str) -> dict[str, Any]:
    command = commands.COMMANDS[name]
    entry = {"command": f"/{name}", "description": command.summary[:2000], "should_escape": True}
    return {**entry, "usage_hint": command.usage[:1000]} if command.usage else entry
