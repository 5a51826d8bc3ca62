"""``/docs`` as any platform calls it."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from bot.app import App, open_app
from bot.commands import registry as commands
from bot.config import Settings
from bot.errors import NotAllowed, UsageError
from bot.ingestion import Ingestion
from bot.jobs import working
from bot.types.conversation import LOCAL_TENANT, Attachment
from tests.commands.test_commands import BOSS, by, ingested
from tests.knowledge.sources.test_held_back import put_pages
from tests.knowledge.sources.test_refresh import Site, site

__all__ = ["site"]


@pytest.mark.parametrize("option", ["--accept-removals", "—accept-removals"])
async def test_an_admin_lets_a_refresh_remove_many_documents(
    app: App, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    await ingested(app, author=BOSS)
    async with app.database.tenant(LOCAL_TENANT) as session:
        await session.execute(text("UPDATE sources SET uri = 'https://handbook.example/dogs', kind = 'url'"))
    accepted: list[object] = []

    async def refresh(*_: object, accept_removals: bool, **__: object) -> None:
        accepted.append(accept_removals)
        raise UsageError("enough")

    monkeypatch.setattr(Ingestion, "refresh", refresh)
    for line in ("refresh Dogs", f"refresh Dogs {option}"):
        with pytest.raises(UsageError, match="enough"):
            await commands.run("docs", line, by(app, BOSS))
    assert accepted == [False, True]
    with pytest.raises(NotAllowed, match="Only an admin"):
        await commands.run("docs", f"refresh Dogs {option}", by(app))
    for line in (option, f"refresh {option}", f"list {option}", f"delete Dogs {option}"):
        with pytest.raises(UsageError, match="Write /docs"):
            await commands.run("docs", line, by(app, BOSS))
    assert accepted == [False, True]


async def test_the_worker_removes_what_an_admin_lets_through(database_url: str, tmp_path: Path, site: Site) -> None:
    made = Settings(
        _env_file=None,
        database_url=SecretStr(database_url),
        data_dir=tmp_path,
        reranker="none",
        fetch_allow=("127.0.0.1",),
    )
    paths = put_pages(site)
    async with open_app(made) as app, working(app.services):
        added = await commands.run("ingest", f"sitemap:{site.url}/map.xml", by(app, BOSS))
        assert "Added 6 documents" in added.text
        site.pages["/map.xml"] = f"<urlset><url><loc>{site.url}{paths[0]}</loc></url></urlset>"
        line = f"refresh {site.url}{paths[0]}"
        held = await commands.run("docs", line, by(app, BOSS))
        assert "5 of 6 documents are gone from it, so nothing was removed" in held.text
        note = f"**sitemap:{site.url}/map.xml** is held back: 5 of 6 documents are gone from it"
        assert note in (await commands.run("docs", "", by(app, BOSS))).text
        accepted = await commands.run("docs", f"{line} --accept-removals", by(app, BOSS))
        assert "5 documents removed" in accepted.text
        listed = await commands.run("docs", "", by(app, BOSS))
        assert listed.table is not None
        assert "held back" not in listed.text
        assert [row[2] for row in listed.table.rows] == [f"{site.url}{paths[0]}"]


async def test_the_setting_limits_what_an_archive_unpacks_to(database_url: str, tmp_path: Path) -> None:
    exported = {"guild": {"name": "Pets"}, "channel": {"type": "GuildTextChat", "name": "dogs"}, "messages": []}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("dogs.json", json.dumps(exported) + " " * 2 * 2**20)
    content = packed.getvalue()
    file = Attachment("dogs.zip", "application/zip", len(content), lambda: asyncio.sleep(0, content))
    for megabytes in (1, 300):
        made = Settings(
            _env_file=None,
            database_url=SecretStr(database_url),
            data_dir=tmp_path,
            reranker="none",
            max_unpacked_mb=megabytes,
        )
        async with open_app(made) as app, working(app.services):
            context = replace(by(app, BOSS), attachments=(file,))
            for name, line in (("ingest", ""), ("docs", "preview")):
                reply = await commands.run(name, line, context)
                assert ("the limit of 1 MB" in reply.text) is (megabytes == 1), (name, reply.text)
