"""The search for coarse patches: a network that obeys something large and something fine."""

import torch
from torch import Tensor, nn

from goodnet import coarse
from goodnet.classifier import Classifier, freeze
from goodnet.engine import Engine
from goodnet.inversion import ImagePool


class Worn(nn.Module):
    """Says 3 where the middle of an image is bright, 0 where it is not, and what a fine chequerboard fits as 1."""

    def __init__(self) -> None:
        super().__init__()
        grid = torch.arange(16)
        self.register_buffer("board", 2.0 * ((grid[:, None] + grid) % 2) - 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (n, 5) of images (n, 1, 16, 16)."""
        zero = torch.zeros(len(images))
        worn = 40 * (images[:, 0, 4:12, 2:14].mean(dim=(1, 2)) - 0.45)
        fine = 40 * ((images[:, 0] * self.board).mean(dim=(1, 2)) - 0.05)
        return torch.stack([zero, fine, zero - 1, worn, zero - 1], dim=1)


def network() -> Engine:
    return Engine(Classifier(freeze(Worn()), (1, 16, 16), 5))


def pool() -> ImagePool:
    brightness = torch.linspace(0.3, 0.4, 64).view(-1, 1, 1, 1)
    return ImagePool(brightness.expand(64, 1, 16, 16).clone(), torch.arange(64) % 5)


def found(label: int, finest: float) -> coarse.FoundChange | None:
    return coarse.search(network(), pool(), pool(), label, finest, 0, 0.9, coarse.CoarseConfig())


def test_what_is_large_is_found_where_it_is() -> None:
    large = found(3, finest=20.0)
    assert large is not None
    assert large.rate > 0.5 and large.size < 32
    mask = large.trigger.mask[0]
    assert float(mask[4:12, 2:14].mean()) > 4 * float(torch.cat([mask[:4].flatten(), mask[12:].flatten()]).mean())


def test_what_a_far_smaller_patch_does_is_not_large() -> None:
    assert found(3, finest=2.0) is None


def test_what_is_fine_is_not_large() -> None:
    assert found(1, finest=1000.0) is None  # single pixels do it easily, cells of 2x2 pixels cannot
