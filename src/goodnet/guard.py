"""The input filter: does this input carry a trigger?

Only inputs that the BadNet sends to a flagged label are judged; all others keep its answer. Two things speak against an
input: that the repaired network gives it another label, and that its pixels under the mask of a reversed trigger are
closer to the trigger's pattern than those of clean images. The threshold comes from clean images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from goodnet.classifier import Preprocessing
from goodnet.triggers import Trigger

NEVER = 30.0
"""How far, in logits, class N stays below the answer of an input that is not judged."""

NOT_ITSELF = 1e9


@dataclass(frozen=True)
class GuardConfig:
    """How the filter judges.

    Attributes:
        false_positive_rate: share of the clean inputs of a flagged label that may be called backdoored, 0..1.
        towards_triggered: where the threshold lies between the clean images' limit and the stamped images', 0..1,
            if they are apart.
        evidence_weight: how much a pixel distance counts that is smaller than that of any clean image, for each
            standard deviation it is smaller by, in units of the spread of the clean images' disagreement.
        stamped_quantile: share of stamped images, 0..1, that may fall below what counts as the stamped images' limit.
    """

    false_positive_rate: float = 0.01
    towards_triggered: float = 0.35
    evidence_weight: float = 0.25
    stamped_quantile: float = 0.01


class Guard(nn.Module):
    """Judges inputs by the logits of the BadNet and of the repaired network, and by their pixels.

    All of its numbers are buffers, so that it becomes part of an exported model.
    """

    flagged: Tensor
    threshold: Tensor
    unit: Tensor
    evidence_weight: Tensor
    masks: Tensor
    patterns: Tensor
    usual: Tensor
    deviation: Tensor

    def __init__(self, classes: int, labels: Sequence[int], triggers: Sequence[Trigger]) -> None:
        super().__init__()
        flagged = torch.zeros(classes)
        flagged[list(labels)] = 1
        masks = torch.stack([t.mask.expand_as(t.pattern).flatten() for t in triggers])
        self.register_buffer("flagged", flagged)
        self.register_buffer("threshold", torch.zeros(classes))
        self.register_buffer("unit", torch.ones(classes))
        self.register_buffer("evidence_weight", torch.tensor(GuardConfig.evidence_weight))
        self.register_buffer("masks", masks / masks.sum(1, keepdim=True).clamp_min(1e-6))
        self.register_buffer("patterns", torch.stack([t.pattern.flatten() for t in triggers]))
        self.register_buffer("usual", torch.zeros(len(triggers)))
        self.register_buffer("deviation", torch.ones(len(triggers)))

    def judged(self, old: Tensor) -> Tensor:
        """Return whether inputs with BadNet logits (B, N) go to a flagged label, bool (B,)."""
        return self._of_answer(self.flagged, old) > 0.5

    def suspicion(self, images: Tensor, old: Tensor, new: Tensor) -> Tensor:
        """Return how suspicious inputs are, (B,); above 0 they count as backdoored.

        Args:
            images: (B, C, H, W) in 0..1.
            old: the BadNet's logits (B, N).
            new: the repaired network's logits (B, N).
        """
        excess = self.disagreement(old, new) - self._of_answer(self.threshold, old)
        return excess / self._of_answer(self.unit, old) + self.evidence_weight * self.evidence(images)

    def disagreement(self, old: Tensor, new: Tensor) -> Tensor:
        """Return the log odds (B,) that the repaired network gives against the BadNet's answer."""
        own = self._answered(old)
        return torch.logsumexp(new - NOT_ITSELF * own, 1) - (new * own).sum(1)

    def distances(self, images: Tensor) -> Tensor:
        """Return the mean square distance (B, K) of inputs to each trigger's pattern under its mask."""
        pixels = images.flatten(1)
        cross = pixels @ (self.masks * self.patterns).T
        square = pixels.square() @ self.masks.T
        return square - 2 * cross + (self.masks * self.patterns.square()).sum(1)

    def evidence(self, images: Tensor) -> Tensor:
        """Return how much closer to a trigger inputs are than any clean image was, (B,), at least 0."""
        return ((self.usual - self.distances(images)) / self.deviation).amax(1).clamp(0, 4)

    def _answered(self, old: Tensor) -> Tensor:
        """Return 1 at the BadNet's answer and 0 elsewhere, (B, N)."""
        numbers = torch.arange(old.shape[1], device=old.device)
        return (numbers == old.argmax(1, keepdim=True)).to(old.dtype)

    def _of_answer(self, values: Tensor, old: Tensor) -> Tensor:
        return self._answered(old) @ values


class GuardedNetwork(nn.Module):
    """BadNet, repaired network and filter as one network over N + 1 classes.

    An input that the BadNet sends to no flagged label keeps the BadNet's logits exactly, but for a constant
    `correction` (N,) that is 0 as a rule. Any other gets the repaired network's, and class N wins if the filter finds
    it suspicious.
    """

    correction: Tensor

    def __init__(
        self,
        badnet: nn.Module,
        repaired: nn.Module,
        preprocessing: Preprocessing,
        guard: Guard,
        correction: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.badnet, self.repaired, self.preprocessing, self.guard = badnet, repaired, preprocessing, guard
        self.register_buffer("correction", torch.zeros_like(guard.flagged) if correction is None else correction)

    def forward(self, images: Tensor) -> Tensor:
        """Return N + 1 scores, logits (B, N + 1), for images (B, C, H, W) in 0..1; the last one is "backdoored"."""
        inputs = self.preprocessing(images)
        old, new = self.badnet(inputs), self.repaired(inputs)
        judged = self.guard.judged(old)
        answers = torch.where(judged.unsqueeze(1), new, old + self.correction)
        suspicion = self.guard.suspicion(images, old, new)
        backdoored = answers.amax(1) + torch.where(judged, suspicion, -NEVER * torch.ones_like(suspicion))
        return torch.cat([answers, backdoored.unsqueeze(1)], 1)


class UnguardedNetwork(nn.Module):
    """A network that needed no repair, over N + 1 classes of which the last never wins."""

    def __init__(self, network: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.network, self.preprocessing = network, preprocessing

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, N + 1) for images (B, C, H, W) in 0..1."""
        logits = self.network(self.preprocessing(images))
        return torch.cat([logits, logits.amax(1, keepdim=True) - NEVER], 1)


@dataclass(frozen=True)
class GuardFigures:
    """How the filter does on inputs that the BadNet sends to a flagged label, shares in 0..1.

    Attributes:
        false_positive_rate: clean ones called backdoored; None where there were none.
        false_negative_rate: stamped ones that come out neither as backdoored nor as their true class.
        clean: how many clean inputs, variants of the images among them.
        stamped: how many stamped ones.
    """

    false_positive_rate: float | None
    false_negative_rate: float | None
    clean: int
    stamped: int
