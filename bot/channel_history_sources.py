"""Opens the history of chat channels as sources, by their stored names ``slack:ID`` and ``discord:ID``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bot.config import Settings
from bot.errors import ConfigError
from bot.store.database.session import Database
from knowledge.errors import SourceError
from knowledge.ports import Source
from knowledge.sources.source_factory import OpenChannel


def channel_opener(settings: Settings, database: Database) -> Callable[[str], OpenChannel]:
    """Return a function that returns, for a tenant's id, an opener for the channels that the tenant's token can read.

    The token is the configured one, or the one of the tenant's Slack workspace. A platform's library is imported when
    it is first needed.
    """

    def of_tenant(tenant_id: str) -> OpenChannel:
        def open_channel(platform: str, channel_id: str) -> Source:
            try:
                if platform == "slack":
                    from bot.platforms.slack.channel_history import channel_source as slack_source

                    return slack_source(settings, _slack_tokens(settings, database, tenant_id), channel_id)
                from bot.platforms.discord.channel_history import source as discord_source

                return discord_source(settings, channel_id)
            except ConfigError as error:
                raise SourceError(str(error)) from None

        return open_channel

    return of_tenant


def _slack_tokens(settings: Settings, database: Database, tenant_id: str) -> Callable[[Any], Any]:
    from bot.platforms.slack import web_client
    from bot.platforms.slack.bot_tokens import StaticToken
    from bot.platforms.slack.installation.installations import Installations, InstallationToken

    if not settings.many_workspaces:
        token, _ = web_client.configured_tokens(settings)
        return lambda _: StaticToken(token)

    def stored(session: Any) -> InstallationToken:
        installations = Installations(database, settings, web_client.tokenless_client(settings, session))
        return InstallationToken(installations, installations.of_tenant(tenant_id))

    return stored
