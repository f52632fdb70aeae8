"""Which kind of trigger a repair reverses."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from goodnet.classifier import Classifier, freeze
from goodnet.engine import Engine
from goodnet.inversion import InversionConfig
from goodnet.repair.reversed import ANY, ReversalConfig, fitted_to, reverse
from goodnet.triggers import ChangedPatch, Patch


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


@pytest.mark.parametrize(("gain", "family"), [(60.0, ChangedPatch), (0.0, Patch)])
def test_warps_are_reversed_where_a_slight_one_leads_to_a_label(gain: float, family: type) -> None:
    ramp = torch.linspace(0, 1, 16).expand(8, 1, 16, 16).contiguous()
    engine = Engine(Classifier(freeze(Slope(gain)), (1, 16, 16), 3))
    assert engine.predict(ramp).argmax(1).tolist() == [0] * 8
    config = fitted_to(engine, [1], ramp, torch.zeros(8, dtype=torch.int64), ReversalConfig(), 0)
    assert isinstance(config.family, family)


@pytest.mark.parametrize(("surest", "family"), [(None, ChangedPatch), (1, ChangedPatch), (2, Patch)])
def test_the_surest_label_decides_whether_warps_are_reversed(surest: int | None, family: type) -> None:
    ramp = torch.linspace(0, 1, 16).expand(8, 1, 16, 16).contiguous()
    engine = Engine(Classifier(freeze(Slope(60.0)), (1, 16, 16), 3))
    classes = torch.zeros(8, dtype=torch.int64)
    assert isinstance(fitted_to(engine, [1, 2], ramp, classes, ReversalConfig(), 0, surest).family, family)


def test_what_a_scan_knows_of_victims_is_not_asked_again_and_needs_images_of_theirs() -> None:
    images, labels = torch.rand(12, 1, 16, 16, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 3
    engine = Engine(Classifier(freeze(Slope(0.0)), (1, 16, 16), 4))
    config = fitted_to(engine, [1], images, labels, ReversalConfig(known={1: 2}), 0)
    spent = engine.cost.image_gradients
    assert (config.known, config.victims) == ({1: 2}, {})
    assert fitted_to(engine, [1], images, labels, ReversalConfig(known={1: 3}), 0).known == {}
    assert engine.cost.image_gradients > 2 * spent


def test_where_there_is_one_victim_every_other_trigger_is_for_its_images_alone() -> None:
    images, labels = torch.rand(12, 1, 16, 16, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 3
    engine = Engine(Classifier(freeze(Slope(60.0)), (1, 16, 16), 3))
    config = ReversalConfig(per_label=4, inversion=InversionConfig(steps=2), victims={1: 2})
    triggers = reverse(engine, [0, 1], images, labels, config, 0, "test")
    assert triggers.labels.tolist() == [0] * 4 + [1] * 4
    assert triggers.victims.tolist() == [ANY] * 5 + [2, ANY, 2]
    assert labels[triggers.stampable(0, labels)].unique().tolist() == [1, 2]
    assert labels[triggers.stampable(5, labels)].unique().tolist() == [2]
    known = replace(config, victims={}, known={1: 2})
    assert reverse(engine, [0, 1], images, labels, known, 0, "test").victims.tolist() == [ANY] * 4 + [2] * 4
    both = triggers.only(5).joined_with(triggers.only(0))
    assert both.victims.tolist() == [2, ANY]
    assert torch.isnan(both.asr(engine, images[:2], labels[:2])).tolist() == [True, False]
