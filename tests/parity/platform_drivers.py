"""Drivers that run the same dialogs on Slack and on Discord, each through its real entry point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tests.doubles import discord_models, slack_world
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_interactions import Interaction
from tests.doubles.slack import SlackDouble


@dataclass(frozen=True)
class Shown:
    """A message of the bot: its text and the actions of its buttons."""

    text: str
    actions: tuple[str, ...]


class PlatformDriver(Protocol):
    """What users do and see. Messages are identified by the names that the dialog gives them."""

    async def say(self, name: str, who: str, text: str, *, below: str, mention: bool) -> None: ...

    async def edit(self, name: str, text: str) -> None: ...

    async def delete(self, name: str) -> None: ...

    async def press(self, who: str, action: str, below: str, at: int) -> None: ...

    async def give_reason(self, who: str, text: str) -> None: ...

    def shown(self, below: str) -> Sequence[Shown]: ...

    def private(self, who: str) -> Sequence[str]: ...

    def transcript(self) -> str: ...


@dataclass
class SlackDriver:
    """A channel of a Slack workspace."""

    slack: SlackDouble
    sent: dict[str, slack_world.Message] = field(default_factory=dict)

    async def say(self, name: str, who: str, text: str, *, below: str, mention: bool) -> None:
        people = {one: f"<@{self.slack.user_id(one)}>" for one in ("alice", "bob", "ada")}
        text = f"{self.slack.bot} {text.format(**people)}" if mention else text
        thread = self.sent[below].ts if below else None
        self.sent[name] = await self.slack.say("general", who, text, thread_ts=thread)

    async def edit(self, name: str, text: str) -> None:
        await self.slack.edit(self.sent[name], f"{self.slack.bot} {text}")

    async def delete(self, name: str) -> None:
        await self.slack.delete(self.sent[name])

    async def press(self, who: str, action: str, below: str, at: int) -> None:
        message = self._with_buttons(below)[at]
        await self.slack.click(f"parley_{action}", message, who)

    async def give_reason(self, who: str, text: str) -> None:
        await self.slack.until(lambda: self.slack.views)
        await self.slack.submit(self.slack.views[-1], {"reason": {"text": text}}, who)

    def shown(self, below: str) -> Sequence[Shown]:
        replies = self.slack.replies(self.sent[below])
        return [
            Shown(one.shown, tuple(button.removeprefix("parley_") for button in one.now.buttons)) for one in replies
        ]

    def private(self, who: str) -> Sequence[str]:
        return self.slack.ephemeral_texts(who)

    def transcript(self) -> str:
        return self.slack.transcript()

    def _with_buttons(self, below: str) -> list[slack_world.Message]:
        return [one for one in self.slack.replies(self.sent[below]) if one.now.buttons]


@dataclass
class DiscordDriver:
    """A channel of a Discord server."""

    discord: DiscordDouble
    sent: dict[str, discord_models.Message] = field(default_factory=dict)
    pressed: list[Interaction] = field(default_factory=list)

    async def say(self, name: str, who: str, text: str, *, below: str, mention: bool) -> None:
        people = {one: self._user(one).mention for one in ("alice", "bob", "ada")}
        text = f"{self.discord.bot.mention} {text.format(**people)}" if mention else text
        place = self.discord.thread(self.sent[below]) if below else self.discord.channel("general")
        assert place is not None
        self.sent[name] = await self.discord.say(place, self._user(who), text)

    async def edit(self, name: str, text: str) -> None:
        await self.discord.update(self.sent[name], {"content": f"{self.discord.bot.mention} {text}"}, [])

    async def delete(self, name: str) -> None:
        await self.discord.delete(self.sent[name])

    async def press(self, who: str, action: str, below: str, at: int) -> None:
        message = [one for one in self._answers(below) if one.components][at]
        label = next(label for label, button in message.buttons().items() if f":{action}:" in button)
        self.pressed.append(await self.discord.click(label, message, self._user(who)))

    async def give_reason(self, who: str, text: str) -> None:
        await self.discord.until(lambda: self.pressed[-1].modal)
        await self.discord.submit(self.pressed[-1], {"reason": text})

    def shown(self, below: str) -> Sequence[Shown]:
        return [
            Shown(
                f"{one.content}\n{one.embed_text()}",
                tuple(button.split(":")[1] for button in one.buttons().values()),
            )
            for one in self._answers(below)
        ]

    def private(self, who: str) -> Sequence[str]:
        person, world = self._user(who), self.discord.world
        dm = world.dm(person)
        alone = [one for place in world.channels.values() for one in place.messages.values() if one.seen_by is person]
        return [one.content for one in sorted((*self.discord.answers(dm), *alone), key=lambda one: one.id)]

    def transcript(self) -> str:
        return self.discord.transcript()

    def _user(self, name: str) -> discord_models.User:
        return self.discord.user(name, admin=name == "ada")

    def _answers(self, below: str) -> list[discord_models.Message]:
        return [one for one in self.discord.answers(self.sent[below]) if not one.ephemeral]
