"""Changes parts of Office files for tests."""

from __future__ import annotations

import io
import re
import zipfile


def changed(data: bytes, part: str, pattern: str, replacement: str) -> bytes:
    """Return the package with a change of one part. The pattern must be there."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as made:
        for name in old.namelist():
            content = old.read(name)
            if name == part:
                text, count = re.subn(pattern, replacement, content.decode())
                assert count
                content = text.encode()
            made.writestr(name, content)
    return buffer.getvalue()
