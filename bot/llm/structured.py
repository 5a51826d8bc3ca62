"""Answers that fit a schema: by the provider's own format, and by showing the model where its text does not fit."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError

from bot.engine.ports.llm import LLM, Ended, Event, Message, Meter, Prompt, Restarted, TextDelta
from bot.errors import LLMError

Answer = TypeVar("Answer", bound=BaseModel)

_MOST_RETRIES = 2
_KEPT = ("$ref", "anyOf", "const", "description", "enum", "type")
_FENCED = re.compile(r"^\s*```(?:json)?\s*\n(.*?)\n?```\s*$", re.DOTALL)


async def complete(llm: LLM, prompt: Prompt, schema: type[Answer], *, meter: Meter) -> Answer:
    """Ask for ``schema``; a text that does not fit is shown to the model with its fault, at most twice.

    Raises LLMError: what the provider raised, or kind ``refused``, ``cut`` or ``schema``.
    """
    asked = replace(prompt, schema=strict(schema.model_json_schema()))
    for attempt in range(_MOST_RETRIES + 1):
        text = await whole(llm, asked, meter)
        try:
            return schema.model_validate_json(unfenced(text))
        except ValidationError as error:
            fault = in_short(error)
            if attempt == _MOST_RETRIES:
                raise LLMError(
                    f"The model's answer does not have the form that was asked for ({fault}). Try again.", kind="schema"
                ) from None
        asked = replace(asked, messages=(*asked.messages, *correction(text, fault)))
    raise AssertionError("the last attempt returns or raises")


def strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema as both providers take it: closed objects, every property required, no bounds that they refuse.

    The bounds are checked afterwards, by pydantic.
    """
    kept: dict[str, Any] = {name: schema[name] for name in _KEPT if name in schema}
    if "anyOf" in kept:
        kept["anyOf"] = [strict(option) for option in kept["anyOf"]]
    if "items" in schema:
        kept["items"] = strict(schema["items"])
    if "properties" in schema:
        kept["properties"] = {name: strict(part) for name, part in schema["properties"].items()}
        kept["required"] = list(schema["properties"])
        kept["additionalProperties"] = False
    if "$defs" in schema:
        kept["$defs"] = {name: strict(part) for name, part in schema["$defs"].items()}
    return kept


def in_words(schema: Mapping[str, Any]) -> str:
    """The schema as an instruction, for servers without a format of their own."""
    return f"Answer with one JSON object that fits this JSON schema, and with nothing else:\n{json.dumps(schema)}"


async def whole(llm: LLM, prompt: Prompt, meter: Meter) -> str:
    """The model's text in one piece. Raises LLMError, of kind ``refused`` or ``cut`` where it is not complete."""
    pieces: list[str] = []
    async with aclosing(cast(AsyncGenerator[Event, None], llm.stream(prompt, meter=meter))) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                pieces.append(event.text)
            elif isinstance(event, Restarted):
                pieces.clear()
            elif isinstance(event, Ended) and event.reason != "complete":
                words = (
                    "refused to answer" if event.reason == "refused" else "ran out of tokens before its answer's end"
                )
                raise LLMError(f"The model {words}. Try another question.", provider=event.provider, kind=event.reason)
    return "".join(pieces)


def correction(text: str, fault: str) -> tuple[Message, Message]:
    """What the model said, and the wish to have it once more without the fault."""
    return (
        Message("assistant", text.strip() or "(nothing)"),
        Message("user", f"That does not fit: {fault}. Answer once more with the corrected JSON object alone."),
    )


def unfenced(text: str) -> str:
    """JSON without the code fence around it."""
    match = _FENCED.match(text)
    return match[1] if match else text.strip()


def in_short(error: ValidationError) -> str:
    """The first fault, and where it is."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]
