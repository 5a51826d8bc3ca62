"""Private channels of chat exports become documents only of a channel, never of the whole tenant."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from knowledge.ingest import Ingestor
from knowledge.ports import Sessions
from knowledge.sources.source_factory import open_source
from tests.knowledge.parsing.test_chat_privacy import DIRECT, MAX_BYTES, PUBLIC, SECRETS, Files, full_export, placed

DISCORD: Files = {
    f"{name}.json": {
        "guild": {"name": "Team"},
        "channel": {"id": name, "type": kind, "name": name},
        "messages": [
            {
                "id": "1",
                "type": "Default",
                "timestamp": "2026-03-02T10:00:00+00:00",
                "content": content,
                "author": {"id": "7", "name": "ida", "nickname": "Ida Berg"},
            }
        ],
    }
    for name, kind, content in (
        ("ops", "GuildTextChat", PUBLIC),
        ("salaries", "GuildPrivateThread", SECRETS["salaries"]),
        ("ida", "DirectTextChat", DIRECT["D0AB"]),
    )
}


@pytest.mark.parametrize("form", ["archive", "folder"])
@pytest.mark.parametrize("audience", ["tenant", "channel:C2"])
@pytest.mark.parametrize(
    ("files", "private"),
    [(full_export(), set(SECRETS.values())), (DISCORD, {SECRETS["salaries"]})],
    ids=["Slack", "Discord"],
)
async def test_private_channels_are_read_only_for_the_audience_of_a_channel(
    ingestor: Ingestor,
    sessions: Sessions,
    tmp_path: Path,
    files: Files,
    private: set[str],
    audience: str,
    form: str,
) -> None:
    source = open_source(str(placed(tmp_path, files, form)), fetch_allow=(), max_bytes=MAX_BYTES, files=True)

    await ingestor.ingest([source], tenant_id="t", audience=audience)

    async with sessions("t") as session:
        rows = (await session.execute(text("SELECT audience, text FROM documents WHERE text <> ''"))).all()
    stored = "\n".join(row.text for row in rows)
    secrets = {secret for secret in (*SECRETS.values(), *DIRECT.values()) if secret in stored}
    assert {row.audience for row in rows} == {audience}
    assert PUBLIC in stored
    assert secrets == (set() if audience == "tenant" else private)
