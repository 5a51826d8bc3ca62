"""Ports to a platform: show a reply, read the question's context, deliver a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from bot.types.conversation import ChatMessage, Extent, StoredAttachment, ThreadAbove
from bot.types.display import Activity, Limits, Part


class Surface(Protocol):
    """A place in a channel that shows one reply.

    Its methods raise RateLimited, MessageGone, EditRefused, LayoutRefused or another SurfaceError.
    """

    @property
    def limits(self) -> Limits:
        """Return the current limits of the place."""

    async def post(self, part: Part) -> str:
        """Post a message and return the platform's reference to it."""

    async def edit(self, ref: str, part: Part) -> None:
        """Replace the content of the message."""

    async def delete(self, ref: str) -> None:
        """Delete the message. A message that is already gone is no error."""

    async def find(self, nonce: str) -> str | None:
        """Return the reference of a message posted earlier with this nonce, or None.

        Called only when it is unknown whether a post succeeded.
        """


@runtime_checkable
class ContextReader(Protocol):
    """A surface that can also read the question's context. Raises UsageError, RateLimited or SurfaceError."""

    async def fetch(self, file: StoredAttachment) -> bytes:
        """Return the bytes of a file attached to the question."""

    async def above(self) -> ThreadAbove | None:
        """Return the thread above the question with its authors, or None if there is none."""


@runtime_checkable
class TranscriptReader(Protocol):
    """A surface that can read the messages that a question is about. Raises UsageError or SurfaceError."""

    async def transcript(self, extent: Extent) -> Sequence[ChatMessage]:
        """Return the messages of people before the question, oldest first, without those of this bot."""


@runtime_checkable
class ActivityDisplay(Protocol):
    """A surface that can show what the bot is doing, beside its messages. Raises RateLimited or another SurfaceError.

    ``activity_seconds``: how long the platform shows an activity.
    """

    activity_seconds: float

    async def show_activity(self, activity: Activity | None) -> None:
        """Show the activity in place of the last one; None: the bot is done."""


@runtime_checkable
class FileDelivery(Protocol):
    """A surface that can attach a file to the reply. Raises RateLimited, MessageGone or SurfaceError."""

    async def hand_over(self, name: str, data: bytes) -> None:
        """Upload the file into the conversation of the reply."""


class PartRecorder(Protocol):
    """Records each reply message before it is posted (``ref`` is None) and again with its reference afterwards.

    Returns the recorded reference. The first reference wins, because another process may have posted the same message.
    ``replaced`` is given after a final text: the reference of a message that could not be edited, whose place ``ref``
    takes.

    Raises LeaseLost.
    """

    async def __call__(self, index: int, ref: str | None, *, replaced: str | None = None) -> str | None: ...
