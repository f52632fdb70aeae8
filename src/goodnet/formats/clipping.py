"""Clipping to constant bounds, as ReLU6 does all over a MobileNet."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def clipped(inputs: Tensor, low: float | None, high: float | None) -> Tensor:
    """Return numbers brought into bounds, of which one may be missing.

    The gradient of hardtanh is one pass over them, that of clamp four, so that is for what hardtanh cannot do.
    """
    if inputs.is_floating_point() and low is not None and high is not None and low < high:
        return functional.hardtanh(inputs, low, high)
    return inputs if low is None and high is None else inputs.clamp(low, high)
