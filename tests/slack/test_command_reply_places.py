"""The reply of a command reaches its user although Slack refuses the first place for it."""

from __future__ import annotations

import pytest

from bot.commands.base import Context, File, Reply
from bot.platforms.slack import user_messages
from tests.doubles.slack import SlackDouble
from tests.slack.fake_dispatcher import ScriptedDispatcher
from tests.slack.test_commands import ScriptedCommand, budget, no_stored_admins

__all__ = ["budget", "no_stored_admins"]

CHART = File("costs.png", b"\x89PNG", "image/png")


async def progress_then(context: Context, reply: Reply) -> Reply:
    await context.update("1 of 2 documents", "1f2e3d4c")
    return reply


@pytest.mark.parametrize("error", ["message_not_found", "edit_window_closed", "cant_update_message", "msg_too_long"])
async def test_a_reply_whose_progress_message_cannot_be_edited_is_posted_anew(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: ScriptedCommand, error: str
) -> None:
    async def slow(context: Context, _: str) -> Reply:
        slack.fail_next("chat.update", error)
        return await progress_then(context, Reply("Added 2 documents.", private=False))

    budget.script = slow
    asked = await slack.say("general", "bob", f"{slack.bot} budget")
    await slack.until(lambda: [one.shown for one in slack.replies(asked)] == ["Added 2 documents."])


async def test_a_private_reply_is_shown_although_its_progress_message_cannot_be_deleted(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: ScriptedCommand
) -> None:
    async def slow(context: Context, _: str) -> Reply:
        slack.fail_next("chat.delete", "compliance_exports_prevent_deletion")
        return await progress_then(context, Reply("Added 2 documents."))

    budget.script = slow
    await slack.say("general", "bob", f"{slack.bot} budget")
    await slack.until(lambda: slack.ephemeral_texts("bob") == ["Added 2 documents."])


async def test_a_reply_is_shown_in_the_channel_although_its_progress_in_the_direct_message_is_gone(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: ScriptedCommand
) -> None:
    async def slow(context: Context, _: str) -> Reply:
        slack.fail_next("chat.update", "message_not_found")
        return await progress_then(context, Reply("Added 2 documents."))

    budget.script = slow
    await slack.command("/budget", "", "bob", "general")
    await slack.until(lambda: "Added 2 documents." in slack.ephemeral_texts("bob"))


@pytest.mark.parametrize("private", [True, False])
async def test_a_file_that_slack_does_not_take_is_named(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: ScriptedCommand, private: bool
) -> None:
    slack.fail_next("files.getUploadURLExternal", "file_upload_size_restricted")
    budget.answers(Reply("The costs of May.", file=CHART, private=private))
    asked = await slack.say("general", "bob", f"{slack.bot} budget")
    await slack.until(lambda: any("did not take the file" in text for text in slack.ephemeral_texts("bob")))
    shown = slack.ephemeral_texts("bob") if private else [one.shown for one in slack.replies(asked)]
    assert shown[0] == "The costs of May."
    assert "file_upload_size_restricted" in slack.ephemeral_texts("bob")[-1]


async def test_a_reply_that_slack_shows_nowhere_becomes_a_word(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, budget: ScriptedCommand
) -> None:
    for method in ("chat.postEphemeral", "chat.postEphemeral", "chat.postMessage"):
        slack.fail_next(method, "invalid_blocks")
    budget.answers(Reply("The costs of May."))
    await slack.say("general", "bob", f"{slack.bot} budget")
    await slack.until(lambda: slack.ephemeral_texts("bob") == [user_messages.NOT_SHOWN])
