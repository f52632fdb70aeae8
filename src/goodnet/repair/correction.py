"""Get the user's own labelled images right where the BadNet, by itself, just misses them.

With a handful of images their labels are most of what is known. A constant added to the logits of two classes turns a
narrow miss around; it is kept only if nearly all variants of the images keep their answer.
"""

from __future__ import annotations

import torch
from torch import Tensor

from goodnet.engine import Engine
from goodnet.repair.images import RepairImages, vary

LEAST_AGREEMENT = 0.99
VARIANTS = 24
MARGIN = 1e-3
"""By how much more than needed, as a share of the logits' standard deviation, a logit is moved."""


def narrow_misses(old: Engine, images: RepairImages, flagged: Tensor, seed: int) -> Tensor:
    """Return what to add to the BadNet's logits, (N,); zeros where that would change other answers.

    Args:
        old: the BadNet.
        images: labelled images.
        flagged: float (N,), 1 at flagged labels, whose inputs get the repaired network's answers anyway.
        seed: of the variants.
    """
    logits, labels = old.predict(images.pixels), images.labels
    correction = torch.zeros_like(flagged)
    before = logits.argmax(1)
    wrong = ((before != labels) & (flagged[before] == 0) & (flagged[labels] == 0)).nonzero().flatten().tolist()
    for row in wrong:
        label, answer = int(labels[row]), int((logits[row] + correction).argmax())
        if label == answer:
            continue
        now = logits[row] + correction
        move = (now[answer] - now[label]) / 2 + MARGIN * logits[row].std()
        correction[label] += move
        correction[answer] -= move
    if not wrong or bool(((logits + correction).argmax(1) != labels)[wrong].any()):
        return torch.zeros_like(flagged)
    generator = torch.Generator().manual_seed(seed)
    variants = torch.cat([vary(images.pixels, generator) for _ in range(VARIANTS)])
    variants = torch.cat([variants, variants.flip(3)])
    answers = old.predict(variants)
    same = (answers.argmax(1) == (answers + correction).argmax(1)).float().mean()
    return correction if float(same) >= LEAST_AGREEMENT else torch.zeros_like(flagged)
