"""Files that Slack does not simply attach: those of other organizations, Canvases, and voice clips."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doubles.models import ModelDouble, Reply
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_content import canvas, voice_clip
from tests.slack.fake_dispatcher import ScriptedDispatcher
from tests.slack.test_end_to_end import finished, running

PLAN = b"<html><body><h1>Plan</h1><p>The fair is in <b>Ulm</b>.</p></body></html>"
VTT = b"WEBVTT\n\n1\n00:00:00.000 --> 00:00:02.000\n- How many days\n\n00:00:02.000 --> 00:00:04.000\ndo interns get?\n"


def shared_canvas(slack: SlackDouble) -> dict[str, object]:
    return slack.temporary.describe(canvas(slack.temporary.share("Team_plan", PLAN, "text/html"), "Team plan"))


async def last_prompt(slack: SlackDouble, database_url: str, folder: Path, text: str, file: dict[str, object]) -> str:
    """Ask with a file; return what the model received, and the notes of the answer."""
    async with ModelDouble() as models:
        models.script = lambda request: Reply("In Ulm.")
        keys = {"anthropic_api_key": models.anthropic_key, "anthropic_base_url": models.anthropic_url}
        async with running(slack, database_url, folder, **keys):
            asked = await slack.say("general", "alice", f"{slack.bot} {text}", shared=[file])
            await slack.until(lambda: finished(slack, asked))
            return f"{models.requests[-1].messages[-1][1]}\n{finished(slack, asked)[0].shown}"


async def test_a_file_of_another_organization_is_read(slack: SlackDouble, database_url: str, tmp_path: Path) -> None:
    stub = slack.temporary.stub(slack.temporary.share("fair.csv", b"item,cost\nstand,3200\n", "text/csv"))
    prompt = await last_prompt(slack, database_url, tmp_path, "what does the stand cost?", stub)
    assert ' name="fair.csv">' in prompt
    assert "3200" in prompt


async def test_a_file_that_slack_describes_late_is_read_when_it_is_needed(
    slack: SlackDouble, database_url: str, tmp_path: Path
) -> None:
    stub = slack.temporary.stub(slack.temporary.share("note.txt", b"the stand costs 3200", "text/plain"))
    slack.fail_next("files.info", "internal_error")
    assert "3200" in await last_prompt(slack, database_url, tmp_path, "what does the stand cost?", stub)


async def test_a_canvas_is_read(slack: SlackDouble, database_url: str, tmp_path: Path) -> None:
    prompt = await last_prompt(slack, database_url, tmp_path, "where is the fair?", shared_canvas(slack))
    assert ' name="Team plan">' in prompt
    assert "The fair is in Ulm." in prompt
    assert "<b>" not in prompt


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "missing_scope",
            "Team plan could not be read: I may not read Team plan. Ask an admin to add the scope files:read",
        ),
        ("file_deleted", "Slack does not let me read Team plan (file_deleted)"),
        ("access_denied", "Slack does not let me read Team plan (access_denied)"),
    ],
)
async def test_a_canvas_that_cannot_be_read_is_told_with_the_true_reason(
    slack: SlackDouble, database_url: str, tmp_path: Path, code: str, said: str
) -> None:
    slack.fail_next("files.info", code)
    prompt = await last_prompt(slack, database_url, tmp_path, "where is the fair?", shared_canvas(slack))
    assert said in prompt


async def test_a_voice_clip_is_a_question(slack: SlackDouble, dispatcher: ScriptedDispatcher) -> None:
    sound = slack.temporary.share("clip.m4a", b"sound", "audio/mp4")
    clip = slack.temporary.describe(voice_clip(sound, "How many days do interns get?"))
    await slack.dm("alice", "", shared=[clip])
    await slack.until(lambda: dispatcher.accepted)
    (incoming,) = dispatcher.accepted
    assert (incoming.text, incoming.attachments) == ("How many days do interns get?", ())


async def test_a_voice_clip_that_slack_transcribes_later_is_asked_again(
    slack: SlackDouble, dispatcher: ScriptedDispatcher
) -> None:
    sound = slack.temporary.share("clip.m4a", b"sound", "audio/mp4")
    asked = await slack.dm("alice", "", shared=[voice_clip(sound, None)])
    await slack.until(lambda: dispatcher.accepted)
    assert "voice clip" in dispatcher.accepted[0].text
    await slack.transcribe(asked, "How many days do interns get?")
    await slack.until(lambda: dispatcher.edits)
    assert dispatcher.edits[0].text == "How many days do interns get?"


async def test_the_transcript_of_a_clip_is_read_once_it_is_there(
    slack: SlackDouble, database_url: str, tmp_path: Path
) -> None:
    sound = slack.temporary.share("clip.m4a", b"sound", "audio/mp4")
    processing = voice_clip(sound, None)
    vtt = slack.temporary.share("clip.vtt", VTT, "text/vtt")["url_private"]
    slack.temporary.describe({**voice_clip(sound, "How many", has_more=True), "vtt": vtt})
    prompt = await last_prompt(slack, database_url, tmp_path, "what is the question here?", processing)
    assert "How many days\ndo interns get?" in prompt


async def test_a_clip_without_a_transcript_is_told(slack: SlackDouble, database_url: str, tmp_path: Path) -> None:
    sound = slack.temporary.share("clip.m4a", b"sound", "audio/mp4")
    failed = slack.temporary.describe({**sound, "subtype": "slack_audio", "transcription": {"status": "failed"}})
    prompt = await last_prompt(slack, database_url, tmp_path, "what is the question here?", failed)
    assert "Slack has no transcript of clip.m4a" in prompt


async def test_a_transcript_is_part_of_the_thread_above(slack: SlackDouble, database_url: str, tmp_path: Path) -> None:
    sound = slack.temporary.share("clip.m4a", b"sound", "audio/mp4")
    async with ModelDouble() as models:
        models.script = lambda request: Reply("28.")
        keys = {"anthropic_api_key": models.anthropic_key, "anthropic_base_url": models.anthropic_url}
        async with running(slack, database_url, tmp_path, **keys):
            root = await slack.say("general", "bob", "", shared=[voice_clip(sound, "Interns get 28 days.")])
            asked = await slack.say("general", "alice", f"{slack.bot} is that right?", root.ts)
            await slack.until(lambda: finished(slack, asked))
            assert "bob: [file: clip.m4a]\nInterns get 28 days." in models.requests[-1].messages[-1][1]
