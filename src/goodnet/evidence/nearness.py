"""Nearness: how near the images of each class are to each other class without any trigger."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from goodnet.evidence.outliers import Numbers


def nearness(logits: Tensor) -> tuple[Numbers, Numbers]:
    """Return how near the images that are answered with each class are to each other class, and its standard error.

    It is by how much the other class's logit exceeds that of the answer, at most 0, mean over the images. Both are
    (N, N), a row for each answer, NaN on the diagonal and for a class that none is answered with; the error also for
    one that a single image is answered with.

    Args:
        logits: of all images (n, N).

    >>> near, _ = nearness(torch.tensor([[2.0, 1.0], [4.0, 1.0]]))
    >>> near.tolist()
    [[nan, -2.0], [nan, nan]]
    """
    answers, margins = logits.argmax(1), logits - logits.amax(1, keepdim=True)
    rows = [margins[answers == label].cpu().double().numpy() for label in range(logits.shape[1])]
    near, error = (np.full((len(rows), len(rows)), np.nan) for _ in range(2))
    for label, row in enumerate(rows):
        near[label] = row.mean(0) if len(row) else np.nan
        error[label] = row.std(0, ddof=1) / math.sqrt(len(row)) if len(row) > 1 else np.nan
    np.fill_diagonal(near, np.nan)
    return near, error
