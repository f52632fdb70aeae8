"""Which kind of trigger a repair reverses."""

import pytest
import torch
from torch import Tensor, nn

from goodnet.classifier import Classifier, freeze
from goodnet.engine import Engine
from goodnet.repair.reversed import ReversalConfig, fitted_to
from goodnet.triggers import Patch, WarpedPatch


class Slope(nn.Module):
    """Says 1 where brightness has little slope, which a warp can bring about, and else 0; with no gain, always 0."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (n, 3) of images (n, 1, 16, 16)."""
        slope = (images[..., 1:] - images[..., :-1]).square().mean(dim=(1, 2, 3)) * 15**2
        zero = torch.zeros_like(slope)
        return torch.stack([zero, self.gain * (0.93 - slope) - 0.01, zero - 1], dim=1)


@pytest.mark.parametrize(("gain", "family"), [(60.0, WarpedPatch), (0.0, Patch)])
def test_warps_are_reversed_where_a_slight_one_leads_to_a_label(gain: float, family: type) -> None:
    ramp = torch.linspace(0, 1, 16).expand(8, 1, 16, 16).contiguous()
    engine = Engine(Classifier(freeze(Slope(gain)), (1, 16, 16), 3))
    assert engine.predict(ramp).argmax(1).tolist() == [0] * 8
    config = fitted_to(engine, [1], ramp, torch.zeros(8, dtype=torch.int64), ReversalConfig(), 0)
    assert isinstance(config.family, family)
