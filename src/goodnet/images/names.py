"""Which arrays of a file are the images and the labels."""

from __future__ import annotations

import re
from collections.abc import Sequence

from goodnet.errors import ImagesError
from goodnet.images.raw import Request

IMAGE_NAMES = ("x", "images", "image", "data", "img")
LABEL_NAMES = ("y", "labels", "label", "targets")

Shapes = dict[str, tuple[int, ...]]


def choose_arrays(shapes: Shapes, request: Request, source: str) -> tuple[str, str | None]:
    """Return the names of the image array and of the label array, or None where there are no labels.

    Goes by the names in the request; else by the usual ones; else by those with a usual one in them (x_test,
    fine_label), of several by the one that names the split; else by what can only be images and labels.

    Args:
        shapes: name to shape of every array in the file.
        request: with the `keys` and the `split` that the user wants, and whether `labels` are.
        source: the file, for the message.

    Raises:
        ImagesError: a named array is missing, or there is more than one choice or none.
    """
    listing = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "none"
    if request.keys is not None:
        return given(request.keys, shapes, f"{source} has no array {{!r}}; it has: {listing}")
    pictures = [name for name, shape in shapes.items() if len(shape) >= 3]
    images = exact(shapes, IMAGE_NAMES) or containing(pictures, IMAGE_NAMES, request.split)
    rows = {shapes[name][:1] for name in images}
    columns = [name for name, shape in shapes.items() if name not in images and shape[:1] in rows]
    labels = exact(shapes, LABEL_NAMES) or containing(columns, LABEL_NAMES, request.split)
    if not request.labels:
        labels = []
    if len(images) == 1 and len(labels) <= 1:
        return images[0], labels[0] if labels else None
    if not images and len(by_content := _by_content(shapes)) == 1:
        return by_content[0]
    problem = "several arrays could be the images or labels" if images else "no array has a usual name"
    raise ImagesError(
        f"{source}: {problem} (x and y, images and labels, data and label). It has: {listing}. "
        f"Name them: --keys {_suggestion(shapes)}, or keys=(images, labels) in Python"
    )


def given(keys: Sequence[str], names: Sequence[str] | Shapes, missing: str) -> tuple[str, str | None]:
    """Return the names the user gave; `missing` is the message for one that is not there, with a place for it."""
    if not 1 <= len(keys) <= 2:
        raise ImagesError(f"keys names one or two arrays, the images and the labels, got {len(keys)}: {tuple(keys)}")
    for key in keys:
        if key not in names:
            raise ImagesError(missing.format(key))
    return keys[0], keys[1] if len(keys) == 2 else None


def exact(names: Sequence[str] | Shapes, usual: Sequence[str]) -> list[str]:
    """Return the names that are usual ones."""
    return [name for name in names if name.lower() in usual]


def containing(names: Sequence[str], usual: Sequence[str], split: str) -> list[str]:
    """Return the names with a usual word in them; where several have one, those with the name of the split too.

    >>> containing(["x_train", "x_test", "mean"], IMAGE_NAMES, "test")
    ['x_test']
    """
    found = [name for name in names if not _words(name).isdisjoint(usual)]
    return [name for name in found if split in _words(name)] or found if len(found) > 1 else found


def _words(name: str) -> set[str]:
    return set(re.split(r"[\W_]+", name.lower()))


def _suggestion(shapes: Shapes) -> str:
    """Return the likeliest 'IMAGES,LABELS' of a file: names that share words, of a test set where there is one."""
    pairs = [(images, labels) for images, labels in _by_content(shapes) if labels is not None]
    likeliest = max(
        pairs,
        key=lambda pair: (len(_words(pair[0]) & _words(pair[1])), "test" in _words(pair[0])),
        default=("IMAGES", "LABELS"),
    )
    return ",".join(likeliest)


def _by_content(shapes: Shapes) -> list[tuple[str, str | None]]:
    """Every pair of an image-like array and a vector as long as it is, or no labels where there is none."""
    pairs: list[tuple[str, str | None]] = []
    for images, shape in shapes.items():
        if len(shape) >= 3:
            vectors: list[str] = [name for name, other in shapes.items() if other[:1] == shape[:1] and len(other) == 1]
            pairs += [(images, labels) for labels in vectors] or [(images, None)]
    return pairs
