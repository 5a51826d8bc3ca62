"""``/quiet`` and ``/listen`` in a thread."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.app import App
from bot.commands import registry as commands
from bot.errors import UsageError
from bot.types.audience import MEMBERS
from bot.types.conversation import LOCAL_TENANT, Incoming, ThreadKey
from tests.commands.test_commands import ANN, NOW, by

THREAD = ThreadKey(LOCAL_TENANT, "slack", "C1", "1.0")


async def test_a_quiet_thread_is_followed_again_after_listen(app: App) -> None:
    asked = Incoming(THREAD, "1.0", ANN, "How many days off?", "mention", NOW, audience=MEMBERS)
    with pytest.raises(UsageError, match="do not follow"):
        await commands.run("quiet", "", by(app))
    assert await app.services.dispatcher.accept(asked) is not None
    assert await app.services.dispatcher.follows(THREAD)
    assert "only when you mention me" in (await commands.run("quiet", "", by(app))).text
    assert not await app.services.dispatcher.follows(THREAD)
    assert await app.services.dispatcher.accept(replace(asked, message_id="2.0")) is not None, "a mention is answered"
    assert not await app.services.dispatcher.follows(THREAD), "a mention does not end it"
    await commands.run("listen", "", by(app))
    assert await app.services.dispatcher.follows(THREAD)


async def test_quiet_is_for_threads(app: App) -> None:
    with pytest.raises(UsageError, match="in a thread"):
        await commands.run("quiet", "", replace(by(app), thread_id=None))
    assert commands.match("quiet") == ("quiet", "")
    assert commands.match("listen") == ("listen", "")
    assert commands.match("quiet hours?") is None
