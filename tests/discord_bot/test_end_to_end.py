"""End to end: the real library over real sockets, the real engine, a real PostgreSQL, with and without a model."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import discord as discord_py
import pytest

from bot.app import App, open_app
from bot.commands.ask import NullSurface
from bot.engine.ports.surface import Surface
from bot.jobs import working
from bot.platforms.discord.app import serve
from bot.platforms.discord.context_menus import forget
from bot.platforms.discord.render import custom_id
from bot.types.audience import MEMBERS
from bot.types.conversation import LOCAL_TENANT, Author, Incoming, ThreadKey
from bot.types.turns import Turn
from tests.discord_bot.conftest import FAST_LIMITS, settings_for
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_models import Channel, Message, User
from tests.doubles.models import ModelDouble, Reply

LEAVE = """# Leave

## Paid leave

Everybody at Lanternfish has 30 days of paid leave a year. Interns have 20 days of paid leave.

## Parental leave

Parents take 16 weeks of parental leave at full pay. It can be split into two parts.

# Expenses

Travel is booked through the portal. Meals on a journey are paid up to 40 euros a day, with receipts.
"""


@pytest.fixture
async def discord() -> AsyncIterator[DiscordDouble]:
    async with DiscordDouble(limits=FAST_LIMITS) as double:
        double.channel("general")
        yield double
    assert double.violations == []
    assert [refusal for refusal in double.rest.refusals if refusal[2] in (401, 403, 429)] == []


@contextlib.asynccontextmanager
async def running(
    discord: DiscordDouble, database_url: str, folder: Path, models: ModelDouble | None = None, **more: object
) -> AsyncIterator[App]:
    """Run the application with Discord connected; stop it as the process does."""
    settings = settings_for(
        discord,
        database_url=database_url,
        data_dir=folder,
        anthropic_api_key=models.anthropic_key if models else None,
        anthropic_base_url=models.anthropic_url if models else None,
        openai_api_key=models.openai_key if models else None,
        openai_base_url=models.openai_url if models else None,
        reranker="none",
        home=("auto",),
        **{"answer_tokens": 4000, **more},
        **({"embedding_model": "text-embedding-3-small"} if models else {}),
    )
    async with open_app(settings) as app, working(app.services):
        serving = asyncio.create_task(serve(app.dispatcher, app.services, settings, notice_seconds=0.1))
        try:
            await discord.connected(serving)
            yield app
        finally:
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving


def finished(discord: DiscordDouble, place: Channel | Message | int) -> list[Message]:
    """Return the finished answers: those with a thumb button."""
    return [message for message in discord.answers(place) if "👍" in message.buttons()]


def is_shown(message: Message | None) -> bool:
    return message is not None and not message.loading


async def ingest(discord: DiscordDouble, general: Channel, boss: User) -> Message:
    asked = await discord.slash(
        "ingest", user=boss, channel=general, file=("leave.md", "text/markdown", LEAVE.encode())
    )
    public: Callable[[], list[Message]] = lambda: [one for one in discord.answers(general) if not one.ephemeral]  # noqa: E731
    await discord.until(lambda: public() and is_shown(asked.response))
    return public()[0]


async def test_a_team_uses_the_bot(discord: DiscordDouble, database_url: str, tmp_path: Path) -> None:
    general, ada, boss = discord.channel("general"), discord.user("Ada"), discord.user("Boss", admin=True)
    async with running(discord, database_url, tmp_path):
        added = await ingest(discord, general, boss)
        assert "1 document" in added.content

        asked = await discord.say(general, ada, f"{discord.bot.mention} how many days of paid leave do I have?")
        await discord.redeliver(asked)
        await discord.until(lambda: finished(discord, asked))
        (answer,) = discord.answers(asked)
        assert "30 days of paid leave" in answer.content
        assert "[1]" in answer.content
        assert "leave.md" in answer.embed_text() or "Leave" in answer.embed_text()
        assert "30 days of paid leave" in answer.embed_text()
        assert answer.edits >= 1

        thread = discord.thread(asked)
        assert thread is not None
        await discord.say(thread, discord.user("Bob"), "and how many weeks of parental leave?")
        await discord.until(lambda: len(finished(discord, asked)) == 2)
        assert "16 weeks" in discord.answers(asked)[1].content

        private = await discord.dm(ada, "how much do you pay for meals on a journey?")
        await discord.until(lambda: finished(discord, private.channel_id))
        assert "40 euros" in discord.answers(private.channel_id)[0].content

        budget = await discord.slash("budget show", user=ada, channel=general)
        await discord.until(lambda: is_shown(budget.response))
        assert budget.response is not None
        assert "200,000" in budget.response.content

        offered = await discord.suggestions("docs show", "document", "leav", user=ada, channel=general)
        assert [name for name in offered if "leave.md" in name] == list(offered)
        (document,) = offered.values()
        shown = await discord.slash("docs show", {"document": document}, user=ada, channel=general)
        await discord.until(lambda: is_shown(shown.response))
        assert shown.response is not None
        assert "Everybody at Lanternfish" in shown.response.content

        why = await discord.click("Why?", answer, ada)
        await discord.until(lambda: is_shown(why.response))
        assert why.response is not None
        assert "paid leave" in why.response.content

        sources = await discord.click("Sources", answer, discord.user("Bob"))
        await discord.until(lambda: is_shown(sources.response))
        assert sources.response is not None
        assert sources.response.ephemeral
        assert "**Everybody at Lanternfish has 30 days of paid leave a year.** Interns" in sources.response.content

        await discord.click("👎", answer, ada)
        await discord.click("Ask again", answer, ada)
        await discord.until(lambda: len(finished(discord, asked)) == 3)

        await discord.say(thread, ada, f"{discord.bot.mention} stop")
        await discord.until(lambda: len([one for one in discord.answers(asked) if not one.ephemeral]) == 4)
        assert "Stop" not in " ".join(label for one in discord.answers(asked) for label in one.buttons())
    print(discord.transcript())


STEPS = "\n".join(
    f"{number}. Step {number} of the way to book a journey, told at some length. [1]" for number in range(40)
)
CODE = "\n".join(["book('a journey')"] * 60)
LONG = f"""Travel is booked through the portal [1].

{STEPS}

```python
{CODE}
```

See https://evil.example/steal?q=secret for more.
"""


@pytest.fixture
async def models() -> AsyncIterator[ModelDouble]:
    async with ModelDouble() as double:
        yield double


async def test_a_long_answer_is_shown_in_full_and_the_next_one_is_stopped(
    discord: DiscordDouble, models: ModelDouble, database_url: str, tmp_path: Path
) -> None:
    general, ada = discord.channel("general"), discord.user("Ada")
    async with running(discord, database_url, tmp_path, models):
        await ingest(discord, general, ada)
        models.script = lambda seen: Reply(LONG, piece=60, pause=0.03)
        asked = await discord.say(general, ada, f"{discord.bot.mention} how is travel booked?")
        await discord.until(lambda: finished(discord, asked))
        assert_complete(discord.answers(asked))

        models.script = lambda seen: Reply(LONG, piece=20, after=20, held=asyncio.Event())
        again = await discord.say(general, ada, f"{discord.bot.mention} how are journeys paid for?")
        await discord.until(lambda: any("portal" in message.content for message in discord.answers(again)))
        await discord.click("Stop", discord.answers(again)[0], ada)
        await discord.until(lambda: "Ask again" in discord.answers(again)[0].buttons())
        await asyncio.wait_for(models.requests[-1].closed.wait(), 60)
    print(discord.transcript())
    (stopped,) = discord.answers(again)
    assert "Travel is booked through the portal" in stopped.content
    assert "Step 39" not in stopped.content
    assert "Stop" not in stopped.buttons()


def assert_complete(answers: list[Message]) -> None:
    """Assert that no text is lost or split badly between messages, and that only the last one has buttons."""
    text = "\n".join(message.content for message in answers)
    assert len(answers) >= 3
    assert answers[0].edits >= 2
    assert all(message.content.count("```") % 2 == 0 for message in answers)
    assert [f"Step {number} " in text for number in range(40)] == [True] * 40
    assert text.count("book('a journey')") == 60
    assert "`https://evil.example/steal?q=secret`" in text
    assert [bool(message.components) for message in answers] == [False] * (len(answers) - 1) + [True]


async def test_after_a_restart_an_answer_continues_in_the_same_message(
    discord: DiscordDouble, models: ModelDouble, database_url: str, tmp_path: Path
) -> None:
    general, ada = discord.channel("general"), discord.user("Ada")
    async with running(discord, database_url, tmp_path, models) as app:
        await ingest(discord, general, ada)
        models.script = lambda seen: Reply(LONG, piece=20, after=20, held=asyncio.Event())
        asked = await discord.say(general, ada, f"{discord.bot.mention} how is travel booked?")
        await discord.until(lambda: any("portal" in message.content for message in discord.answers(asked)))
        await app.dispatcher.close(grace=0.0)
    models.script = lambda seen: Reply("Travel is booked through the portal [1].")
    async with running(discord, database_url, tmp_path, models):
        await discord.until(lambda: finished(discord, asked))
    print(discord.transcript())
    (answer,) = discord.answers(asked)
    assert answer.content == "Travel is booked through the portal [1]."


async def test_forgetting_a_private_answer_leaves_the_other_private_questions(
    discord: DiscordDouble, database_url: str, tmp_path: Path
) -> None:
    settings = settings_for(discord, database_url=database_url, data_dir=tmp_path, reranker="none")
    async with open_app(settings) as app:
        asked = []
        for person in ("1", "2"):
            thread = ThreadKey(LOCAL_TENANT, "discord", "7", f"ask:{person}")
            author, now = Author(person, person), datetime.now(UTC)
            incoming = Incoming(thread, f"ask:{person}", author, "why?", "ask", now, audience=MEMBERS)
            asked.append(await app.dispatcher.accept(incoming))
        mine, other = (turn for turn in asked if turn is not None)
        button: Any = {"type": 2, "style": 2, "label": "Up", "custom_id": custom_id("up", mine.id)}
        row = SimpleNamespace(components=[discord_py.ActionRow({"type": 1, "components": [button]})])
        message = cast(discord_py.Message, row)

        def no_surface(turn: Turn) -> Surface:
            return NullSurface()

        await forget(app.dispatcher, app.services, mine.thread, mine.author, message, no_surface)
        questions = [await app.services.stores.inbox.turn(LOCAL_TENANT, turn.id) for turn in (mine, other)]
        assert [turn.question for turn in questions if turn] == ["", "why?"]
