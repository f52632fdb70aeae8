"""Zip archives of torch, looked into before torch does."""

from __future__ import annotations

import zipfile
from pathlib import Path

from goodnet.errors import UnsafeModelError

LARGEST_EXPANSION = 100
"""How many times larger than its place in an archive a member may be; weights hardly shrink at all."""


def member_names(path: Path) -> list[str]:
    """Return the names in a zip archive without their first folder; nothing for any other file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.split("/", 1)[-1] for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile):
        return []


def require_plain_archive(archive: zipfile.ZipFile) -> None:
    """Refuse an archive that two readers could read differently, or that expands: torch writes neither.

    Raises:
        UnsafeModelError: two members have the same name, apart from case, or one is compressed.
    """
    seen: set[str] = set()
    for info in archive.infolist():
        if info.filename.casefold() in seen:
            raise UnsafeModelError(f"the archive has two members named {info.filename!r}; torch never writes that")
        seen.add(info.filename.casefold())
        if info.file_size > LARGEST_EXPANSION * max(info.compress_size, 2**20):
            raise UnsafeModelError(f"{info.filename!r} would expand to {info.file_size} bytes, as a zip bomb does")
