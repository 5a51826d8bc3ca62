"""Defines who has signed in, and maps groups to the roles admin and member."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from bot.types.conversation import Author, Role

Method = Literal["none", "token", "oidc", "proxy"]

OPERATOR_ID = "you"
"""The one user of the page without a sign-in, and of everybody who has PARLEY_WEB_TOKEN. Also the terminal's user."""
MAX_NAME_CHARS = 40
EVERYONE = "*"


@dataclass(frozen=True, slots=True)
class Identity:
    """A person who has signed in.

    ``id`` is the author ID. ``name`` is empty if the person chooses it on the page. ``expires_at`` is in Unix seconds.
    """

    id: str
    name: str
    is_admin: bool
    method: Method
    expires_at: float

    def author(self, chosen_name: str) -> Author:
        """Return the author of what this person writes."""
        return Author(self.id, self.name or clean_name(chosen_name) or "You", is_admin=self.is_admin)


def operator(method: Method, expires_at: float) -> Identity:
    """Return the identity of the operator, who is an admin."""
    return Identity(OPERATOR_ID, "", True, method, expires_at)


def clean_name(name: str) -> str:
    """Return a name on one line, of limited length."""
    return " ".join("".join(char if char.isprintable() else " " for char in name).split())[:MAX_NAME_CHARS]


@dataclass(frozen=True, slots=True)
class RoleMap:
    """The groups whose people are admins and members, and the author IDs of further admins."""

    admin_groups: frozenset[str]
    member_groups: frozenset[str]
    admins: frozenset[str] = frozenset()

    def role(self, user_id: str, groups: Collection[str]) -> Role | None:
        """Return the role of a person; None if they may not sign in."""
        if user_id in self.admins or not self.admin_groups.isdisjoint(groups):
            return "admin"
        if EVERYONE in self.member_groups or not self.member_groups.isdisjoint(groups):
            return "member"
        return None
