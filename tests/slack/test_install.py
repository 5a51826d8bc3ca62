"""Installation: the manifest matches the code, wrong tokens are one-line errors, and the doctor finds problems."""

from __future__ import annotations

import ast
import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import bot.platforms.slack
from bot.commands import registry as commands
from bot.errors import ConfigError
from bot.platforms.slack.diagnostics import check
from bot.platforms.slack.installation.manifest import EVENTS, SHORT_COMMANDS, manifest
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import BOT_USER
from tests.slack.conftest import installed, serving, slack_settings
from tests.slack.fake_dispatcher import ScriptedDispatcher

SCOPES_OF_METHODS: dict[str, set[str]] = {
    "assistant_threads_setStatus": {"assistant:write"},
    "auth_test": set(),
    "apps_connections_open": set(),
    "apps_uninstall": set(),
    "chat_getPermalink": set(),
    "chat_postMessage": {"chat:write"},
    "chat_postEphemeral": {"chat:write"},
    "chat_startStream": {"chat:write"},
    "chat_appendStream": {"chat:write"},
    "chat_stopStream": {"chat:write"},
    "chat_update": {"chat:write"},
    "chat_delete": {"chat:write"},
    "conversations_history": {"channels:history", "groups:history"},
    "conversations_info": {"channels:read", "groups:read", "mpim:read"},
    "conversations_members": {"channels:read", "groups:read"},
    "conversations_open": {"im:write"},
    "conversations_replies": {"channels:history", "groups:history"},
    "files_info": {"files:read"},
    "files_upload_v2": {"files:write"},
    "usergroups_list": {"usergroups:read"},
    "users_info": {"users:read"},
    "users_list": {"users:read"},
    "users_conversations": {"channels:read", "groups:read"},
    "views_open": set(),
}
"""Bot scopes for each Web API method in Slack's reference; ``apps.connections.open`` uses the app token."""

SCOPES_OF_EVENTS: dict[str, set[str]] = {
    "app_mention": {"app_mentions:read"},
    "message.channels": {"channels:history"},
    "message.groups": {"groups:history"},
    "message.im": {"im:history"},
    "message.mpim": {"mpim:history"},
    "agent_session_stopped": {"assistant:write"},
    "reaction_added": {"reactions:read"},
    "reaction_removed": {"reactions:read"},
    "app_uninstalled": set(),
    "tokens_revoked": set(),
}

PREFIXES = (
    "auth_",
    "apps_",
    "chat_",
    "conversations_",
    "files_",
    "usergroups_",
    "users_",
    "views_",
    "assistant_",
    "reactions_",
)


def called_methods() -> set[str]:
    """Return the Web API methods that the platform's source calls."""
    folder = Path(bot.platforms.slack.__file__).parent
    called: set[str] = set()
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) != "user_messages":
                called.add(node.attr)
    return {name for name in called if name.startswith(PREFIXES)}


def listened_events() -> set[str]:
    """Return the events that the platform's source registers listeners for."""
    tree = ast.parse((Path(bot.platforms.slack.__file__).parent / "workspace_router.py").read_text())
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "event":
            names |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    return {str(name) for name in names}


def test_every_call_has_its_scope() -> None:
    granted = set(manifest()["oauth_config"]["scopes"]["bot"])
    for method in called_methods():
        assert SCOPES_OF_METHODS[method] <= granted, method


def test_every_event_is_subscribed_and_has_its_scope() -> None:
    subscribed = set(manifest()["settings"]["event_subscriptions"]["bot_events"])
    granted = set(manifest()["oauth_config"]["scopes"]["bot"])
    assert listened_events() == {event.partition(".")[0] for event in subscribed}
    for event in subscribed:
        assert SCOPES_OF_EVENTS[event] <= granted, event


def test_no_scope_is_unused() -> None:
    needed = set().union(*(SCOPES_OF_METHODS[method] for method in called_methods()))
    needed |= set().union(*(SCOPES_OF_EVENTS[event] for event in EVENTS))
    assert set(manifest()["oauth_config"]["scopes"]["bot"]) == needed | {"commands", "files:read"}


def test_the_manifest_switches_every_feature_on() -> None:
    app = manifest()
    assert app["settings"]["socket_mode_enabled"]
    assert app["settings"]["interactivity"]["is_enabled"]
    assert app["features"]["app_home"]["messages_tab_enabled"]
    assert not app["features"]["app_home"]["messages_tab_read_only_enabled"]
    assert "agent_view" in app["features"]
    assert {"files:read", "commands"} <= set(app["oauth_config"]["scopes"]["bot"])


def test_the_manifest_keeps_within_slacks_limits() -> None:
    app = manifest()
    about = app["display_information"]
    assert len(about["name"]) <= 35
    assert len(about["description"]) <= 140
    assert 174 <= len(about["long_description"]) <= 4000
    slash = app["features"]["slash_commands"]
    assert len({entry["command"] for entry in slash}) == len(slash) <= 25
    assert all(entry["description"] and len(entry["command"]) <= 32 for entry in slash)


def test_every_command_is_in_the_manifest() -> None:
    entries = {entry["command"]: entry for entry in manifest()["features"]["slash_commands"]}
    assert all(name in entries["/parley"]["usage_hint"] for name in commands.COMMANDS)
    assert {f"/{name}" for name in SHORT_COMMANDS} <= entries.keys()
    assert set(SHORT_COMMANDS) <= commands.COMMANDS.keys()


@pytest.mark.parametrize(
    ("setting", "token", "name"),
    [("slack_bot_token", "xoxb-wrong", "SLACK_BOT_TOKEN"), ("slack_app_token", "xapp-wrong", "SLACK_APP_TOKEN")],
)
async def test_a_wrong_token_stops_the_start_with_a_fix(
    slack: SlackDouble, setting: str, token: str, name: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        async with serving(slack, ScriptedDispatcher(), **{setting: token}):
            pass
    assert name in str(caught.value)
    assert "invalid_auth" in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_missing_token_and_an_unreachable_slack_are_reported(slack: SlackDouble) -> None:
    with pytest.raises(ConfigError, match="SLACK_BOT_TOKEN is not set"):
        async with serving(slack, ScriptedDispatcher(), slack_bot_token=None, slack_app_token=None):
            pass
    with pytest.raises(ConfigError, match=r"cannot be reached at http://127\.0\.0\.1:9/"):
        async with serving(slack, ScriptedDispatcher(), slack_api_url="http://127.0.0.1:9/api/"):
            pass


async def test_cancelling_leaves_no_task_behind(slack: SlackDouble) -> None:
    dispatcher = ScriptedDispatcher()
    async with serving(slack, dispatcher):
        await slack.dm("alice", "hello")
        await slack.until(lambda: dispatcher.started)
        assert _platform_tasks()
    await dispatcher.close()
    assert _platform_tasks() == []
    await slack.until(lambda: not slack.socket.connections)


def _platform_tasks() -> list[str]:
    tasks = [repr(task) for task in asyncio.all_tasks()]
    return [task for task in tasks if "slack_sdk" in task or "platforms/slack" in task]


async def test_the_doctor_finds_no_problem(slack: SlackDouble) -> None:
    checks = await check(slack_settings(slack))
    assert [(result.name, result.ok) for result in checks] == [
        ("slack bot token", True),
        ("slack scopes", True),
        ("slack clock", True),
        ("slack channels", True),
        ("slack app token", True),
        ("slack socket mode", True),
    ]
    assert all(result.detail and not result.fix for result in checks)


async def test_the_doctor_reports_missing_scopes_and_wrong_tokens() -> None:
    options = installed()
    options["scopes"] = set(options["scopes"]) - {"files:write", "users:read"}
    async with SlackDouble(**options) as slack:
        checks = {result.name: result for result in await check(slack_settings(slack, slack_app_token="xapp-old"))}
    assert checks["slack scopes"].detail == "missing: files:write, users:read"
    assert "parley manifest slack" in checks["slack scopes"].fix
    assert not checks["slack app token"].ok
    assert "connections:write" in checks["slack app token"].fix
    assert "slack socket mode" not in checks


async def test_scopes_that_a_server_does_not_report_are_unknown_and_not_missing(slack: SlackDouble) -> None:
    slack.tells_scopes = False
    checks = {result.name: result for result in await check(slack_settings(slack))}
    assert (checks["slack scopes"].ok, checks["slack scopes"].fix) == (True, "")
    assert checks["slack scopes"].detail.startswith("unknown")


async def test_the_doctor_reports_that_slack_is_not_set_up(slack: SlackDouble) -> None:
    (checks,) = await check(slack_settings(slack, slack_bot_token=None, slack_app_token=None))
    assert (checks.ok, checks.detail) == (True, "not set up")


async def test_the_doctor_reports_a_wrong_clock_and_a_bot_in_no_channel(slack: SlackDouble) -> None:
    for channel in slack.world.channels.values():
        channel.members.discard(BOT_USER)
    late = datetime.now(UTC) + timedelta(minutes=6)
    checks = {result.name: result for result in await check(slack_settings(slack), clock=lambda: late)}
    assert not checks["slack clock"].ok
    assert "NTP" in checks["slack clock"].fix
    assert not checks["slack channels"].ok
    assert "/invite" in checks["slack channels"].fix
