"""Draws the documentation's pictures of Slack, Discord and the playground.

    python -m benchmarks.pictures FOLDER

Slack: the real display and surface write answers into the project's double of Slack. Discord: the adapter renders the
messages. Both platforms are drawn as HTML that looks similar. The playground is a screenshot of the real page;
``playground.png`` goes into FOLDER's parent, next to the documents. Needs Chromium with its driver.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
from PIL import Image, ImageChops
from slack_sdk.web.async_client import AsyncWebClient

from benchmarks.pictures import discord_html, playground, replies, slack_html
from bot.commands.base import Reply
from bot.engine import user_messages
from bot.engine.display.stream import STOP, Display
from bot.engine.markdown import split
from bot.errors import OverBudget
from bot.platforms.discord import render as discord_render
from bot.platforms.discord.surface import LIMITS as DISCORD_LIMITS
from bot.platforms.slack import modals as slack_modals
from bot.platforms.slack import render as slack_render
from bot.platforms.slack.stream_policy import StreamPolicy
from bot.platforms.slack.surface import LIMITS, SlackSurface
from bot.types.display import Action, Citation, Part
from bot.types.usage import BudgetState
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import TEAM, Message

WIDTH, HEIGHT = 640, 1600
COLORS = 128
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
AFTER: tuple[Action, ...] = ("sources", "why", "up", "down", "again", "strong")

QUESTION = "how many days of leave do I have, and who signs?"
ANSWER = """Everybody has **30 days** of paid leave a year [1]; interns have 20 [1].

- Ask for it two weeks ahead.
- Your lead signs, and *people operations* enter it [2].

```sh
leave request --from 2026-12-21 --days 5
```"""
HANDBOOK = "https://handbook.example/leave"
CITED = (
    Citation(
        1, HANDBOOK, "Leave", "Everybody has 30 days of paid leave a year. Interns have 20.", heading=("Paid leave",)
    ),
    Citation(2, "handbook.pdf", "Handbook", "Leave is signed by the lead and entered by people operations.", page=12),
)
RELEASE_QUESTION = "how do we release?"
RELEASE = (
    "A release runs 25 steps in order [1]. Each step waits until the servers are healthy [2].\n\n```python\n"
    + "\n".join(f"release.step({n}, wait={n * 5})  # stage {n}" for n in range(1, 26))
)
RELEASE_CITED = (
    Citation(
        1,
        "https://handbook.example/release",
        "Release process",
        "A release runs 25 steps in order.",
        heading=("Steps",),
    ),
    Citation(2, "runbook.pdf", "Runbook", "Each step waits until the servers are healthy.", page=4),
)
PART_CHARS = 500
"""Message length at which the answer is split in the pictures. The platforms accept longer messages."""
READING = ("crawl:https://handbook.example/: 142 pages, 12 more found, 2 failed", "1f2e3d4c")
REPLIES = {
    "costs": replies.costs_by_model,
    "chart": replies.costs_chart,
    "why": replies.answer_trace,
    "sources": replies.cited_passages,
    "settings": replies.channel_settings,
}


async def slack_scenes() -> dict[str, str]:
    """Return the HTML of each Slack picture by name."""
    async with SlackDouble() as slack, aiohttp.ClientSession() as session:
        client = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url, session=session, retry_handlers=[])
        draft, answer = await _answered(slack, client, QUESTION, ANSWER)
        refusal = user_messages.over_budget(_spent(), datetime.now(UTC))
        _, refused = await _answered(slack, client, "and in 2025?", refusal, actions=("again", "why"), cited=())
        _, *parts = await _answered(
            slack, client, RELEASE_QUESTION, RELEASE, cited=RELEASE_CITED, message_chars=PART_CHARS
        )
    asked = slack_html.message([], who="alice", person=True, text=f"@Parley {QUESTION}")
    return {
        "slack-draft": asked + draft,
        "slack-answer": asked + answer,
        "slack-refusal": slack_html.message([], who="bob", person=True, text="and in 2025?") + refused,
        "slack-parts": "".join(parts),
        "slack-reading": slack_html.message(slack_render.progress(*READING)["blocks"]),
        **{f"slack-{name}": _slack(made()) for name, made in REPLIES.items()},
        "slack-reason": slack_html.modal(slack_modals.reason_view("t", "C", "1.0")),
        "slack-about": slack_html.modal(slack_modals.about_view("about", {"said": "The printer is on fire again."})),
    }


def _slack(reply: Reply) -> str:
    files = [slack_html.file(file) for file in slack_render.files(reply)]
    return slack_html.message(slack_render.reply(reply)["blocks"]) + "".join(files)


async def _answered(
    slack: SlackDouble,
    client: AsyncWebClient,
    question: str,
    text: str,
    *,
    actions: Sequence[Action] = AFTER,
    cited: Sequence[Citation] = CITED,
    message_chars: int = LIMITS.message_chars,
) -> list[str]:
    """Return the messages of an answer as HTML: first the half-written draft, then every final message."""
    asked = await slack.say("general", "alice", question)

    async def team(user_id: str) -> str:
        return TEAM

    async def record(index: int, ref: str | None, *, replaced: str | None = None) -> None:
        return None

    surface = SlackSurface(
        client,
        asked.channel,
        asked.ts,
        streams=StreamPolicy("everywhere", team),
        asker=asked.user,
        limits=replace(LIMITS, message_chars=message_chars, edit_interval=0.05),
    )
    async with Display(surface, turn_id=f"turn-{asked.ts}", record=record) as display:
        await display.open(user_messages.SEARCHING)
        display.show(text[: len(text) // 2])
        await asyncio.sleep(0.5)
        draft = slack_html.message(slack.replies(asked)[0].now.blocks)
        await display.close(text, sources=cited, actions=actions)
    messages: list[Message] = slack.replies(asked)
    return [draft, *(slack_html.message(message.now.blocks) for message in messages)]


async def discord_scenes() -> dict[str, str]:
    """Return the HTML of each Discord picture by name."""
    asked = discord_html.message(f"@Parley {QUESTION}", who="alice", person=True)
    draft = Part(ANSWER.split("\n\n")[0] + "\n\n- Ask for it two weeks ahead.", "n", "turn-1", actions=STOP)
    notes = (user_messages.budget_warning(_nearly_spent(), datetime.now(UTC)),)
    answer = Part(ANSWER, "n", "turn-1", final=True, sources=CITED, notes=notes, actions=AFTER)
    cut = split(RELEASE, PART_CHARS, DISCORD_LIMITS.max_parts).parts
    parts = [Part(text, "n", "turn-1", final=True) for text in cut]
    parts[-1] = replace(parts[-1], sources=RELEASE_CITED, actions=AFTER)
    halt = discord_render.stop_ingestion_view(READING[1])
    assert halt is not None
    return {
        "discord-draft": asked + _discord(discord_render.part(draft)),
        "discord-answer": asked + _discord(discord_render.part(answer)),
        "discord-parts": "".join(_discord(discord_render.part(one)) for one in parts),
        "discord-reading": discord_html.message(READING[0], (), halt.to_components()),
        **{f"discord-{name}": _discord(discord_render.reply(made())) for name, made in REPLIES.items()},
    }


def _discord(shown: discord_render.Shown) -> str:
    view = discord_render.view(shown.buttons)
    embeds = [shown.embed.to_dict()] if shown.embed else []
    return discord_html.message(shown.content, embeds, view.to_components() if view else [], shown.files)


def _nearly_spent() -> BudgetState:
    return BudgetState(used=164_000, reserved=0, limit=200_000, resets_at=datetime.now(UTC) + timedelta(hours=5))


def _spent() -> OverBudget:
    return OverBudget("spent", used=199_204, limit=200_000, resets_at=datetime.now(UTC) + timedelta(hours=5))


def draw(chromium: str, page: str, style: str, target: Path) -> None:
    """Take a screenshot of a page and crop the empty space below its content."""
    with tempfile.TemporaryDirectory() as folder:
        source, shot = Path(folder) / "page.html", Path(folder) / "shot.png"
        source.write_text(f'<!doctype html><meta charset="utf-8"><style>{style}</style>{page}', encoding="utf-8")
        command = [chromium, "--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu"]
        command += [f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={shot}", f"--user-data-dir={folder}/profile"]
        subprocess.run([*command, source.as_uri()], check=True, capture_output=True, timeout=60)
        image = Image.open(shot).convert("RGB")
        empty = Image.new("RGB", image.size, image.getpixel((WIDTH - 1, HEIGHT - 1)))
        box = ImageChops.difference(image, empty).getbbox() or (0, 0, *image.size)
        cropped = image.crop((0, 0, WIDTH, min(HEIGHT, box[3] + 12)))
        cropped.quantize(COLORS).save(target, optimize=True)


async def draw_all(chromium: str, folder: Path, main_picture: Path) -> None:
    """Draw every picture: the playground's page into ``main_picture``, and the others into the folder."""
    pages = [(slack_html.STYLE, await slack_scenes()), (discord_html.STYLE, await discord_scenes())]
    for style, scenes in pages:
        for name, page in scenes.items():
            draw(chromium, page, style, folder / f"{name}.png")
    await playground.draw(main_picture, folder)


def main() -> None:
    """Read the arguments, draw every picture, and print the file sizes."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    folder: Path = options.parse_args().folder
    chromium = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if chromium is None:
        sys.exit("Chromium is not installed, so nothing was drawn. Run: apt install chromium chromium-driver")
    folder.mkdir(parents=True, exist_ok=True)
    main_picture = folder.parent / "playground.png"
    asyncio.run(draw_all(chromium, folder, main_picture))
    for target in [main_picture, *sorted(folder.glob("*.png"))]:
        print(f"{target}: {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
