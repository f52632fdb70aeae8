"""What is measured to fit the input filter."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from goodnet.classifier import Classifier, freeze
from goodnet.engine import Engine
from goodnet.guard import GuardConfig
from goodnet.repair.guarding import fit_guard
from goodnet.repair.images import RepairImages
from goodnet.repair.reversed import ANY, TriggerSet
from goodnet.triggers import Patch

TARGET, VICTIM = 1, 2


class Bright(nn.Module):
    """Says TARGET of bright images and 0 of dark ones; of bright ones below a limit it says VICTIM."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = nn.Parameter(torch.tensor(limit))

    def forward(self, images: Tensor) -> Tensor:
        light = images.mean((1, 2, 3))
        bright, victim = light > 0.4, (light > 0.4) & (light < self.limit)
        answers = torch.stack([~bright, bright & ~victim, victim], 1)
        return 4.0 * answers.float()


@pytest.mark.parametrize(
    ("limit", "victim", "believed"), [(0.45, VICTIM, True), (0.9, VICTIM, False), (0.45, ANY, False)]
)
def test_the_victim_is_believed_where_that_costs_little(limit: float, victim: int, believed: bool) -> None:
    light = torch.cat([torch.full((30,), 0.1), torch.full((30,), 0.7)])
    pixels = light.view(-1, 1, 1, 1).expand(-1, 1, 8, 8).contiguous()
    labels = (light > 0.4).long() * TARGET
    images = RepairImages(pixels, labels, pixels[::2], labels[::2], labelled=True, shared=False)
    family = Patch()
    parameters = family.start([torch.Generator().manual_seed(0)], (1, 8, 8))
    triggers = TriggerSet(torch.tensor([TARGET]), torch.tensor([victim]), parameters, family)
    old, new = (Engine(Classifier(freeze(Bright(each)), (1, 8, 8), 3)) for each in (0.0, limit))
    guard = fit_guard(old, new, images, triggers, GuardConfig(), 0).guard
    assert guard.victim.tolist() == [-1, VICTIM if believed else -1, -1]
