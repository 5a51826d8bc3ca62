"""Login, gateway reconnects, rate limits, refused requests and the doctor's checks."""

from __future__ import annotations

import asyncio
import contextlib
import time
from types import SimpleNamespace
from typing import cast

import pytest

from bot.commands.services import Services
from bot.config import Settings
from bot.engine.dispatch.dispatcher import Dispatcher
from bot.errors import ConfigError, LayoutRefused, MessageGone
from bot.platforms.discord.app import serve
from bot.platforms.discord.diagnostics import check, invite_url
from bot.types.conversation import Author, ThreadKey
from tests.discord_bot.conftest import FAST_LIMITS, Connect, FakeCommands, serving, settings_for
from tests.discord_bot.fake_dispatcher import SCRIPT, ScriptedDispatcher
from tests.discord_bot.test_conversation import answered
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_models import Channel, Message, User


async def ask(discord: DiscordDouble, general: Channel, ada: User) -> Message:
    return await discord.say(general, ada, f"{discord.bot.mention} how many days of leave?")


# --- errors that prevent the start


async def refusal(discord: DiscordDouble, dispatcher: ScriptedDispatcher, settings: Settings) -> str:
    with pytest.raises(ConfigError) as caught:
        async with serving(discord, dispatcher, settings) as task:
            await asyncio.wait_for(task, 60)
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_a_wrong_token(discord: DiscordDouble, dispatcher: ScriptedDispatcher) -> None:
    error = await refusal(discord, dispatcher, settings_for(discord, discord_token="wrong"))
    assert error.startswith("DISCORD_TOKEN is not accepted by Discord")
    assert "wrong" not in error


async def test_no_token(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISCORD_TOKEN", raising=False)
    error = await refusal(discord, dispatcher, settings_for(discord, discord_token=None))
    assert error.startswith("DISCORD_TOKEN is not set")


async def test_without_the_message_content_intent_mentions_and_direct_messages_are_answered(
    dispatcher: ScriptedDispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    async with DiscordDouble(approved=frozenset(), limits=FAST_LIMITS) as discord:
        general, ada = discord.channel("general"), discord.user("Ada")
        async with serving(discord, dispatcher, settings_for(discord)):
            await discord.until(lambda: discord.gateway.connected)
            asked = await ask(discord, general, ada)
            await discord.until(lambda: answered(discord, asked))
            thread = discord.thread(asked)
            assert thread is not None
            await discord.say(thread, ada, "and for interns?")
            await discord.say(general, ada, "where do the forms for parental leave lie?")
            private = await discord.dm(ada, "how many days of leave?")
            await discord.until(lambda: answered(discord, private.channel_id))
        assert discord.violations == []
    assert [incoming.kind for incoming in dispatcher.incoming] == ["mention", "dm"]
    assert dispatcher.without_mention == []
    assert any("MESSAGE CONTENT INTENT" in record.getMessage() for record in caplog.records)


async def test_discord_cannot_be_reached(discord: DiscordDouble, dispatcher: ScriptedDispatcher) -> None:
    error = await refusal(discord, dispatcher, settings_for(discord, discord_api_url="http://127.0.0.1:9/api/v10"))
    assert error.startswith("Discord cannot be reached at http://127.0.0.1:9/api/v10")


async def test_an_unreachable_gateway_is_logged_in_one_line_and_retried(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_for(discord, discord_gateway_url="ws://127.0.0.1:9/")
    task = asyncio.create_task(
        serve(
            cast(Dispatcher, dispatcher),
            cast(Services, SimpleNamespace(stores=None)),
            settings,
            commands=FakeCommands(),
        )
    )
    await discord.until(lambda: any(record.name == "discord.shard" for record in caplog.records))
    assert not task.done()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    (record,) = [record for record in caplog.records if record.name == "discord.shard"]
    assert record.exc_info is None
    assert record.getMessage().startswith("Failed to connect for shard_id: 0. Retrying... (Cannot connect to host")


# --- the gateway


async def test_it_becomes_ready_and_resumes_orphaned_turns(
    discord: DiscordDouble,
    dispatcher: ScriptedDispatcher,
    settings: Settings,
    general: Channel,
    ada: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bot.platforms.discord.app.RESUME_INTERVAL", 0.05)
    asked = await ask(discord, general, ada)
    key = ThreadKey(f"discord:{discord.world.guild_id}", "discord", str(general.id), str(asked.id))
    dispatcher.orphaned = [dispatcher.keep(key, str(asked.id), Author(str(ada.id), "Ada"), "how many days of leave?")]
    ready = asyncio.Event()
    async with serving(discord, dispatcher, settings, ready=ready):
        await asyncio.wait_for(ready.wait(), 60)
        await discord.until(lambda: answered(discord, asked))
        dispatcher.orphaned = [
            dispatcher.keep(key, "from a process that died", Author(str(ada.id), "Ada"), "and then?")
        ]
        await discord.until(lambda: answered(discord, asked, 2))
    thread = discord.thread(asked)
    assert thread is not None
    assert thread.name == "how many days of leave?"


async def test_an_orphaned_private_question_is_answered_by_dm(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, settings: Settings, general: Channel, ada: User
) -> None:
    key = ThreadKey(f"discord:{discord.world.guild_id}", "discord", str(general.id), "ask:1f")
    dispatcher.orphaned = [dispatcher.keep(key, "ask:1f", Author(str(ada.id), "Ada"), "what do I earn?")]
    async with serving(discord, dispatcher, settings):
        await discord.until(lambda: answered(discord, discord.world.dm(ada)))
    assert discord.messages(general) == []


async def test_a_running_answer_is_finished_before_the_bot_stops(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, settings: Settings, general: Channel, ada: User
) -> None:
    dispatcher.pause = 0.2
    async with serving(discord, dispatcher, settings):
        asked = await ask(discord, general, ada)
        await discord.until(lambda: discord.answers(asked))
    assert answered(discord, asked)
    assert discord.answers(asked)[0].content == SCRIPT[-1]


async def test_a_reconnect_loses_and_repeats_no_message(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    first = await ask(discord, general, ada)
    await discord.until(lambda: answered(discord, first))
    await discord.gateway.reconnect()
    second = await ask(discord, general, ada)
    await discord.until(lambda: answered(discord, second))
    assert discord.gateway.resumed == 1
    assert discord.gateway.identified == 1
    assert len(dispatcher.incoming) == 2


async def test_an_aborted_connection_is_resumed(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    await discord.gateway.drop()
    asked = await ask(discord, general, ada)
    await discord.until(lambda: answered(discord, asked))
    assert discord.gateway.resumed == 1


# --- requests that Discord refuses


async def test_the_final_text_arrives_despite_rate_limits(
    dispatcher: ScriptedDispatcher,
) -> None:
    dispatcher.script = [f"{number} words" for number in range(8)]
    limits = {"PATCH /channels/{channel_id}/messages/{message_id}": (3, 0.3)}
    async with DiscordDouble(limits=limits) as discord:
        general, ada = discord.channel("general"), discord.user("Ada")
        async with serving(discord, dispatcher, settings_for(discord)):
            discord.fail("PATCH", "/messages/", status=429, retry_after=0.2)
            asked = await ask(discord, general, ada)
            await discord.until(lambda: answered(discord, asked))
        assert discord.answers(asked)[0].content == "7 words"
        assert [status for _, _, status in discord.rest.refusals] == [429]
        assert discord.violations == []


async def test_a_repeated_post_shows_one_message(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    asked = await ask(discord, general, ada)
    await discord.until(lambda: answered(discord, asked))
    turn, surface = dispatcher.started[0]
    dispatcher.start(turn, surface)
    await discord.until(lambda: len(dispatcher.refs) == 2)
    assert dispatcher.refs[0] == dispatcher.refs[1]
    assert len(discord.answers(asked)) == 1


async def test_a_deleted_answer_ends_the_turn(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    dispatcher.pause = 0.3
    await connect()
    asked = await ask(discord, general, ada)
    await discord.until(lambda: discord.answers(asked))
    await discord.delete(discord.answers(asked)[0])
    await discord.until(lambda: dispatcher.errors)
    assert isinstance(dispatcher.errors[0], MessageGone)


@pytest.mark.parametrize(
    ("denied", "reason"),
    [
        ({"send_messages", "create_public_threads"}, "no permission to write here"),
        ({"view_channel"}, "cannot see this channel"),
    ],
)
async def test_missing_permissions_are_named(
    discord: DiscordDouble,
    dispatcher: ScriptedDispatcher,
    connect: Connect,
    general: Channel,
    ada: User,
    denied: set[str],
    reason: str,
) -> None:
    await connect()
    general.denied = denied
    await ask(discord, general, ada)
    await discord.until(lambda: dispatcher.errors)
    assert isinstance(dispatcher.errors[0], MessageGone)
    assert reason in str(dispatcher.errors[0])
    (explanation,) = discord.answers(discord.world.dm(ada))
    assert reason in explanation.content


async def test_without_permission_to_embed_the_sources_follow_the_text(
    discord: DiscordDouble, connect: Connect, general: Channel, ada: User
) -> None:
    general.denied = {"embed_links"}
    await connect()
    asked = await ask(discord, general, ada)
    await discord.until(lambda: answered(discord, asked))
    (answer,) = discord.answers(asked)
    assert answer.embeds == []
    assert answer.content == (
        f"{SCRIPT[-1]}\n-# **[1]** [Leave](<https://handbook.example/leave#:~:text=Everybody%20has%2030%20days,"
        "paid%20leave%20a%20year.&text=Paid%20leave>) · Paid leave\n"
        "> Everybody has 30 days of paid leave a year.\n-# cheap model"
    )


async def thread_archived_during_the_answer(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> tuple[Message, Channel]:
    """Ask, archive the thread of the answer while it is written, and return the question and the thread."""
    dispatcher.pause = 0.3
    await connect()
    asked = await ask(discord, general, ada)
    await discord.until(lambda: discord.answers(asked))
    thread = discord.thread(asked)
    assert thread is not None
    thread.archived = True
    return asked, thread


async def test_a_thread_archived_during_an_answer_is_reopened(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    asked, _ = await thread_archived_during_the_answer(discord, dispatcher, connect, general, ada)
    await discord.until(lambda: answered(discord, asked))
    assert discord.answers(asked)[0].content == SCRIPT[-1]


@pytest.mark.parametrize("archived", [True, False])
async def test_a_locked_thread_ends_the_turn(
    discord: DiscordDouble,
    dispatcher: ScriptedDispatcher,
    connect: Connect,
    general: Channel,
    ada: User,
    archived: bool,
) -> None:
    dispatcher.pause = 0.3
    await connect()
    asked = await ask(discord, general, ada)
    await discord.until(lambda: discord.answers(asked))
    thread = discord.thread(asked)
    assert thread is not None
    thread.archived, thread.locked = archived, True
    await discord.until(lambda: dispatcher.errors)
    assert "locked" in str(dispatcher.errors[0])
    (explanation,) = discord.answers(discord.world.dm(ada))
    assert explanation.content.endswith("the thread is locked. Please tell an admin of the server.")


async def test_without_permission_to_write_in_the_channel_a_reply_is_sent_directly(
    discord: DiscordDouble, connect: Connect, general: Channel, ada: User
) -> None:
    general.denied = {"send_messages"}
    await connect()
    await discord.say(general, ada, f"{discord.bot.mention} ingest https://a.example")
    private = discord.world.dm(ada)
    await discord.until(lambda: any("Added" in one.content for one in discord.answers(private)))
    (explanation,) = discord.answers(private)
    assert explanation.versions[0].content.startswith(f"I have no permission to post this in <#{general.id}>")


# --- doctor


async def test_the_doctor_passes_a_correct_setup(discord: DiscordDouble) -> None:
    found = {one.name: one for one in await check(settings_for(discord))}
    assert all(one.ok for one in found.values())
    assert found["discord token"].detail == "logged in as parley"
    assert str(discord.world.application_id) in found["discord invite link"].detail


async def test_the_doctor_names_the_fix() -> None:
    async with DiscordDouble(approved=frozenset()) as discord:
        bad_token = await check(settings_for(discord, discord_token="wrong"))
        no_intent = await check(settings_for(discord))
    assert [(one.ok, "Reset Token" in one.fix) for one in bad_token] == [(False, True)]
    assert [one.name for one in no_intent if not one.ok and "MESSAGE CONTENT INTENT" in one.fix] == [
        "discord message content intent"
    ]


async def test_the_doctor_names_missing_permissions_by_channel(discord: DiscordDouble) -> None:
    discord.channel("quiet").denied = {"create_public_threads", "attach_files"}
    discord.world.add_channel("quiet")
    discord.channel("board").denied = {"view_channel"}
    found = {one.name: one for one in await check(settings_for(discord))}
    permissions = found["discord permissions in Lanternfish"]
    assert not permissions.ok
    assert permissions.detail == "3 channels visible, hidden: #board; #quiet: Attach Files, Create Public Threads"
    assert "settings > Permissions" in permissions.fix


async def test_the_doctor_compares_the_clock(discord: DiscordDouble) -> None:
    found = {one.name: one for one in await check(settings_for(discord))}
    assert found["discord clock"].ok
    late = await check(settings_for(discord), now=lambda: time.time() - 3600)
    (clock,) = [one for one in late if one.name == "discord clock"]
    assert not clock.ok
    assert "behind Discord's" in clock.detail
    assert "NTP" in clock.fix


def test_the_invite_link_asks_only_for_required_permissions() -> None:
    from urllib.parse import parse_qs, urlsplit

    link = parse_qs(urlsplit(invite_url(42)).query)
    assert link["client_id"] == ["42"]
    assert link["scope"] == ["bot applications.commands"]
    wanted = 1 << 10 | 1 << 11 | 1 << 14 | 1 << 15 | 1 << 16 | 1 << 35 | 1 << 38
    assert int(link["permissions"][0]) == wanted


async def test_without_the_history_it_answers_without_a_reply_reference(
    discord: DiscordDouble, connect: Connect, general: Channel, ada: User
) -> None:
    general.denied = {"create_public_threads", "read_message_history"}
    await connect()
    await ask(discord, general, ada)
    await discord.until(lambda: answered(discord, general))
    (answer,) = discord.answers(general)
    assert answer.reference is None


async def test_an_archived_thread_that_cannot_be_reopened_is_explained(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    _, thread = await thread_archived_during_the_answer(discord, dispatcher, connect, general, ada)
    discord.fail("PATCH", rf"/channels/{thread.id}$", status=403, code=50013)
    await discord.until(lambda: dispatcher.errors)
    assert isinstance(dispatcher.errors[0], MessageGone)
    (explanation,) = discord.answers(discord.world.dm(ada))
    assert "archived" in explanation.content


async def test_a_message_that_discord_never_accepts_is_a_refused_layout(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    discord.fail("POST", r"/messages$", status=400, code=50035)
    await ask(discord, general, ada)
    await discord.until(lambda: dispatcher.errors)
    assert isinstance(dispatcher.errors[0], LayoutRefused)
