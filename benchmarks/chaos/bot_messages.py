"""Reads the bot's messages from the doubles of the platforms, as users see them after a chaos run."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.chaos.simulated_users import SENTENCE, PlatformName
from bot.platforms.slack.render import nonce_of
from tests.doubles.discord import DiscordDouble
from tests.doubles.slack import SlackDouble


@dataclass(frozen=True, slots=True)
class BotMessage:
    """A message of the bot in its final state. ``place`` and ``order`` sort the messages of a thread; ``at`` is
    monotonic."""

    platform: PlatformName
    place: str
    order: int
    text: str
    draft: bool
    at: float
    reply_to: str = ""
    """ID of the message that it replies to."""
    nonce: str = ""
    """Names the turn and the number of the message in its reply; empty for what is not part of a reply."""

    @property
    def sentences(self) -> list[tuple[str, int]]:
        """Return the tag and number of every answer sentence in the message."""
        return [(tag, int(number)) for tag, number, _ in SENTENCE.findall(self.text)]


def slack_messages(slack: SlackDouble) -> list[BotMessage]:
    """Return every message of the bot that is visible to everybody."""
    found = []
    for message in slack.world.messages:
        if not message.bot_id or message.deleted or message.only_for:
            continue
        seconds, _, count = message.ts.partition(".")
        at = slack.world.created_at + message.versions[-1].at
        place = f"{message.channel}/{message.thread_ts or message.ts}"
        draft = "parley_stop" in message.now.buttons
        order, nonce = int(seconds) * 10**7 + int(count), nonce_of(message.payload())
        found.append(BotMessage("slack", place, order, message.shown, draft, at, nonce=nonce))
    return found


def discord_messages(discord: DiscordDouble) -> list[BotMessage]:
    """Return every message of the bot."""
    found = []
    for channel in discord.world.channels.values():
        for message in channel.messages.values():
            if message.author is discord.bot and not message.deleted:
                draft = any(custom_id.startswith("parley:stop:") for custom_id in message.buttons().values())
                place = f"{channel.parent_id or channel.id}/{channel.id}"
                at = message.versions[-1].at
                reply_to = str((message.reference or {}).get("message_id", ""))
                shown, nonce = message.content, message.nonce or ""
                found.append(BotMessage("discord", place, message.id, shown, draft, at, reply_to, nonce))
    return found
