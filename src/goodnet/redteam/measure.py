"""How good a network is and how well an attack works on it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from goodnet.redteam.attack import Attack


@torch.no_grad()
def predict(network: nn.Module, images: Tensor, batch_size: int = 500) -> Tensor:
    """Return the predicted labels (n,) for images (n, C, H, W) in 0..1."""
    return torch.cat([network(batch).argmax(dim=1) for batch in images.split(batch_size)])


def accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the share of images (n, C, H, W) in 0..1 that the network gives their label (n,), 0..1."""
    return float((predict(network, images) == labels).float().mean())


def attack_success_rates(
    network: nn.Module, attack: Attack, images: Tensor, labels: Tensor, seed: int = 0
) -> list[float]:
    """Return the ASR of each trigger of an attack, 0..1; an empty list for no backdoor.

    Args:
        network: the network to measure.
        attack: what was planted in it.
        images: clean images (n, C, H, W) in 0..1; those of victim labels are used.
        labels: their true labels (n,).
        seed: of whatever the attack draws for each image.
    """
    rates = []
    for part in attack.parts:
        chosen = part.victims(labels)
        stamped = part.stamp(images[chosen], torch.Generator().manual_seed(seed))
        rates.append(accuracy(network, stamped, part.target(labels[chosen])))
    return rates
