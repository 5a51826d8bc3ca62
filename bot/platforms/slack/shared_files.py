"""Reads files that Slack does not serve as they are: those it describes later, Canvases, and voice and video clips.

A file of another organization arrives as an ID alone (``file_access: check_file_info``). A Canvas is served as HTML. Of
a clip, Slack's transcript is read. https://docs.slack.dev/reference/objects/file-object
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import ParleyError, UsageError, for_operator
from bot.platforms.json_input import object_field
from bot.platforms.slack import errors, user_messages
from bot.platforms.slack.file_downloads import FileDownloads
from bot.types.conversation import Attachment

log = logging.getLogger(__name__)

File = Mapping[str, Any]
Sleep = Callable[[float], Awaitable[None]]

REF = "file:"
"""How the reference of a file begins that ``files.info`` must describe; its ID follows."""
DESCRIBE_SECONDS = 1.5
"""Files are described before the acknowledgment, which Slack expects within 3 seconds."""
TRANSCRIPT_INTERVAL, TRANSCRIPT_ATTEMPTS = 2.0, 10
"""Seconds between two looks for a transcript that Slack is still writing, and how many looks."""
_CANVAS = frozenset({"quip", "canvas"})
_CANVAS_TYPE = "application/vnd.slack-docs"
_VTT_LINE = re.compile(r"WEBVTT.*|NOTE.*|\d+|.*-->.*")


def is_canvas(file: File) -> bool:
    """Return whether the file is a Canvas."""
    return file.get("mimetype") == _CANVAS_TYPE or bool(_CANVAS & {file.get("filetype"), file.get("mode")})


def is_clip(file: File) -> bool:
    """Return whether the file is a voice or video clip that Slack transcribes."""
    return isinstance(file.get("transcription"), Mapping) or file.get("subtype") in ("slack_audio", "slack_video")


def transcript(file: File) -> str:
    """Return the transcript of a clip; empty unless the file has it in full."""
    transcription = file.get("transcription")
    if not isinstance(transcription, Mapping) or transcription.get("status") != "complete":
        return ""
    preview = object_field(transcription, "preview")
    return "" if preview.get("has_more") else str(preview.get("content") or "").strip()


def spoken_in(files: Sequence[File]) -> str:
    """Return what is said in the clips among the files, as far as it is transcribed."""
    return "\n".join(filter(None, map(transcript, files)))


class SharedFiles:
    """Describes and reads the files of messages. ``client`` must wait out HTTP 429 responses."""

    def __init__(self, client: AsyncWebClient, downloads: FileDownloads, *, sleep: Sleep = asyncio.sleep) -> None:
        self._client = client
        self._downloads = downloads
        self._sleep = sleep

    async def described(self, files: Sequence[File]) -> tuple[File, ...]:
        """Return the files with their names and types. Those that Slack does not describe now stay as they are."""
        return tuple(await asyncio.gather(*map(self._described, files)))

    async def _described(self, file: File) -> File:
        if file.get("file_access") != "check_file_info":
            return file
        try:
            return await asyncio.wait_for(self._info(str(file.get("id")), "file"), DESCRIBE_SECONDS)
        except (ParleyError, TimeoutError) as error:
            log.info("File %s is described later: %s", file.get("id"), for_operator(error))
            return file

    def attachments(self, files: Sequence[File]) -> tuple[Attachment, ...]:
        """Return the files of a message as attachments, except clips whose words belong to the question."""
        return tuple(self._attachment(file) for file in files if not transcript(file))

    def _attachment(self, file: File) -> Attachment:
        if not (is_canvas(file) or is_clip(file) or file.get("file_access") == "check_file_info"):
            return self._downloads.attachment(file)
        named = file.get("title") if is_canvas(file) else file.get("name")
        name = str(named or file.get("name") or "file")
        kind = "text/html" if is_canvas(file) else "text/plain" if is_clip(file) else "application/octet-stream"
        ref = f"{REF}{file.get('id')}"

        async def read() -> bytes:
            return await self.read(ref, name, kind)

        return Attachment(name, kind, 0, read, ref=ref)

    async def read(self, ref: str, name: str, content_type: str) -> bytes:
        """Return the content of a file: HTML of a Canvas, the transcript of a clip. Raises UsageError, SurfaceError."""
        if not ref.startswith(REF):
            return await self._downloads.read(ref, name, content_type)
        file = await self._info(ref.removeprefix(REF), name)
        if is_clip(file):
            return (await self._transcript(file, name)).encode()
        kind = "text/html" if is_canvas(file) else str(file.get("mimetype") or content_type)
        return await self._downloads.read(_address(file), name, kind)

    async def _transcript(self, file: File, name: str) -> str:
        for _ in range(TRANSCRIPT_ATTEMPTS):
            transcription = object_field(file, "transcription")
            if transcription.get("status") != "processing":
                break
            await self._sleep(TRANSCRIPT_INTERVAL)
            file = await self._info(str(file.get("id")), name)
        if text := transcript(file):
            return text
        if not file.get("vtt"):
            raise UsageError(user_messages.no_transcript(name))
        return _words_of_vtt(await self._downloads.read(str(file["vtt"]), name, "text/vtt"))

    async def _info(self, file_id: str, name: str) -> File:
        try:
            with errors.reached():
                response = await self._client.files_info(file=file_id)
        except SlackApiError as error:
            code = errors.code(error)
            if code == "missing_scope":
                raise UsageError(user_messages.download_not_permitted(name)) from error
            raise UsageError(user_messages.file_not_given(name, code)) from error
        file: File = response.get("file") or {}
        return file


def _address(file: File) -> str:
    return str(file.get("url_private_download") or file.get("url_private") or "")


def _words_of_vtt(data: bytes) -> str:
    """Return the text of subtitles in the WebVTT format, without numbers and times."""
    lines = (line.strip().removeprefix("- ") for line in data.decode(errors="replace").splitlines())
    return "\n".join(line for line in lines if line and not _VTT_LINE.fullmatch(line))
