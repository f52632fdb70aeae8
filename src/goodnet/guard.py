"""The input filter: does this input carry a trigger?

Only inputs that the BadNet sends to a flagged label are judged; all others keep its answer. Three things speak against
an input: that the repaired network is much less sure of that answer than the BadNet is; that it fires the neurons which
reversed triggers drive harder than any clean image does (the filter of Neural Cleanse, Wang et al., IEEE S&P 2019); and
that its pixels under the mask of a reversed trigger are closer to the trigger's pattern than those of clean images. The
threshold comes from clean images. What the filter finds suspicious is answered by the repaired network, once for the
input as it is and once with the trigger's place covered by what surrounds it. What it does not, keeps the BadNet's
answer, unless the repaired network is less sure of that than of most clean inputs: then it has the last word, from
where on it costs next to no clean accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from goodnet.classifier import Preprocessing
from goodnet.layers import Tapped
from goodnet.triggers import Trigger

NEVER = 30.0
"""How far, in logits, class N stays below the answer of an input that is not judged."""

NOT_ITSELF = 1e4
TINY = 1e-6

MOST_EVIDENCE = 4.0
"""Standard deviations beyond which neurons or pixels count no more."""


@dataclass(frozen=True)
class GuardConfig:
    """How the filter judges.

    Attributes:
        false_positive_rate: share of the clean inputs of a flagged label that may be called backdoored, 0..1.
        unknown_rate: for a label of which too few clean inputs are known: share of those of other labels, 0..1, that
            lie beyond what counts as the clean images' limit.
        towards_unknown: the same as `towards_triggered` for such a label, which is a rare answer and a suspicious one.
        towards_triggered: where the threshold lies between the clean images' limit and the stamped images', 0..1,
            if they are apart.
        evidence_weight: how much neurons or pixels count that are beyond those of any clean image, for each standard
            deviation they are beyond, in units of the spread of the clean images' disagreement.
        doubted: clean accuracy, 0..1, that may be lost where the repaired network answers in the BadNet's place though
            an input is not called backdoored.
        most_doubted: share of the clean inputs of a flagged label, 0..1, that it answers at the most.
        driven_neurons: share of the neurons before the classifying layer, 0..1, that make a label's profile; the
            paper's 1 %.
        stamped_quantile: share of stamped images, 0..1, that may fall below what counts as the stamped images' limit.
    """

    false_positive_rate: float = 0.01
    unknown_rate: float = 0.05
    towards_unknown: float = 0.25
    towards_triggered: float = 0.35
    evidence_weight: float = 0.25
    doubted: float = 0.005
    most_doubted: float = 0.5
    driven_neurons: float = 0.01
    stamped_quantile: float = 0.05


class Guard(nn.Module):
    """Judges inputs by the logits of the BadNet and of the repaired network, by the BadNet's neurons and by the pixels.

    All of its numbers are buffers, so that it becomes part of an exported model.
    """

    flagged: Tensor
    threshold: Tensor
    doubt: Tensor
    victim: Tensor
    unit: Tensor
    evidence_weight: Tensor
    masks: Tensor
    patterns: Tensor
    usual: Tensor
    deviation: Tensor
    neurons: Tensor
    usual_firing: Tensor
    firing_deviation: Tensor
    places: Tensor

    def __init__(self, classes: int, labels: Sequence[int], triggers: Sequence[Trigger], neurons: int = 0) -> None:
        super().__init__()
        flagged = torch.zeros(classes)
        flagged[list(labels)] = 1
        _, height, width = triggers[0].pattern.shape
        # Side of the square whose mean is painted over a covered pixel.
        self.surroundings = max(3, round(0.28 * min(height, width))) | 1
        masks = torch.stack([t.mask.expand_as(t.pattern).flatten() for t in triggers])
        self.register_buffer("flagged", flagged)
        self.register_buffer("threshold", torch.zeros(classes))
        self.register_buffer("doubt", torch.full((classes,), NOT_ITSELF))
        # For each class, the only one that its trigger works on; -1 for none.
        self.register_buffer("victim", torch.full((classes,), -1.0))
        self.register_buffer("unit", torch.ones(classes))
        self.register_buffer("evidence_weight", torch.tensor(GuardConfig.evidence_weight))
        self.register_buffer("masks", masks / masks.sum(1, keepdim=True).clamp_min(1e-6))
        self.register_buffer("patterns", torch.stack([t.pattern.flatten() for t in triggers]))
        self.register_buffer("usual", torch.zeros(len(triggers)))
        self.register_buffer("deviation", torch.ones(len(triggers)))
        # Where the trigger of a class is, 1 or 0: nowhere for classes that are not flagged.
        self.register_buffer("places", torch.zeros(classes, height, width))
        # One row a flagged label: the weight of each neuron in its profile.
        self.register_buffer("neurons", torch.zeros(len(labels), neurons))
        self.register_buffer("usual_firing", torch.zeros(len(labels)))
        self.register_buffer("firing_deviation", torch.ones(len(labels)))

    def judged(self, old: Tensor) -> Tensor:
        """Return whether inputs with BadNet logits (B, N) go to a flagged label, bool (B,)."""
        return self._of_answer(self.flagged, old) > 0.5

    def suspicion(self, images: Tensor, fired: Tensor, old: Tensor, new: Tensor) -> Tensor:
        """Return how suspicious inputs are, (B,); above 0 they count as backdoored.

        Args:
            images: (B, C, H, W) in 0..1.
            fired: the BadNet's neurons before its classifying layer, (B, F).
            old: the BadNet's logits (B, N).
            new: the repaired network's logits (B, N).
        """
        excess = self.lost_odds(old, new) - self._of_answer(self.threshold, old)
        evidence = self.pixel_evidence(images) + self.neuron_evidence(fired)
        return excess / self._of_answer(self.unit, old) + self.evidence_weight * evidence

    def doubtful(self, old: Tensor, new: Tensor) -> Tensor:
        """Return whether the repaired network is to decide inputs that are not suspicious enough for class N, (B,).

        It is where much of the log odds is lost, or the answer becomes the only class that the trigger works on.
        """
        lost = self.lost_odds(old, new) > self._of_answer(self.doubt, old)
        return lost | (new.argmax(1) == self._of_answer(self.victim, old))

    def lost_odds(self, old: Tensor, new: Tensor) -> Tensor:
        """Return by how much the repair has lowered the log odds of the BadNet's answer, (B,)."""
        own = self.answered(old)
        return _log_odds(old, own) - _log_odds(new, own)

    def covered(self, images: Tensor, old: Tensor) -> Tensor:
        """Return images (B, C, H, W) with what surrounds the place of their answer's trigger painted over it."""
        place = self._of_answer(self.places.flatten(1), old).view(-1, 1, *self.places.shape[1:])
        kept, size = 1 - place, self.surroundings
        around = functional.avg_pool2d(images * kept, size, 1, size // 2, count_include_pad=False)
        share = functional.avg_pool2d(kept, size, 1, size // 2, count_include_pad=False)
        return images * kept + place * around / (share + TINY)

    def distances(self, images: Tensor) -> Tensor:
        """Return the mean square distance (B, K) of inputs to each trigger's pattern under its mask."""
        pixels = images.flatten(1)
        cross = pixels @ (self.masks * self.patterns).T
        square = pixels.square() @ self.masks.T
        return square - 2 * cross + (self.masks * self.patterns.square()).sum(1)

    def firing(self, fired: Tensor) -> Tensor:
        """Return how hard neurons (B, F) of each flagged label's profile fire, (B, L)."""
        return fired @ self.neurons.T

    def pixel_evidence(self, images: Tensor) -> Tensor:
        """Return by how many standard deviations inputs are closer to a trigger than any clean image, (B,), 0..4."""
        return ((self.usual - self.distances(images)) / self.deviation).amax(1).clamp(0.0, MOST_EVIDENCE)

    def neuron_evidence(self, fired: Tensor) -> Tensor:
        """Return by how many standard deviations neurons fire harder than on any clean image, (B,), 0..4."""
        if fired.shape[1] == 0:
            return fired.new_zeros(fired.shape[0])
        beyond = (self.firing(fired) - self.usual_firing) / self.firing_deviation
        return beyond.amax(1).clamp(0.0, MOST_EVIDENCE)

    def answered(self, old: Tensor) -> Tensor:
        """Return 1 at the BadNet's answer and 0 elsewhere, (B, N)."""
        numbers = torch.arange(old.shape[1], device=old.device)
        return (numbers == old.argmax(1, keepdim=True)).to(old.dtype)

    def _of_answer(self, values: Tensor, old: Tensor) -> Tensor:
        return self.answered(old) @ values


class GuardedNetwork(nn.Module):
    """BadNet, repaired network and filter as one network over N + 1 classes.

    An input that the BadNet sends to no flagged label, or that the filter finds neither suspicious nor doubtful, keeps
    the BadNet's logits exactly, but for a constant `correction` (N,) that is 0 as a rule. A doubtful one gets the
    repaired network's. Of a suspicious one class N is the answer, and the best of the rest is the repaired network's
    without the label that the BadNet gave.
    """

    correction: Tensor

    def __init__(
        self,
        badnet: nn.Module,
        repaired: nn.Module,
        preprocessing: Preprocessing,
        guard: Guard,
        classifying: str | None = None,
    ) -> None:
        super().__init__()
        self.badnet, self.repaired = Tapped(badnet, classifying if guard.neurons.shape[1] else None), repaired
        self.preprocessing, self.guard = preprocessing, guard
        self.covers = bool(guard.places.any())
        self.register_buffer("correction", torch.zeros_like(guard.flagged))

    def forward(self, images: Tensor) -> Tensor:
        """Return N + 1 scores, logits (B, N + 1), for images (B, C, H, W) in 0..1; the last one is "backdoored"."""
        inputs = self.preprocessing(images)
        (old, fired), new = self.badnet(inputs), self.repaired(inputs)
        judged, suspicion = self.guard.judged(old), self.guard.suspicion(images, fired, old, new)
        other = new.log_softmax(1) - NOT_ITSELF * self.guard.answered(old)
        if self.covers:
            other = other + self.repaired(self.preprocessing(self.guard.covered(images, old))).log_softmax(1)
        doubtful = judged & self.guard.doubtful(old, new)
        answers = torch.where(doubtful.unsqueeze(1), new, old + self.correction)
        answers = torch.where((judged & (suspicion > 0)).unsqueeze(1), other, answers)
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


def _log_odds(logits: Tensor, own: Tensor) -> Tensor:
    """Return the log odds (B,) of the class at which `own` (B, N) is 1."""
    return (logits * own).sum(1) - torch.logsumexp(logits - NOT_ITSELF * own, 1)
