"""Structured output: asks for JSON that fits a schema, and asks the model to correct an answer that does not."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bot.engine.aio import closing
from bot.engine.ports.llm import LLM, Ended, Message, Meter, Prompt, Restarted, TextDelta
from bot.errors import LLMError
from bot.llm import user_messages

Answer = TypeVar("Answer", bound=BaseModel)

_MAX_CORRECTIONS = 2
_SUPPORTED_KEYWORDS = ("$ref", "anyOf", "const", "description", "enum", "type")
_FENCED = re.compile(r"^\s*```(?:json)?\s*\n(.*?)\n?```\s*$", re.DOTALL)


async def complete(
    llm: LLM, prompt: Prompt, schema: type[Answer], *, meter: Meter, corrections: int = _MAX_CORRECTIONS
) -> Answer:
    """Ask for an answer that fits ``schema``; on a validation error, ask for at most ``corrections`` corrections.

    Raises LLMError: what the provider raised, or kind ``refused``, ``cut`` or ``schema``.
    """
    request = replace(prompt, schema=strict(schema.model_json_schema()))
    for attempt in range(corrections + 1):
        text = await complete_text(llm, request, meter)
        try:
            return schema.model_validate_json(without_fence(text))
        except ValidationError as error:
            problem = first_problem(error)
            if attempt == corrections:
                raise LLMError(user_messages.wrong_format(problem), kind="schema") from None
        request = replace(request, messages=(*request.messages, *correction(text, problem)))
    raise AssertionError("the last attempt returns or raises")


def strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema in the form that both providers accept: closed objects, all properties required, no bounds.

    Pydantic checks the bounds afterwards.
    """
    result: dict[str, Any] = {name: schema[name] for name in _SUPPORTED_KEYWORDS if name in schema}
    if "anyOf" in result:
        result["anyOf"] = [strict(option) for option in result["anyOf"]]
    if "items" in schema:
        result["items"] = strict(schema["items"])
    if "properties" in schema:
        result["properties"] = {name: strict(part) for name, part in schema["properties"].items()}
        result["required"] = list(schema["properties"])
        result["additionalProperties"] = False
    if "$defs" in schema:
        result["$defs"] = {name: strict(part) for name, part in schema["$defs"].items()}
    return result


def schema_instruction(schema: Mapping[str, Any]) -> str:
    """Return the schema as an instruction for models, for servers without structured output."""
    return f"Answer with one JSON object that fits this JSON schema, and with nothing else:\n{json.dumps(schema)}"


async def complete_text(llm: LLM, prompt: Prompt, meter: Meter) -> str:
    """Return the model's whole text. Raises LLMError, of kind ``refused`` or ``cut`` if the text is incomplete."""
    pieces: list[str] = []
    async with closing(llm.stream(prompt, meter=meter)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                pieces.append(event.text)
            elif isinstance(event, Restarted):
                pieces.clear()
            elif isinstance(event, Ended) and event.reason != "complete":
                message = user_messages.incomplete(event.reason)
                raise LLMError(message, provider=event.provider, kind=event.reason)
    return "".join(pieces)


def correction(text: str, problem: str) -> tuple[Message, Message]:
    """Return the messages to append to the prompt: the model's answer and a request to correct it."""
    return (
        Message("assistant", text.strip() or "(nothing)"),
        Message("user", f"That does not fit: {problem}. Answer once more with the corrected JSON object alone."),
    )


def without_fence(text: str) -> str:
    """Return JSON without the code fence around it."""
    match = _FENCED.match(text)
    return match[1] if match else text.strip()


def first_problem(error: ValidationError) -> str:
    """Return the first validation error with its place."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]
