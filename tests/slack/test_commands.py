"""Slash commands and mentioned commands: where their replies and their progress go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from bot.commands import registry as commands
from bot.commands.base import Command, Context, File, Reply, Table
from bot.errors import NotAllowed
from bot.types.conversation import Author
from tests.doubles import slack_blocks
from tests.doubles.slack import SlackDouble
from tests.slack.conftest import installed, serving
from tests.slack.fake_dispatcher import ScriptedDispatcher

Script = Callable[[Context, str], Awaitable[Reply]]


class ScriptedCommand:
    """The ``budget`` command of a test, with its recorded calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[Context, str]] = []
        self.script: Script | None = None

    async def run(self, context: Context, args: str) -> Reply:
        self.calls.append((context, args))
        assert self.script is not None
        return await self.script(context, args)

    def answers(self, reply: Reply) -> None:
        async def script(_: Context, __: str) -> Reply:
            return reply

        self.script = script


@pytest.fixture(autouse=True)
def no_stored_admins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the look-up of stored admins: these tests have no database."""

    async def unchanged(_: object, author: Author, __: str) -> Author:
        return author

    monkeypatch.setattr(commands, "with_granted_role", unchanged)


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> ScriptedCommand:
    scripted = ScriptedCommand()
    with_budget = dict(commands.COMMANDS)
    with_budget["budget"] = Command("budget", "shows your budget", "[show|set]", scripted.run)
    monkeypatch.setattr(commands, "COMMANDS", with_budget)
    return scripted


async def test_only_the_user_sees_a_private_reply(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: ScriptedCommand
) -> None:
    budget.answers(Reply("12,000 of 200,000 tokens are used.", Table(("day", "tokens"), [("Monday", 12000)])))
    await slack.command("/budget", "show <@U0BOB|bob>", "alice", "general")
    await slack.until(lambda: slack.ephemeral_texts("alice"))
    assert slack.ephemeral_texts("alice") == ["12,000 of 200,000 tokens are used.\nday | tokens\nMonday | 12,000"]
    ((context, args),) = budget.calls
    assert args == "show U0BOB"
    assert (context.tenant_id, context.platform, context.channel_id) == ("slack:T0PARLEY", "slack", "C0GENERAL")
    assert (context.thread_id, context.author.name) == (None, "alice")
    assert [message for message in slack.messages("general") if message.bot_id] == []


async def test_slash_commands_run_in_channels_without_the_bot(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: ScriptedCommand
) -> None:
    budget.answers(Reply("All fine.", private=False))
    await slack.command("/parley", "budget show", "alice", "random")
    await slack.until(lambda: [message for message in slack.messages("random") if message.bot_id])
    assert slack.messages("random")[-1].shown == "All fine."


async def test_a_wrong_command_and_a_refusal_are_explained(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: ScriptedCommand
) -> None:
    async def refused(_: Context, __: str) -> Reply:
        raise NotAllowed("Only an admin can change budgets.")

    budget.script = refused
    await slack.command("/parley", "bugdet", "alice", "general")
    await slack.until(lambda: len(slack.ephemeral_texts("alice")) == 1)
    await slack.command("/budget", "set U0BOB 5", "alice", "general")
    await slack.until(lambda: len(slack.ephemeral_texts("alice")) == 2)
    assert "budget" in slack.ephemeral_texts("alice")[0]
    assert slack.ephemeral_texts("alice")[1] == "Only an admin can change budgets."


async def test_a_failed_command_shows_the_trace_id_of_the_log(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: ScriptedCommand, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_: Context, __: str) -> Reply:
        raise RuntimeError("a secret detail")

    budget.script = broken
    await slack.command("/budget", "", "alice", "general")
    await slack.until(lambda: slack.ephemeral_texts("alice"))
    reply = slack.ephemeral_texts("alice")[0]
    assert "secret" not in reply
    trace_id = reply.rstrip(".").rsplit(" ", 1)[1]
    assert trace_id in caplog.text


async def test_a_mentioned_command_runs_once_in_the_thread(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: ScriptedCommand
) -> None:
    budget.answers(Reply("Plenty is left.", private=False))
    root = await slack.say("general", "alice", "about money")
    asked = await slack.say("general", "bob", f"{slack.bot} budget show", thread_ts=root.ts)
    slack.redeliver(asked)
    await slack.until(lambda: slack.replies(root))
    await slack.settled()
    await slack.until(lambda: len(budget.calls) == 1)
    assert [reply.shown for reply in slack.replies(root)] == ["Plenty is left."]
    assert budget.calls[0][0].thread_id == root.ts
    assert dispatcher.accepted == []


async def test_a_private_reply_to_a_mention_is_ephemeral_in_the_thread(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: ScriptedCommand
) -> None:
    budget.answers(Reply("For you alone."))
    asked = await slack.say("general", "bob", f"{slack.bot} budget")
    await slack.until(lambda: slack.ephemeral_texts("bob"))
    assert slack.ephemeral_texts("bob") == ["For you alone."]
    assert slack.replies(asked) == []


async def test_a_table_that_slack_refuses_is_shown_as_text(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: ScriptedCommand
) -> None:
    budget.answers(Reply("Today:", Table(("who", "tokens"), [("<bob>", 1200), ("ada", None)])))
    slack.fail_next("chat.postEphemeral", "invalid_blocks")
    await slack.say("general", "bob", f"{slack.bot} budget")
    await slack.until(lambda: slack.ephemeral_texts("bob"))
    assert slack.ephemeral_texts("bob") == ["Today:\nwho | tokens\n&lt;bob&gt; | 1,200\nada | –"]


async def test_a_user_who_left_the_channel_gets_a_direct_message(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: ScriptedCommand
) -> None:
    budget.answers(Reply("For you alone."))
    slack.fail_next("chat.postEphemeral", "user_not_in_channel")
    await slack.say("general", "bob", f"{slack.bot} budget")
    await slack.until(lambda: slack.messages("D0BOB"))
    assert [message.shown for message in slack.messages("D0BOB")] == ["For you alone."]


async def test_a_command_in_a_direct_message_answers_there(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: ScriptedCommand
) -> None:
    budget.answers(Reply("For you alone."))
    asked = await slack.dm("bob", "budget")
    await slack.until(lambda: slack.replies(asked))
    assert [reply.shown for reply in slack.replies(asked)] == ["For you alone."]


async def test_progress_is_one_message_that_is_edited(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: ScriptedCommand
) -> None:
    async def slow(context: Context, _: str) -> Reply:
        await context.update("1 of 2 documents")
        await context.update("too soon to be shown")
        return Reply("Added 2 documents.", private=False)

    budget.script = slow
    asked = await slack.say("general", "bob", f"{slack.bot} budget")
    await slack.until(lambda: any(reply.edits for reply in slack.replies(asked)))
    (progress,) = slack.replies(asked)
    assert [version.shown for version in progress.versions] == ["1 of 2 documents", "Added 2 documents."]


async def test_progress_of_a_slash_command_is_in_the_direct_message(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: ScriptedCommand
) -> None:
    async def slow(context: Context, _: str) -> Reply:
        await context.update("1 of 2 documents")
        return Reply("Added 2 documents.")

    budget.script = slow
    await slack.command("/budget", "", "bob", "general")
    await slack.until(lambda: len(slack.ephemeral_texts("bob")) == 2)
    (progress,) = slack.messages("D0BOB")
    await slack.until(lambda: len(progress.versions) == 2)
    assert [version.shown for version in progress.versions] == ["1 of 2 documents", "Added 2 documents."]
    assert slack.ephemeral_texts("bob")[0].startswith("Working on it")
    assert slack.ephemeral_texts("bob")[1] == "Added 2 documents."


async def test_the_button_below_the_progress_stops_an_ingest(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = asyncio.Event()
    calls: list[tuple[str, str]] = []

    async def ingest(context: Context, args: str) -> Reply:
        calls.append((context.author.name, args))
        if args.startswith("stop"):
            stopped.set()
            return Reply("Stopping the handbook.")
        await context.update("handbook: 3 of 310 pages", "1f2e3d4c 5b6a7988")
        await stopped.wait()
        return Reply("It was stopped early.", private=False)

    replaced = {**commands.COMMANDS, "ingest": Command("ingest", "adds documents", "ADDRESS", ingest)}
    monkeypatch.setattr(commands, "COMMANDS", replaced)
    asked = await slack.say("general", "bob", f"{slack.bot} ingest https://handbook.example")
    await slack.until(lambda: slack.replies(asked))
    (progress,) = slack.replies(asked)
    await slack.click("parley_halt", progress, "ada")
    await slack.until(lambda: len(progress.versions) == 2)
    assert calls == [("bob", "https://handbook.example"), ("ada", "stop 1f2e3d4c 5b6a7988")]
    assert [version.shown for version in progress.versions] == [
        "handbook: 3 of 310 pages",
        "It was stopped early.",
    ]
    assert slack_blocks.buttons(progress.now.blocks) == {}, "no button stays below a finished command"
    await slack.until(lambda: slack.ephemeral_texts("ada") == ["Stopping the handbook."])


async def test_a_private_file_goes_to_the_direct_message(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: ScriptedCommand
) -> None:
    budget.answers(Reply("The costs of May.", file=File("costs.csv", b"day,usd\n", "text/csv")))
    await slack.command("/budget", "csv", "ada", "general")
    await slack.until(lambda: len(slack.ephemeral_texts("ada")) == 2)
    assert slack.ephemeral_texts("ada") == ["The costs of May.", "The file is in our direct messages."]
    (upload,) = slack.messages("D0ADA")
    assert [file["name"] for file in upload.files] == ["costs.csv"]
    assert list(slack.uploaded.values()) == [b"day,usd\n"]
    assert budget.calls[0][0].author.is_admin


@pytest.mark.parametrize("private", [True, False])
async def test_what_a_message_truncates_is_uploaded_completely(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: ScriptedCommand, private: bool
) -> None:
    text = "\n".join(f"line {number} of the answer" for number in range(700))
    rows = [(f"handbook/{number}.md", number) for number in range(250)]
    budget.answers(Reply(text, Table(("document", "chunks"), rows), private=private))
    await slack.say("general", "bob", f"{slack.bot} budget")
    where = "D0BOB" if private else "general"
    await slack.until(lambda: sum(len(message.files) for message in slack.messages(where)) == 2)
    names = [file["name"] for message in slack.messages(where) for file in message.files]
    full_text, full_table = slack.uploaded.values()
    assert names == ["reply.md", "table.csv"]
    assert full_text.decode() == text
    assert full_table.decode().splitlines() == ['"document","chunks"', *(f'"{name}",{chunks}' for name, chunks in rows)]
    if private:
        await slack.until(lambda: len(slack.ephemeral_texts("bob")) == 2)
        assert slack.ephemeral_texts("bob")[1] == "The files are in our direct messages."
        assert slack.messages("general")[-1].user == slack.user_id("bob")
    shown = slack.ephemeral_texts("bob")[0] if private else slack.messages("general")[-3].shown
    assert "The attached file has the full text" in shown
    assert "151 more rows are in the file." in shown


async def test_progress_becomes_the_reply_and_its_file_follows(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: ScriptedCommand
) -> None:
    async def slow(context: Context, _: str) -> Reply:
        await context.update("1 of 2 documents")
        return Reply("Added 2 documents.", file=File("log.csv", b"a\n", "text/csv"), private=False)

    budget.script = slow
    asked = await slack.say("general", "bob", f"{slack.bot} budget")
    await slack.until(lambda: len(slack.replies(asked)) == 2)
    progress, file = slack.replies(asked)
    assert (progress.shown, [one["name"] for one in file.files]) == ("Added 2 documents.", ["log.csv"])


async def test_a_slow_command_shows_that_it_is_running(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: ScriptedCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = asyncio.Event()

    async def slow(_: Context, __: str) -> Reply:
        await release.wait()
        return Reply("Here it is.")

    budget.script = slow
    await slack.command("/budget", "", "bob", "general")
    await slack.until(lambda: slack.ephemeral_texts("bob") == ["Working on it…"])
    release.set()
    await slack.until(lambda: slack.ephemeral_texts("bob") == ["Working on it…", "Here it is."])


async def test_a_reply_after_half_an_hour_still_reaches_its_user(budget: ScriptedCommand) -> None:
    skipped, release = [0.0], asyncio.Event()

    async def slow(_: Context, __: str) -> Reply:
        await release.wait()
        return Reply("Here it is.")

    budget.script = slow
    double = SlackDouble(**installed(), clock=lambda: time.monotonic() + skipped[0])
    async with double as slack, serving(slack, ScriptedDispatcher()):
        for channel in ("general", "random"):
            await slack.command("/budget", "", "bob", channel)
        await slack.until(lambda: len(budget.calls) == 2)
        skipped[0] = 1900.0
        release.set()
        await slack.until(lambda: "Here it is." in slack.ephemeral_texts("bob"))
        await slack.until(lambda: "Here it is." in [message.shown for message in slack.messages("D0BOB")])


async def test_a_command_interrupted_by_a_restart_says_so(slack: SlackDouble, budget: ScriptedCommand) -> None:
    async def endless(context: Context, _: str) -> Reply:
        await context.update("1 of 2 documents")
        await asyncio.sleep(3600)
        raise AssertionError

    budget.script = endless
    async with serving(slack, ScriptedDispatcher()):
        asked = await slack.say("general", "bob", f"{slack.bot} budget")
        await slack.until(lambda: slack.replies(asked))
    assert slack.ephemeral_texts("bob") == ["I was restarted before this finished. Please run it again."]
    assert slack.replies(asked) == []


async def test_slacks_own_stop_button_runs_the_stop_command(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str | None, str]] = []

    async def stop(context: Context, _: str) -> Reply:
        calls.append((context.thread_id, context.author.name))
        return Reply("Stopped.")

    replaced = {**commands.COMMANDS, "stop": Command("stop", "stops", "", stop)}
    monkeypatch.setattr(commands, "COMMANDS", replaced)
    question = await slack.say("general", "alice", f"{slack.bot} a long story, please")
    await slack.press_native_stop(question, "alice")
    await slack.until(lambda: slack.ephemeral_texts("alice"))
    assert calls == [(question.ts, "alice")]
