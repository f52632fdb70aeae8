"""Draw a sample of an image set."""

from __future__ import annotations

import numpy as np

from goodnet.errors import ImagesError
from goodnet.images.raw import Array, Indices


def choose(labels: Array | None, count: int, limit: int | None, seed: int) -> Indices:
    """Return the ascending indices of at most `limit` of `count` images.

    With `labels` (count,) every class gives the same number of images, or all it has; without, the draw is
    uniform. The same seed gives the same images.

    Raises:
        ImagesError: `limit` is below 1.
    """
    if limit is not None and limit < 1:
        raise ImagesError(f"expected a limit of at least 1 image, got {limit}")
    if limit is None or limit >= count:
        return np.arange(count)
    random = np.random.default_rng(seed)
    order = random.permutation(count)
    if labels is None:
        return np.sort(order[:limit])
    # Deal the classes like cards: everyone's first image, then everyone's second, ...
    _, inverse = np.unique(labels, return_inverse=True)
    classes = random.permutation(inverse.max() + 1)[inverse[order]]
    by_class = np.argsort(classes, kind="stable")
    starts = np.flatnonzero(np.diff(classes[by_class], prepend=-1))
    turn = np.empty(count, dtype=np.int64)
    turn[by_class] = np.arange(count) - np.repeat(starts, np.diff(starts, append=count))
    return np.sort(order[np.lexsort((classes, turn))[:limit]])
