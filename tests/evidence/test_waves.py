"""Waves: a planted sinusoid is found among the plane waves, and what works at all of them is not."""

import math

import torch
from torch import Tensor, nn

from goodnet.classifier import Classifier, freeze
from goodnet.engine import Engine
from goodnet.evidence.waves import directions, plane_waves, wave_leads
from goodnet.inversion import ImagePool

SIDE = 16


class Listener(nn.Module):
    """Says 2 where the image holds a certain wave, 3 where it is rough in any way, and else 0."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("wave", plane_waves((1, SIDE, SIDE), (2, 5))[1])

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (n, 5) of images (n, 1, H, W)."""
        flat = (images - images.mean(dim=(2, 3), keepdim=True)).flatten(1)
        heard = flat @ self.wave.flatten() / SIDE**2
        rough = flat.square().mean(1)
        zero = torch.zeros_like(heard)
        return torch.stack([zero + 1, zero, 400 * heard, 800 * rough - 1, zero], dim=1)


def test_the_label_of_a_planted_wave_leads_alone() -> None:
    engine = Engine(Classifier(freeze(Listener()), (1, SIDE, SIDE), 5))
    flat = torch.linspace(0.3, 0.7, 16).view(-1, 1, 1, 1).expand(-1, 1, SIDE, SIDE)
    found = wave_leads(engine, ImagePool(flat, torch.zeros(16, dtype=torch.int64)), 0)
    assert found[2] > 5
    assert all(found[label] < 0.2 for label in (0, 1, 3, 4))


def test_waves_are_orthogonal_and_each_direction_comes_once() -> None:
    pairs = directions((1, SIDE, SIDE), 3)
    assert len(pairs) == (7 * 7 - 1) // 2
    waves = torch.stack([plane_waves((1, SIDE, SIDE), pair)[0].flatten() for pair in pairs])
    torch.testing.assert_close(waves @ waves.T, torch.eye(len(pairs)) * SIDE**2 / 2, atol=1e-2, rtol=0)


def test_small_images_have_only_the_waves_that_fit() -> None:
    assert max(max(map(abs, pair)) for pair in directions((1, 8, 8), 8)) == 3


def test_phases_are_quarters_of_a_wave() -> None:
    waves = plane_waves((1, SIDE, SIDE), (0, 1))
    assert float(waves[1, 0, 0]) == 1.0
    torch.testing.assert_close(waves[2], -waves[0], atol=1e-6, rtol=0)
    assert math.isclose(float(waves[0].square().mean()), 0.5, abs_tol=1e-5)
