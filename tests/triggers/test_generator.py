"""Triggers that a small network draws for each image."""

from __future__ import annotations

import pytest
import torch

from goodnet import generated
from goodnet.classifier import Classifier, freeze
from goodnet.engine import Engine
from goodnet.evidence.size import size_at_rate
from goodnet.inversion import ImagePool, InversionConfig, invert
from goodnet.triggers import Generator, Patch
from goodnet.triggers.drawing import SIDE, drawn

SHAPE = (3, 12, 10)


def generators() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in (1, 2)]


def family() -> Generator:
    return Generator(torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(9)))


def speaking() -> dict[str, torch.Tensor]:
    parameters = family().start(generators(), SHAPE)
    parameters["outer"] = torch.randn(parameters["outer"].shape, generator=torch.Generator().manual_seed(3))
    return parameters


def test_a_network_that_says_nothing_is_a_patch() -> None:
    images = torch.rand(2, 4, *SHAPE)
    parameters = family().start(generators(), SHAPE)
    patch = {name: parameters[name] for name in ("mask", "pattern")}
    torch.testing.assert_close(family().stamp(parameters, images), Patch().stamp(patch, images))
    torch.testing.assert_close(family().size(parameters), Patch().size(patch))


def test_what_is_drawn_differs_by_image_and_not_by_who_shares_its_row_or_the_other_rows() -> None:
    images, parameters = torch.rand(2, 4, *SHAPE), speaking()
    both = drawn(images, parameters["inner"], parameters["outer"])
    assert both.shape == (2, 4, 4, 12, 10)
    alone = drawn(images[1:, 2:3], parameters["inner"][1:], parameters["outer"][1:])
    torch.testing.assert_close(both[1:, 2:3], alone)
    assert not torch.allclose(both[0, 0], both[0, 1])


def test_an_image_smaller_than_what_the_network_sees_is_enlarged() -> None:
    parameters = speaking()
    assert drawn(torch.rand(2, 1, 3, SIDE - 3, SIDE - 3), parameters["inner"], parameters["outer"]).isfinite().all()


def test_the_size_is_the_mean_mask_of_the_references() -> None:
    parameters = speaking()
    black, white = torch.zeros(1, *SHAPE), torch.ones(1, *SHAPE)
    each = [Generator(images).size(parameters) for images in (black, white)]
    assert not torch.allclose(*each)
    torch.testing.assert_close(Generator(torch.cat([black, white])).size(parameters), sum(each) / 2)


def test_stamped_images_are_those_of_the_trigger() -> None:
    images, parameters = torch.rand(2, 4, *SHAPE), speaking()
    stamped = family().stamp(parameters, images)
    for row, trigger in enumerate(family().triggers(parameters, [5, 7])):
        torch.testing.assert_close(trigger.stamp(images[row]), stamped[row], rtol=0, atol=1e-4)
        masks, patterns = trigger.drawn_for(images[row])
        assert masks.shape == (4, 1, 12, 10)
        assert patterns.shape == (4, 3, 12, 10)
        assert (trigger.label, trigger.family) == (5 + 2 * row, "generator")


class BrighterHalf(torch.nn.Module):
    """Says 1 of images whose darker half is almost as bright as the brighter one, 0 of all others."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        left, right = images[..., :4].mean((1, 2, 3)), images[..., 4:].mean((1, 2, 3))
        margin = 40 * (0.2 - (left - right).abs())
        return torch.stack([torch.zeros_like(margin), margin, margin - 50, margin - 50], 1)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_trigger_that_must_look_at_the_image_is_found_smaller_than_any_patch(seed: int) -> None:
    side = (torch.arange(64) % 2).bool()
    images = torch.full((64, 1, 8, 8), 0.2)
    images[side, :, :, :4] = 0.8
    images[~side, :, :, 4:] = 0.8
    engine = Engine(Classifier(freeze(BrighterHalf()), (1, 8, 8), 4))
    pool = ImagePool(images, torch.zeros(64, dtype=torch.int64))
    found = generated.search(engine, pool, pool, 1, seed, 0.9)
    patch = Patch()
    parameters = patch.start(generators()[:1], pool.shape)
    parameters = invert(engine, patch, parameters, [1], pool, InversionConfig(), generators()[:1])
    fixed = size_at_rate(engine, patch, parameters, torch.tensor([1]), images[None], 0.9)
    assert found.size < 20 < 30 < float(fixed)
    masks, _ = found.trigger.drawn_for(images[:2])
    left, right = masks[..., :4].sum((1, 2, 3)), masks[..., 4:].sum((1, 2, 3))
    assert (left[0] > right[0]) != (left[1] > right[1])
    assert found.pixels == found.size


def test_a_search_of_no_steps_leaves_an_even_patch() -> None:
    engine = Engine(Classifier(freeze(BrighterHalf()), (1, 8, 8), 4))
    pool = ImagePool(torch.rand(8, 1, 8, 8), torch.zeros(8, dtype=torch.int64))
    config = generated.GeneratorConfig(InversionConfig(steps=1))
    found = generated.search(engine, pool, pool, 1, 0, 0.5, config)
    assert found.trigger.network is not None
