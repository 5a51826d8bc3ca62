"""The documents that a search may use: audiences, filters and scopes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

TENANT_AUDIENCE = "tenant"
"""The audience of a document that every user of the tenant may read."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions on the documents that are searched. A document passes if it meets every condition that is set.

    ``sources``: the name of the document or of its source starts with one of these; an empty tuple lets none pass.
    ``kinds`` of source (``folder``, ``url``), ``formats`` (``pdf``, ``markdown``), ``languages`` (``de``) and
    ``authors`` match in full, ignoring case. ``since`` includes its date, ``until`` excludes it.
    """

    sources: tuple[str, ...] | None = None
    kinds: tuple[str, ...] | None = None
    formats: tuple[str, ...] | None = None
    languages: tuple[str, ...] | None = None
    authors: tuple[str, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __and__(self, other: Filter) -> Filter:
        """Return the filter that passes the documents that pass both filters."""
        return Filter(
            _prefixes(self.sources, other.sources),
            _same(self.kinds, other.kinds),
            _same(self.formats, other.formats),
            _same(self.languages, other.languages),
            _same(self.authors, other.authors),
            max(filter(None, (self.since, other.since)), default=None),
            min(filter(None, (self.until, other.until)), default=None),
        )


def _prefixes(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return the prefixes of names that match both tuples: from each pair, the longer if it starts with the shorter."""
    if one is None or other is None:
        return other if one is None else one
    pairs = ((a, b) if len(a) >= len(b) else (b, a) for a in one for b in other)
    return tuple(dict.fromkeys(long for long, short in pairs if long.startswith(short)))


def _same(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    allowed = {value.casefold() for value in other}
    return tuple(value for value in one if value.casefold() in allowed)


EVERYTHING = Filter()


def audiences(channel_id: str | None, *, tenant_wide: bool) -> tuple[str, ...]:
    """Return the audiences of documents that everybody in a channel may read.

    ``tenant_wide``: everybody in the channel may read the documents of the whole tenant.
    """
    return ((TENANT_AUDIENCE,) if tenant_wide else ()) + ((channel_id,) if channel_id else ())


@dataclass(frozen=True, slots=True)
class Scope:
    """The documents that a search may use.

    These are the documents of the tenant whose audience is one of ``audiences`` and that pass ``filter``.
    """

    tenant_id: str
    audiences: tuple[str, ...] = (TENANT_AUDIENCE,)
    filter: Filter = EVERYTHING

    def narrowed(self, more: Filter) -> Scope:
        """Return the same scope, limited by another filter as well."""
        return replace(self, filter=self.filter & more)

    @classmethod
    def of_channel(cls, tenant_id: str, channel_id: str | None, *, tenant_wide: bool) -> Scope:
        """Return what everybody in the channel may read: its documents and, if ``tenant_wide``, those of the tenant."""
        return cls(tenant_id, audiences(channel_id, tenant_wide=tenant_wide))
