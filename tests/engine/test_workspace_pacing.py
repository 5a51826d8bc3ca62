"""Several processes in one workspace share its rate limit and what each learns about it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from bot.engine.display.edit_pacing import DRAFT_MARGIN, SharedPacing
from bot.engine.display.workspace_pacing import REPEAT_INTERVAL, REPORT_LIFETIME, WorkspacePacing
from bot.errors import RateLimited, StoreAway
from bot.types.display import Pacing
from tests.engine.test_shared_pacing import PER_MINUTE, STREAMS, Timeline, Workspace, stream

TENANT = "slack:T1"
LATENCY, TICK = 0.1, 0.3


class ProcessPool:
    """Processes whose reports reach each other with a delay, in test time."""

    def __init__(self, count: int, time: Timeline | None = None) -> None:
        self.time = time or Timeline()
        self.workspace_pacing = [WorkspacePacing(n + 1, monotonic=self.time.monotonic) for n in range(count)]
        self.isolated = False

    def shared(self, n: int) -> SharedPacing:
        return self.workspace_pacing[n].of(TENANT, "slack", PER_MINUTE)

    def deliver(self) -> list[Pacing]:
        """Deliver the reports of each process to all, including itself."""
        reports = [
            pacing for workspace_pacing in self.workspace_pacing for pacing in workspace_pacing.due(self.time.now)
        ]
        for pacing in reports:
            for workspace_pacing in self.workspace_pacing:
                workspace_pacing.receive_report(pacing)
        return reports

    async def exchange(self) -> None:
        while True:
            reports = [
                pacing for workspace_pacing in self.workspace_pacing for pacing in workspace_pacing.due(self.time.now)
            ]
            await self.time.sleep(LATENCY)
            for workspace_pacing in self.workspace_pacing:
                for pacing in [] if self.isolated else reports:
                    workspace_pacing.receive_report(pacing)
            await self.time.sleep(TICK - LATENCY)

    async def run(self, place: Workspace, *, busy: Sequence[int]) -> None:
        """Run streams in the workspace, each in one of the busy processes."""
        exchanging = asyncio.create_task(self.exchange())
        work = asyncio.gather(
            *(stream(place, self.shared(busy[n % len(busy)]), f"t{n}", 60) for n in range(STREAMS)),
        )
        await self.time.run(work)
        await work
        exchanging.cancel()
        await asyncio.gather(exchanging, return_exceptions=True)


async def test_four_processes_keep_within_the_rate_limit_and_all_finish() -> None:
    fleet = ProcessPool(4)
    place = Workspace(fleet.time)
    await fleet.run(place, busy=[0, 1, 2, 3])
    assert {part.text for part in place.shown.values()} == {"The end."}
    assert len(place.shown) == STREAMS
    assert (place.refused, place.violations) == (0, 0)
    drafts = [sum(ref == f"t{n}" for _, ref in place.edits) - 1 for n in range(STREAMS)]
    assert min(drafts) >= 1, "every stream was seen to move"


async def test_processes_without_reports_hit_the_rate_limit() -> None:
    fleet = ProcessPool(4)
    fleet.isolated = True
    place = Workspace(fleet.time)
    await fleet.run(place, busy=[0, 1, 2, 3])
    assert place.refused > STREAMS
    assert {part.text for part in place.shown.values()} == {"The end."}, "and all ends arrive all the same"


async def test_processes_without_streams_use_nothing() -> None:
    edits = []
    for count in (1, 4):
        fleet = ProcessPool(count)
        place = Workspace(fleet.time)
        await fleet.run(place, busy=[0])
        assert place.refused == 0
        edits.append(len(place.edits))
    assert edits[0] == edits[1]


async def test_a_lower_limit_than_promised_is_learned_by_all() -> None:
    fleet = ProcessPool(4)
    place = Workspace(fleet.time, per_minute=20.0, burst=2.0)
    place.level = 2.0
    await fleet.run(place, busy=[0, 1, 2, 3])
    alone = ProcessPool(4)
    alone.isolated = True
    elsewhere = Workspace(alone.time, per_minute=20.0, burst=2.0)
    elsewhere.level = 2.0
    await alone.run(elsewhere, busy=[0, 1, 2, 3])
    assert {part.text for part in place.shown.values()} == {"The end."}
    assert place.refused < len(place.edits) / 2
    assert place.refused < elsewhere.refused / 2
    assert place.violations < elsewhere.violations / 4, "only within the moment before a refusal is heard of"


def test_a_refusal_pauses_all_processes_and_widens_their_spacing_once() -> None:
    fleet = ProcessPool(3)
    before = fleet.shared(1).interval
    fleet.shared(0).refused(0.0, 7.0)
    fleet.deliver()
    assert [fleet.shared(n).blocked(0.0) for n in range(3)] == [7.0] * 3
    fleet.shared(1).refused(0.1, 6.0)
    assert fleet.shared(1).interval == fleet.shared(0).interval == before * 1.5


def test_each_process_uses_its_share_of_all_streams() -> None:
    fleet = ProcessPool(3)
    for n in (0, 0, 0, 1):
        fleet.shared(n).begin()
    fleet.deliver()
    assert [fleet.shared(n).remote_streams for n in range(3)] == [1, 3, 4]
    gap = 60.0 / PER_MINUTE
    spacings = []
    for n in (0, 1):
        assert fleet.shared(n).reserve_draft(0.0) == 0.0
        spacings.append(fleet.shared(n).reserve_draft(0.0))
    assert spacings == pytest.approx([DRAFT_MARGIN * gap * 4 / 3, DRAFT_MARGIN * gap * 4])
    assert sum(1 / spacing for spacing in spacings) * gap < 1.0, "together no more than the minute"
    for n in (0, 0, 0):
        fleet.shared(n).end()
    fleet.deliver()
    assert fleet.shared(1).remote_streams == 0
    assert fleet.shared(1).interval == gap


def test_a_final_edit_goes_before_drafts_however_busy_other_processes_are() -> None:
    fleet = ProcessPool(2)
    for n in [0] + [1] * 20:
        fleet.shared(n).begin()
    fleet.deliver()
    assert fleet.shared(0).reserve_draft(0.0) == 0.0
    assert fleet.shared(0).reserve_draft(0.0) > 20.0
    assert fleet.shared(0).reserve_final(0.0) == 0.0


def test_a_process_without_reports_no_longer_counts() -> None:
    fleet = ProcessPool(2)
    fleet.shared(0).begin()
    fleet.deliver()
    for _ in range(3):
        fleet.time.now += REPEAT_INTERVAL
        assert len(fleet.deliver()) == 1, "what still holds is told again"
    assert fleet.shared(1).remote_streams == 1
    fleet.time.now += REPORT_LIFETIME
    assert fleet.workspace_pacing[1].due(fleet.time.now) == []
    assert fleet.shared(1).remote_streams == 0


def test_a_new_process_learns_the_limit_from_the_next_report() -> None:
    fleet = ProcessPool(2)
    fleet.shared(0).begin()
    fleet.shared(0).refused(0.0, 1.0)
    fleet.workspace_pacing[0].due(0.0)
    fleet.time.now = 5.0
    (report,) = fleet.workspace_pacing[0].due(5.0)
    assert report.pause == 0
    late = WorkspacePacing(9, monotonic=fleet.time.monotonic)
    late.receive_report(report)
    assert late.of(TENANT, "slack", PER_MINUTE).slow == fleet.shared(0).slow > 1


def test_starts_of_a_dead_process_still_count() -> None:
    fleet = ProcessPool(2)
    assert [fleet.shared(0).start(float(second), 6) for second in range(4)] == [True] * 4
    fleet.time.now = 4.0
    fleet.deliver()
    assert [fleet.shared(1).start(4.0, 6) for _ in range(3)] == [True, True, False]
    fleet.time.now = 30.0
    fleet.workspace_pacing[1].due(30.0)
    assert not fleet.shared(1).start(30.0, 6)
    fleet.time.now = 65.0
    fleet.workspace_pacing[1].due(65.0)
    assert fleet.shared(1).start(65.0, 6)


def test_workspaces_and_platforms_have_separate_limits() -> None:
    fleet = ProcessPool(2)
    fleet.shared(0).begin()
    fleet.workspace_pacing[0].of("discord:1", "discord").begin()
    (report,) = fleet.deliver()
    assert (report.tenant_id, report.streams) == (TENANT, 1)
    assert fleet.workspace_pacing[1].of("slack:T2", "slack", PER_MINUTE).remote_streams == 0


async def test_a_report_is_repeated_after_a_database_failure() -> None:
    time = Timeline()
    workspace_pacing, tries = WorkspacePacing(1, monotonic=time.monotonic, sleep=time.sleep), list[Sequence[Pacing]]()

    async def send(due: Sequence[Pacing]) -> None:
        tries.append(due)
        if len(tries) == 1:
            raise StoreAway("the database is away")
        if len(tries) == 3:
            raise asyncio.CancelledError

    workspace_pacing.of(TENANT, "slack", PER_MINUTE).begin()
    exchanging = asyncio.gather(workspace_pacing.serve(send), return_exceptions=True)
    await time.run(exchanging)
    assert [[(report.streams, report.pause) for report in due] for due in tries] == [[(1, 0.0)]] * 3
    assert 2 * REPEAT_INTERVAL <= time.now < 3 * REPEAT_INTERVAL


def test_a_process_ignores_its_own_reports() -> None:
    workspace_pacing = WorkspacePacing(1, monotonic=lambda: 0.0)
    shared = workspace_pacing.of(TENANT, "slack", PER_MINUTE)
    shared.begin()
    shared.refused(0.0, RateLimited("slow down", retry_after=2.0).retry_after)
    (report,) = workspace_pacing.due(0.0)
    workspace_pacing.receive_report(report)
    assert (shared.remote_streams, shared.slow) == (0, 1.5)
