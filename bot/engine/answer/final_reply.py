"""Builds the final content of a reply from the outcome of its turn, and shows it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from bot.engine import user_messages
from bot.engine.display.stream import Display
from bot.engine.ports.llm import LLM
from bot.errors import ParleyError, SurfaceError
from bot.types.display import Action, FinalReply
from bot.types.turns import Outcome, TurnState

log = logging.getLogger(__name__)

ACTIONS_AFTER_FAILURE: tuple[Action, ...] = ("again", "why")


def stronger_model(llm: LLM) -> str | None:
    """Return the name of the stronger model; None if both tiers use the same one, as they do without a model."""
    strong = llm.model("strong")
    return None if strong == llm.model("cheap") else strong


def final_reply(outcome: Outcome, notes: Sequence[str], *, strong_model: str | None) -> FinalReply:
    """Return the final texts and buttons of a turn. ``strong_model`` is the result of ``stronger_model``."""
    return FinalReply(_text(outcome), outcome.citations, tuple(notes), _actions(outcome, strong_model))


def answer_text(answer: str, state: TurnState) -> str:
    """Return the text to show for an answer, live or stored: a stopped one says that it is not complete."""
    return f"{answer}\n\n{user_messages.STOPPED}".strip() if state == "cancelled" else answer


async def show_final(display: Display, reply: FinalReply, turn_id: str) -> None:
    """Show the reply; raises the errors of ``Display.close``.

    If a mistake in the program prevents that, say so in its place and raise SurfaceError: a later try would fail too.
    """
    try:
        await display.close(reply.text, sources=reply.sources, notes=reply.notes, actions=reply.actions)
    except ParleyError:
        raise
    except Exception as error:
        log.exception("the final text of turn %s could not be shown", turn_id)
        await display.close(user_messages.failed(user_messages.BROKEN, turn_id), actions=ACTIONS_AFTER_FAILURE)
        raise SurfaceError(user_messages.BROKEN) from error


def _text(outcome: Outcome) -> str:
    if outcome.refused is not None:
        refused = outcome.state == "refused"
        return outcome.refused if refused else user_messages.failed(outcome.refused, outcome.turn_id)
    return answer_text(outcome.answer, outcome.state)


def _actions(outcome: Outcome, strong_model: str | None) -> tuple[Action, ...]:
    if outcome.state != "done":
        return ACTIONS_AFTER_FAILURE
    answered_by = None if outcome.cached or outcome.route is None else outcome.route.model
    return actions_after_answer(bool(outcome.citations), answered_by=answered_by, strong_model=strong_model)


def actions_after_answer(cites: bool, *, answered_by: str | None, strong_model: str | None) -> tuple[Action, ...]:
    """Return the buttons under an answer. The stronger model is offered if there is one that has not answered yet.

    ``answered_by`` is the model that answered; None if the answer was stored before.
    """
    sources: tuple[Action, ...] = ("sources",) if cites else ()
    stronger: tuple[Action, ...] = ("strong",) if strong_model not in (None, answered_by) else ()
    return (*sources, "why", "up", "down", "again", *stronger)
