"""The ``parley init`` command: asks for what Parley needs, checks each answer at once, and writes ``.env``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import click

from bot import env_file
from bot.cli import user_messages
from bot.cli.command_runtime import explain, run, settings
from bot.cli.output import ask, confirm, echo, echo_prose
from bot.config import environment_name
from bot.errors import ConfigError, UsageError
from bot.types.checks import Check


@dataclass(frozen=True, slots=True)
class Question:
    """A setting to ask for, by its field. ``secret`` hides what is typed; ``after`` is asked only if that is set."""

    field: str
    secret: bool = True
    after: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """Questions that are checked together. ``part`` names the checks of ``parley doctor``."""

    part: str
    questions: tuple[Question, ...]


STEPS = (
    Step("database", (Question("database_url"),)),
    Step(
        "models",
        (
            Question("anthropic_api_key"),
            Question("openai_api_key"),
            Question("openai_base_url", secret=False),
            Question("cheap_model", secret=False, after="openai_base_url"),
        ),
    ),
    Step("slack", (Question("slack_bot_token"), Question("slack_app_token", after="slack_bot_token"))),
    Step("discord", (Question("discord_token"),)),
)


@click.command()
def init() -> None:
    """Ask for keys, database and tokens, check them, and write them to .env.

    Press Enter to leave a setting as it is. Nothing that you type for a secret is shown.
    """
    if not sys.stdin.isatty():
        raise UsageError(user_messages.INIT_NEEDS_TERMINAL)
    in_file = set(env_file.read())
    echo_prose(user_messages.INIT_INTRO)
    given: dict[str, str] = {}
    for step in STEPS:
        given |= _answered(step, given, in_file)
    if not given:
        echo_prose(user_messages.NOTHING_WRITTEN)
        return
    env_file.write({environment_name(field): value for field, value in given.items()})
    echo_prose(user_messages.settings_written(len(given)))


def _answered(step: Step, given: Mapping[str, str], in_file: set[str]) -> dict[str, str]:
    """Ask the questions of a step until its checks pass, or until the answers are kept as they are."""
    echo()
    echo_prose(user_messages.INIT_STEPS[step.part])
    while True:
        answers = _ask(step, in_file)
        passed = _show(run(_checks(step.part, {**given, **answers})))
        if passed or not confirm(user_messages.TRY_AGAIN, default=True):
            return answers


def _ask(step: Step, in_file: set[str]) -> dict[str, str]:
    answers: dict[str, str] = {}
    for question in step.questions:
        name = environment_name(question.field)
        if question.after and not answers.get(question.after):
            continue
        if os.environ.get(name):
            echo_prose(user_messages.in_environment(name))
            continue
        if answer := ask(user_messages.setting_prompt(name, is_set=name in in_file), secret=question.secret).strip():
            answers[question.field] = answer
    return answers


async def _checks(part: str, given: Mapping[str, str]) -> list[Check]:
    """Check a part with the settings as they would be. Never raises."""
    from bot.doctor import check_part

    try:
        loaded = settings(**given)
    except ConfigError as error:
        return [Check.failed("settings", explain(error))]
    return await check_part(part, loaded)


def _show(checks: list[Check]) -> bool:
    """Print the checks. Return whether all passed."""
    echo(user_messages.checks(map(asdict, checks)))
    return all(check.ok for check in checks)


COMMANDS = (init,)
