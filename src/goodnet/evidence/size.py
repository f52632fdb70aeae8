"""The size of a trigger at a given attack success rate, so that sizes of different labels can be compared."""

from __future__ import annotations

import torch
from torch import Tensor

from goodnet.engine import Engine
from goodnet.triggers import Family, Parameters, Searched

WEAKEST = -6.0
STRONGER = (0.0, 1.0, 2.0, 4.0, 8.0)
"""How far a trigger may be weakened or strengthened: amounts added to the logits of its mask."""


@torch.no_grad()
def size_at_rate(
    engine: Engine,
    family: Family,
    parameters: Parameters,
    labels: Tensor,
    images: Tensor,
    rate: float,
    halvings: int = 6,
) -> Tensor:
    """Weaken or strengthen each trigger until it just reaches an ASR, by bisection; return its size then.

    Args:
        engine: the network.
        family: the kind of trigger.
        parameters: K triggers.
        labels: int64 (K,), the target of each.
        images: (K, B, C, H, W) in 0..1, none of the target's own class; best images that were not searched on.
        rate: the ASR to reach, 0..1.
        halvings: steps of the bisection; 6 find the shift of the mask's logits to within 0.1.

    Returns:
        Sizes (K,) in the family's unit; infinite where no strength reaches the rate.
    """
    low = torch.full(labels.shape, WEAKEST, device=images.device)
    high = torch.full(labels.shape, torch.inf, device=images.device)
    # Upwards in steps first: a mask that covers too much can undo its own trigger, so the strongest proves nothing.
    for shift in STRONGER:
        open_ = high.isinf()
        if not bool(open_.any()):
            break
        works = open_ & (success_rates(engine, family, _shifted(family, parameters, shift), labels, images) >= rate)
        high[works] = shift
        low[open_ & ~works] = shift
    reachable = high.isfinite()
    high = torch.where(reachable, high, 0.0)
    for _ in range(halvings):
        middle = torch.where(reachable, (low + high) / 2, 0.0)
        works = success_rates(engine, family, family.strengthen(parameters, middle), labels, images) >= rate
        low, high = torch.where(works, low, middle), torch.where(works, middle, high)
    size = family.size(family.strengthen(parameters, torch.where(reachable, high, 0.0)))
    return torch.where(reachable, size, torch.inf)


def _shifted(family: Family, parameters: Parameters, shift: float) -> Parameters:
    count = len(next(iter(parameters.values())))
    return family.strengthen(parameters, torch.full((count,), shift, device=next(iter(parameters.values())).device))


@torch.no_grad()
def success_rates(engine: Engine, family: Searched, parameters: Parameters, labels: Tensor, images: Tensor) -> Tensor:
    """Return the share (K,) of images (K, B, C, H, W) that the stamped trigger sends to its label."""
    answers = engine.predict(family.stamp(parameters, images).flatten(0, 1)).argmax(1).view(images.shape[:2])
    return (answers == labels.view(-1, 1)).float().mean(1)
