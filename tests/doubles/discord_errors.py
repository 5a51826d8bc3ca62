"""The JSON error codes of Discord's API that the double returns and that tests may inject, with their HTTP status.

Source: https://docs.discord.com/developers/topics/opcodes-and-status-codes (JSON Error Codes), read in November 2026:
those that requests about messages, threads, channels, people, interactions and reactions can return. The page does
not name the HTTP status; it is the one that Discord was seen to send.
"""

from __future__ import annotations

JSON_CODES: dict[int, tuple[int, str]] = {
    10003: (404, "Unknown channel"),
    10004: (404, "Unknown guild"),
    10007: (404, "Unknown member"),
    10008: (404, "Unknown message"),
    10011: (404, "Unknown role"),
    10013: (404, "Unknown user"),
    10014: (400, "Unknown emoji"),
    10015: (404, "Unknown webhook"),
    10062: (404, "Unknown interaction"),
    10063: (404, "Unknown application command"),
    20009: (400, "Explicit content cannot be sent to the desired recipient(s)"),
    20016: (429, "This action cannot be performed due to slowmode rate limit"),
    20022: (429, "This message cannot be edited due to announcement rate limits"),
    20028: (429, "The write action you are performing on the channel has hit the write rate limit"),
    20029: (429, "The write action you are performing on the server has hit the write rate limit"),
    30010: (400, "Maximum number of reactions reached (20)"),
    30015: (400, "Maximum number of attachments in a message reached (10)"),
    30033: (400, "Maximum number of thread participants has been reached (1000)"),
    30046: (400, "Maximum number of edits to messages older than 1 hour reached. Try again later"),
    40001: (401, "Unauthorized. Provide a valid token and try again"),
    40002: (403, "You need to verify your account in order to perform this action"),
    40003: (429, "You are opening direct messages too fast"),
    40004: (403, "Send messages has been temporarily disabled"),
    40005: (413, "Request entity too large. Try sending something smaller in size"),
    40006: (403, "This feature has been temporarily disabled server-side"),
    40043: (400, "Application interaction failed to send"),
    40058: (400, "Cannot send a message in a forum channel"),
    40060: (400, "Interaction has already been acknowledged"),
    40062: (429, "Service resource is being rate limited"),
    40094: (400, "This interaction has hit the maximum number of follow up messages"),
    40333: (429, "Cloudflare is blocking your request"),
    50001: (403, "Missing access"),
    50003: (400, "Cannot execute action on a DM channel"),
    50005: (403, "Cannot edit a message authored by another user"),
    50006: (400, "Cannot send an empty message"),
    50007: (403, "Cannot send messages to this user"),
    50008: (400, "Cannot send messages in a non-text channel"),
    50009: (403, "Channel verification level is too high for you to gain access"),
    50013: (403, "You lack permissions to perform that action"),
    50014: (401, "Invalid authentication token provided"),
    50021: (403, "Cannot execute action on a system message"),
    50024: (400, "Cannot execute action on this channel type"),
    50027: (401, "Invalid webhook token provided"),
    50033: (400, "Invalid Recipient(s)"),
    50035: (400, "Invalid form body"),
    50045: (400, "File uploaded exceeds the maximum size"),
    50046: (400, "Invalid file uploaded"),
    50068: (400, "Invalid message type"),
    50083: (400, "Tried to perform an operation on an archived thread"),
    50085: (400, "`before` value is earlier than the thread creation date"),
    50109: (400, "The request body contains invalid JSON."),
    50278: (403, "Cannot send messages to this user due to having no mutual guilds"),
    90001: (403, "Reaction was blocked"),
    130000: (500, "API resource is currently overloaded. Try again a little later"),
    160002: (400, "Cannot reply without permission to read message history"),
    160004: (400, "A thread has already been created for this message"),
    160005: (403, "Thread is locked"),
    160006: (400, "Maximum number of active threads reached"),
    160007: (400, "Maximum number of active announcement threads reached"),
    200000: (400, "Message was blocked by automatic moderation"),
    200001: (400, "Title was blocked by automatic moderation"),
    240000: (400, "Message blocked by harmful links filter"),
    400001: (403, "Access to file uploads has been limited for this guild"),
}


def check(status: int, code: int) -> None:
    """Fail if Discord never answers with this status and this code. The code 0 goes with every status."""
    assert code == 0 or code in JSON_CODES, f"Discord documents no code {code}"
    assert code == 0 or JSON_CODES[code][0] == status, f"Discord sends {code} with {JSON_CODES[code][0]}, not {status}"
