"""Bring labels, in whatever form a set has them, to class indices."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from goodnet.errors import ImagesError
from goodnet.images.raw import Array

_ADVICE = "correct the labels, or do without: --no-labels (labels=False)"


def class_indices(labels: Array, count: int, source: str) -> NDArray[np.int64]:
    """Return `labels` as int64 class indices (count,).

    Takes integers, integral floats, one column (count, 1), one-hot rows (count, N) and text, which `number_names`
    brings to numbers.

    Raises:
        ImagesError: wrong length, neither numbers nor text, not integral, negative, or neither one column nor one-hot.
    """
    if labels.ndim == 0 or len(labels) != count:
        raise ImagesError(f"{source}: expected one label an image, got {count} images and {labels.size} labels")
    labels = labels.reshape(count, -1) if count else labels
    if labels.dtype.kind in "OSU":
        labels = _from_text(labels.ravel(), count, source)
    if labels.dtype.kind not in "iufb":
        raise ImagesError(f"{source}: expected labels that are class indices or names, got {labels.dtype}; {_ADVICE}")
    if labels.ndim == 2 and labels.shape[1] > 1:
        if not (np.isin(labels, (0, 1)).all() and (labels.sum(1) == 1).all()):
            raise ImagesError(
                f"{source}: expected one label an image or one-hot rows, got an array {labels.shape} that is "
                f"neither; {_ADVICE}"
            )
        return cast("NDArray[np.int64]", labels.argmax(1).astype(np.int64))
    labels = labels.reshape(count)
    wrong = np.flatnonzero((labels != np.floor(labels)) | ~np.isfinite(labels) | (labels < 0))
    if len(wrong):
        raise ImagesError(
            f"{source}: expected labels that are whole numbers from 0, got {labels[wrong[0]]} at image "
            f"{wrong[0]} ({len(wrong)} such labels); {_ADVICE}"
        )
    return labels.astype(np.int64)


def number_names(names: Sequence[str], what: str) -> tuple[NDArray[np.int64], str]:
    """Return the class indices of names (sorted, each once), and a note that says how they were numbered.

    Names that are all numbers (00000..00042) stand for these; others are numbered from 0 in their order, as
    torchvision does.

    >>> number_names(["cat", "dog"], "classes")
    (array([0, 1]), 'labels number the 2 classes by name: cat=0, dog=1')
    """
    if all(name.isdecimal() for name in names):
        numbers = np.array([int(name) for name in names], dtype=np.int64)
        if len(np.unique(numbers)) < len(numbers):
            raise ImagesError(f"several {what} stand for the same number: {', '.join(names[:10])}")
        low, high = min(names, key=int), max(names, key=int)
        return numbers, f"labels are the numbers of the {len(names)} {what} {low}..{high}"
    shown = ", ".join(f"{name}={i}" for i, name in itertools.islice(enumerate(names), 5))
    more = ", ..." if len(names) > 5 else ""
    return np.arange(len(names)), f"labels number the {len(names)} {what} by name: {shown}{more}"


def describe_names(labels: Array) -> tuple[str, ...]:
    """Return a note that says how labels given as text were numbered; none where they are numbers."""
    if labels.dtype.kind not in "OSU":
        return ()
    return (number_names(sorted({_text(label) for label in labels.ravel()}), "class names")[1],)


def _from_text(labels: Array, count: int, source: str) -> NDArray[np.int64]:
    if len(labels) != count:
        raise ImagesError(f"{source}: expected one label an image, got {count} images and {len(labels)} labels")
    for place, label in enumerate(labels):
        if not isinstance(label, (str, bytes)):
            raise ImagesError(
                f"{source}: expected labels that are class indices or names, got {label!r} at image {place}; {_ADVICE}"
            )
    texts = [_text(label) for label in labels]
    names = sorted(set(texts))
    numbers = dict(zip(names, number_names(names, "class names")[0].tolist(), strict=True))
    return np.array([numbers[text] for text in texts], dtype=np.int64)


def _text(label: object) -> str:
    return label.decode("utf-8", "replace") if isinstance(label, bytes) else str(label)
