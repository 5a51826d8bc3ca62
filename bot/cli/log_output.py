"""Sets up what is logged: one pipeline for Parley and its libraries, as lines for people or as JSON, on stderr.

Neither form contains secrets. Questions and answers are in it only with ``content``: the libraries then also log at the
chosen level. Otherwise they log warnings and errors only, because their details include the bodies of requests.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any, TextIO

import structlog
from structlog.types import EventDict, WrappedLogger

from bot.cli.output import printable
from bot.telemetry.log_entries import ENTRIES, FIELDS
from knowledge.text.secret_redaction import RedactingFilter, redact

OURS = frozenset(("bot", "knowledge", "migrations", "parley"))
"""The first parts of the names of Parley's loggers; all others belong to libraries."""
WARN_OF_THE_INTENDED = ("discord.client", "discord.state", "slack_bolt")
"""Loggers that warn about intended behavior: no voice, no guild list for a token check, a client passed in.

The last one also warns about each event that has no listener, with its text.
"""
DETAIL_HIDDEN = "(the row is not logged)"


def set_up(level: str, *, as_json: bool = False, content: bool = False, entries: bool = True) -> None:
    """Log to stderr from ``level`` on. Without ``entries``, the entries about turns and model calls are left out."""
    handler = StderrHandler()
    handler.setFormatter(formatter(as_json=as_json, content=content))
    handler.addFilter(_Chosen(content=content, entries=entries))
    handler.addFilter(RedactingFilter())
    logging.basicConfig(level=level, handlers=[handler], force=True)


class StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what is stderr at the moment: progress bars replace it, and show what is written above them."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


class _Chosen(logging.Filter):
    """Passes the records that are logged, by the rules that ``set_up`` names."""

    def __init__(self, *, content: bool, entries: bool) -> None:
        super().__init__()
        self._content = content
        self._entries = entries

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith(WARN_OF_THE_INTENDED):
            return record.levelno >= logging.ERROR
        if record.name == ENTRIES:
            return self._entries
        return self._content or record.levelno >= logging.WARNING or record.name.partition(".")[0] in OURS


def formatter(*, as_json: bool, content: bool = False) -> logging.Formatter:
    """Return the formatter of log records. It expects records that ``RedactingFilter`` has seen."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            _add_fields,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_traceback if content else _add_traceback_without_rows,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _redact_fields,
            structlog.processors.JSONRenderer(ensure_ascii=False) if as_json else _render_line,
        ],
    )


def _add_fields(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    event.update(event["_record"].__dict__.get(FIELDS) or {})
    return event


def _add_traceback(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Replace error and stack by their text, which ``RedactingFilter`` has made."""
    record: logging.LogRecord = event["_record"]
    event.pop("exc_info", None)
    event.pop("stack_info", None)
    if record.exc_text:
        event["exception"] = record.exc_text
    if record.stack_info:
        event["stack"] = record.stack_info
    return event


def _add_traceback_without_rows(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Add the traceback without the rows that PostgreSQL repeats in its errors: they hold what people wrote."""
    record: logging.LogRecord = event["_record"]
    event = _add_traceback(logger, method, event)
    for error in _chain(record.exc_info[1] if record.exc_info else None):
        detail = getattr(getattr(error, "diag", None), "message_detail", None)
        if detail and "exception" in event:
            event["exception"] = event["exception"].replace(redact(detail), DETAIL_HIDDEN)
    return event


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _redact_fields(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    return {name: redact(value) if isinstance(value, str) else value for name, value in event.items()}


def _render_line(logger: WrappedLogger, method: str, event: EventDict) -> str:
    """Return one line, with a traceback below it.

    Control characters are written out, because data in a message must not change the terminal. Line breaks in a message
    are written out too, so that data cannot look like another log line.
    """
    head = f"{event.pop('timestamp')} {event.pop('level').upper()} {event.pop('logger')}: {event.pop('event')}"
    below = [event.pop(name) for name in ("exception", "stack") if name in event]
    fields = "".join(f" {name}={_value(value)}" for name, value in event.items() if value is not None)
    return "\n".join([printable(head + fields).replace("\n", "\\n"), *map(printable, below)])


def _value(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) and (not value or " " in value) else str(value)
