"""Installing: the manifest covers what the code does, wrong tokens are told in one line, the doctor finds faults."""

from __future__ import annotations

import ast
import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import bot.platforms.slack
from bot import commands
from bot.errors import ConfigError
from bot.platforms.slack.diagnostics import check
from bot.platforms.slack.manifest import EVENTS, SHORT, manifest
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import BOT_USER
from tests.slack.conftest import installed, serving, slack_settings
from tests.slack.fake_dispatcher import ScriptedDispatcher

SCOPES_OF_METHODS: dict[str, set[str]] = {
    "auth_test": set(),
    "apps_connections_open": set(),
    "apps_uninstall": set(),
    "chat_postMessage": {"chat:write"},
    "chat_postEphemeral": {"chat:write"},
    "chat_startStream": {"chat:write"},
    "chat_appendStream": {"chat:write"},
    "chat_stopStream": {"chat:write"},
    "chat_update": {"chat:write"},
    "chat_delete": {"chat:write"},
    "conversations_history": {"channels:history", "groups:history"},
    "conversations_info": {"channels:read", "groups:read"},
    "conversations_members": {"channels:read", "groups:read"},
    "conversations_open": {"im:write"},
    "conversations_replies": {"channels:history", "groups:history"},
    "files_upload_v2": {"files:write"},
    "users_info": {"users:read"},
    "users_conversations": {"channels:read", "groups:read"},
    "views_open": set(),
}
"""Bot scopes that Slack's reference names for each Web API method; ``apps.connections.open`` takes the app token."""

SCOPES_OF_EVENTS: dict[str, set[str]] = {
    "app_mention": {"app_mentions:read"},
    "message.channels": {"channels:history"},
    "message.groups": {"groups:history"},
    "message.im": {"im:history"},
    "message.mpim": {"mpim:history"},
    "agent_session_stopped": {"assistant:write"},
    "app_uninstalled": set(),
    "tokens_revoked": set(),
}

PREFIXES = ("auth_", "apps_", "chat_", "conversations_", "files_", "users_", "views_", "assistant_", "reactions_")


def called_methods() -> set[str]:
    """The Web API methods that the platform's source calls."""
    folder = Path(bot.platforms.slack.__file__).parent
    called: set[str] = set()
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute):
                called.add(node.attr)
    return {name for name in called if name.startswith(PREFIXES)}


def listened_events() -> set[str]:
    """The events that the platform's source registers listeners for."""
    tree = ast.parse((Path(bot.platforms.slack.__file__).parent / "switchboard.py").read_text())
    named = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "event":
            named |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    return {str(name) for name in named}


def test_every_call_the_code_makes_is_covered_by_a_scope() -> None:
    granted = set(manifest()["oauth_config"]["scopes"]["bot"])
    for method in called_methods():
        assert SCOPES_OF_METHODS[method] <= granted, method


def test_every_event_is_subscribed_to_and_readable() -> None:
    subscribed = set(manifest()["settings"]["event_subscriptions"]["bot_events"])
    granted = set(manifest()["oauth_config"]["scopes"]["bot"])
    assert listened_events() == {event.partition(".")[0] for event in subscribed}
    for event in subscribed:
        assert SCOPES_OF_EVENTS[event] <= granted, event


def test_no_scope_is_asked_for_in_vain() -> None:
    needed = set().union(*(SCOPES_OF_METHODS[method] for method in called_methods()))
    needed |= set().union(*(SCOPES_OF_EVENTS[event] for event in EVENTS))
    assert set(manifest()["oauth_config"]["scopes"]["bot"]) == needed | {"commands", "files:read"}


def test_the_manifest_leaves_nothing_to_switch_on() -> None:
    made = manifest()
    assert made["settings"]["socket_mode_enabled"]
    assert made["settings"]["interactivity"]["is_enabled"]
    assert made["features"]["app_home"]["messages_tab_enabled"]
    assert not made["features"]["app_home"]["messages_tab_read_only_enabled"]
    assert "agent_view" in made["features"]
    assert {"files:read", "commands"} <= set(made["oauth_config"]["scopes"]["bot"])


def test_the_manifest_keeps_slacks_lengths() -> None:
    made = manifest()
    about = made["display_information"]
    assert len(about["name"]) <= 35
    assert len(about["description"]) <= 140
    assert 174 <= len(about["long_description"]) <= 4000
    slash = made["features"]["slash_commands"]
    assert len({entry["command"] for entry in slash}) == len(slash) <= 25
    assert all(entry["description"] and len(entry["command"]) <= 32 for entry in slash)


def test_every_command_can_be_reached() -> None:
    entries = {entry["command"]: entry for entry in manifest()["features"]["slash_commands"]}
    assert all(name in entries["/parley"]["usage_hint"] for name in commands.COMMANDS)
    assert {f"/{name}" for name in SHORT} <= entries.keys()
    assert set(SHORT) <= commands.COMMANDS.keys()


@pytest.mark.parametrize(
    ("setting", "token", "name"),
    [("slack_bot_token", "xoxb-wrong", "SLACK_BOT_TOKEN"), ("slack_app_token", "xapp-wrong", "SLACK_APP_TOKEN")],
)
async def test_a_wrong_token_stops_the_start_with_the_cure(
    slack: SlackDouble, setting: str, token: str, name: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        async with serving(slack, ScriptedDispatcher(), **{setting: token}):
            pass
    assert name in str(caught.value)
    assert "invalid_auth" in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_no_token_and_no_slack_are_told_too(slack: SlackDouble) -> None:
    with pytest.raises(ConfigError, match="SLACK_BOT_TOKEN is not set"):
        async with serving(slack, ScriptedDispatcher(), slack_bot_token=None, slack_app_token=None):
            pass
    with pytest.raises(ConfigError, match=r"cannot be reached at http://127\.0\.0\.1:9/"):
        async with serving(slack, ScriptedDispatcher(), slack_api_url="http://127.0.0.1:9/api/"):
            pass


async def test_cancelling_leaves_nothing_behind(slack: SlackDouble) -> None:
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


async def test_the_doctor_is_content(slack: SlackDouble) -> None:
    found = await check(slack_settings(slack))
    assert [(finding.name, finding.ok) for finding in found] == [
        ("slack bot token", True),
        ("slack scopes", True),
        ("slack clock", True),
        ("slack channels", True),
        ("slack app token", True),
        ("slack socket mode", True),
    ]
    assert all(finding.detail and not finding.fix for finding in found)


async def test_the_doctor_names_missing_scopes_and_wrong_tokens() -> None:
    given = installed()
    given["scopes"] = set(given["scopes"]) - {"files:write", "users:read"}
    async with SlackDouble(**given) as slack:
        found = {finding.name: finding for finding in await check(slack_settings(slack, slack_app_token="xapp-old"))}
    assert found["slack scopes"].detail == "missing: files:write, users:read"
    assert "parley manifest slack" in found["slack scopes"].fix
    assert not found["slack app token"].ok
    assert "connections:write" in found["slack app token"].fix
    assert "slack socket mode" not in found


async def test_the_doctor_says_when_slack_is_not_set_up(slack: SlackDouble) -> None:
    (found,) = await check(slack_settings(slack, slack_bot_token=None, slack_app_token=None))
    assert (found.ok, found.detail) == (True, "not set up")


async def test_the_doctor_sees_a_clock_that_is_wrong_and_a_bot_that_is_nowhere(slack: SlackDouble) -> None:
    for channel in slack.world.channels.values():
        channel.members.discard(BOT_USER)
    late = datetime.now(UTC) + timedelta(minutes=6)
    found = {finding.name: finding for finding in await check(slack_settings(slack), clock=lambda: late)}
    assert not found["slack clock"].ok
    assert "NTP" in found["slack clock"].fix
    assert not found["slack channels"].ok
    assert "/invite" in found["slack channels"].fix
