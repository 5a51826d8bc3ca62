"""The app manifest: pasted into Slack, it leaves nothing to add by hand."""

from __future__ import annotations

from typing import Any

from bot import commands
from bot.platforms.slack import user_messages

NAME = "Parley"
DESCRIPTION = "Answers from your team's own documents, with sources."
LONG_DESCRIPTION = (
    "Mention Parley in a channel, or write to it directly, and it answers in a thread from the documents your team "
    "gave it, with numbered sources whose quotes you can check. Ask on in the same thread, stop it, ask again with the "
    "stronger model, or ask why. Bring documents in with /ingest, see the costs with /costs, your budget with /budget."
)

SCOPES: dict[str, str] = {
    "app_mentions:read": "hears when it is mentioned",
    "assistant:write": "stands among the agents, and hears Slack's own stop button",
    "channels:history": "follows a thread in public channels it was invited to, and takes in their history when told",
    "channels:read": "knows the channel whose history it is told to take in, and who may read it",
    "chat:write": "posts and edits its answers",
    "commands": "offers /parley and the short commands",
    "files:read": "reads files that are attached to a question",
    "files:write": "hands over charts and CSV files",
    "groups:history": "follows a thread in private channels it was invited to, and takes in their history when told",
    "groups:read": "knows the private channel whose history it is told to take in, and who is in it",
    "im:history": "reads what is written to it directly",
    "im:write": "opens a direct message to show progress and hand over private files",
    "mpim:history": "follows a thread in group messages",
    "users:read": "shows names in place of ids, and knows who administers the workspace",
}
"""Every bot scope, and why it is asked for."""

EVENTS = (
    "app_mention",
    "message.channels",
    "message.groups",
    "message.im",
    "message.mpim",
    "agent_session_stopped",
    "app_uninstalled",
    "tokens_revoked",
)

SHORT = ("ask", "ingest", "docs", "budget", "costs")
"""Commands that also go without ``/parley``: their names are free in Slack, and they make sense outside threads."""

PATH = "/slack/events"
"""Where Slack sends everything in HTTP mode, below the public address."""
INSTALL_PATH, REDIRECT_PATH = "/slack/install", "/slack/oauth_redirect"
"""Where a browser begins to install the app, and where Slack sends it back to."""
ABOUT, FORGET = "parley_about", "parley_forget"
"""Callback ids of the entries in the menu of a message."""


def redirect_url(public_url: str) -> str:
    """Where Slack sends the browser back to."""
    return f"{public_url.rstrip('/')}{REDIRECT_PATH}"


def manifest(public_url: str = "", *, many: bool = False) -> dict[str, Any]:
    """The manifest as Slack's "From a manifest" takes it, JSON or YAML.

    With a public address it is for HTTP mode, without one for Socket Mode. ``many`` workspaces install the app
    themselves, with tokens that end and are renewed: Slack never takes that back from an app.
    """
    oauth = {"redirect_urls": [redirect_url(public_url)]} if public_url else {}
    reached = {"request_url": f"{public_url.rstrip('/')}{PATH}"} if public_url else {}
    return {
        "_metadata": {"major_version": 2, "minor_version": 1},
        "display_information": {
            "name": NAME,
            "description": DESCRIPTION,
            "long_description": LONG_DESCRIPTION,
            "background_color": "#1f3a5f",
        },
        "features": _features(reached),
        "oauth_config": {**oauth, "scopes": {"bot": sorted(SCOPES)}},
        "settings": {
            "event_subscriptions": {**reached, "bot_events": sorted(EVENTS)},
            "interactivity": {"is_enabled": True, **reached},
            "org_deploy_enabled": False,
            "socket_mode_enabled": not reached,
            "token_rotation_enabled": bool(public_url) and many,
        },
    }


def _features(reached: dict[str, str]) -> dict[str, Any]:
    url = {"url": reached["request_url"]} if reached else {}
    commands_ = [_generic(), *(_short(name) for name in SHORT if name in commands.COMMANDS)]
    return {
        "app_home": {
            "home_tab_enabled": False,
            "messages_tab_enabled": True,
            "messages_tab_read_only_enabled": False,
        },
        "agent_view": {
            "agent_description": DESCRIPTION,
            "suggested_prompts": [
                {"title": "What do you know?", "message": "Which topics do your documents cover?"},
                {"title": "How do I use you?", "message": "help"},
            ],
        },
        "bot_user": {"display_name": NAME, "always_online": True},
        "shortcuts": [
            {
                "name": user_messages.ABOUT_MENU,
                "type": "message",
                "callback_id": ABOUT,
                "description": "Answers you alone",
            },
            {
                "name": user_messages.FORGET_MENU,
                "type": "message",
                "callback_id": FORGET,
                "description": "Takes it back",
            },
        ],
        "slash_commands": [{**command, **url} for command in commands_],
    }


def _generic() -> dict[str, Any]:
    return {
        "command": "/parley",
        "description": "Everything Parley can do",
        "usage_hint": "help | " + " | ".join(sorted(set(commands.COMMANDS) - {"help"})),
        "should_escape": True,
    }


def _short(name: str) -> dict[str, Any]:
    command = commands.COMMANDS[name]
    entry = {"command": f"/{name}", "description": command.summary[:2000], "should_escape": True}
    return {**entry, "usage_hint": command.usage[:1000]} if command.usage else entry
