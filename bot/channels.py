"""Chat channels as sources, by the name that a source was stored under: ``slack:ID``, ``discord:ID``."""

from __future__ import annotations

from bot.config import Settings
from bot.errors import ConfigError
from knowledge.errors import SourceError
from knowledge.ports import Source
from knowledge.sources import OpenChannel


def channel_opener(settings: Settings) -> OpenChannel:
    """Opens channels with the tokens of the settings; a platform's library is imported when it is first needed."""

    def open_channel(platform: str, channel_id: str) -> Source:
        try:
            if platform == "slack":
                from bot.platforms.slack.history import source as slack_source

                return slack_source(settings, channel_id)
            from bot.platforms.discord.history import source as discord_source

            return discord_source(settings, channel_id)
        except ConfigError as error:
            raise SourceError(str(error)) from None

    return open_channel
