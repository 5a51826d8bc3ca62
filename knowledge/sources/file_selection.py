"""Decides which files of folders and repositories are read: documents, and pictures that may be scans."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePath

from knowledge.parsing.ocr import text_recognition
from knowledge.text.counted_nouns import counted
from knowledge.types import Fetched, SourceWarning

SKIPPED_EXTENSIONS = frozenset(
    """.png .jpg .jpeg .gif .bmp .webp .ico .svg .tif .tiff .mp3 .mp4 .m4a .wav .ogg .mov .avi .mkv .webm .woff .woff2
    .ttf .otf .eot .zip .gz .tgz .bz2 .xz .7z .rar .tar .exe .dll .so .dylib .o .a .class .jar .pyc .pyo .wasm .bin
    .iso .dmg .db .sqlite .sqlite3 .parquet .npy .npz .safetensors .pt .onnx .lock .map""".split()
)
"""Extensions that a folder skips, but for pictures that may be scans."""
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
class PictureFilter:
    """Takes the pictures of one source if text recognition is installed, and counts those that it leaves out."""

    left_out: int = 0

    def takes(self, size: int) -> bool:
        """Return whether a picture of so many bytes is read."""
        if size < MIN_BYTES:
            return False
        if text_recognition.is_installed():
            return True
        self.left_out += 1
        return False

    def warnings(self) -> list[SourceWarning]:
        """Return how many pictures were left out, and how to read them; nothing if there were none."""
        if not self.left_out:
            return []
        said = f"{counted(self.left_out, 'picture')} left out, which may hold text. {text_recognition.INSTALL}"
        return [SourceWarning(said)]
