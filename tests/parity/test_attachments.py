"""Files attached to a question, on both platforms: quoted and named without a model, and read by a model."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import docx
import openpyxl
import pytest

from tests.discord_bot import test_end_to_end as on_discord
from tests.discord_bot.conftest import FAST_LIMITS
from tests.doubles.discord import DiscordDouble
from tests.doubles.models import ModelDouble, Reply
from tests.doubles.slack import SlackDouble
from tests.knowledge.parsing.test_formats import pdf
from tests.slack import test_end_to_end as on_slack
from tests.slack.conftest import installed
from tests.slack.test_attachments import png

File = tuple[str, str, bytes]


def letter() -> bytes:
    document, out = docx.Document(), io.BytesIO()
    document.add_heading("Contract", 1)
    document.add_paragraph("The notice period is three months to the end of a quarter.")
    document.save(out)
    return out.getvalue()


def workbook() -> bytes:
    book, out = openpyxl.Workbook(), io.BytesIO()
    sheet = book.active
    assert sheet is not None
    for row in (("City", "Limit"), ("Ghent", 140), ("London", 220)):
        sheet.append(row)
    book.save(out)
    return out.getvalue()


FILES: Sequence[tuple[str, File, str]] = (
    ("who signs for the budget?", ("plan.md", "text/markdown", b"# Plan\n\nAda signs for the budget.\n"), "Ada signs"),
    ("when does the lift stop?", ("lift.pdf", "application/pdf", pdf("The lift stops at ten.")), "lift stops at ten"),
    ("how long is the notice period?", ("contract.docx", "", letter()), "three months"),
    ("what is the limit in London?", ("limits.xlsx", "", workbook()), "220"),
    ("what does the red bicycle cost?", ("bicycles.csv", "text/csv", b"Bicycle,Cost\nred,410\nblue,380\n"), "410"),
    ("which port does the server use?", ("server.json", "application/json", b'{"server": {"port": 8443}}'), "8443"),
)
BROKEN: File = ("broken.pdf", "application/pdf", b"%PDF-1.7 and nothing else")
LARGE: File = ("large.txt", "text/plain", b"many words " * 110_000)


class Platform(Protocol):
    async def ask(self, text: str, files: Sequence[File], direct: bool = False) -> str:
        """Ask, and return the finished answer: text, sources and small print."""


@dataclass
class Slack:
    slack: SlackDouble

    async def ask(self, text: str, files: Sequence[File], direct: bool = False) -> str:
        slack, sent = self.slack, [(name, data, kind) for name, kind, data in files]
        if direct:
            asked = await slack.say(slack.world.direct(slack.user_id("alice")).id, "alice", text, files=sent)
        else:
            asked = await slack.say("general", "alice", f"{slack.bot} {text}", files=sent)
        await slack.until(lambda: on_slack.finished(slack, asked))
        (answer,) = slack.replies(asked)
        return answer.shown


@dataclass
class Discord:
    discord: DiscordDouble

    async def ask(self, text: str, files: Sequence[File], direct: bool = False) -> str:
        discord, ada = self.discord, self.discord.user("Ada")
        if direct:
            asked = await discord.say(discord.world.dm(ada), ada, text, attachments=tuple(files))
            place, before = asked.channel_id, 0
        else:
            said = f"{discord.bot.mention} {text}"
            asked = await discord.say(discord.channel("general"), ada, said, attachments=tuple(files))
            place, before = asked.id, 0
        await discord.until(lambda: len(on_discord.finished(discord, place)) > before)
        answer = on_discord.finished(discord, place)[-1]
        return f"{answer.content}\n{answer.embed_text()}"


@asynccontextmanager
async def running_app(
    platform: str, database_url: str, folder: Path, models: ModelDouble | None = None
) -> AsyncIterator[Platform]:
    """Run the application on a platform, without documents, and without a model unless one is given."""
    keys = {"anthropic_api_key": models.anthropic_key, "anthropic_base_url": models.anthropic_url} if models else {}
    async with AsyncExitStack() as stack:
        if platform == "slack":
            slack = await stack.enter_async_context(SlackDouble(**installed()))
            await stack.enter_async_context(on_slack.running(slack, database_url, folder, max_file_mb=1, **keys))
            yield Slack(slack)
        else:
            discord = await stack.enter_async_context(DiscordDouble(limits=FAST_LIMITS))
            discord.channel("general")
            await stack.enter_async_context(on_discord.running(discord, database_url, folder, models, max_file_mb=1))
            yield Discord(discord)


@pytest.mark.parametrize("platform", ["slack", "discord"])
async def test_attached_files_are_quoted_and_named(platform: str, database_url: str, tmp_path: Path) -> None:
    async with running_app(platform, database_url, tmp_path) as chat:
        for question, file, words in FILES:
            answer = await chat.ask(question, [file])
            text, _, sources = answer.partition("[1]")
            assert words in text, answer
            assert file[0] in sources, answer

        both = await chat.ask("what is the limit in London, and who signs for the budget?", [FILES[0][1], FILES[3][1]])
        assert "Ada signs" in both
        assert "220" in both
        assert "plan.md" in both.partition("[1]")[2]
        assert "limits.xlsx" in both.partition("[1]")[2]

        mixed = await chat.ask("who signs for the budget?", [BROKEN, LARGE, FILES[0][1]])
        assert "Ada signs" in mixed
        assert "broken.pdf could not be read: it is damaged" in mixed
        assert "large.txt could not be read: it is larger than 1 MB." in mixed

        nothing = await chat.ask("how tall is the tower?", [FILES[0][1]])
        assert "I found nothing about this in plan.md." in nothing
        without_text = await chat.ask("", [FILES[0][1]], direct=True)
        assert "Ada signs for the budget." in without_text


@pytest.mark.parametrize("platform", ["slack", "discord"])
async def test_a_model_sees_the_image_and_reads_the_file(platform: str, database_url: str, tmp_path: Path) -> None:
    async with ModelDouble() as models:
        models.script = lambda seen: Reply("It is red, and Ada signs.")
        async with running_app(platform, database_url, tmp_path, models) as chat:
            answer = await chat.ask(
                "what colour is it, and who signs?", [("bike.png", "image/png", png()), FILES[0][1]]
            )
        assert "It is red, and Ada signs." in answer
        (asked,) = [one for one in models.requests if one.messages and "what colour" in one.messages[-1][1]]
        content = asked.body["messages"][-1]["content"]
        (image,) = [block for block in content if block["type"] == "image"]
        assert base64.b64decode(image["source"]["data"]) == png()
        assert ' name="plan.md">' in asked.messages[-1][1]
