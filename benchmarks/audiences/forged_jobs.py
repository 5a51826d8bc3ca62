"""Runs background jobs, also with the IDs of another tenant, as a mixed-up or forged job would."""

from __future__ import annotations

from collections.abc import Sequence

from bot.app import App
from bot.jobs import tasks
from knowledge.ports import Source


async def run_jobs(app: App, sources: Sequence[tuple[str, Source]]) -> None:
    """Ingest each tenant's source in the background, with the IDs mixed up first; then run all maintenance."""
    runs = []
    for tenant_id, source in sources:
        requested = await app.services.ingestion.begin(tenant_id, source, audience="general", asked_by="ann")
        runs.append((tenant_id, requested.run.id))
    for tenant_id, _ in runs:
        for _, run_id in runs:
            await tasks.ingest(app.services, 0, tenant_id=tenant_id, run_id=run_id)
    for tenant_id, _ in runs:
        await tasks.reembed(app.services, 0, tenant_id=tenant_id)
    await tasks.run_maintenance(app.services, 0)
    await tasks.refresh_due(app.services, 0)
