"""Files that are written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from goodnet.errors import OutputError


@contextmanager
def written_whole(path: Path, what: str) -> Iterator[Path]:
    """Give the path of a file beside `path` to write to; it takes that one's place when the block is left in peace.

    Args:
        path: where the file is to be in the end.
        what: the content in words, for the error.

    Raises:
        OutputError: the file cannot be written.
    """
    partial = path.with_name(f".partial-{path.name}")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write the {what} to {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            partial.unlink()
