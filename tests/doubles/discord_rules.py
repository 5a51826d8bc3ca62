"""Discord's rules for what a bot sends: limits of messages, commands and modals, and the errors for breaking them."""

from __future__ import annotations

import re

from tests.doubles import discord_errors
from tests.doubles.discord_models import SUPPRESS_EMBEDS, Json


class ApiError(Exception):
    """A refusal by Discord: HTTP status, error code and message."""

    def __init__(self, status: int, code: int, message: str, errors: Json | None = None) -> None:
        super().__init__(message)
        discord_errors.check(status, code)
        self.status = status
        self.body: Json = {"message": message, "code": code} | ({"errors": errors} if errors else {})


def unknown_channel() -> ApiError:
    return ApiError(404, 10003, "Unknown Channel")


def unknown_message() -> ApiError:
    return ApiError(404, 10008, "Unknown Message")


def missing_access() -> ApiError:
    return ApiError(403, 50001, "Missing Access")


def missing_permissions() -> ApiError:
    return ApiError(403, 50013, "Missing Permissions")


def invalid_form(where: str, why: str) -> ApiError:
    return ApiError(400, 50035, "Invalid Form Body", {where: {"_errors": [{"code": "BASE_TYPE", "message": why}]}})


def units(text: object) -> int:
    """Return the UTF-16 code units of a text, which Discord's clients count."""
    return len(str(text).encode("utf-16-le")) // 2


# --- messages


_CODE = re.compile(
    r"(?P<escaped>\\[^0-9a-z\s])"
    r"|```(?:[a-z0-9_+\-.#]+?\n)?\n*[^\n].*?\n*```"
    r"|(?P<ticks>`+).*?[^`](?P=ticks)(?!`)",
    re.DOTALL | re.IGNORECASE,
)
"""Code by Discord's rules: a block has content, a span may go over line ends, and an escaped mark begins none."""
_BARE_LINK = re.compile(r"(?<![<\w])https?://\S+")


def _outside_code(content: str, instead: str) -> str:
    """Return the text with ``instead`` in place of code."""
    return _CODE.sub(lambda found: found[0] if found["escaped"] else instead, content)


def check_message(body: Json, *, files: int, edit: bool = False) -> None:
    """Raise ApiError if a message breaks Discord's limits."""
    content = body.get("content") or ""
    if units(content) > 2000:
        raise invalid_form("content", "Must be 2000 or fewer in length.")
    if not edit and not content and not body.get("embeds") and not files and not body.get("components"):
        raise ApiError(400, 50006, "Cannot send an empty message")
    if units(body.get("nonce") or "") > 25:
        raise invalid_form("nonce", "Must be 25 or fewer in length.")
    _check_embeds(body.get("embeds") or [])
    _check_components(body.get("components") or [])


def _check_embeds(embeds: list[Json]) -> None:
    if len(embeds) > 10:
        raise invalid_form("embeds", "Must be 10 or fewer in length.")
    total = 0
    for embed in embeds:
        title, text = embed.get("title", ""), embed.get("description", "")
        footer = embed.get("footer", {}).get("text", "")
        total += units(title) + units(text) + units(footer)
        if units(title) > 256 or units(text) > 4096 or units(footer) > 2048:
            raise invalid_form("embeds", "Too long.")
        if not (title or text or footer):
            raise ApiError(400, 50006, "Cannot send an empty message")
    if total > 6000:
        raise invalid_form("embeds", "Embed size exceeds maximum size of 6000")


def _check_components(rows: list[Json]) -> None:
    seen: set[str] = set()
    if len(rows) > 5:
        raise invalid_form("components", "Must be 5 or fewer in length.")
    for row in rows:
        if row.get("type") != 1 or not 1 <= len(row["components"]) <= 5:
            raise invalid_form("components", "An action row has 1 to 5 buttons.")
        for button in row["components"]:
            custom_id = button.get("custom_id", "")
            if not 1 <= units(custom_id) <= 100 or custom_id in seen:
                raise invalid_form("components", "custom_id must be 1 to 100 characters and unique.")
            if units(button.get("label", "")) > 80:
                raise invalid_form("components", "label must be 80 or fewer in length.")
            seen.add(custom_id)


_WRONG_DIALECT = {
    "a spoiler": re.compile(r"(?<!\\)\|\|(?!\|*$).+?(?<!\\)\|\|", re.DOTALL),
    "a quotation of all that follows": re.compile(r"^>>> ", re.MULTILINE),
    "a heading that Discord does not know": re.compile(r"^#{4,6} +[^\s#]", re.MULTILINE),
    "a broken masked link": re.compile(r"\[<https?://[^\s>]*\]\("),
    "an HTML entity": re.compile(r"(?<!\S)[^\s:]*&(?:amp|lt|gt|quot|nbsp|#\d+);"),
}
"""What Discord renders otherwise than the writer means, or not at all.

Source: support.discord.com/hc/en-us/articles/210298617 (Markdown Text 101).
"""


def dialect_faults(content: str) -> list[str]:
    """Return what of a message Discord renders otherwise than CommonMark means it."""
    outside = _outside_code(content, "code")
    return [f"{fault}: {found[0]!r}" for fault, rule in _WRONG_DIALECT.items() if (found := rule.search(outside))]


def policy_violations(body: Json) -> list[str]:
    """Return what Discord allows but this bot must not do: ping people, show link previews, misuse its Markdown."""
    violations = dialect_faults(body.get("content") or "")
    allowed = body.get("allowed_mentions")
    if ("content" in body or "embeds" in body) and (
        allowed is None
        or allowed.get("parse") != []
        or allowed.get("users")
        or allowed.get("roles")
        or allowed.get("replied_user")
    ):
        violations.append(f"allowed_mentions allows pings: {allowed}")
    if not (body.get("flags") or 0) & SUPPRESS_EMBEDS:
        bare = _BARE_LINK.search(_outside_code(body.get("content") or "", ""))
        if bare:
            violations.append(f"a link with a preview: {bare[0]}")
    return violations


# --- commands and modals


_COMMAND_NAME = re.compile(r"[-_\w]{1,32}")
CHAT_INPUT, MESSAGE_MENU = 1, 3
SUB_COMMAND = 1


def check_command(command: Json) -> None:
    """Raise ApiError if an application command breaks Discord's rules."""
    if command.get("type", CHAT_INPUT) == MESSAGE_MENU:
        if not 1 <= len(command["name"]) <= 32 or command.get("description") or command.get("options"):
            raise invalid_form("name", "Context menu commands have a name and nothing else")
        return
    if not _COMMAND_NAME.fullmatch(command["name"]) or command["name"] != command["name"].lower():
        raise invalid_form("name", "Command name is invalid")
    if not 1 <= units(command.get("description", "")) <= 100:
        raise invalid_form("description", "Must be between 1 and 100 in length.")
    _check_options(command.get("options", []))


def _check_options(options: list[Json]) -> None:
    if len(options) > 25 or len({option["name"] for option in options}) != len(options):
        raise invalid_form("options", "At most 25, each of its own name")
    if any(option["type"] == SUB_COMMAND for option in options) != all(
        option["type"] == SUB_COMMAND for option in options or [{"type": 0}]
    ):
        raise invalid_form("options", "Sub-command and sub-command group option types are mutually exclusive")
    optional = False
    for option in options:
        if not _COMMAND_NAME.fullmatch(option["name"]) or not 1 <= units(option["description"]) <= 100:
            raise invalid_form("options", "Option name or description is invalid")
        if option["type"] == SUB_COMMAND:
            _check_options(option.get("options", []))
            continue
        if option.get("required") and optional:
            raise invalid_form("options", "Required options must be placed before non-required options")
        optional = optional or not option.get("required")
        if option.get("autocomplete") and option.get("choices"):
            raise invalid_form("options", "Autocomplete and choices are mutually exclusive")
        check_choices(option.get("choices") or [])


def check_choices(choices: list[Json]) -> None:
    """Raise ApiError if choices or suggestions break Discord's limits."""
    if len(choices) > 25:
        raise invalid_form("choices", "Must be 25 or fewer in length.")
    for choice in choices:
        if not (1 <= units(choice["name"]) <= 100 and 1 <= units(choice["value"]) <= 100):
            raise invalid_form("choices", "Must be between 1 and 100 in length.")


def check_modal(modal: Json) -> None:
    """Raise ApiError if a modal breaks Discord's limits."""
    if not 1 <= units(modal["title"]) <= 45 or not 1 <= len(modal["components"]) <= 5:
        raise invalid_form("title", "A modal has a title of 45 characters and 1 to 5 fields.")
    for row in modal["components"]:
        for field_ in row.get("components") or [row.get("component")]:
            if units(field_.get("label") or "") > 45 or units(field_.get("value") or "") > 4000:
                raise invalid_form("components", "Too long.")
