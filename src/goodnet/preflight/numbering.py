"""Tell whether labels and a network's classes are numbered differently."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from goodnet.preflight.answers import Answers

# A free renumbering fits much by luck, so it needs several images a label.
_IMAGES_A_LABEL = 3


@dataclass(frozen=True)
class Renumbering:
    """Another numbering of the labels, and the share of predictions that agree with it."""

    description: str
    agreement: float


def renumbering(answers: Answers) -> Renumbering | None:
    """Return the numbering of the labels that agrees with the predictions, where theirs does not.

    Tries labels that count from 1, or from -1, class folders sorted as text ("0", "1", "10", "2") against
    sorted as numbers, and any other one-to-one renumbering where each label has images enough to tell.
    """
    predictions, labels, num_classes = answers.predictions, answers.labels, answers.logits.shape[1]
    if labels is None:
        return None
    as_text = torch.tensor(sorted(range(num_classes), key=str))
    candidates = {
        "they seem to count from 1, goodnet counts from 0: subtract 1": labels - 1,
        "they seem to be 1 too low: add 1": labels + 1,
        "they seem to follow class names sorted as numbers, the network's classes sorted as text (0, 1, 10, "
        "100, 2)": as_text.argsort()[labels],
        "they seem to follow class names sorted as text (0, 1, 10, 100, 2), the network's classes sorted as "
        "numbers": as_text[labels],
    }
    found = [Renumbering(text, _agreement(predictions, other)) for text, other in candidates.items()]
    if len(labels) >= _IMAGES_A_LABEL * len(torch.unique(labels)):
        pairs = _one_to_one(predictions, labels)
        other = torch.tensor([pairs.get(label, -1) for label in labels.tolist()])
        shown = ", ".join(f"{label} is class {c}" for label, c in sorted(pairs.items()) if label != c)[:100]
        text = f"they seem to be numbered differently from the network's classes (label {shown} ...)"
        found.append(Renumbering(text, _agreement(predictions, other)))
    # The first that is nearly best: a simple explanation comes before a free renumbering.
    highest = max(candidate.agreement for candidate in found)
    best = next(candidate for candidate in found if candidate.agreement >= 0.85 * highest)
    needed = max(0.5, answers.accuracy + 0.3)
    return best if best.agreement > needed else None


def _agreement(predictions: Tensor, labels: Tensor) -> float:
    return float((predictions == labels).double().mean())


def _one_to_one(predictions: Tensor, labels: Tensor) -> dict[int, int]:
    """Pair each label with the class its images get most, each class once, the most frequent pairs first."""
    pairs, counts = torch.unique(torch.stack([labels, predictions], 1), dim=0, return_counts=True)
    chosen: dict[int, int] = {}
    for label, predicted in pairs[counts.argsort(descending=True, stable=True)].tolist():
        if label not in chosen and predicted not in chosen.values():
            chosen[label] = predicted
    return chosen
