"""Bring labels, in whatever form a set has them, to class indices."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from goodnet.errors import ImagesError
from goodnet.images.raw import Array


def class_indices(labels: Array, count: int, source: str) -> NDArray[np.int64]:
    """Return `labels` as int64 class indices (count,).

    Takes integers, integral floats, one column (count, 1) and one-hot rows (count, N).

    Raises:
        ImagesError: wrong length, not numbers, not integral, negative, or neither one column nor one-hot.
    """
    if labels.ndim == 0 or len(labels) != count:
        raise ImagesError(f"{source}: expected one label an image, got {count} images and {labels.size} labels")
    if labels.dtype.kind not in "iufb":
        raise ImagesError(
            f"{source}: expected labels that are numbers (class indices), got {labels.dtype} such as {labels.flat[0]!r}"
        )
    labels = labels.reshape(count, -1) if count else labels
    if labels.ndim == 2 and labels.shape[1] > 1:
        if not (np.isin(labels, (0, 1)).all() and (labels.sum(1) == 1).all()):
            raise ImagesError(
                f"{source}: expected one label an image or one-hot rows, got an array {labels.shape} that is neither"
            )
        return cast("NDArray[np.int64]", labels.argmax(1).astype(np.int64))
    labels = labels.reshape(count)
    wrong = np.flatnonzero((labels != np.floor(labels)) | ~np.isfinite(labels) | (labels < 0))
    if len(wrong):
        raise ImagesError(
            f"{source}: expected labels that are whole numbers from 0, got {labels[wrong[0]]} at image "
            f"{wrong[0]} ({len(wrong)} such labels)"
        )
    return labels.astype(np.int64)
