"""Interactions of the Discord double: acknowledged once within 3 s, then open for edits and follow-ups."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.doubles.discord_models import EPHEMERAL, LOADING, Channel, Json, Message, User
from tests.doubles.discord_rules import (
    ApiError,
    check_choices,
    check_message,
    check_modal,
    policy_violations,
    unknown_message,
)

if TYPE_CHECKING:
    from tests.doubles.discord_routes import Call

ACK_SECONDS = 3.0


@dataclass
class Interaction:
    """One slash command, button, modal or autocomplete request, and the bot's response to it."""

    id: int
    token: str
    kind: int
    user: User
    channel: Channel
    sent_at: float
    source: Message | None = None
    acknowledged_by: int | None = None
    """The type of the response that acknowledged it."""
    response: Message | None = None
    modal: Json | None = None
    suggestions: list[Json] | None = None
    expired: bool = False


async def callback(call: Call) -> tuple[int, object]:
    interaction = _interaction(call)
    if time.monotonic() - interaction.sent_at > ACK_SECONDS:
        call.double.violations.append("an interaction was acknowledged after more than 3 s")
        raise ApiError(404, 10062, "Unknown interaction")
    if interaction.acknowledged_by is not None:
        raise ApiError(400, 40060, "Interaction has already been acknowledged.")
    kind, data = call.json["type"], call.json.get("data") or {}
    interaction.acknowledged_by = kind
    if (kind == 8) != (interaction.kind == 4):
        raise ApiError(400, 50035, "Invalid Form Body")
    if kind == 4:
        check_message(data, files=len(call.files))
        call.double.violations += policy_violations(data)
        interaction.response = await _show(call, interaction, data, data.get("flags") or 0)
    elif kind == 5:
        interaction.response = await _show(call, interaction, {}, (data.get("flags") or 0) | LOADING)
    elif kind == 6:
        interaction.response = interaction.source
    elif kind == 8:
        check_choices(data["choices"])
        interaction.suggestions = data["choices"]
    elif kind == 9:
        check_modal(data)
        interaction.modal = data
    else:
        raise ApiError(400, 50035, "Invalid Form Body")
    return 200, _resource(interaction)


def _resource(interaction: Interaction) -> Json:
    response = interaction.response
    resource: Json = {"id": str(interaction.id), "type": interaction.kind}
    if response is not None:
        resource |= {
            "response_message_id": str(response.id),
            "response_message_loading": response.loading,
            "response_message_ephemeral": response.ephemeral,
        }
    return {"interaction": resource}


async def follow_up(call: Call) -> tuple[int, object]:
    interaction = _acknowledged(call)
    check_message(call.json, files=len(call.files))
    call.double.violations += policy_violations(call.json)
    response = interaction.response
    if response is not None and response.loading:
        # The first follow-up replaces the waiting message and is as private as that was.
        response.flags &= ~LOADING
        await call.double.update(response, call.json, call.files)
        return 200, call.double.world.message_payload(response)
    message = await _show(call, interaction, call.json, call.json.get("flags") or 0)
    return 200, call.double.world.message_payload(message)


async def edit(call: Call) -> tuple[int, object]:
    message = _message(call)
    check_message(call.json, files=len(call.files), edit=True)
    call.double.violations += policy_violations(call.json)
    message.flags &= ~LOADING
    await call.double.update(message, call.json, call.files)
    return 200, call.double.world.message_payload(message)


async def read(call: Call) -> tuple[int, object]:
    return 200, call.double.world.message_payload(_message(call))


async def delete(call: Call) -> tuple[int, object]:
    await call.double.remove(_message(call))
    return 204, None


def _interaction(call: Call) -> Interaction:
    interaction = call.double.interactions.get(call.args["token"])
    if interaction is None:
        raise ApiError(404, 10062, "Unknown interaction")
    if interaction.expired:
        raise ApiError(401, 50027, "Invalid Webhook Token")
    return interaction


def _acknowledged(call: Call) -> Interaction:
    interaction = _interaction(call)
    if interaction.acknowledged_by is None:
        call.double.violations.append("a follow-up came before the acknowledgement")
        raise ApiError(404, 10015, "Unknown Webhook")
    return interaction


def _message(call: Call) -> Message:
    interaction = _acknowledged(call)
    if call.args["message_id"] == "@original":
        if interaction.response is None or interaction.response.deleted:
            raise unknown_message()
        return interaction.response
    message = interaction.channel.messages.get(call.number("message_id"))
    if message is None or message.deleted:
        raise unknown_message()
    return message


async def _show(call: Call, interaction: Interaction, body: Json, flags: int) -> Message:
    message = Message(
        call.double.world.snowflake(),
        interaction.channel.id,
        call.double.world.bot,
        body.get("content") or "",
        embeds=body.get("embeds") or [],
        components=body.get("components") or [],
        attachments=call.files,
        flags=flags,
        seen_by=interaction.user if flags & EPHEMERAL else None,
    )
    return await call.double.publish(interaction.channel, message)
