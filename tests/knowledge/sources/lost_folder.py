"""A folder of documents that is added and then lost, so that its refresh is held back."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.app import App
from bot.types.conversation import LOCAL_TENANT
from knowledge.sources.files import FolderSource

FILES = 6


async def lose_folder(app: App, folder: Path, tenant_id: str = LOCAL_TENANT) -> None:
    """Add a folder that is refreshed at an interval, and read it again when all of its files but one are gone."""
    folder.mkdir()
    for number in range(FILES):
        (folder / f"doc-{number}.md").write_text(f"# Page {number}\n\nThe code of room {number} is {number * 37}.")
    for _ in range(2):
        await app.ingestor.ingest([FolderSource(folder, max_bytes=10_000)], tenant_id=tenant_id)
        for number in range(1, FILES):
            (folder / f"doc-{number}.md").unlink(missing_ok=True)

    async def refresh_hourly(session: AsyncSession) -> None:
        await session.execute(text("UPDATE sources SET refresh_seconds = 3600"))

    await app.database.run(tenant_id, refresh_hourly)


async def stored_documents(app: App) -> int:
    """Return the number of stored documents."""
    async with app.database.tenant(LOCAL_TENANT) as session:
        return int(await session.scalar(text("SELECT count(*) FROM documents")) or 0)
