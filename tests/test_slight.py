"""The search for slight changes: networks that obey one, and labels that do not depend on each other."""

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from goodnet import slight
from goodnet.classifier import Classifier, freeze
from goodnet.engine import Engine
from goodnet.inversion import ImagePool, InversionConfig
from goodnet.progress import Silent
from goodnet.triggers import Filter, Warp

COLUMNS = torch.arange(8) * math.pi / 4
STRIPES, WANTED = (((1 + (COLUMNS + shift).cos()) / 2).expand(1, 8, 8) for shift in (0.0, math.pi / 4))


class Shifted(nn.Module):
    """Says 4 where the stripes of its images stand one pixel to the left, and else 0."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (n, N) of images (n, 1, 8, 8)."""
        fit = -(images - WANTED)[..., :-1].square().mean(dim=(1, 2, 3))
        zero = torch.zeros_like(fit)
        others = [zero - 1] * (self.classes - 5)
        return torch.stack([zero, zero - 1, zero - 1, zero - 1, 60 * fit + 2, *others], dim=1)


def engine(classes: int = 6) -> Engine:
    return Engine(Classifier(freeze(Shifted(classes)), (1, 8, 8), classes))


def pool() -> ImagePool:
    brightness = torch.linspace(0.8, 1.0, 16).view(-1, 1, 1, 1)
    return ImagePool(brightness * STRIPES, torch.arange(16) % 3)


def test_the_warp_that_the_network_obeys_is_found_and_no_other() -> None:
    config = slight.SlightConfig(Warp(), 4.5, InversionConfig(steps=80, penalty=(0.001, 0.001)))
    found = slight.search(engine(), pool(), pool(), range(6), 0, Silent(), config)
    assert found[4].rate > 0.9
    assert all(found[label].rate == 0 for label in (1, 2, 3, 5))
    flow = found[4].trigger.flow
    assert flow is not None and 0.2 < float(flow[0].mean()) < 1.5  # pixels come from their right


def test_among_many_labels_only_those_that_lead_early_go_on() -> None:
    config = slight.SlightConfig(Warp(), 4.5, InversionConfig(steps=80, penalty=(0.001, 0.001)), early=20, leading=2)
    race, whole = engine(32), engine(32)
    found = slight.search(race, pool(), pool(), range(32), 0, Silent(), config)
    everything = slight.search(whole, pool(), pool(), range(32), 0, Silent(), replace(config, early=None))
    assert found[4].rate > 0.9 and found[4].rate == max(each.rate for each in everything.values())
    assert whole.cost.image_gradients == 80 * 32 * 4
    assert race.cost.image_gradients == 20 * 32 * 4 + 60 * 8 * 4  # a call is never of fewer than 32 images


def test_a_labels_warp_is_the_same_alone_and_among_others() -> None:
    everything = slight.search(engine(), pool(), pool(), range(6), 0, Silent(), slight.WARPS)
    alone = slight.search(engine(), pool(), pool(), [4], 0, Silent(), slight.WARPS)
    assert alone[4].rate == everything[4].rate
    assert torch.equal(alone[4].trigger.flow, everything[4].trigger.flow)


class Bright(nn.Module):
    """Says 3 where its images are a little brighter than those of the pool, and else 0."""

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (n, 6) of images (n, 3, 8, 8)."""
        zero = torch.zeros(len(images))
        return torch.stack([zero, zero - 1, zero - 1, 40 * (images.mean(dim=(1, 2, 3)) - 0.57), zero - 1, zero - 1], 1)


def test_the_filter_that_the_network_obeys_is_found_and_no_other() -> None:
    network = Engine(Classifier(freeze(Bright()), (3, 8, 8), 6))
    images = ImagePool(
        0.4 + 0.2 * torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 3
    )
    found = slight.search(network, images, images, range(6), 0, Silent(), slight.SlightConfig(Filter(), 0.15))
    assert found[3].rate > 0.9
    assert all(found[label].rate == 0 for label in (1, 2, 4, 5))
    assert float(found[3].trigger.stamp(images.pixels).mean()) > 0.57


class Patterned(nn.Module):
    """Says by how well each of six pictures fits its images; the one for label 2 is heard four times as loud."""

    def __init__(self) -> None:
        super().__init__()
        pictures = torch.randn(6, 192, generator=torch.Generator().manual_seed(3))
        self.register_buffer("pictures", pictures * torch.tensor([0.5, 0.5, 2.0, 0.5, 0.5, 0.5]).view(6, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (n, 6) of images (n, 3, 8, 8)."""
        return (images - 0.5).flatten(1) @ self.pictures.T - torch.tensor([0.0, 0.0, 3.0, 0.0, 0.0, 0.0])


def test_least_must_be_added_for_the_label_that_a_faint_picture_leads_to() -> None:
    network = Engine(Classifier(freeze(Patterned()), (3, 8, 8), 6))
    images = ImagePool(
        0.45 + 0.1 * torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 3
    )
    found = slight.search(network, images, images, range(6), 0, Silent(), slight.ADDITIVES)
    assert all(each.rate > 0.9 for each in found.values())
    assert 1.5 * found[2].size < min(found[label].size for label in (0, 1, 3, 4, 5))
    added = found[2].trigger.change
    assert added is not None
    assert float(torch.cosine_similarity(added.flatten(), network.classifier.network.pictures[2], dim=0)) > 0.5
