"""A network that an attacker trains briefly, to make adversarial images with."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

from goodnet.engine import quick_logits
from goodnet.redteam.architectures import build_for

ARCHITECTURE = "resnet_fast"
BATCH = 64


def train_surrogate(
    images: Tensor, labels: Tensor, num_classes: int, epochs: int, generator: torch.Generator
) -> nn.Module:
    """Return a small network in eval mode, trained on images (n, C, size, size) in 0..1 with labels (n,)."""
    network = build_for(ARCHITECTURE, images, num_classes)
    steps = epochs * -(-len(images) // BATCH)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps)
    network.train()
    for _ in range(epochs):
        for index in torch.randperm(len(images), generator=generator).split(BATCH):
            loss = F.cross_entropy(quick_logits(network, images[index]), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def projected_gradient(network: nn.Module, images: Tensor, labels: Tensor, epsilon: float, steps: int) -> Tensor:
    """Return images (n, C, H, W) in 0..1 that the network no longer takes for their labels (n,).

    Projected gradient descent in the ball of radius epsilon in the maximum norm (Madry et al., ICLR 2018).
    """
    step = 2.5 * epsilon / steps
    moved = []
    for plain, label in zip(images.split(BATCH), labels.split(BATCH), strict=True):
        hard = plain.clone()
        for _ in range(steps):
            hard.requires_grad_()
            loss = F.cross_entropy(quick_logits(network, hard), label, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, [hard])
            hard = (hard.detach() + step * gradient.sign()).clamp(plain - epsilon, plain + epsilon).clamp(0, 1)
        moved.append(hard)
    return torch.cat(moved)
