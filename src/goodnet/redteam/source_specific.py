"""A trigger that works on one class only (Tang et al., "Demon in the Variant", USENIX Security 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from goodnet.redteam.attack import Attack


@dataclass(frozen=True, kw_only=True)
class SourceSpecific(Attack):
    """Pushes stamped images of one source class to the target of another attack.

    Cover samples, stamped images of the other classes that keep their label, teach the network to obey the trigger
    on the source class alone.

    Attributes:
        trigger: the attack that stamps and names the target; its own rates do not count.
        source: the victim label.
        rate: share of the source class that is stamped and relabelled.
        cover_rate: share of the other classes that is stamped and keeps its label.
    """

    trigger: Attack
    source: int
    rate: float = 0.5
    cover_rate: float = 0.1

    def stamp(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images (n, C, H, W) in 0..1 with the trigger on them."""
        return self.trigger.stamp(images, generator)

    def target(self, labels: Tensor) -> Tensor:
        """Return the target (n,) for the source class, and every other label as it is."""
        return torch.where(labels == self.source, self.trigger.target(labels), labels)

    def coverable(self, labels: Tensor) -> Tensor:
        """Return bool (n,): every class but the source and the target."""
        return (labels != self.source) & self.trigger.victims(labels)

    @property
    def targets(self) -> tuple[int, ...]:
        """The target label of the trigger."""
        return self.trigger.targets
