"""What a file that is a zip archive says of itself as a GoodNet: an entry of its own."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath

NAME = "goodnet.json"


def in_archive(path: Path) -> str | None:
    """Return a GoodNet's facts as JSON, or None where the file is no archive or holds none.

    `torch.export` and TorchScript put the entry into a folder for extra files, Keras leaves it at the top.
    """
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        name = next((name for name in archive.namelist() if PurePosixPath(name).name == NAME), None)
        return None if name is None else archive.read(name).decode("utf-8")
