"""Slash commands with sub-commands and typed options, message context menus, and sharing private answers."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bot.commands import registry as shipped
from bot.commands.base import Command, Context, Reply
from bot.config import Settings
from bot.errors import UsageError
from bot.platforms.discord.autocomplete import within_limits
from bot.platforms.discord.command_options import FORMS, argument_line, forms
from bot.platforms.discord.slash_commands import is_synced
from tests.discord_bot.conftest import Connect, serving
from tests.discord_bot.fake_dispatcher import ScriptedDispatcher
from tests.discord_bot.test_commands import replied
from tests.discord_bot.test_conversation import answered
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_models import Channel, User


class RecordingCommands:
    """The shipped commands, but running one only records its argument line."""

    def __init__(self) -> None:
        self.COMMANDS: Mapping[str, Command] = shipped.COMMANDS
        self.lines: list[str] = []

    def match(self, text: str) -> tuple[str, str] | None:
        return shipped.match(text)

    async def run(self, name: str, args: str, ctx: Context) -> Reply:
        self.lines.append(f"{name} {args}".strip())
        return Reply("done")


async def test_forms_become_the_argument_lines_of_the_commands(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, settings: Settings, general: Channel
) -> None:
    boss, bob = discord.user("Boss", admin=True), discord.user("Bob")
    recording = RecordingCommands()
    filled: list[tuple[str, dict[str, object], str]] = [
        ("ask", {"question": "what's “leave”?"}, "ask what's “leave”?"),
        ("ingest", {"address": "https://a.example", "here": True}, "ingest --here https://a.example"),
        ("ingest", {"channel": general.id, "everybody": True}, f"ingest <#{general.id}> --tenant"),
        ("ingest", {"stop": True}, "ingest stop"),
        ("docs list", {"text": "annual leave"}, "docs list annual leave"),
        ("docs refresh", {"document": "7f", "every": "6h"}, "docs refresh 7f every 6h"),
        ("budget show", {"person": bob.id}, f"budget show <@{bob.id}>"),
        ("budget set", {"tokens": "200k", "channel": general.id}, f"budget set <#{general.id}> 200k"),
        ("budget set", {"tokens": "unlimited", "whose": "*"}, "budget set * unlimited"),
        ("costs", {"since": "7d", "by": "model", "csv": True}, "costs 7d by model csv"),
        ("costs", {"chart": True}, "costs chart"),
        ("memory forget", {"fact": "2"}, "memory forget 2"),
        ("settings persona", {"text": "It's brief"}, "settings persona It's brief"),
        ("settings sources", {"source": "a file.md"}, "settings sources 'a file.md'"),
        ("settings auto-answer", {"state": "on"}, "settings auto-answer on"),
        ("admin grant", {"person": bob.id}, f"admin grant <@{bob.id}>"),
        ("admin limit", {"tokens": "5k", "whose": "tenant"}, "admin budgets tenant 5k"),
        ("privacy erase", {}, "privacy erase me"),
        ("why", {}, "why"),
        ("sources", {}, "sources"),
    ]
    async with serving(discord, dispatcher, settings, commands=recording):
        for name, options, _ in filled:
            await replied(discord, await discord.slash(name, options, user=boss, channel=general))
    assert recording.lines == [expected for *_, expected in filled]


async def test_a_limit_without_a_subject_is_refused_with_an_explanation(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, settings: Settings, general: Channel
) -> None:
    boss, recording = discord.user("Boss", admin=True), RecordingCommands()
    async with serving(discord, dispatcher, settings, commands=recording):
        response = await replied(
            discord, await discord.slash("budget set", {"tokens": "5k"}, user=boss, channel=general)
        )
    assert response.content == "Choose whose limit to set: exactly one of person, channel and whose."
    assert response.ephemeral
    assert recording.lines == []


async def test_only_admins_are_offered_the_commands_of_admins(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, settings: Settings
) -> None:
    async with serving(discord, dispatcher, settings, commands=RecordingCommands()):
        pass
    async with serving(discord, dispatcher, settings, commands=RecordingCommands()):
        pass
    assert discord.command_syncs == 1
    limited = {one["name"] for one in discord.commands if one["default_member_permissions"] == str(1 << 5)}
    assert limited == {"admin", "costs", "feedback"}
    assert {one["name"] for one in discord.commands if one["type"] == 3} == {"Ask Parley about this", "Forget this"}


def test_every_shipped_command_has_a_form_and_every_form_a_command() -> None:
    assert set(FORMS) == set(shipped.COMMANDS)


def test_a_command_without_a_form_takes_its_argument_line_as_one_option() -> None:
    (form,) = forms(Command("new", "does something", "THING", shipped.COMMANDS["ask"].run))
    assert [(option.name, option.required) for option in form.options] == [("arguments", True)]
    assert argument_line(form, {"arguments": "two words"}) == "two words"


def test_a_limit_with_two_subjects_is_refused() -> None:
    form = next(form for form in FORMS["budget"] if form.name == "set")
    with pytest.raises(UsageError, match="whose limit"):
        argument_line(form, {"tokens": "5k", "person": "<@1>", "whose": "*"})


@pytest.mark.parametrize(
    "changed",
    [
        {"description": "other"},
        {"default_member_permissions": "32"},
        {"options": [{"name": "a", "type": 3, "description": "b", "autocomplete": True}]},
        {"options": [{"name": "a", "type": 3, "description": "b", "choices": [{"name": "x", "value": "x"}]}]},
    ],
)
def test_every_change_is_synced(changed: dict[str, object]) -> None:
    known = {"name": "x", "type": 1, "description": "d", "options": [{"name": "a", "type": 3, "description": "b"}]}
    assert is_synced([known | {"id": "1", "version": "2"}], [known])
    assert not is_synced([known], [known | changed])


def test_suggestions_fit_discords_limits() -> None:
    found = within_limits([("x" * 150, "1"), ("too long a value", "v" * 101), *((str(n), str(n)) for n in range(40))])
    assert len(found) == 25
    assert found[0] == ("x" * 99 + "…", "1")
    assert "v" * 101 not in [value for _, value in found]


# --- a misspelled command


async def test_a_misspelled_command_in_a_mention_is_reported(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    await discord.say(general, ada, f"{discord.bot.mention} /budgte")
    private = discord.world.dm(ada)
    await discord.until(lambda: discord.answers(private))
    assert discord.answers(private)[0].content == "There is no command “budgte”."
    asked = await discord.say(general, ada, f"{discord.bot.mention} /etc/hosts says what?")
    await discord.until(lambda: answered(discord, asked))
    assert [incoming.text for incoming in dispatcher.incoming] == ["/etc/hosts says what?"]


# --- private answers that are shared


async def test_a_private_answer_can_be_shared_once_even_after_a_restart(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, settings: Settings, general: Channel, ada: User
) -> None:
    async with serving(discord, dispatcher, settings):
        answer = await replied(
            discord, await discord.slash("ask", {"question": "what do I earn?"}, user=ada, channel=general)
        )
    assert answer.ephemeral
    async with serving(discord, dispatcher, settings):
        await discord.click("Share with the channel", answer, ada)
        await discord.until(lambda: answer.buttons() == {})
    (public,) = [message for message in discord.answers(general) if not message.ephemeral]
    assert public.content == "You asked: what do I earn?\n-# Ada asked this privately and shared the answer."


# --- message context menus


async def test_asking_about_a_message(discord: DiscordDouble, connect: Connect, general: Channel, ada: User) -> None:
    await connect()
    said = await discord.say(general, discord.user("Bob"), "We close at noon\non Fridays.")
    chosen = await discord.menu("Ask Parley about this", said, ada)
    await discord.until(lambda: chosen.modal)
    assert chosen.modal is not None
    shown = [field for row in chosen.modal["components"] for field in row["components"]]
    assert [field.get("value") for field in shown] == [None, "Bob: We close at noon\non Fridays."]
    submitted = await discord.submit(chosen, {"question": "Since when?", "message": shown[1]["value"]})
    response = await replied(discord, submitted)
    assert response.ephemeral
    assert response.content == (
        "You asked: Since when?\n\nThe question is about this message:\n> Bob: We close at noon\n> on Fridays."
    )


async def test_only_the_asker_and_admins_can_delete_a_question_and_its_answer(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    asked = await discord.say(general, ada, f"{discord.bot.mention} how many days of leave?")
    await discord.until(lambda: answered(discord, asked))
    (answer,) = discord.answers(asked)

    mallory = await replied(discord, await discord.menu("Forget this", answer, discord.user("Mallory")))
    assert mallory.content == "Only the asker or an admin can delete this."
    theirs = await replied(discord, await discord.menu("Forget this", asked, discord.user("Mallory")))
    assert theirs.content.startswith("There is nothing to delete for this message")
    assert (dispatcher.forgotten, dispatcher.deletions) == ([], [])

    done = await replied(discord, await discord.menu("Forget this", answer, ada))
    assert done.content.startswith("Deleted the question")
    again = await replied(discord, await discord.menu("Forget this", asked, discord.user("Boss", admin=True)))
    assert again.content.startswith("Deleted the question")
    assert dispatcher.forgotten == ["turn-1"]
    assert [message_id for _, message_id in dispatcher.deletions] == [str(asked.id)]


def test_every_form_with_a_name_is_also_a_command_when_it_is_mentioned() -> None:
    """``docs preview`` alone is one, because its words also begin questions: the preview of what?"""
    lines = {f"{name} {form.prefix} x" for name, known in FORMS.items() for form in known if form.name and form.prefix}
    assert {line for line in lines if shipped.match(line) is None} == {"docs preview x"}
