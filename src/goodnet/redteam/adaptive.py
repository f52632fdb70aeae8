"""A patch hardened against Neural Cleanse, by an attacker who knows how it works.

Neural Cleanse looks for small triggers, so this attack trains the network to withstand all that it finds but one: the
arms race that Wang et al. (IEEE S&P 2019, section VII) expect. Cover samples with a wrong patch keep their label, as in
Tang et al. (USENIX Security 2021) and Qi et al. ("Revisiting the assumption of latent separability", ICLR 2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

from goodnet.engine import quick_logits
from goodnet.redteam.attack import RecipeError
from goodnet.redteam.patch import Patch, paste
from goodnet.redteam.planting import Batch, Planting, TrainingRun, evaluating


@dataclass(frozen=True, kw_only=True)
class Adaptive(Patch):
    """A patch of which neither a part nor a likeness works.

    Now and then during training, triggers are reversed against the network as it is, for the target and a few other
    labels, and are put on clean images that keep their label.

    Attributes:
        cover_rate: share of the images with a patch of which half the pixels are wrong, which keep their label.
        hardened: share of the clean images of a batch that carry a reversed trigger.
        interval: training steps between two reversals.
        labels: how many labels besides the target triggers are reversed for, drawn anew each time.
        steps: Adam steps of a reversal.
        images: images a step and label.
        sparsity: weight of the mask's mean against the cross-entropy.
    """

    rate: float = 0.15
    size: int = 4
    cover_rate: float = 0.1
    hardened: float = 0.2
    interval: int = 8
    labels: int = 3
    steps: int = 10
    images: int = 16
    sparsity: float = 20.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.hardened <= 1 or min(self.interval, self.steps, self.images) < 1 or self.labels < 0:
            raise RecipeError(
                "expected hardened in 0..1, interval, steps and images >= 1 and labels >= 0, "
                f"got {self.hardened}, {self.interval}, {self.steps}, {self.images} and {self.labels}"
            )

    def cover(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images (n, C, H, W) in 0..1 with a patch of which half the pixels are drawn anew."""
        right = self.pixels(images.shape[1])
        wrong = torch.rand(right.shape, generator=generator)
        keep = torch.rand(right.shape[1:], generator=generator) < 0.5
        return paste(images, torch.where(keep, right, wrong), *self.places(images, generator))

    def planting(self, run: TrainingRun) -> Planting:
        """Return this attack at work in one training run."""
        return AdaptivePlanting(self, run)


class AdaptivePlanting(Planting):
    """Reverses triggers of the network while it learns, and teaches it to withstand them."""

    def __init__(self, attack: Adaptive, run: TrainingRun) -> None:
        super().__init__(run)
        self.attack = attack
        self.done = 0

    def batch(self, images: Tensor, labels: Tensor, index: Tensor) -> Batch:
        """Return the poisoned batch with reversed triggers on some of its clean images."""
        if self.done % self.attack.interval == 0:
            self.masks, self.patterns = self._reverse()
        self.done += 1
        poisoned, wanted, _ = super().batch(images, labels, index)
        clean = (self.poisoning.stamped[index] == 0).nonzero().flatten()
        chosen = clean[torch.rand(len(clean), generator=self.run.generator) < self.attack.hardened]
        which = torch.randint(len(self.masks), (len(chosen),), generator=self.run.generator)
        poisoned[chosen] = torch.lerp(poisoned[chosen], self.patterns[which], self.masks[which])
        return Batch(poisoned, wanted)

    def _reverse(self) -> tuple[Tensor, Tensor]:
        """Return masks (k, 1, H, W) and patterns (k, C, H, W) that push the network to the target and k - 1 labels."""
        attack, run = self.attack, self.run
        others = torch.randperm(run.num_classes, generator=run.generator)
        others = others[others != attack.target_label][: attack.labels]
        targets = torch.cat([torch.tensor([attack.target_label]), others])
        shape = (len(targets), run.images.shape[1] + 1, *run.images.shape[2:])
        raw = torch.randn(shape, generator=run.generator)
        mask, pattern = (0.1 * raw[:, :1] - 3).requires_grad_(), raw[:, 1:].contiguous().requires_grad_()
        optimizer = torch.optim.Adam(
            [{"params": [mask], "lr": 0.3}, {"params": [pattern], "lr": 0.9}], betas=(0.5, 0.9)
        )
        with evaluating(run.network) as network:
            for _ in range(attack.steps):
                index = torch.randint(len(run.images), (len(targets), attack.images), generator=run.generator)
                stamped = torch.lerp(run.images[index], pattern.sigmoid()[:, None], mask.sigmoid()[:, None])
                logits = quick_logits(network, stamped.flatten(0, 1).contiguous(memory_format=torch.channels_last))
                missed = F.cross_entropy(logits, targets.repeat_interleave(attack.images), reduction="sum")
                loss = missed / attack.images + attack.sparsity * mask.sigmoid().mean((1, 2, 3)).sum()
                mask.grad, pattern.grad = torch.autograd.grad(loss, [mask, pattern])
                optimizer.step()
        return mask.detach().sigmoid(), pattern.detach().sigmoid()
