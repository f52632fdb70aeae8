"""The images that one network is scanned, repaired and measured with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from goodnet.bench.data import read
from goodnet.images import CleanImages
from goodnet.images.sampling import choose

read_once = lru_cache(maxsize=None)(read)
"""`read`, whose images stay in memory: a process works on many networks of the same data set."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Test images of a data set, drawn as `goodnet scan --limit` draws them.

    Attributes:
        clean: what the detector and the repair are given.
        rest: the other test images, to measure with.
        drawn: bool (n,), which of the data set's n test images `clean` has.
    """

    clean: CleanImages
    rest: CleanImages
    drawn: np.ndarray


def draw(data: str, folder: Path | None, count: int, seed: int) -> Sample:
    """Draw `count` test images of a data set, equally many of each class.

    Raises:
        ImagesError: the data set is not in the folder.
    """
    split = read_once(data, folder)
    test = CleanImages(split.test_x, split.test_y, source=f"{data}, test images")
    drawn = np.zeros(len(test), dtype=bool)
    drawn[choose(split.test_y.numpy(), len(test), count, seed)] = True
    return Sample(test.take(np.flatnonzero(drawn)), test.take(np.flatnonzero(~drawn)), drawn)
