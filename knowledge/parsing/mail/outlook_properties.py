"""Reads properties of Outlook's messages, recipients and attachments, with texts in the code page of the message."""

from __future__ import annotations

from typing import Any

from oxmsg.domain import constants, encodings
from oxmsg.domain.model import UnrecognizedCodePageError, UnsupportedEncodingError
from oxmsg.properties import Properties

from knowledge.parsing import text_encoding

_DEFAULT = "windows-1252"
"""The charset in which Outlook writes if it names no code page."""


def charset_of_code_page(number: int) -> str:
    """Return the charset of a code page of Windows; that of Western Europe if the number is unknown."""
    try:
        return encodings.encoding_from_codepage(number)
    except (UnrecognizedCodePageError, UnsupportedEncodingError):
        return _DEFAULT


class OutlookProperties(Properties):
    """The properties of a storage. ``charset`` is that of the message around it.

    ``header`` is the number of bytes before the properties.
    """

    def __init__(self, storage: Any, header: int, charset: str = _DEFAULT) -> None:
        super().__init__(storage, properties_header_offset=header)
        self._charset = charset

    @property
    def body_encoding(self) -> str:
        """The charset of the text and of the page of a message."""
        return self._charset_in(constants.PID_INTERNET_CODEPAGE) or self.charset

    @property
    def charset(self) -> str:
        """The charset of the other texts."""
        return self._charset_in(constants.PID_MESSAGE_CODEPAGE) or self._charset

    def str_prop_value(self, pid: int) -> str | None:
        """Return a text; None if there is none."""
        found = self._get_property(pid, constants.PTYP_STRING8)
        if found is None:
            value: str | None = super().str_prop_value(pid)
            return value
        data = self._storage.property_stream_bytes(pid, found.ptyp)
        charset = self.body_encoding if pid in (constants.PID_BODY, constants.PID_BODY_HTML) else self.charset
        return text_encoding.decode_known(data.rstrip(b"\0"), charset)

    @property
    def _str_prop_encoding(self) -> str:
        return self.charset

    def _charset_in(self, pid: int) -> str:
        found = self._cherry_pick_int_prop(pid)
        return "" if found is None else charset_of_code_page(found.value)
