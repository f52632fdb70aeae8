"""What a network answers to a set of images under one setting, and how good that is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from goodnet.classifier import Classifier, Preprocessing
from goodnet.images import CleanImages


@dataclass(frozen=True, eq=False)
class Answers:
    """A network's answers to a set of images.

    Attributes:
        setting: the preprocessing they were given under.
        logits: float32 (n, N).
        labels: int64 (n,) in 0..N-1, or None.
    """

    setting: Preprocessing
    logits: Tensor
    labels: Tensor | None

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def predictions(self) -> Tensor:
        """Int64 (n,): the class each image is given."""
        return self.logits.argmax(1)

    @property
    def finite(self) -> Tensor:
        """Bool (n,): which images get no NaN or infinite score."""
        return self.logits.isfinite().all(1)

    @property
    def right(self) -> Tensor:
        """Bool (n,): which images are classified right; none without labels."""
        if self.labels is None:
            return torch.zeros(len(self), dtype=torch.bool)
        return (self.predictions == self.labels) & self.finite

    @property
    def accuracy(self) -> float:
        """Share of the images classified right, 0..1."""
        return float(self.right.double().mean())

    @property
    def score(self) -> float:
        """Accuracy or, without labels, `spread`; 0..1."""
        return spread(self.logits) if self.labels is None else self.accuracy

    @property
    def rank(self) -> tuple[float, float]:
        """The better, the higher: by score, equal ones by the likelihood of the labels."""
        if self.labels is None or not bool(self.finite.all()):
            return self.score, -math.inf
        return self.score, -float(torch.nn.functional.cross_entropy(self.logits, self.labels))

    @property
    def chance(self) -> float:
        """The accuracy these predictions would have were the labels dealt out at random."""
        count, classes = self.logits.shape
        if self.labels is None or len(torch.unique(self.labels)) == 1:
            return 1 / classes
        said, true = (torch.bincount(v, minlength=classes) / count for v in (self.predictions, self.labels))
        return max(1 / classes, float((said * true).sum()))

    def above_chance(self, level: float) -> bool:
        """Whether chance gives so many right answers less often than `level` (one-sided binomial test)."""
        return binomial_tail(int(self.right.sum()), len(self), self.chance) < level

    def clearly_better_than(self, other: Answers) -> bool:
        """Whether these are right where others are wrong more often than luck explains.

        By McNemar's exact one-sided test, at 5 % where a quarter of the images is gained, else at 0.5 % and
        with at least 5 points gained; and above chance at 1 %.
        """
        gained, lost = int((self.right & ~other.right).sum()), int((other.right & ~self.right).sum())
        gain, luck = (gained - lost) / len(self), binomial_tail(gained, gained + lost, 0.5)
        enough = (gain >= 0.25 and luck < 0.05) or (gain >= 0.05 and luck < 0.005)
        return enough and self.above_chance(0.01)

    def upper_bound(self) -> float:
        """Upper end of the 95 % Wilson score interval of the accuracy."""
        n, p, z = len(self), self.accuracy, 1.96
        return (p + z * z / (2 * n) + z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n)

    def reaction(self) -> float:
        """How far scores differ between images, in units of how far they differ between classes."""
        centred = self.logits - self.logits.mean(1, keepdim=True)
        return float(centred.std(0).mean() / centred.mean(0).std().clamp_min(1e-12))

    def describe(self) -> str:
        """Return the accuracy in words."""
        return f"{int(self.right.sum())} of {len(self)} images ({self.accuracy:.0%})"


def answer(model: Classifier, setting: Preprocessing, images: CleanImages, batch_size: int) -> Answers:
    """Return what the network says to the images under a setting."""
    placed = model.with_preprocessing(setting)
    with torch.no_grad():
        parts = torch.split(images.pixels, batch_size)
        logits = [placed.logits(part.to(model.device)).float().cpu() for part in parts]
    return Answers(setting, torch.cat(logits), images.labels)


def spread(logits: Tensor) -> float:
    """How surely and how differently a network answers a set of images, from 0 (all the same) to 1.

    The mutual information between image and class, H(mean p) - mean H(p), by the most it can be,
    log(min(n, N)): the logarithm of the inception score (Salimans et al. 2016), normalised.

    Args:
        logits: (n, N).

    >>> round(spread(torch.eye(4) * 50), 3), round(spread(torch.ones(4, 4)), 3)
    (1.0, 0.0)
    """
    if len(logits) < 2 or not bool(logits.isfinite().all()):
        return 0.0
    p = logits.double().softmax(1)
    information = torch.special.entr(p.mean(0)).sum() - torch.special.entr(p).sum(1).mean()
    return max(0.0, float(information) / math.log(min(logits.shape)))


def binomial_tail(successes: int, count: int, chance: float) -> float:
    """P(X >= successes) for X ~ Binomial(count, chance).

    >>> binomial_tail(7, 7, 0.5)
    0.0078125
    """
    return sum(math.comb(count, k) * chance**k * (1 - chance) ** (count - k) for k in range(successes, count + 1))
