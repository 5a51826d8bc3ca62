"""Decides which files of folders and repositories are read: documents, and pictures that may be scans.

Pictures, archives and links that are left out are counted and reported, because people may take them for documents.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePath

from knowledge.parsing.ocr import text_recognition
from knowledge.text.counted_nouns import counted
from knowledge.types.source_items import Fetched, SourceWarning

SKIPPED_EXTENSIONS = frozenset(
    """.png .jpg .jpeg .gif .bmp .webp .ico .svg .tif .tiff .mp3 .mp4 .m4a .wav .ogg .mov .avi .mkv .webm .woff .woff2
    .ttf .otf .eot .zip .gz .tgz .bz2 .xz .7z .rar .tar .exe .dll .so .dylib .o .a .class .jar .pyc .pyo .wasm .bin
    .iso .dmg .db .sqlite .sqlite3 .parquet .npy .npz .safetensors .pt .onnx .lock .map""".split()
)
"""Extensions that a folder skips, but for pictures that may be scans."""
ARCHIVE_EXTENSIONS = frozenset((".zip", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".tar"))
PICTURE_EXTENSIONS = frozenset((".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"))
MIN_BYTES = 8_000
"""Fewest bytes of a picture that is read. Smaller ones are icons and buttons; a faxed page has 20,000."""


def is_picture(name: str) -> bool:
    """Return whether the name is that of a picture, which may be a scan."""
    return PurePath(name).suffix.lower() in PICTURE_EXTENSIONS


def as_picture(fetched: Fetched) -> Fetched:
    """Mark a file as a picture if its name is that of one."""
    return replace(fetched, picture=True) if is_picture(fetched.uri) else fetched


@dataclass(slots=True)
class FileSelection:
    """Takes the documents of one source, and its pictures if text recognition is installed.

    Counts the pictures and archives that it leaves out. ``links`` are counted by the source: they lead out of it, or
    nowhere.
    """

    pictures: int = 0
    archives: int = 0
    links: int = 0

    def takes(self, name: str, size: int) -> bool:
        """Return whether a file of so many bytes is read."""
        if is_picture(name):
            if size < MIN_BYTES:
                return False
            is_installed = text_recognition.is_installed()
            self.pictures += not is_installed
            return is_installed
        extension = PurePath(name).suffix.lower()
        self.archives += extension in ARCHIVE_EXTENSIONS
        return extension not in SKIPPED_EXTENSIONS

    def warnings(self) -> list[SourceWarning]:
        """Return how many pictures, archives and links were left out, and what to do; nothing if there were none."""
        said = []
        if self.pictures:
            pictures = counted(self.pictures, "picture")
            said.append(f"{pictures} left out, which may hold text. {text_recognition.INSTALL}")
        if self.archives:
            said.append(f"{counted(self.archives, 'archive')} left out. Unpack what holds documents")
        if self.links:
            links = f"{counted(self.links, 'link')} out of the folder or to nothing"
            said.append(f"{links} left out. Add what they lead to by its own name")
        return [SourceWarning(text) for text in said]
