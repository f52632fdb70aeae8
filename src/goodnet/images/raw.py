"""What the readers of image sets share: the request they get, and the set they return, its pixels unread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodnet.classifier import PartialShape

Array = NDArray[Any]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Request:
    """What the user asked of `load_images`; its docstring describes the fields."""

    keys: tuple[str, ...] | None = None
    labels: bool = True
    limit: int | None = None
    seed: int = 0
    split: str = "test"
    shape: PartialShape | None = None
    resize: bool = False
    download: bool = False


@dataclass(frozen=True)
class RawImages:
    """An image set as its file has it, before its pixels are read.

    Attributes:
        count: number of images in the set.
        read: takes ascending indices (k,), returns their pixels (k, ...) in the set's own layout and values.
        labels: one entry an image, in whatever form the set has them, or None.
        source: where the set came from.
        paths: one path per image where each has a file of its own, else empty.
        notes: what the reader decided, one sentence each.
    """

    count: int
    read: Callable[[Indices], Array]
    labels: Array | None
    source: str
    paths: Sequence[str] = ()
    notes: tuple[str, ...] = ()


def begins_with(source: object, *signatures: bytes) -> bool:
    """Whether `source` is a file whose first bytes are one of `signatures`."""
    if not isinstance(source, Path) or not source.is_file():
        return False
    with source.open("rb") as file:
        return file.read(max(map(len, signatures))).startswith(signatures)
