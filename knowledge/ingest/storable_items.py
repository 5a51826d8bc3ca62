"""Makes the items of a source storable: their names, titles and metadata. A file name may be any bytes."""

from __future__ import annotations

from dataclasses import replace

from knowledge.text.storable_text import storable, storable_file_name, storable_values
from knowledge.types.source_items import Failure, Fetched, Item, Mark, SourceWarning, Unchanged


def storable_item(item: Item) -> Item:
    """Return the item with names that the database can store. A file name may be any bytes."""
    match item:
        case Fetched():
            return replace(
                item,
                uri=storable_file_name(item.uri),
                title=storable(item.title),
                content_type=storable(item.content_type),
                metadata=storable_values(item.metadata),
                memo=storable(item.memo),
            )
        case Unchanged():
            metadata = None if item.metadata is None else storable_values(item.metadata)
            return replace(item, uri=storable_file_name(item.uri), metadata=metadata)
        case Failure():
            return replace(item, source=storable_file_name(item.source), error=storable(item.error))
        case Mark():
            return Mark(storable(item.memo))
        case SourceWarning():
            return item
