"""Ports to a platform: show a reply, read what surrounds the question, deliver a file."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from bot.types.conversation import (
    StoredAttachment,
    ThreadAbove,
)
from bot.types.display import Limits, Part


class Surface(Protocol):
    """A place in a channel where one reply appears. Raises RateLimited, MessageGone or SurfaceError."""

    @property
    def limits(self) -> Limits:
        """What the place allows just now."""

    async def post(self, part: Part) -> str:
        """Post a message and return the platform's reference to it."""

    async def edit(self, ref: str, part: Part) -> None:
        """Make the message read as ``part`` says."""

    async def delete(self, ref: str) -> None:
        """Take the message away; one that is gone already is no error."""

    async def find(self, nonce: str) -> str | None:
        """The reference of a message posted earlier under that nonce; None where there is none or it cannot be told.

        Asked only after a post of which nobody knows whether it went through.
        """


@runtime_checkable
class ContextReader(Protocol):
    """A Surface that can also tell what stands around the question. Raises UsageError, RateLimited or SurfaceError."""

    async def fetch(self, file: StoredAttachment) -> bytes:
        """The bytes of a file that was attached to the question."""

    async def above(self) -> ThreadAbove | None:
        """The thread above the question, its authors named; None where there is nothing above it."""


@runtime_checkable
class FileDelivery(Protocol):
    """A Surface that can hand over a file beside the reply. Raises RateLimited, MessageGone or SurfaceError."""

    async def hand_over(self, name: str, data: bytes) -> None: ...


class PartRecorder(Protocol):
    """Remembers each reply message before it is posted, and its reference after; the one that is on record then.

    A reference that is known stays: another process may have posted the same message. Raises LeaseLost.
    """

    async def __call__(self, index: int, ref: str | None) -> str | None: ...
