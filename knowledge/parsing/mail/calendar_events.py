"""Describes the events of a calendar file or invitation (iCalendar, RFC 5545) in lines of text."""

from __future__ import annotations

import re

_SHOWN = ("SUMMARY", "DTSTART", "DTEND", "LOCATION", "ORGANIZER", "ATTENDEE", "STATUS", "DESCRIPTION")
_FOLD = re.compile(r"\r?\n[ \t]")
_LINE = re.compile(r'([A-Z-]+)((?:;[^:"]*(?:"[^"]*"[^:"]*)*)?):(.*)')
_NAME = re.compile(r';CN="?([^";:]+)"?', re.I)
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)\d\d(Z?))?")
_LABELS = {"SUMMARY": "Event", "DTSTART": "Starts", "DTEND": "Ends"}


def describe(text: str) -> str:
    """Return a line for each property that a calendar shows, with events separated by an empty line."""
    events: list[list[str]] = []
    for line in _FOLD.sub("", text).split("\n"):
        found = _LINE.fullmatch(line.strip())
        if found is None:
            continue
        name, parameters, value = found.groups()
        if name == "BEGIN" and value in ("VEVENT", "VTODO"):
            events.append([])
        elif name in _SHOWN and events and value.strip():
            events[-1].append(f"{_LABELS.get(name, name.capitalize())}: {_value(name, parameters, value)}")
    return "\n\n".join("\n".join(event) for event in events)


def _value(name: str, parameters: str, value: str) -> str:
    time = _TIME.fullmatch(value.strip())
    if name.startswith("DT") and time:
        year, month, day, hour, minute, utc = time.groups()
        return f"{year}-{month}-{day}" + (f" {hour}:{minute}{' UTC' if utc else ''}" if hour else "")
    if name in ("ORGANIZER", "ATTENDEE"):
        person = _NAME.search(parameters)
        address = value.removeprefix("mailto:").removeprefix("MAILTO:")
        return f"{person.group(1)} <{address}>" if person else address
    return re.sub(r"\\([,;\\])", r"\1", re.sub(r"\\[nN]", "\n", value))
