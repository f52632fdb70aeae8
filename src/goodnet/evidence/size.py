"""The size of a trigger at a given attack success rate, so that sizes of different labels can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from goodnet.engine import Engine
from goodnet.triggers import Family, Parameters, Searched

WEAKEST = -6.0
STRONGER = (0.0, 1.0, 2.0, 4.0, 8.0)
"""How far a trigger may be weakened or strengthened: amounts added to the logits of its mask."""

PRECISION = 0.1
"""To within how much that amount is found."""

IMAGES_PER_CALL = 256


@torch.no_grad()
def sizes_at_rates(
    engine: Engine, family: Family, parameters: Parameters, labels: Tensor, images: Tensor, rates: Sequence[float]
) -> list[Tensor]:
    """Weaken or strengthen each trigger until it just reaches an ASR, by bisection; return its size then.

    Args:
        engine: the network.
        family: the kind of trigger.
        parameters: K triggers.
        labels: int64 (K,), the target of each.
        images: (K, B, C, H, W) in 0..1, none of the target's own class; best images that were not searched on.
        rates: the ASRs to reach, 0..1, ascending.

    Returns:
        For each rate sizes (K,) in the family's unit; infinite where no strength reaches it.
    """
    measured = _Measured(engine, family, parameters, labels, images)
    low, sizes = torch.full(labels.shape, WEAKEST, device=images.device), []
    for rate in rates:
        high = torch.full(labels.shape, torch.inf, device=images.device)
        # Upwards in steps first: a mask that covers too much can undo its own trigger, so the strongest proves nothing.
        for shift in STRONGER:
            asked = high.isinf() & (low < shift)
            works = measured.reach(rate, torch.full_like(low, shift), asked)
            high[works] = shift
            low[asked & ~works] = shift
        reached = high.isfinite()
        while bool((asked := reached & (high - low > PRECISION)).any()):
            middle = torch.where(asked, (low + high) / 2, 0.0)
            works = measured.reach(rate, middle, asked)
            low, high = torch.where(asked & ~works, middle, low), torch.where(works, middle, high)
        size = family.size(family.strengthen(parameters, torch.where(reached, high, 0.0)))
        sizes.append(torch.where(reached, size, torch.inf))
    return sizes


def size_at_rate(
    engine: Engine, family: Family, parameters: Parameters, labels: Tensor, images: Tensor, rate: float
) -> Tensor:
    """Return the sizes (K,) of `sizes_at_rates` at one ASR."""
    (size,) = sizes_at_rates(engine, family, parameters, labels, images, [rate])
    return size


@dataclass(frozen=True, eq=False)
class _Measured:
    """K triggers and the images (K, B, C, H, W) that their ASR is measured on."""

    engine: Engine
    family: Family
    parameters: Parameters
    labels: Tensor
    images: Tensor

    def reach(self, rate: float, shifts: Tensor, asked: Tensor) -> Tensor:
        """Return which (K,) of the triggers asked for, strengthened by shifts (K,), reach an ASR.

        For each no more images are looked at than tell.
        """
        count = self.images.shape[1]
        needed = next(wins for wins in range(count + 1) if wins / count >= rate)
        wins, seen = torch.zeros_like(self.labels), 0
        while seen < count:
            open_ = (asked & (wins < needed) & (wins + count - seen >= needed)).nonzero().flatten()
            if not len(open_):
                break
            more = min(count - seen, -(-IMAGES_PER_CALL // len(open_)))
            parameters = {name: value[open_] for name, value in self.parameters.items()}
            stronger = self.family.strengthen(parameters, shifts[open_])
            wins[open_] += successes(
                self.engine, self.family, stronger, self.labels[open_], self.images[open_, seen : seen + more]
            ).sum(1)
            seen += more
        return asked & (wins >= needed)


@torch.no_grad()
def successes(engine: Engine, family: Searched, parameters: Parameters, labels: Tensor, images: Tensor) -> Tensor:
    """Return which (K, B) of images (K, B, C, H, W) the stamped trigger sends to its label."""
    answers = engine.predict(family.stamp(parameters, images).flatten(0, 1)).argmax(1).view(images.shape[:2])
    return answers == labels.view(-1, 1)


def success_rates(engine: Engine, family: Searched, parameters: Parameters, labels: Tensor, images: Tensor) -> Tensor:
    """Return the share (K,) of images (K, B, C, H, W) that the stamped trigger sends to its label."""
    return successes(engine, family, parameters, labels, images).float().mean(1)
