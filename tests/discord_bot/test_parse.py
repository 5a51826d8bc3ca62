"""Replaces Discord's markers by readable names."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import discord
import pytest

from bot.errors import SurfaceError
from bot.platforms.discord import parse
from bot.platforms.discord.message_text import Names, with_names
from bot.types.conversation import ThreadKey

NAMES = Names(users={"5": "Bob"}, roles={"6": "ops"}, channels={"7": "general"})


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("<@1> how many days?", "how many days?"),
        ("<@!1>, how many days?", "how many days?"),
        ("how many days, <@1>?", "how many days,?"),
        ("tell <@1> how many", "tell how many"),
        ("<@&2> how many days?", "how many days?"),
        ("<@1> ask <@5> of <@&6> in <#7>", "ask @Bob of @ops in #general"),
        ("<@1> who is <@99>?", "who is @unknown-user?"),
        ("<@1> </ingest:123> <:parrot:456> <a:wave:789>", "/ingest :parrot: :wave:"),
        ("<@1>", ""),
        ("<t:1767225600> <t:1767225600:F> <t:1767225600:R>", " ".join(["2026-01-01 00:00 UTC"] * 3)),
        ("<t:1767225600:d> <t:1767225600:T> <t:9999999999999:D>", "2026-01-01 00:00:00 UTC <t:9999999999999:D>"),
        ("<@1>\nfirst line\nsecond line", "first line\nsecond line"),
    ],
)
def test_markers(written: str, read: str) -> None:
    assert with_names(parse.without_own(written, {"1", "2"}), NAMES) == read


def test_the_key_of_a_conversation() -> None:
    assert parse.workspace(9) == "discord:9"
    assert parse.workspace(None) == "discord:dm"
    assert parse.key("local", "7") == ThreadKey("local", "discord", "7", "7")
    assert parse.key("local", "7", "8").thread_id == "8"


async def test_a_file_that_discord_no_longer_has_is_an_error_of_the_platform() -> None:
    async def read() -> bytes:
        response: Any = SimpleNamespace(status=404, reason="Not Found")
        raise discord.NotFound(response, "asset not found")

    file: Any = SimpleNamespace(filename="a.md", content_type="text/plain; charset=utf-8", size=9, read=read)
    attached = parse.attachment(file, ref="1/2/3")
    assert (attached.name, attached.content_type, attached.ref) == ("a.md", "text/plain", "1/2/3")
    with pytest.raises(SurfaceError):
        await attached.read()
