"""A large channel of a Slack export is read a month at a time; nothing of it is lost, and others stay whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from knowledge.parsing.isolation.sandbox import Parser
from knowledge.sources import chat_exports
from knowledge.sources.source_factory import open_source
from knowledge.types.source_items import Fetched, Known
from tests.knowledge.parsing.test_chat_privacy import CHANNELS, MAX_BYTES, MEMBERS, Files, leaked, placed

DAYS = ("2026-01-30", "2026-01-31", "2026-02-01", "2026-04-15")
LIMIT = 2000


def message(day: int, text: str, **more: object) -> dict[str, object]:
    return {"type": "message", "user": "U1", "ts": f"17724{day:05}.000100", "text": text, **more}


def export() -> Files:
    """Return an export with a channel larger than the limit, and one that is smaller."""
    lists = {"users.json": MEMBERS, "channels.json": [*CHANNELS, {"id": "C8", "name": "kiosk"}]}
    large = {
        f"canteen/{day}.json": [message(number, f"The soup of {day} is number {number}. {'Salt. ' * 100}")]
        for number, day in enumerate(DAYS)
    }
    return {**lists, **large, "kiosk/2026-02-01.json": [message(9, "The kiosk sells stamps.")]}


@pytest.mark.parametrize("form", ["archive", "folder"])
async def test_a_large_channel_becomes_a_document_for_each_month(
    parser: Parser, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_exports, "MAX_CHANNEL_BYTES", LIMIT)
    source = open_source(str(placed(tmp_path, export(), form)), fetch_allow=(), max_bytes=MAX_BYTES, files=True)
    made = [item async for item in source.fetch(Known())]
    assert all(isinstance(item, Fetched) for item in made)
    texts = {one.uri.partition("/")[2]: (await parser.parse(one)).text for one in made if isinstance(one, Fetched)}
    months = {name: text for name, text in texts.items() if "canteen" in name}
    assert sorted(name.rpartition("/")[2] for name in months) == ["2026-01", "2026-02", "2026-04"]
    for number, day in enumerate(DAYS):
        told = f"The soup of {day} is number {number}."
        assert [name.rpartition("/")[2] for name, text in months.items() if told in text] == [day[:7]]
    (kiosk,) = [text for name, text in texts.items() if name.endswith("kiosk")]
    assert "stamps" in kiosk
    assert all("Ida Berg" in text for text in texts.values()), "each month knows the names of the members"
    assert leaked("\n".join(texts.values())) == []
