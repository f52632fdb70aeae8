"""Weights: rows of the classifying layer that stand out, without a single image.

A label that training was made to reach from everywhere often has larger weights than its like (Fields et al., "Trojan
signatures in DNN weights", ICCV Workshops 2021).
"""

from __future__ import annotations

from torch import Tensor

from goodnet.classifier import Classifier
from goodnet.layers import classifying_layer


def row_sums(model: Classifier, image: Tensor) -> list[float] | None:
    """Return the sum of each label's weights in the classifying layer, N numbers; None where there is no such layer.

    Args:
        model: bound to its shape.
        image: (1, C, H, W) in 0..1, to see in what order its layers run.
    """
    name = classifying_layer(model, model.network, image)
    weights = None if name is None else model.network.get_submodule(name).weight
    if not isinstance(weights, Tensor) or len(weights) != model.classes:
        return None
    return [float(each) for each in weights.detach().float().flatten(1).sum(1)]
