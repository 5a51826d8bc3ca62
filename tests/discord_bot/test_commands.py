"""Slash commands, commands in mentions, and buttons."""

from __future__ import annotations

import asyncio

import pytest

from bot.commands.base import Command, Context, Reply
from bot.config import Settings
from bot.types.conversation import ThreadKey
from tests.discord_bot.conftest import COMMANDS, Connect, FakeCommands, serving
from tests.discord_bot.fake_dispatcher import ScriptedDispatcher
from tests.discord_bot.test_conversation import answered
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_interactions import Interaction
from tests.doubles.discord_models import Channel, Message, User


def shown(interaction: Interaction) -> Message | None:
    """Return the response once it is no longer the waiting message."""
    response = interaction.response
    return response if response is not None and not response.loading else None


async def replied(discord: DiscordDouble, interaction: Interaction) -> Message:
    await discord.until(lambda: shown(interaction))
    response = shown(interaction)
    assert response is not None
    return response


async def test_every_command_is_registered_once_and_only_admins_are_offered_costs(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, settings: Settings
) -> None:
    async with serving(discord, dispatcher, settings):
        pass
    async with serving(discord, dispatcher, settings):
        pass
    offered = {command["name"]: command for command in discord.commands if command["type"] == 1}
    assert set(offered) == {"ask", "budget", "costs", "ingest", "why", "stop", "broken"}
    assert offered["costs"]["default_member_permissions"] == str(1 << 5)
    assert offered["budget"]["default_member_permissions"] is None
    assert [option["name"] for option in offered["budget"]["options"]] == ["show", "set", "list"]
    assert discord.command_syncs == 1
    assert [option["required"] for option in offered["ask"]["options"]] == [True]


async def test_a_private_reply_is_ephemeral(
    discord: DiscordDouble, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    response = await replied(discord, await discord.slash("budget show", user=ada, channel=general))
    assert response.ephemeral
    assert response.seen_by is ada
    assert response.content == (f"Ada has 1,000 of 200,000 tokens in discord:{discord.world.guild_id}/{general.id}.")


async def test_a_reply_with_table_and_chart(discord: DiscordDouble, connect: Connect, general: Channel) -> None:
    await connect()
    boss = discord.user("Boss", admin=True)
    response = await replied(discord, await discord.slash("costs", user=boss, channel=general))
    assert "user 1   1,000" in response.content
    assert [(file.name, file.data) for file in response.attachments] == [("costs.png", b"\x89PNG")]


async def test_wrong_arguments_are_explained(discord: DiscordDouble, connect: Connect, general: Channel) -> None:
    await connect()
    boss = discord.user("Boss", admin=True)
    asked = await discord.slash("costs", {"since": "nonsense"}, user=boss, channel=general)
    assert (await replied(discord, asked)).content == "costs takes a number of days, for example: costs 7d"


async def test_a_command_that_fails_says_so_without_details(
    discord: DiscordDouble, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    response = await replied(discord, await discord.slash("broken", user=ada, channel=general))
    assert "trace ID" in response.content
    assert "secret" not in response.content


async def test_ingest_adds_a_file_and_reports_to_the_channel(
    discord: DiscordDouble, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    asked = await discord.slash("ingest", user=ada, channel=general, file=("a.md", "text/markdown", b"# Leave"))
    await discord.until(lambda: any(not message.ephemeral for message in discord.answers(general)))
    response = await replied(discord, asked)
    assert response.ephemeral
    assert "reading ..." in [version.content for version in response.versions]
    (public,) = [message for message in discord.answers(general) if not message.ephemeral]
    assert public.content == "Added a.md (text/markdown): # Leave"


@pytest.mark.parametrize("by_mention", [False, True])
async def test_an_ingestion_is_stopped_by_the_button_below_its_progress(
    discord: DiscordDouble,
    dispatcher: ScriptedDispatcher,
    settings: Settings,
    general: Channel,
    ada: User,
    by_mention: bool,
) -> None:
    stopped = asyncio.Event()
    seen: list[tuple[str, str]] = []

    async def ingest(context: Context, arguments: str) -> Reply:
        seen.append((context.author.name, arguments))
        if arguments.startswith("stop"):
            stopped.set()
            return Reply("Stopping the handbook.")
        await context.update("handbook: 3 of 310 pages", "1f2e3d4c 5b6a7988")
        await stopped.wait()
        return Reply("It was stopped before the end.", private=False)

    offered = FakeCommands({**COMMANDS, "ingest": Command("ingest", "adds documents", "ADDRESS", ingest)})
    async with serving(discord, dispatcher, settings, commands=offered):
        if by_mention:
            await discord.say(general, ada, f"{discord.bot.mention} ingest https://handbook.example")
        else:
            await discord.slash("ingest", {"address": "https://handbook.example"}, user=ada, channel=general)
        await discord.until(lambda: any(one.buttons() for one in discord.answers(general)))
        (line,) = [one for one in discord.answers(general) if one.buttons()]
        pressed = await discord.click("Stop", line, ada)
        assert (await replied(discord, pressed)).content == "Stopping the handbook."
        await discord.until(
            lambda: any(one.content == "It was stopped before the end." for one in discord.answers(general))
        )
    assert seen == [("Ada", "https://handbook.example"), ("Ada", "stop 1f2e3d4c 5b6a7988")]
    assert not any(one.buttons() for one in discord.answers(general)), "no button stays after the end"


async def test_a_reply_after_the_interaction_expired_is_sent_as_a_dm(
    discord: DiscordDouble, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    discord.fail("PATCH", "/webhooks/", status=401, code=50027, times=1)
    await discord.slash("budget show", user=ada, channel=general)
    private = discord.world.dm(ada)
    await discord.until(lambda: discord.answers(private))
    assert discord.answers(private)[0].content.startswith("Ada has 1,000")


async def test_a_private_reply_to_a_command_in_a_mention_is_sent_as_a_dm(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    asked = await discord.say(general, ada, f"{discord.bot.mention} budget")
    await discord.redeliver(asked)
    await discord.until(lambda: discord.answers(general))
    assert [message.content for message in discord.answers(discord.world.dm(ada))] == [
        f"Ada has 1,000 of 200,000 tokens in discord:{discord.world.guild_id}/{general.id}."
    ]
    assert [message.content for message in discord.answers(general)] == ["I sent you the answer as a direct message."]
    assert dispatcher.incoming == []


async def test_a_command_in_a_mention_gets_people_by_id(
    discord: DiscordDouble, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    bob = discord.user("Bob")
    await discord.say(general, ada, f"{discord.bot.mention} ingest {bob.mention}")
    await discord.until(lambda: discord.answers(general))
    await discord.until(lambda: "Added" in discord.answers(general)[0].content)
    assert discord.answers(general)[0].content == f"Added ＠{bob.id}", (
        "the command got the ID; the reply mentions nobody"
    )


@pytest.mark.parametrize("by_mention", [False, True])
@pytest.mark.parametrize("private", [False, True])
async def test_a_command_knows_whether_its_thread_is_private(
    discord: DiscordDouble,
    dispatcher: ScriptedDispatcher,
    settings: Settings,
    general: Channel,
    ada: User,
    private: bool,
    by_mention: bool,
) -> None:
    seen: list[tuple[str, bool]] = []

    async def budget(context: Context, arguments: str) -> Reply:
        seen.append((context.channel_id, context.private_thread))
        return Reply("Done.")

    offered = FakeCommands({**COMMANDS, "budget": Command("budget", "shows budgets", "", budget)})
    async with serving(discord, dispatcher, settings, commands=offered):
        asked = await discord.say(general, ada, "Something quiet.")
        thread = await discord.open_thread(asked, "quiet", private=private)
        if by_mention:
            await discord.say(thread, ada, f"{discord.bot.mention} budget")
        else:
            await discord.slash("budget show", user=ada, channel=thread)
        await discord.until(lambda: bool(seen))
    assert seen == [(str(general.id), private)]


async def test_closed_dms_are_reported(discord: DiscordDouble, connect: Connect, general: Channel, ada: User) -> None:
    ada.accepts_dms = False
    await connect()
    await discord.say(general, ada, f"{discord.bot.mention} budget")
    await discord.until(lambda: discord.answers(general))
    assert "use the slash command" in discord.answers(general)[0].content


async def test_a_command_in_a_thread_knows_its_thread(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    asked = await discord.say(general, ada, f"{discord.bot.mention} how many days of leave?")
    await discord.until(lambda: answered(discord, asked))
    thread = discord.thread(asked)
    assert thread is not None
    response = await replied(discord, await discord.slash("why", user=ada, channel=thread))
    assert response.content.endswith(f"asked in thread {thread.id}.")
    await discord.say(thread, ada, f"{discord.bot.mention} stop")
    await discord.until(lambda: any(message.content == "Stopped." for message in discord.answers(thread)))


# --- buttons


async def test_only_the_asker_and_admins_can_stop_an_answer(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    dispatcher.pause = 30.0
    await connect()
    asked = await discord.say(general, ada, f"{discord.bot.mention} how many days of leave?")
    await discord.until(lambda: discord.answers(asked))
    (answer,) = discord.answers(asked)
    await discord.click("Stop", answer, discord.user("Mallory"))
    refused = "Only the asker or an admin can stop this answer."
    await discord.until(lambda: refused in [message.content for message in discord.answers(asked)])
    assert dispatcher.stopped == []

    await discord.click("Stop", answer, discord.user("Boss", admin=True))
    await discord.until(lambda: dispatcher.stopped)
    assert dispatcher.stopped[0][0] == "turn-1"
    assert dispatcher.stopped[0][1].is_admin


async def test_ask_again_and_stronger_model_answer_in_the_same_thread(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    asked = await discord.say(general, ada, f"{discord.bot.mention} how many days of leave?")
    await discord.until(lambda: answered(discord, asked))
    await discord.click("Ask again", discord.answers(asked)[0], ada)
    await discord.until(lambda: answered(discord, asked, 2))
    await discord.click("Stronger model", discord.answers(asked)[0], ada)
    await discord.until(lambda: answered(discord, asked, 3))
    assert dispatcher.requested_tiers == [None, "strong"]


async def test_thumbs_are_stored_and_a_thumb_down_asks_for_the_reason(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    asked = await discord.say(general, ada, f"{discord.bot.mention} how many days of leave?")
    await discord.until(lambda: answered(discord, asked))
    (answer,) = discord.answers(asked)
    tenant = f"discord:{discord.world.guild_id}"

    await discord.click("👍", answer, ada)
    await discord.until(lambda: dispatcher.rated)
    down = await discord.click("👎", answer, ada)
    await discord.until(lambda: down.modal and len(dispatcher.rated) == 2)
    submitted = await discord.submit(down, {"reason": "it is 28 days since May"})
    thanks = await replied(discord, submitted)

    assert thanks.ephemeral
    assert dispatcher.rated == [
        ("turn-1", str(ada.id), tenant, 1, ""),
        ("turn-1", str(ada.id), tenant, -1, ""),
        ("turn-1", str(ada.id), tenant, -1, "it is 28 days since May"),
    ]


async def test_why_is_answered_privately(discord: DiscordDouble, connect: Connect, general: Channel, ada: User) -> None:
    await connect()
    asked = await discord.say(general, ada, f"{discord.bot.mention} how many days of leave?")
    await discord.until(lambda: answered(discord, asked))
    response = await replied(discord, await discord.click("Why?", discord.answers(asked)[0], ada))
    assert response.ephemeral
    assert response.content.startswith("turn-1 was answered by the cheap model")


async def test_buttons_work_after_a_restart(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, settings: Settings, general: Channel, ada: User
) -> None:
    async with serving(discord, dispatcher, settings):
        asked = await discord.say(general, ada, f"{discord.bot.mention} how many days of leave?")
        await discord.until(lambda: answered(discord, asked))
    async with serving(discord, dispatcher, settings):
        await discord.click("Stronger model", discord.answers(asked)[0], ada)
        await discord.until(lambda: answered(discord, asked, 2))
    assert dispatcher.turns["turn-2"].thread == ThreadKey(
        f"discord:{discord.world.guild_id}", "discord", str(general.id), str(asked.id)
    )


async def test_two_processes_together_answer_and_reply_once(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, settings: Settings, general: Channel, ada: User
) -> None:
    async with serving(discord, dispatcher, settings), serving(discord, dispatcher, settings):
        await discord.until(lambda: discord.gateway.identified == 2)
        asked = await discord.say(general, ada, f"{discord.bot.mention} how many days of leave?")
        await discord.until(lambda: answered(discord, asked))
        await discord.say(general, ada, f"{discord.bot.mention} budget")
        await discord.until(lambda: discord.answers(general))
        pressed = await discord.click("Why?", discord.answers(asked)[0], ada)
        slash = await discord.slash("budget show", user=ada, channel=general)
        await replied(discord, pressed)
        await replied(discord, slash)
        await discord.until(lambda: len([code for *_, code in discord.rest.refusals if code == 400]) == 2)
    public = [message for message in discord.answers(general) if not message.ephemeral]
    assert len(dispatcher.incoming) == 1
    assert len([message for message in discord.answers(asked) if not message.ephemeral]) == 1
    assert [message.content for message in public] == ["I sent you the answer as a direct message."]
    assert len(discord.answers(discord.world.dm(ada))) == 1


async def test_a_button_that_fails_says_so(
    discord: DiscordDouble,
    dispatcher: ScriptedDispatcher,
    connect: Connect,
    general: Channel,
    ada: User,
) -> None:
    await connect()
    asked = await discord.say(general, ada, f"{discord.bot.mention} how many days of leave?")
    await discord.until(lambda: answered(discord, asked))
    dispatcher.rate = None  # type: ignore[assignment, method-assign]
    await discord.click("👍", discord.answers(asked)[0], ada)
    await discord.until(lambda: any("trace ID" in message.content for message in discord.answers(asked)))
    (failure,) = [message for message in discord.answers(asked) if "trace ID" in message.content]
    assert failure.seen_by is ada
