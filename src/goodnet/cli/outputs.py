"""Where results go: looked at before the work, so that a long scan does not end in a file that cannot be written."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from goodnet.errors import OutputError

logger = logging.getLogger(__name__)


def require_file(path: Path) -> None:
    """Raise OutputError unless a file can be written at `path`, over an older one if there is one."""
    if path.is_dir():
        raise OutputError(f"expected a file to write to, got the folder {path}")
    if path.exists() and not path.is_file():
        raise OutputError(f"expected a file to write to, got {path}, which is a device or a pipe")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise OutputError(f"cannot write {path}: there is no folder {folder}")
    _probe(folder, path)


def require_folder(path: Path) -> None:
    """Raise OutputError unless files can be written into `path`, which need not be there yet."""
    there = next(parent for parent in (path.absolute(), *path.absolute().parents) if os.path.lexists(parent))
    if not there.is_dir():
        raise OutputError(f"cannot write into {path}: {there} is not a folder")
    _probe(there, path)


def unfinished_scans() -> Path | None:
    """Return the folder in which unfinished scans are kept, goodnet/scans in the user's cache; None if not writable."""
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        require_folder(base / "goodnet" / "scans")
    except (OutputError, RuntimeError) as error:  # a user without a home
        logger.warning("an interrupted scan could not be resumed: %s; name another folder with --checkpoint", error)
        return None
    return base / "goodnet" / "scans"


def rescued(write: Callable[[Path], object], wanted: Path) -> OutputError | None:
    """Write a result to where it was wanted or, if that fails after all, to a temporary folder; then say so."""
    try:
        write(wanted)
    except OutputError as error:
        try:
            instead = Path(tempfile.mkdtemp(prefix="goodnet-")) / wanted.name
            write(instead)
        except (OutputError, OSError):
            return error
        return OutputError(f"{error}; it was written to {instead} instead")
    return None


def _probe(folder: Path, wanted: Path) -> None:
    # Asking for permissions is not enough: a file system can be read-only or full.
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"goodnet")
    except OSError as error:
        raise OutputError(f"cannot write {wanted}: {folder} is not writable ({error.strerror or error})") from error
