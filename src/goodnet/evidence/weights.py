"""Weights: rows of the classifying layer that stand out, without a single image.

A label that training was made to reach from everywhere often has larger weights than its like (Fields et al., "Trojan
signatures in DNN weights", ICCV Workshops 2021), above all larger positive ones: more features speak for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from goodnet.classifier import Classifier
from goodnet.evidence.outliers import FEWEST_REFERENCES, Numbers, outlier_index
from goodnet.layers import classifying_weights


@dataclass(frozen=True, eq=False)
class RowSums:
    """Sums over the rows of the classifying layer.

    Attributes:
        every: (N,), the sum of each label's weights.
        positive: (N,), the sum of its positive ones.
    """

    every: Numbers
    positive: Numbers


def row_sums(model: Classifier, image: Tensor) -> RowSums | None:
    """Return the sums of each label's weights in the classifying layer; None where there is no such layer.

    Args:
        model: bound to its shape.
        image: (1, C, H, W) in 0..1, to see in what order its layers run.
    """
    weights = classifying_weights(model, image)
    if weights is None:
        return None
    rows = weights.double().cpu().numpy()
    return RowSums(rows.sum(1), rows.clip(min=0).sum(1))


def weight_indices(sums: Numbers) -> Numbers:
    """Return how far each label's sum (N,) stands out, the lesser of two indices.

    One is the distance from the median in units of 1.4826 x MAD, which among ten labels is sometimes far too small a
    unit; the other the distance from the mean of all others in units of their standard deviation, which several
    targets raise for each other. For too few labels to compare all are 0.
    """
    count = len(sums)
    if count < FEWEST_REFERENCES:
        return np.zeros(count)
    others = (sums.sum() - sums) / (count - 1)
    squares = ((sums**2).sum() - sums**2) / (count - 1)
    spread = np.sqrt(np.maximum(squares - others**2, 0.0) * (count - 1) / (count - 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        left_out: Numbers = np.nan_to_num((sums - others) / spread, nan=0.0)
    lesser: Numbers = np.minimum(outlier_index(sums, sums), left_out)
    return lesser
