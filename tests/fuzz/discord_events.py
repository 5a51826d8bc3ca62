"""Discord's gateway events in every broken form: discord.py and the bot's parsers read them, or they are left out."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import discord

from bot.commands.services import Services
from bot.config import load
from bot.engine.dispatch.dispatcher import Dispatcher
from bot.platforms.discord import buttons, message_text, parse, render
from bot.platforms.discord.client import ParleyClient
from tests.discord_bot.conftest import FakeCommands
from tests.discord_bot.fake_dispatcher import ScriptedDispatcher
from tests.doubles.discord_content import poll
from tests.doubles.discord_world import World
from tests.fuzz.mutated_json import mutations
from tests.fuzz.target import Target

Event = tuple[str, Any]

WORLD = World()
ADA, CHANNEL = WORLD.add_user("Ada"), WORLD.add_channel("general")
TENANT = "discord:home"


def _message(**more: Any) -> dict[str, Any]:
    plain = {
        "id": str(WORLD.snowflake()),
        "channel_id": str(CHANNEL.id),
        "guild_id": str(WORLD.guild_id),
        "type": 0,
        "author": ADA.payload(),
        "member": WORLD.member_payload(ADA),
        "content": f"{WORLD.bot.mention} how many days since <t:1700000000:D>, <#{CHANNEL.id}> <:e:1>?",
        "timestamp": "2026-11-02T10:00:00.000000+00:00",
        "edited_timestamp": "2026-11-02T10:01:00.000000+00:00",
        "tts": False,
        "mention_everyone": False,
        "pinned": False,
        "mentions": [WORLD.bot.payload()],
        "mention_roles": [str(WORLD.admin_role_id)],
        "attachments": [
            {
                "id": "1",
                "filename": "a.txt",
                "size": 3,
                "url": "https://c.example/a",
                "proxy_url": "https://c.example/a",
            }
        ],
        "embeds": [{"type": "rich", "title": "t", "description": "d", "fields": [{"name": "n", "value": "v"}]}],
        "sticker_items": [{"id": "3", "name": "s", "format_type": 1}],
        "components": [],
        "flags": 0,
    }
    return plain | more


_FORWARD = {"type": 0, "content": "said", "embeds": [], "attachments": [], "timestamp": "2026-11-02T10:00:00+00:00"}
_MESSAGES = [
    _message(),
    _message(poll=poll("How many?", "28", "30", votes=(3, 5))),
    _message(
        message_snapshots=[{"message": _FORWARD}], message_reference={"type": 1, "channel_id": "1", "message_id": "2"}
    ),
    _message(
        type=19,
        referenced_message=_message(author=WORLD.bot.payload()),
        message_reference={"message_id": "2", "channel_id": "1"},
    ),
]
_INTERACTION = {
    "id": str(WORLD.snowflake()),
    "application_id": str(WORLD.application_id),
    "type": 3,
    "data": {"custom_id": f"parley:why:{'t' * 32}", "component_type": 2},
    "guild_id": str(WORLD.guild_id),
    "channel_id": str(CHANNEL.id),
    "channel": CHANNEL.payload(),
    "token": "x",
    "version": 1,
    "locale": "en-US",
    "app_permissions": "8",
    "entitlements": [],
    "authorizing_integration_owners": {"0": str(WORLD.guild_id)},
    "context": 0,
    "attachment_size_limit": 1,
    "member": WORLD.member_payload(ADA) | {"user": ADA.payload(), "permissions": "8"},
    "message": _message(author=WORLD.bot.payload()),
}
_MODAL = {
    **_INTERACTION,
    "type": 5,
    "data": {
        "custom_id": f"parley:reason:{'t' * 32}",
        "components": [{"type": 1, "components": [{"type": 4, "custom_id": "reason", "value": "wrong"}]}],
    },
}
_DELETED = {"id": "5", "ids": ["5", "6"], "channel_id": str(CHANNEL.id), "guild_id": str(WORLD.guild_id)}
_THREAD = CHANNEL.payload() | {
    "id": "77",
    "type": 11,
    "parent_id": str(CHANNEL.id),
    "owner_id": str(ADA.id),
    "thread_metadata": {
        "archived": False,
        "auto_archive_duration": 60,
        "archive_timestamp": "2026-11-02T10:00:00+00:00",
    },
}


def _named(name: str) -> Callable[[Any], Event]:
    return lambda data: (name, data)


_EVENTS = (
    mutations(_MESSAGES).map(_named("MESSAGE_CREATE"))
    | mutations(_MESSAGES).map(_named("MESSAGE_UPDATE"))
    | mutations([_INTERACTION, _MODAL]).map(_named("INTERACTION_CREATE"))
    | mutations([_DELETED]).map(_named("MESSAGE_DELETE"))
    | mutations([_DELETED]).map(_named("MESSAGE_DELETE_BULK"))
    | mutations([_THREAD]).map(_named("THREAD_CREATE"))
    | mutations([CHANNEL.payload()]).map(_named("CHANNEL_UPDATE"))
    | mutations([WORLD.guild_payload(WORLD.guild_id)]).map(_named("GUILD_UPDATE"))
)


def _read(message: discord.Message) -> None:
    """Read a message in every way in which the bot reads one."""
    incoming = parse.incoming(message, message.channel, WORLD.bot.id, tenant=TENANT)
    if incoming is not None:
        assert incoming.thread.tenant_id == TENANT
        assert incoming.message_id == str(message.id)
    text = message_text.everything(message)
    message_text.beside_content(message)
    message_text.with_names(text, message_text.known_names(message, message.guild, text))
    parse.command_text(message, WORLD.bot.id)


def _read_interaction(interaction: discord.Interaction) -> None:
    parse.interaction_author(interaction, ())
    assert parse.interaction_key(interaction, TENANT).tenant_id == TENANT
    data: Any = interaction.data or {}
    render.parse_custom_id(str(data.get("custom_id", "")))
    buttons.modal_value(data, "reason")


async def _client() -> ParleyClient:
    settings = load(discord_token="simulated", home=("none",))
    scripted = ScriptedDispatcher()
    services = cast(Services, SimpleNamespace(stores=SimpleNamespace(settings=scripted)))
    return ParleyClient(cast(Dispatcher, scripted), services, settings, commands=FakeCommands())


@contextmanager
def _opened() -> Iterator[Callable[[Any], None]]:
    with asyncio.Runner() as runner:
        state: Any = runner.run(_client())._connection
        heard: list[tuple[Any, ...]] = []
        state.dispatch = lambda *event: heard.append(event)
        state._command_tree = None  # It would start a task for each command.
        state.user = discord.ClientUser(state=state, data=cast(Any, WORLD.bot.payload()))

        async def feed(name: str, data: Any) -> None:
            state.parsers[name](data)

        guild = WORLD.guild_payload(WORLD.guild_id)

        def check(event: Event) -> None:
            state.clear()
            runner.run(feed("GUILD_CREATE", copy.deepcopy(guild)))
            heard.clear()
            runner.run(feed(*event))
            for name, *arguments in heard:
                if name == "message":
                    _read(arguments[0])
                elif name == "raw_message_edit":
                    _read(arguments[0].message)
                elif name == "interaction":
                    _read_interaction(arguments[0])

        yield check


EVENTS = Target("discord-events", _EVENTS, _opened)
