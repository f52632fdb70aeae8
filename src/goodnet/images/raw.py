"""What the readers of image sets share: the request they get, and the set they return, its pixels unread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodnet.classifier import PartialShape
from goodnet.errors import ImagesError

Array = NDArray[Any]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Request:
    """What the user asked of `load_images`; its docstring describes the fields."""

    keys: tuple[str, ...] | None = None
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


IMAGE_KEYS = ("x", "images", "image", "data", "img")
LABEL_KEYS = ("y", "labels", "label", "targets")


def choose_keys(
    shapes: dict[str, tuple[int, ...]], keys: tuple[str, ...] | None, source: str
) -> tuple[str, str | None]:
    """Return the names of the image array and of the label array, or None where there are no labels.

    Args:
        shapes: name to shape of every array in the file.
        keys: (images,) or (images, labels) as the user named them; None to go by the usual names or, where
            no array has one, by what can only be images and labels.
        source: the file, for the message.

    Raises:
        ImagesError: a named array is missing, or none has a usual name, or several have.
    """
    listing = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "none"
    if keys is not None:
        if not 1 <= len(keys) <= 2:
            raise ImagesError(f"keys names one or two arrays, the images and the labels, got {len(keys)}: {keys}")
        for key in keys:
            if key not in shapes:
                raise ImagesError(f"{source} has no array {key!r}; it has: {listing}")
        return keys[0], keys[1] if len(keys) == 2 else None
    found = [name for name in shapes if name.lower() in IMAGE_KEYS]
    labels = [name for name in shapes if name.lower() in LABEL_KEYS]
    if len(found) == 1 and len(labels) <= 1:
        return found[0], labels[0] if labels else None
    if not found and len(by_content := _by_content(shapes)) == 1:
        return by_content[0]
    problem = "several arrays could be the images or labels" if found else "no array has a usual name"
    raise ImagesError(
        f"{source}: {problem} (x and y, images and labels, data and label). It has: {listing}. "
        f"Name them: --keys {_suggestion(shapes)}, or keys=(images, labels) in Python"
    )


def _suggestion(shapes: dict[str, tuple[int, ...]]) -> str:
    """Return the likeliest 'IMAGES,LABELS' of a file."""
    pairs = [f"{images},{labels}" for images, labels in _by_content(shapes) if labels is not None]
    return min(pairs, key=lambda pair: "test" not in pair.lower(), default="IMAGES,LABELS")


def _by_content(shapes: dict[str, tuple[int, ...]]) -> list[tuple[str, str | None]]:
    """Every pair of an image-like array and a vector as long as it is, or no labels where there is none."""
    pairs: list[tuple[str, str | None]] = []
    for images, shape in shapes.items():
        if len(shape) >= 3:
            vectors: list[str] = [name for name, other in shapes.items() if other[:1] == shape[:1] and len(other) == 1]
            pairs += [(images, labels) for labels in vectors] or [(images, None)]
    return pairs
