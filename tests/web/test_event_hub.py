"""Tests that the event hub publishes each change once, in order, and a snapshot to readers that fell behind."""

from __future__ import annotations

from dataclasses import replace

from bot.platforms.web.event_hub import EventHub
from bot.platforms.web.json_views import Event, MessageView, ThreadView

VIEW = MessageView("a-1", "thread-1", "assistant", "Parley", "2026-01-01T00:00:00", ("<p>one</p>",), final=False)


async def _drain(hub: EventHub, last_id: str | None) -> list[Event | str]:
    found: list[Event | str] = []
    async for event in hub.follow(last_id, idle=0.01, viewer="you"):
        if event is None:
            break
        found.append(event)
    return found


async def test_an_unchanged_message_publishes_no_event() -> None:
    hub = EventHub()
    hub.put_message(VIEW)
    hub.put_message(VIEW)
    assert hub.seq == 1


async def test_changed_blocks_publish_a_patch_and_other_changes_the_whole_message() -> None:
    hub = EventHub()
    hub.put_message(VIEW)
    hub.put_message(replace(VIEW, blocks=("<p>one</p>", "<p>two</p>")))
    hub.put_message(replace(VIEW, blocks=("<p>one</p>",), final=True))
    events = [event for event in await _drain(hub, f"{hub.epoch}-0") if isinstance(event, Event)]
    assert [event.kind for event in events] == ["message", "patch", "message"]
    assert events[1].data == {"id": "a-1", "thread": "thread-1", "keep": 1, "chars": 10, "blocks": ["<p>two</p>"]}


async def test_a_reader_that_fell_behind_gets_a_snapshot_and_continues() -> None:
    hub = EventHub(max_events=3)
    for number in range(6):
        hub.put_message(replace(VIEW, blocks=(str(number),)))
    assert await _drain(hub, f"{hub.epoch}-1") == ["snapshot"]
    kept = [event.seq for event in await _drain(hub, f"{hub.epoch}-3") if isinstance(event, Event)]
    assert kept == [4, 5, 6]


async def test_closing_ends_every_reader() -> None:
    hub = EventHub()
    hub.close()
    assert await _drain(hub, None) == []


async def test_a_full_hub_drops_the_oldest_final_message() -> None:
    hub = EventHub(max_messages=2)
    hub.put_message(VIEW)
    for number in range(4):
        hub.put_message(replace(VIEW, id=f"b-{number}", final=True))
    assert [view.id for view in hub.messages_of_thread("thread-1", "you")] == ["a-1", "b-3"]


async def test_a_thread_keeps_its_first_title() -> None:
    hub = EventHub()
    hub.bump_thread(ThreadView("thread-1", "First", "1"))
    hub.bump_thread(ThreadView("thread-2", "Other", "2"))
    hub.bump_thread(ThreadView("thread-1", "Second", "3"))
    assert hub.threads("you") == [ThreadView("thread-1", "First", "3"), ThreadView("thread-2", "Other", "2")]


def test_the_title_that_a_private_command_gave_is_not_shown_to_others() -> None:
    for only_for in ("ben", ""):
        hub = EventHub()
        hub.bump_thread(ThreadView("thread-1", "/ask for my salary", "1"), only_for="ann")
        hub.bump_thread(ThreadView("thread-1", "/ask for my salary again", "2"), only_for="ann")
        assert [thread.title for thread in hub.threads("ann")] == ["/ask for my salary"]
        hub.bump_thread(ThreadView("thread-1", "Other", "3"), only_for=only_for)
        assert [thread.title for thread in hub.threads("ben")] == ["Other"]


async def test_everybody_sees_the_new_title_and_the_pin_of_a_stored_conversation() -> None:
    hub = EventHub()
    hub.bump_thread(ThreadView("stored-long-ago", "/ask for my salary", "1"), only_for="ann")
    before = hub.event_id
    hub.pin("stored-long-ago", True)
    assert hub.threads("you") == [], "the title that the command gave is shown to nobody else"
    hub.retitle("stored-long-ago", "Leave")
    events = [event for event in await _drain(hub, before) if isinstance(event, Event)]
    assert [(event.kind, event.only_for) for event in events] == [("pin", ""), ("title", "")]
    assert [thread.title for thread in hub.threads("you")] == ["Leave"]
