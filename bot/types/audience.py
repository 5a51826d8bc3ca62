"""Defines who reads an answer: members of the team alone, or people from outside as well."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

Standing = Literal["member", "guest", "outsider", "unknown"]
"""What a person is in the workspace: a full member, a guest, a person from elsewhere, or not checked."""

Readers = Literal["members", "allowed", "outsider", "guest", "shared", "guests", "public", "unknown"]
"""Who reads an answer.

``members``: full members of the team alone. ``allowed``: others too, and an admin allowed it with ``/settings external
on``. ``outsider``, ``guest``: the asker is one. ``shared``: the channel is shared with another organization.
``guests``: guests are in the channel. ``public``: anybody may join the server and read the channel. ``unknown``: this
could not be checked.
"""


@dataclass(frozen=True, slots=True)
class Audience:
    """Who reads an answer, decided once from facts about the channel and the asker. Unless checked, it is unknown.

    ``direct``: the answer goes to a direct message, which only the asker reads.
    """

    readers: Readers = "unknown"
    direct: bool = False

    @property
    def tenant_wide(self) -> bool:
        """Whether everybody who reads the answer may read the documents of the whole tenant."""
        return self.readers in ("members", "allowed")

    @property
    def refused(self) -> bool:
        """Whether to refuse an answer at all: a direct message needs a person who is known to be in the workspace."""
        return self.direct and self.readers in ("outsider", "unknown")

    def given(self, external: bool) -> Audience:
        """Return the audience under the channel's setting ``external``, which opens the tenant's documents to all."""
        return replace(self, readers="allowed") if external and not self.tenant_wide and not self.refused else self


UNCHECKED = Audience()
MEMBERS = Audience("members")


def decide(standing: Standing, channel: Readers, *, direct: bool = False) -> Audience:
    """Return the audience of an answer to a person of this standing in a channel with these readers."""
    if standing in ("outsider", "guest"):
        return Audience(standing, direct)
    if channel == "members" and standing == "unknown":
        return Audience("unknown", direct)
    return Audience(channel, direct)


def stored(readers: str) -> Audience:
    """Return an audience from its stored name; unknown if this version does not know the name."""
    return next((Audience(name) for name in get_args(Readers) if name == readers), UNCHECKED)
