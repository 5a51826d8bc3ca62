"""Slash commands and commands by mention: where their replies go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from bot import commands
from bot.commands.base import Command, Context, File, Reply, Table
from bot.errors import NotAllowed
from bot.types.conversation import Author
from tests.doubles import slack_blocks
from tests.doubles.slack import SlackDouble
from tests.slack.conftest import installed, serving
from tests.slack.fake_dispatcher import ScriptedDispatcher

Script = Callable[[Context, str], Awaitable[Reply]]


class Scripted:
    """What ``budget`` does in a test, and what it was asked."""

    def __init__(self) -> None:
        self.seen: list[tuple[Context, str]] = []
        self.script: Script | None = None

    async def run(self, context: Context, args: str) -> Reply:
        self.seen.append((context, args))
        assert self.script is not None
        return await self.script(context, args)

    def answers(self, reply: Reply) -> None:
        async def script(_: Context, __: str) -> Reply:
            return reply

        self.script = script


@pytest.fixture(autouse=True)
def no_admins_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests have no database in which a tenant could name its admins."""

    async def as_slack_says(context: Context) -> Author:
        return context.author

    monkeypatch.setattr(commands, "_in_full", as_slack_says)


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    scripted = Scripted()
    known = dict(commands.COMMANDS)
    known["budget"] = Command("budget", "shows your budget", "[show|set]", scripted.run)
    monkeypatch.setattr(commands, "COMMANDS", known)
    return scripted


async def test_a_private_reply_is_shown_to_the_asker_alone(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: Scripted
) -> None:
    budget.answers(Reply("12,000 of 200,000 tokens are used.", Table(("day", "tokens"), [("Monday", 12000)])))
    await slack.command("/budget", "show <@U0BOB|bob>", "alice", "general")
    await slack.until(lambda: slack.whispers("alice"))
    assert slack.whispers("alice") == ["12,000 of 200,000 tokens are used.\nday | tokens\nMonday | 12,000"]
    ((context, args),) = budget.seen
    assert args == "show U0BOB"
    assert (context.tenant_id, context.platform, context.channel_id) == ("slack:T0PARLEY", "slack", "C0GENERAL")
    assert (context.thread_id, context.author.name) == (None, "alice")
    assert [message for message in slack.messages("general") if message.bot_id] == []


async def test_the_generic_command_runs_where_the_bot_was_not_invited(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: Scripted
) -> None:
    budget.answers(Reply("All fine.", private=False))
    await slack.command("/parley", "budget show", "alice", "random")
    await slack.until(lambda: [message for message in slack.messages("random") if message.bot_id])
    assert slack.messages("random")[-1].shown == "All fine."


async def test_a_wrong_command_and_a_refusal_are_told_in_words(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: Scripted
) -> None:
    async def refused(_: Context, __: str) -> Reply:
        raise NotAllowed("Only an admin can change budgets.")

    budget.script = refused
    await slack.command("/parley", "bugdet", "alice", "general")
    await slack.until(lambda: len(slack.whispers("alice")) == 1)
    await slack.command("/budget", "set U0BOB 5", "alice", "general")
    await slack.until(lambda: len(slack.whispers("alice")) == 2)
    assert "budget" in slack.whispers("alice")[0]
    assert slack.whispers("alice")[1] == "Only an admin can change budgets."


async def test_a_broken_command_tells_the_trace_that_the_log_has(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_: Context, __: str) -> Reply:
        raise RuntimeError("a secret of the inside")

    budget.script = broken
    await slack.command("/budget", "", "alice", "general")
    await slack.until(lambda: slack.whispers("alice"))
    told = slack.whispers("alice")[0]
    assert "secret" not in told
    trace = told.rstrip(".").rsplit(" ", 1)[1]
    assert trace in caplog.text


async def test_a_command_by_mention_runs_once_in_the_thread(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: Scripted
) -> None:
    budget.answers(Reply("Plenty is left.", private=False))
    talk = await slack.say("general", "alice", "about money")
    asked = await slack.say("general", "bob", f"{slack.bot} budget show", thread_ts=talk.ts)
    slack.redeliver(asked)
    await slack.until(lambda: slack.replies(talk))
    await slack.settled()
    await slack.until(lambda: len(budget.seen) == 1)
    assert [reply.shown for reply in slack.replies(talk)] == ["Plenty is left."]
    assert budget.seen[0][0].thread_id == talk.ts
    assert dispatcher.accepted == []


async def test_a_private_reply_to_a_mention_is_ephemeral_in_the_thread(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: Scripted
) -> None:
    budget.answers(Reply("For you alone."))
    asked = await slack.say("general", "bob", f"{slack.bot} budget")
    await slack.until(lambda: slack.whispers("bob"))
    assert slack.whispers("bob") == ["For you alone."]
    assert slack.replies(asked) == []


async def test_a_table_that_slack_refuses_is_shown_as_text(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: Scripted
) -> None:
    budget.answers(Reply("Today:", Table(("who", "tokens"), [("<bob>", 1200), ("ada", None)])))
    slack.fail_next("chat.postEphemeral", "invalid_blocks")
    await slack.say("general", "bob", f"{slack.bot} budget")
    await slack.until(lambda: slack.whispers("bob"))
    assert slack.whispers("bob") == ["Today:\nwho | tokens\n&lt;bob&gt; | 1,200\nada | –"]


async def test_a_person_who_left_the_channel_is_answered_directly(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: Scripted
) -> None:
    budget.answers(Reply("For you alone."))
    slack.fail_next("chat.postEphemeral", "user_not_in_channel")
    await slack.say("general", "bob", f"{slack.bot} budget")
    await slack.until(lambda: slack.messages("D0BOB"))
    assert [message.shown for message in slack.messages("D0BOB")] == ["For you alone."]


async def test_a_command_in_a_direct_message_answers_there(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: Scripted
) -> None:
    budget.answers(Reply("For you alone."))
    asked = await slack.dm("bob", "budget")
    await slack.until(lambda: slack.replies(asked))
    assert [reply.shown for reply in slack.replies(asked)] == ["For you alone."]


async def test_progress_is_one_message_that_is_rewritten(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: Scripted
) -> None:
    async def slow(context: Context, _: str) -> Reply:
        await context.update("1 of 2 documents")
        await context.update("too soon to be shown")
        return Reply("Took in 2 documents.", private=False)

    budget.script = slow
    asked = await slack.say("general", "bob", f"{slack.bot} budget")
    await slack.until(lambda: any(reply.edits for reply in slack.replies(asked)))
    (line,) = slack.replies(asked)
    assert [version.shown for version in line.versions] == ["1 of 2 documents", "Took in 2 documents."]


async def test_progress_of_a_slash_command_is_in_the_direct_message(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: Scripted
) -> None:
    async def slow(context: Context, _: str) -> Reply:
        await context.update("1 of 2 documents")
        return Reply("Took in 2 documents.")

    budget.script = slow
    await slack.command("/budget", "", "bob", "general")
    await slack.until(lambda: len(slack.whispers("bob")) == 2)
    (line,) = slack.messages("D0BOB")
    assert [version.shown for version in line.versions] == ["1 of 2 documents", "Took in 2 documents."]
    assert slack.whispers("bob")[0].startswith("I am on it")
    assert slack.whispers("bob")[1] == "Took in 2 documents."


async def test_what_is_being_read_can_be_stopped_by_the_button_below_it(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = asyncio.Event()
    seen: list[tuple[str, str]] = []

    async def ingest(context: Context, args: str) -> Reply:
        seen.append((context.author.name, args))
        if args.startswith("stop"):
            stopped.set()
            return Reply("Stopping the handbook.")
        await context.update("handbook: 3 of 310 pages", "1f2e3d4c 5b6a7988")
        await stopped.wait()
        return Reply("It was stopped before its end.", private=False)

    known = {**commands.COMMANDS, "ingest": Command("ingest", "takes documents in", "ADDRESS", ingest)}
    monkeypatch.setattr(commands, "COMMANDS", known)
    asked = await slack.say("general", "bob", f"{slack.bot} ingest https://handbook.example")
    await slack.until(lambda: slack.replies(asked))
    (line,) = slack.replies(asked)
    await slack.click("parley_halt", line, "ada")
    await slack.until(lambda: len(line.versions) == 2)
    assert seen == [("bob", "https://handbook.example"), ("ada", "stop 1f2e3d4c 5b6a7988")]
    assert [version.shown for version in line.versions] == [
        "handbook: 3 of 310 pages",
        "It was stopped before its end.",
    ]
    assert slack_blocks.buttons(line.now.blocks) == {}, "no button stays below what has ended"
    assert slack.whispers("ada") == ["Stopping the handbook."]


async def test_a_private_file_goes_to_the_direct_message(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: Scripted
) -> None:
    budget.answers(Reply("The costs of May.", file=File("costs.csv", b"day,usd\n", "text/csv")))
    await slack.command("/budget", "csv", "ada", "general")
    await slack.until(lambda: len(slack.whispers("ada")) == 2)
    assert slack.whispers("ada") == ["The costs of May.", "The file is in our direct messages."]
    (upload,) = slack.messages("D0ADA")
    assert [file["name"] for file in upload.files] == ["costs.csv"]
    assert list(slack.uploaded.values()) == [b"day,usd\n"]
    assert budget.seen[0][0].author.is_admin


@pytest.mark.parametrize("private", [True, False])
async def test_what_a_message_cannot_hold_comes_whole_as_files(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: Scripted, private: bool
) -> None:
    text = "\n".join(f"line {number} of the answer" for number in range(700))
    rows = [(f"handbook/{number}.md", number) for number in range(250)]
    budget.answers(Reply(text, Table(("document", "chunks"), rows), private=private))
    await slack.say("general", "bob", f"{slack.bot} budget")
    where = "D0BOB" if private else "general"
    await slack.until(lambda: sum(len(message.files) for message in slack.messages(where)) == 2)
    names = [file["name"] for message in slack.messages(where) for file in message.files]
    whole, table = slack.uploaded.values()
    assert names == ["reply.md", "table.csv"]
    assert whole.decode() == text
    assert table.decode().splitlines() == ["document,chunks", *(f"{name},{chunks}" for name, chunks in rows)]
    if private:
        await slack.until(lambda: len(slack.whispers("bob")) == 2)
        assert slack.whispers("bob")[1] == "The files are in our direct messages."
        assert slack.messages("general")[-1].user == slack.user_id("bob")
    shown = slack.whispers("bob")[0] if private else slack.messages("general")[-3].shown
    assert "The file has all of it" in shown
    assert "151 more rows are not shown here; the file has them." in shown


async def test_progress_that_becomes_the_reply_is_followed_by_its_file_alone(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: Scripted
) -> None:
    async def slow(context: Context, _: str) -> Reply:
        await context.update("1 of 2 documents")
        return Reply("Took in 2 documents.", file=File("log.csv", b"a\n", "text/csv"), private=False)

    budget.script = slow
    asked = await slack.say("general", "bob", f"{slack.bot} budget")
    await slack.until(lambda: len(slack.replies(asked)) == 2)
    line, file = slack.replies(asked)
    assert (line.shown, [one["name"] for one in file.files]) == ("Took in 2 documents.", ["log.csv"])


async def test_a_long_silent_command_shows_a_sign_of_life(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = asyncio.Event()

    async def slow(_: Context, __: str) -> Reply:
        await go_on.wait()
        return Reply("Here it is.")

    budget.script = slow
    await slack.command("/budget", "", "bob", "general")
    await slack.until(lambda: slack.whispers("bob") == ["I am on it…"])
    go_on.set()
    await slack.until(lambda: slack.whispers("bob") == ["I am on it…", "Here it is."])


async def test_what_takes_longer_than_half_an_hour_still_finds_its_asker(budget: Scripted) -> None:
    skipped, go_on = [0.0], asyncio.Event()

    async def slow(_: Context, __: str) -> Reply:
        await go_on.wait()
        return Reply("Here it is.")

    budget.script = slow
    double = SlackDouble(**installed(), clock=lambda: time.monotonic() + skipped[0])
    async with double as slack, serving(slack, ScriptedDispatcher()):
        for channel in ("general", "random"):
            await slack.command("/budget", "", "bob", channel)
        await slack.until(lambda: len(budget.seen) == 2)
        skipped[0] = 1900.0
        go_on.set()
        await slack.until(lambda: "Here it is." in slack.whispers("bob"))
        await slack.until(lambda: "Here it is." in [said.shown for said in slack.messages("D0BOB")])


async def test_a_command_cut_off_by_a_restart_says_so(slack: SlackDouble, budget: Scripted) -> None:
    async def endless(context: Context, _: str) -> Reply:
        await context.update("1 of 2 documents")
        await asyncio.sleep(3600)
        raise AssertionError

    budget.script = endless
    async with serving(slack, ScriptedDispatcher()):
        asked = await slack.say("general", "bob", f"{slack.bot} budget")
        await slack.until(lambda: slack.replies(asked))
    assert slack.whispers("bob") == ["I was restarted in the middle of this. Please run it again."]
    assert slack.replies(asked) == []


async def test_slacks_own_stop_button_is_the_stop_command(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str | None, str]] = []

    async def stop(context: Context, _: str) -> Reply:
        seen.append((context.thread_id, context.author.name))
        return Reply("Stopped.")

    known = {**commands.COMMANDS, "stop": Command("stop", "stops", "", stop)}
    monkeypatch.setattr(commands, "COMMANDS", known)
    question = await slack.say("general", "alice", f"{slack.bot} a long story, please")
    await slack.press_slacks_stop(question, "alice")
    await slack.until(lambda: slack.whispers("alice"))
    assert seen == [(question.ts, "alice")]
