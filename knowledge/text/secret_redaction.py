"""Removes secrets from texts that leave the process: log lines and error messages.

A server may repeat a token in its error, and a library may print a URL with a password. ``register`` adds the secrets
that the settings hold. Texts of a known form, such as bearer tokens, are removed without being registered.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from urllib.parse import quote

REDACTED = "[secret]"
MIN_SECRET_CHARS = 8
"""Shorter values are not registered: they would also be removed where they mean something else."""

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # Credentials in a URL: https://user:password@host, and a token in place of the user.
        (r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@:'\"<>]*:[^\s/@'\"<>]*@", rf"\1{REDACTED}@"),
        (r"(?i)\b(https?://)[^\s/@:'\"<>]+@", rf"\1{REDACTED}@"),
        # Secrets in a query string.
        (r"(?i)([?&](?:access_token|token|api[_-]?key|key|client_secret|(?:pub_)?secret|password|sig|signature|ticket)=)[^&\s#'\"<>]+",
         rf"\1{REDACTED}"),
        # Headers and fields that hold a secret, with the value in any quotes.
        (r"(?i)\b((?:proxy-)?authorization|x-api-key|api[_-]?key|access_token|refresh_token|client_secret|password)"
         r"(\\?[\"']?\s*[:=]\s*(?!b?\\?[\"']?\[secret\])(?:b?\\?[\"'])?|[\"']\s*,\s*b?[\"'](?!\[secret\]))"
         r"(?:(?:bearer|basic|bot|token)\s+)?[^\s\"',;&)}\]\\]+",
         rf"\1\2{REDACTED}"),
        (r"(?i)\b(bearer)\s+[A-Za-z0-9._~+/=-]{8,}", rf"\1 {REDACTED}"),
        (r"\b([Bb]asic)\s+(?=[A-Za-z+/]*[0-9=])[A-Za-z0-9+/]{8,}={0,2}", rf"\1 {REDACTED}"),
        # Tokens of Slack, OpenAI and Anthropic, GitHub, GitLab, AWS, Google and Discord.
        (r"\bxox[a-z](?:\.xox[a-z])?-[A-Za-z0-9%-]{4,}", REDACTED),
        (r"\bxapp-[A-Za-z0-9-]{4,}", REDACTED),
        (r"\bsk-[A-Za-z0-9_-]{6,}", REDACTED),
        (r"\b(?:gh[pousr]_|github_pat_|glpat-)[A-Za-z0-9_-]{16,}", REDACTED),
        (r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", REDACTED),
        (r"\bAIza[A-Za-z0-9_-]{30,}", REDACTED),
        (r"\b[MNO][A-Za-z0-9_-]{22,}\.[A-Za-z0-9_-]{6,7}\.[A-Za-z0-9_-]{27,}", REDACTED),
        # Addresses that let anybody post: webhooks, and the replies to commands and interactions.
        (r"(hooks\.slack\.com/(?:services|commands|actions|workflows|triggers)/)[A-Za-z0-9/_-]+", rf"\1{REDACTED}"),
        (r"(/(?:webhooks|interactions)/[0-9]{15,20}/)[A-Za-z0-9._-]{20,}", rf"\1{REDACTED}"),
    )
)  # fmt: skip
_QUICK = re.compile(
    r"(?i)://|[?&][a-z_-]+=|authorization|api[_-]?key|_token|_secret|password|bearer|basic|xox|xapp-|sk-|gh[pousr]_"
    r"|github_pat_|glpat-|akia|asia|aiza|hooks\.slack|[a-z0-9_-]{22}\.|/webhooks/|/interactions/"
)
"""Matches every text that one of the patterns may match. Most texts need no more than this search."""

# Names such as key and sig are left out: the URLs of public pages have them too, and a signed URL soon expires.
_CREDENTIALS_IN_URL = re.compile(
    r"(?i)\bhttps?://(?:[^/?#\s]*@|\S*[?&](?:access_token|token|api[_-]?key|client_secret|secret|password)=[^&\s#])"
)

_known: set[str] = set()
_known_pattern: re.Pattern[str] | None = None


def register(secrets: Iterable[str]) -> None:
    """Remove these secrets from now on, also in the forms in which they appear in URLs and JSON."""
    global _known_pattern
    added = {secret.strip() for secret in secrets if len(secret.strip()) >= MIN_SECRET_CHARS} - _known
    if not added:
        return
    _known.update(added)
    forms = {form for secret in _known for form in (secret, quote(secret, safe=""), quote(secret))}
    _known_pattern = re.compile("|".join(map(re.escape, sorted(forms, key=len, reverse=True))))


def redact(text: str) -> str:
    """Return the text with each secret replaced by ``[secret]``."""
    if _known_pattern is not None:
        text = _known_pattern.sub(REDACTED, text)
    if _QUICK.search(text):
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
    return text


def has_credentials(url: str) -> bool:
    """Return whether the URL has a user name or password in front of its host, or a token or password in its query."""
    return _CREDENTIALS_IN_URL.search(url) is not None


class RedactingFilter(logging.Filter):
    """Removes secrets from log records: message, arguments and traceback. Belongs on every handler that writes.

    An error without a message, such as a TimeoutError, is named by its class, so that no record lacks its reason.
    """

    _formatter = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(map(_with_reason, record.args))
        try:
            message = record.getMessage()
        except Exception:
            message = f"{record.msg} (the arguments do not fit the message)"
        record.msg, record.args = redact(message), None
        if record.exc_info and not record.exc_text:
            record.exc_text = self._formatter.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return True


def _with_reason(argument: object) -> object:
    """Return an error without a message as the name of its class, and everything else as it is."""
    if isinstance(argument, BaseException) and not str(argument).strip():
        return type(argument).__name__
    return argument
